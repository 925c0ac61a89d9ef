//! Existing Pods that new labels of a namespace would refuse, for a dry run of an update of the Namespace.
//!
//! Each Pod is judged as if it were created again, with the labels that the update brings; what the old labels refuse too is left
//! out. As in Kubernetes' own admission (`EvaluatePodsInNamespace` in `k8s.io/pod-security-admission/admission/admission.go`), one Pod
//! of each controller comes first, a number of Pods and a time are the limits, and the result is warnings: nothing here refuses.
//!
//! Pods are listed a page at a time, and a page is dropped before the next is read.

mod change;
mod check;
mod page;
mod relabelled;
mod tally;
#[cfg(test)]
mod tests;

pub use change::Change;
pub use check::{Check, Limits};
pub use page::PodPages;
pub use tally::unchecked;
