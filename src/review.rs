//! AdmissionReview (`admission.k8s.io/v1`) on the wire: decode, where the uid survives whatever else is wrong, and
//! encode.

mod decode;
mod encode;
mod salvage;

use crate::request::Request;

pub use decode::{decode, partial};
pub use encode::{Draft, encode, refusal, warnings};

/// A review that was understood far enough to be answered.
pub struct Review<'a> {
    /// What is asked.
    pub request: Request<'a>,
    /// Why it cannot be judged, where it cannot.
    pub unreadable: Option<String>,
    /// Whether it speaks `admission.k8s.io/v1beta1`, which is answered in the same but not judged.
    pub(crate) is_v1beta1: bool,
}

/// Nothing that came holds a uid: there is no review to answer, which is HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoUid {
    /// What came instead, and what belongs there.
    pub message: String,
}
