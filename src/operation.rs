//! The operation of an admission request.

use serde::{Deserialize, Serialize};

/// Operation of an admission request (`Operation` of `admission.k8s.io/v1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of an existing object.
    Update,
    /// A deletion; only the old object is sent.
    Delete,
    /// exec, attach, port-forward and proxy; the options are sent in place of the object.
    Connect,
}

impl Operation {
    /// The name in an AdmissionReview.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}
