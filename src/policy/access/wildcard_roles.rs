//! `wildcard-roles`: forbids wildcards in Roles and ClusterRoles.
//!
//! A wildcard is what the RBAC authorizer matches as one (`K/pkg/apis/rbac/v1/evaluation_helpers.go`). `*` alone is one in verbs,
//! API groups and resources. `*/scale` is one too: it is the subresource of every resource, of those to come as well. `pods/*`
//! and `get*` are not: they match nothing but what is spelt so, which does not exist. Of URLs, `*` and `/*` are every path; the
//! `*` at the end of `/healthz/*` is of that subtree alone, as in Kubernetes' own `system:discovery`, and is not one.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{CLUSTER_ROLES, ROLES};
use crate::object::{Path, Place};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WildcardRoles {}

impl Policy for WildcardRoles {
    const META: &'static Meta = &Meta {
        id: "wildcard-roles",
        title: "a Role or ClusterRole with a wildcard",
        severity: Severity::High,
        since: "0.1.0",
        why: "A wildcard grants what nobody has thought of: secrets, other roles, and every resource that is installed \
              later.",
        fix: "name the API groups, resources, verbs and URLs that are needed; of a role that comes from elsewhere and has to \
              keep its wildcard, make an exception for its kind and name",
        kinds: &[Kinds::Resource(CLUSTER_ROLES), Kinds::Resource(ROLES)],
        fields: &[
            Fields::of(&["rules[*].verbs", "rules[*].apiGroups"]).allow(&[Allowed::Words("any value but `*`")]),
            Fields::of(&["rules[*].resources"]).allow(&[Allowed::Words(
                "any value but `*` and `*/SUBRESOURCE` (`pods/*` is no wildcard: it matches nothing)",
            )]),
            Fields::of(&["rules[*].nonResourceURLs"])
                .allow(&[Allowed::Words("any path but `*` and `/*` (`/healthz/*` is that subtree alone)")]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "CIS Kubernetes Benchmark, section 5.1",
            name: "Minimize wildcard use in Roles and ClusterRoles",
        }],
    };
}

impl Validator for WildcardRoles {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for (position, rule) in request.rules().enumerate() {
            let mut look = |field, what, values: &mut dyn Iterator<Item = &str>, is_wild: fn(&str) -> bool| {
                for (at, value) in values.enumerate().filter(|(_, value)| is_wild(value)) {
                    report.add(Found { rule: position, field, at }, Wildcard { what, value });
                }
            };
            look("apiGroups", "API groups", &mut rule.api_groups(), is_all);
            look("resources", "resources", &mut rule.resources(), is_wild_resource);
            look("verbs", "verbs", &mut rule.verbs(), is_all);
            look("nonResourceURLs", "paths", &mut rule.non_resource_urls(), is_every_path);
        }
        Ok(())
    }
}

fn is_all(value: &str) -> bool {
    value == "*"
}

fn is_wild_resource(value: &str) -> bool {
    value == "*" || value.starts_with("*/")
}

/// True if every path begins with what is before the asterisks at the end.
fn is_every_path(value: &str) -> bool {
    value.ends_with('*') && ["", "/"].contains(&value.trim_end_matches('*'))
}

/// The place of a wildcard, which is written out only if the finding is kept.
struct Found {
    rule: usize,
    field: &'static str,
    at: usize,
}

impl From<Found> for Place {
    fn from(Found { rule, field, at }: Found) -> Self {
        Self::field(Path::root().fields("rules").index(rule).fields(field).index(at))
    }
}

struct Wildcard<'r> {
    what: &'static str,
    value: &'r str,
}

impl fmt::Display for Wildcard<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value } = self;
        write!(out, "must name the {what} that are needed: {} is all of them, and those to come", quoted(value))
    }
}
