//! Policies on what a pod may be to the API server.

pub(super) mod automounted_tokens;
