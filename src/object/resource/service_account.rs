//! The fields of a ServiceAccount that policies read.

use serde::Deserialize;

/// A ServiceAccount.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceAccount {
    automount_service_account_token: Option<bool>,
}

impl ServiceAccount {
    /// `automountServiceAccountToken`
    pub fn automount_service_account_token(&self) -> Option<bool> {
        self.automount_service_account_token
    }
}
