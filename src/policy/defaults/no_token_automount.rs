//! `default-no-token-automount`: no token for those who run as `default`.
//!
//! On the ServiceAccount `default` when it is created, and in templates that run as it; never on a Pod, where the API
//! server has mounted the token before any webhook is asked.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target, Update};
use crate::object::resource::{NEW_SERVICE_ACCOUNTS, ServiceAccount};
use crate::object::{Path, Place};
use crate::policy::{Fields, Kinds, Meta, Severity};

/// The field, on a ServiceAccount and in a pod spec.
const FIELD: &str = "automountServiceAccountToken";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultNoTokenAutomount {}

impl Defaulter for DefaultNoTokenAutomount {
    const META: &'static Meta = &Meta {
        id: "default-no-token-automount",
        title: "automountServiceAccountToken: false on the ServiceAccount default, and in templates that run as it",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Whatever runs as `default` asked for no identity, so it needs no token. A program that does calls the \
              API server with a ServiceAccount of its own, which is left alone.",
        fix: "write automountServiceAccountToken, and nothing is set",
        kinds: &[Kinds::Pods, Kinds::Resource(NEW_SERVICE_ACCOUNTS)],
        fields: &[Fields::of(&["automountServiceAccountToken", "spec.automountServiceAccountToken"])],
        changes: &[],
        controls: &[],
    };
    const SAFETY: Safety = Safety::Safe;
    const BREAKAGE: &'static Breakage = &Breakage {
        what: "Programs that call the API server as `default`, and injectors that authenticate with the pod's token: \
           Vault Agent and akv2k8s (Azure Key Vault) inject nothing, or refuse the pod, without it.",
        exclude: "write automountServiceAccountToken: true in the pod spec; better, give the workload a ServiceAccount \
              of its own, which is left alone",
    };
}

impl Mutator for DefaultNoTokenAutomount {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        let request = target.request();
        let account = request.object_as::<ServiceAccount>();
        let name = request.object.as_ref().map(|object| object.metadata().name());
        if name == Some("default") && account.is_some_and(|own| own.automount_service_account_token().is_none()) {
            edits.set(Place::field(Path::root().fields(FIELD)), false);
        }
        for pod in request.pods().iter().filter(|pod| pod.is_template() && pod.service_account() == "default") {
            if pod.automount_service_account_token().is_none() {
                edits.set(pod.at(&format!("spec.{FIELD}")), false);
            }
        }
    }
    fn keep(&self, Update { before, now }: Update<'_, '_>, edits: &mut Edits) {
        if before.automount_service_account_token() == Some(false) && now.automount_service_account_token().is_none() {
            edits.keep(now.at(&format!("spec.{FIELD}")), false);
        }
    }

    fn take_back(&self, update: Update<'_, '_>, edits: &mut Edits) {
        let Update { before, now } = update;
        if before.service_account() == "default" && now.service_account() != "default" {
            let because = "the template now runs as a ServiceAccount of its own";
            edits.take_back(now.at(&format!("spec.{FIELD}")), false, because);
        }
    }
}
