//! `escalating-roles`: forbids rights with which the holder of a role can gain further rights.
//!
//! The powers are those of "Role Based Access Control Good Practices" of Kubernetes' documentation that a role shows. A rule
//! counts where the RBAC authorizer matches it, in a Role as in a ClusterRole. A `*` counts as everything that it stands for, in one
//! finding a rule, since `wildcard-roles` names each.
//!
//! `resourceNames` limit a power where the names are its limit: the roles that may be bound, the identities that may be
//! taken on, the signers, the ServiceAccounts of a namespace. They do not limit `escalate`, since a named role can be given any
//! rule. A named admission configuration can be given any webhook too, and yet it is excused: a program that keeps the certificate
//! in its own configuration up to date, as Portcullis does, has no smaller right to ask for. An empty name is no limit.

mod power;

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use self::power::{Holder, Match, POWERS, Power, reads_secrets};
use crate::facts::{Facts, Pending, Selector};
use crate::object::resource::{Aggregation, CLUSTER_ROLES, ClusterRole, ROLES};
use crate::object::{Path, Place};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// The ClusterRoles of Kubernetes that are there to be selected and read Secrets, with their labels.
const AGGREGATED: [(&str, &str); 2] = [
    ("system:aggregate-to-admin", "rbac.authorization.k8s.io/aggregate-to-admin"),
    ("system:aggregate-to-edit", "rbac.authorization.k8s.io/aggregate-to-edit"),
];

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EscalatingRoles {}

impl Policy for EscalatingRoles {
    const META: &'static Meta = &Meta {
        id: "escalating-roles",
        title: "a Role or ClusterRole that allows privilege escalation",
        severity: Severity::Critical,
        since: "0.1.0",
        why: "Whoever may escalate, bind, impersonate, make tokens, reach the kubelet, approve certificates or write admission \
              configurations can take over the cluster with that alone. Reading every Secret comes close, and many controllers \
              need it: it is a warning, in any mode.",
        fix: "leave the rule out, or limit it with resourceNames: bind to roles that are harmless, impersonate to named \
              identities that are not Kubernetes' own, approve and sign to signers of your own, serviceaccounts/token to \
              accounts in a Role, admission configurations to its own; of a role that comes from elsewhere and needs the right, make an exception for its kind and \
              name",
        kinds: &[Kinds::Resource(CLUSTER_ROLES), Kinds::Resource(ROLES)],
        fields: &[
            Fields::of(&["rules[*].apiGroups", "rules[*].resources", "rules[*].verbs"]).allow(&[
                Allowed::Words(
                    "not `escalate` or `bind` on roles and clusterroles; not `impersonate` (or `impersonate:MODE`, but for \
                     `impersonate:associated-node`) on users, groups, serviceaccounts, uids, userextras and nodes; not `create` on \
                     serviceaccounts/token; nothing on nodes/proxy; \
                     not `update` or `patch` on certificatesigningrequests/approval; not `approve` or `sign` on signers; no \
                     writing of validating or mutating webhook configurations, admission policies and their bindings; \
                     `get`, `list` and `watch` on secrets in a ClusterRole: a warning at most, unless limited by name",
                ),
            ]),
            Fields::of(&["rules[*].resourceNames"]).allow(&[Allowed::Words(
                "what excuses `bind`: names other than `cluster-admin` and `system:*`; `impersonate`: names other than \
                 `system:*`, `kubeadm:*` and the users that kubeadm makes, and of serviceaccounts only in a Role outside `kube-system`, as for serviceaccounts/token; \
                 `approve` and `sign`: signers other than `kubernetes.io/*`; writing admission configurations: any names (to delete, none that begins with `portcullis`), which \
                 lets a program keep its own certificate there (and widen its own webhook: guard who can be it)",
            )]),
            Fields::of(&["aggregationRule.clusterRoleSelectors"]).allow(&[Allowed::Words(
                "selectors that do not select `system:aggregate-to-admin` or `system:aggregate-to-edit`, which read Secrets: a \
                 warning at most; and selectors that do not select `cluster-admin`",
            )]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "CIS Kubernetes Benchmark, section 5.1",
            name: "Limit use of the Bind, Impersonate and Escalate permissions in the Kubernetes cluster",
        }],
    };
}

impl Validator for EscalatingRoles {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let cluster_role = request.object_as::<ClusterRole<'_>>();
        let holder = if cluster_role.is_some() { Holder::ClusterRole } else { Holder::role_in(&request.namespace) };
        for (position, rule) in request.rules().enumerate() {
            let place = || RuleAt(position);
            let (mut is_refused, mut through_wildcards) = (false, Vec::new());
            for power in &POWERS {
                let found = power.matches(rule, holder);
                is_refused |= found != Match::None;
                match found {
                    Match::Named => {
                        report.add(place(), format_args!("must not grant {} ({})", power.right, power.effect));
                    }
                    Match::Wildcard => through_wildcards.push(power),
                    Match::None => {}
                }
            }
            if !through_wildcards.is_empty() {
                report.add(place(), Stands(&through_wildcards));
            }
            if !is_refused && holder == Holder::ClusterRole && reads_secrets(rule) {
                report.add_warning(
                    place(),
                    "must name the Secrets that it reads (resourceNames): without names it reads those of every namespace",
                );
            }
        }
        let selectors = cluster_role.and_then(ClusterRole::aggregation_rule);
        for (position, selector) in selectors.into_iter().flat_map(Aggregation::selectors).enumerate() {
            let selector = Selector::from(selector);
            let selects = |labels: &[(&str, &'static str)]| {
                selector.selects(|key| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value))
            };
            if selects(&[("kubernetes.io/bootstrapping", "rbac-defaults")]) {
                let path = Path::root().fields("aggregationRule.clusterRoleSelectors").index(position);
                report
                    .add(Place::field(path), "must not select ClusterRole \"cluster-admin\", which may do everything");
                continue;
            }
            let selected = AGGREGATED
                .iter()
                .find(|(_, label)| selects(&[(*label, "true"), ("kubernetes.io/bootstrapping", "rbac-defaults")]));
            if let Some((name, _)) = selected {
                let path = Path::root().fields("aggregationRule.clusterRoleSelectors").index(position);
                let message = format_args!(
                    "must not select ClusterRole {name:?}, which reads Secrets and takes on ServiceAccounts"
                );
                report.add_warning(Place::field(path), message);
            }
        }
        Ok(())
    }
}

/// The place of a rule, which is written out only if the finding is kept.
struct RuleAt(usize);

impl From<RuleAt> for Place {
    fn from(RuleAt(position): RuleAt) -> Self {
        Self::field(Path::root().fields("rules").index(position))
    }
}

/// A message about a `*` that stands for powers.
struct Stands<'p>(&'p [&'static Power]);

impl fmt::Display for Stands<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("must not hold a wildcard, which includes ")?;
        let last = self.0.len().saturating_sub(1);
        for (position, power) in self.0.iter().enumerate() {
            let before = match position {
                0 => "",
                _ if position == last => " and ",
                _ => ", ",
            };
            write!(out, "{before}{}", power.right)?;
        }
        Ok(())
    }
}
