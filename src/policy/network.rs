//! Policies on what a pod may talk to.

pub(super) mod unisolated_pods;
