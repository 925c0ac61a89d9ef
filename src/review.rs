//! AdmissionReview (`admission.k8s.io/v1`) on the wire: decode, where the uid survives whatever else is wrong, and
//! encode.

mod decode;
mod encode;
mod judge;
mod salvage;

use crate::request::Request;

pub use decode::{decode, partial};
pub use encode::{Draft, WARNINGS, encode, refusal, warnings};
pub use judge::{FAILED, Judge};

/// A review with a readable uid, which can be answered.
pub struct Review<'a> {
    /// The request.
    pub request: Request<'a>,
    /// Reason why the request cannot be judged; `None` if it can.
    pub unreadable: Option<String>,
    /// True for `admission.k8s.io/v1beta1`, which is answered in that version but not judged.
    pub(crate) is_v1beta1: bool,
}

/// The body holds no uid, so that there is no review to answer: HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoUid {
    /// Description of the body, and the expected input.
    pub message: String,
}
