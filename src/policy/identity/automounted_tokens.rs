//! `automounted-tokens`: a pod holds a ServiceAccount token only if somebody asked for it by name.
//!
//! On a Pod that comes from an API server the truth is in the Pod: the ServiceAccount plugin has mounted the token
//! before any webhook is asked (`K/plugin/pkg/admission/serviceaccount/admission.go`). In a template, and in a
//! manifest, it is the field, and the ServiceAccount's where the field is absent. A ServiceAccount that is not among
//! the manifests is taken for one that says nothing, as every namespace's `default` is made: that is the API server's own
//! default, so the policy is never left out for want of one. A projected token that the pod asks
//! for itself, by name, path and lifetime, is allowed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Lookup, Pending};
use crate::object::Pod;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::{Request, Source};

/// Path at which the ServiceAccount plugin mounts the token (`DefaultAPITokenMountPath`).
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Beginning of its name for the volume (`ServiceAccountVolumeName` and a dash).
const VOLUME_PREFIX: &str = "kube-api-access-";
/// The field that says no.
const FIELD: &str = "spec.automountServiceAccountToken";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AutomountedTokens {}

impl Policy for AutomountedTokens {
    const META: &'static Meta = &Meta {
        id: "automounted-tokens",
        title: "a ServiceAccount token that nobody asked for",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Whoever breaks into a container that holds an API token acts as its ServiceAccount, and most programs \
              never call the API server.",
        fix: "set automountServiceAccountToken: false in the pod spec or on its ServiceAccount; a program that calls \
              the API server mounts a projected serviceAccountToken volume with a path and expirationSeconds",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.automountServiceAccountToken"])
                .allow(&[Allowed::Value("false"), Allowed::Words("absent where the ServiceAccount's is `false`")]),
            Fields::of(&["spec.serviceAccountName", "spec.serviceAccount"]),
            Fields::of_containers(&["volumeMounts[*].name", "volumeMounts[*].mountPath"]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "NSA/CISA Kubernetes Hardening Guidance",
            name: "Protecting Pod service account tokens",
        }],
    };
}

impl Validator for AutomountedTokens {
    fn judge(&self, request: &Request<'_>, facts: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            if !pod.is_template() && is_stored(request, pod) && is_mounted(pod) {
                let account = account(pod);
                let message = format_args!("must be false: the token of ServiceAccount {account} is mounted");
                report.add_alike(pod.at(FIELD), message, false, &account);
            } else if pod.is_template() || request.source == Source::Manifest {
                judge_field(pod, &request.namespace, facts, report)?;
            }
        }
        Ok(())
    }
}

/// True if an API server has completed the Pod. A dump is read as a manifest, and says what was mounted all the same; where
/// nothing was, its field is judged, so that a manifest gains nothing with a uid.
fn is_stored(request: &Request<'_>, pod: &Pod<'_>) -> bool {
    request.source == Source::ApiServer || pod.metadata().is_some_and(|metadata| !metadata.uid().is_empty())
}

/// True if the token is mounted in a Pod.
fn is_mounted(pod: &Pod<'_>) -> bool {
    pod.containers().any(|container| {
        container
            .mounts()
            .any(|(_, volume, path)| path.trim_end_matches('/') == MOUNT_PATH && volume.starts_with(VOLUME_PREFIX))
    })
}

/// Judges the field, and that of the ServiceAccount where it is absent.
fn judge_field(pod: &Pod<'_>, namespace: &str, facts: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
    match pod.automount_service_account_token() {
        Some(false) => {}
        Some(true) => report.add_alike(pod.at(FIELD), "must not be true", false, account(pod)),
        None => match facts.service_account(namespace, pod.service_account())? {
            Lookup::Found(found) if found.automount_token == Some(false) => {}
            Lookup::Found(_) | Lookup::Absent | Lookup::LeftOut => report.add_alike(
                pod.at(FIELD),
                format_args!("must be false: it is absent, and ServiceAccount {} does not say false", account(pod)),
                true,
                account(pod),
            ),
            Lookup::Unavailable(why) => report.add_alike(
                pod.at(FIELD),
                format_args!(
                    "must be false: it is absent, and ServiceAccount {} could not be read ({why})",
                    account(pod)
                ),
                true,
                account(pod),
            ),
        },
    }
    Ok(())
}

fn account(pod: &Pod<'_>) -> impl std::fmt::Display {
    quoted(pod.service_account())
}
