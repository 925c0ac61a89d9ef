//! Policies on what a pod may be to the API server.

pub(super) mod automounted_tokens;
pub(super) mod default_service_accounts;
