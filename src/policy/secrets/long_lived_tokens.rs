//! `long-lived-tokens`: a token of a ServiceAccount ends soon.
//!
//! A token comes from a Secret of its type, into which the control plane writes one without an end, from a projected volume, or
//! from a request for one. A kubelet asks for those of volumes; its requests are not sent, and the Pods that it asks for are judged.

mod max_hours;

use schemars::JsonSchema;
use serde::Deserialize;

use self::max_hours::MaxHours;
use crate::facts::{Facts, Pending};
use crate::object::resource::{Secret, TOKEN_REQUESTS, TOKEN_SECRETS, TOKEN_TYPE, TokenRequest};
use crate::object::{Object, Path, Place, Pod};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Annotation of a Secret that names the ServiceAccount of its token.
const ACCOUNT: &str = "kubernetes.io/service-account.name";
/// Lifetime in seconds that API servers extend, to a year unless told otherwise, where the token is bound to a Pod
/// (`WarnOnlyBoundTokenExpirationSeconds`, `--service-account-extend-token-expiration`). It is that of `kube-api-access-*` volumes.
const EXTENDED: i64 = 3607;

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LongLivedTokens {
    /// Hours that a token may live, 24 unless set.
    max_hours: MaxHours,
}

impl Policy for LongLivedTokens {
    const META: &'static Meta = &Meta {
        id: "long-lived-tokens",
        title: "a token of a ServiceAccount that does not end, or not soon",
        severity: Severity::High,
        since: "0.1.0",
        why: "A token that leaks is good until it ends, and one in a Secret has no end. Nobody can tell who uses it, and it is seldom \
              changed.",
        fix: "set expirationSeconds to less, or ask for a token when it is needed; delete Secrets of the type, whose tokens have no end; \
              deploy/secrets.md describes the settings",
        kinds: &[Kinds::Pods, Kinds::Resource(TOKEN_SECRETS), Kinds::Resource(TOKEN_REQUESTS)],
        fields: &[
            Fields::of(&[
                "spec.volumes[*].projected.sources[*].serviceAccountToken.expirationSeconds",
                "spec.expirationSeconds",
            ])
            .allow(&[Allowed::Absent, Allowed::Words("at most the seconds of `maxHours`")]),
            Fields::of(&["type"]).allow(&[Allowed::Words("every type but `kubernetes.io/service-account-token`")]),
            Fields::of(&["metadata.annotations[kubernetes.io/service-account.name]", "spec.boundObjectRef.kind"]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "NSA/CISA Kubernetes Hardening Guidance",
            name: "Protecting Pod service account tokens",
        }],
    };
}

impl Validator for LongLivedTokens {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let most = self.max_hours.seconds().max(EXTENDED);
        let is_longer = |seconds: i64| seconds > most;
        for volume in request.pods().iter().flat_map(Pod::volumes) {
            let Some(token) = volume.token().filter(|token| is_longer(token.seconds)) else { continue };
            let place = volume.at_item("projected.sources", token.position, "serviceAccountToken.expirationSeconds");
            report.add(place, self.message(token.seconds));
        }
        if let Some(asked) = request.object_as::<TokenRequest<'_>>() {
            let place = || Place::field(Path::root().fields("spec.expirationSeconds"));
            let seconds = asked.seconds();
            if is_longer(seconds) {
                report.add(place(), self.message(seconds));
            } else if seconds == EXTENDED && asked.bound_to().is_some_and(|(kind, _)| kind == "Pod") {
                report.add(
                    place(),
                    "must not be 3607 for a token that is bound to a Pod: API servers extend it to a year",
                );
            }
        }
        if request.object_as::<Secret<'_>>().is_some_and(|secret| secret.kind() == TOKEN_TYPE) {
            // Named, so that an update which makes the token another account's is not inherited.
            let account =
                request.object.as_ref().map(Object::metadata).and_then(|metadata| metadata.annotation(ACCOUNT));
            let account = quoted(account.unwrap_or_default());
            let place = Place::field(Path::root().fields("type"));
            report.add(
                place,
                format_args!("must not be {TOKEN_TYPE}, whose tokens have no end (it is for ServiceAccount {account})"),
            );
        }
        Ok(())
    }
}

impl LongLivedTokens {
    fn message(&self, seconds: i64) -> impl std::fmt::Display {
        let (most, hours) = (self.max_hours.seconds(), &self.max_hours);
        format!("must be at most {most}, which is {hours}: it is {seconds}")
    }
}
