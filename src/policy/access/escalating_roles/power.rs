//! The table of powers, and how a rule matches one.

use crate::object::resource::Rule;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The role that holds a rule, as far as it limits what a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A name is one of every namespace.
    ClusterRole,
    /// A Role in `kube-system`, whose ServiceAccounts are Kubernetes' own.
    SystemRole,
    /// Any other Role.
    Role,
}

impl Holder {
    /// A Role in that namespace.
    pub(super) fn role_in(namespace: &str) -> Self {
        if namespace == "kube-system" { Self::SystemRole } else { Self::Role }
    }
}

/// A right that leads to others.
#[derive(Debug)]
pub(super) struct Power {
    /// The right, as messages name it.
    pub(super) right: &'static str,
    /// Consequence: a sentence about its holder.
    pub(super) effect: &'static str,
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    /// Empty for every verb.
    verbs: &'static [&'static str],
    excuse: Excuse,
}

/// The meaning of `resourceNames` for a power.
#[derive(Debug, Clone, Copy)]
enum Excuse {
    /// Names do not limit it.
    Never,
    /// Any names, but for the deletion of Portcullis' own configurations: each is the holder's own.
    Configurations,
    /// Roles that are not Kubernetes' own.
    Roles,
    /// Identities that are not Kubernetes' own.
    Identities,
    /// ServiceAccounts of one namespace.
    Accounts,
    /// Signers that are not Kubernetes' own.
    Signers,
}

/// The way a rule grants a power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    None,
    /// By the names of group, resource and verb.
    Named,
    /// By a wildcard in one of them.
    Wildcard,
}

/// Every power, in the order of findings.
pub(super) const POWERS: [Power; 10] = [
    Power {
        right: "escalate",
        effect: "its holder can write any right into a role",
        groups: &[RBAC],
        resources: &["roles", "clusterroles"],
        verbs: &["escalate"],
        excuse: Excuse::Never,
    },
    Power {
        right: "bind",
        effect: "its holder can give itself any role",
        groups: &[RBAC],
        resources: &["roles", "clusterroles"],
        verbs: &["bind"],
        excuse: Excuse::Roles,
    },
    Power {
        right: "impersonate",
        effect: "its holder can act as somebody else",
        groups: &["", "authentication.k8s.io"],
        resources: &["users", "groups", "uids", "userextras"],
        verbs: &["impersonate", "impersonate:"],
        excuse: Excuse::Identities,
    },
    Power {
        right: "impersonate on serviceaccounts",
        effect: "its holder can act as any of them",
        groups: &["", "authentication.k8s.io"],
        resources: &["serviceaccounts"],
        verbs: &["impersonate", "impersonate:"],
        excuse: Excuse::Accounts,
    },
    Power {
        right: "impersonate:arbitrary-node on nodes",
        effect: "its holder can act as any node (KEP-5284)",
        groups: &["authentication.k8s.io"],
        resources: &["nodes"],
        verbs: &["impersonate:"],
        excuse: Excuse::Never,
    },
    Power {
        right: "create on serviceaccounts/token",
        effect: "its holder can act as any ServiceAccount",
        groups: &[""],
        resources: &["serviceaccounts/token"],
        verbs: &["create"],
        excuse: Excuse::Accounts,
    },
    Power {
        right: "nodes/proxy",
        effect: "its holder reaches the kubelet, and with it every container, past admission and audit",
        groups: &[""],
        resources: &["nodes/proxy"],
        verbs: &[],
        excuse: Excuse::Never,
    },
    Power {
        right: "update or patch on certificatesigningrequests/approval",
        effect: "its holder can issue a client certificate for any user",
        groups: &["certificates.k8s.io"],
        resources: &["certificatesigningrequests/approval"],
        verbs: &["update", "patch"],
        excuse: Excuse::Never,
    },
    Power {
        right: "approve or sign on signers",
        effect: "its holder can issue a client certificate for any user",
        groups: &["certificates.k8s.io"],
        resources: &["signers"],
        verbs: &["approve", "sign"],
        excuse: Excuse::Signers,
    },
    Power {
        right: "writing admission configurations",
        effect: "its holder can read and change every object that is written, and turn admission control off",
        groups: &["admissionregistration.k8s.io"],
        resources: &[
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
        ],
        verbs: &["create", "update", "patch", "delete", "deletecollection"],
        excuse: Excuse::Configurations,
    },
];

impl Power {
    /// The way a rule grants it.
    pub(super) fn matches(&self, rule: &Rule<'_>, holder: Holder) -> Match {
        let group = of(rule.api_groups(), |own| self.groups.contains(&own));
        let resource = strongest(rule.resources().map(|own| self.matches_resource(own)));
        let verb = if self.verbs.is_empty() {
            // Every verb will do: a `*` is no wider than any name.
            if rule.verbs().next().is_some() { Match::Named } else { Match::None }
        } else {
            of(rule.verbs(), |own| self.has_verb(own))
        };
        match [group, resource, verb] {
            parts if parts.contains(&Match::None) || self.is_excused(rule, holder) => Match::None,
            parts if parts.contains(&Match::Wildcard) => Match::Wildcard,
            _ => Match::Named,
        }
    }

    fn matches_resource(&self, own: &str) -> Match {
        let is_extra = |own: &str| own.starts_with("userextras/") && self.resources.contains(&"userextras");
        if self.resources.contains(&own) || is_extra(own) {
            return Match::Named;
        }
        // The extra fields of a user are subresources, of any name.
        let is_subresource = |below: &str| {
            let is_it = |resource: &&str| resource.split_once('/').is_some_and(|(_, own)| own == below);
            self.resources.iter().any(is_it) || self.resources.contains(&"userextras")
        };
        let is_wild = own == "*" || own.strip_prefix("*/").is_some_and(is_subresource);
        if is_wild { Match::Wildcard } else { Match::None }
    }

    fn has_verb(&self, own: &str) -> bool {
        self.verbs.iter().any(|verb| match verb.strip_suffix(':') {
            // An agent on a node acts as the node that it runs on, which is less than the rights of any node.
            Some(_) => own.starts_with(verb) && own != "impersonate:associated-node",
            None => own == *verb,
        })
    }

    fn is_excused(&self, rule: &Rule<'_>, holder: Holder) -> bool {
        let Some(mut names) = rule.limit() else { return false };
        match self.excuse {
            Excuse::Never => false,
            Excuse::Configurations => names.all(|name| !name.starts_with("portcullis")) || !deletes(rule),
            Excuse::Roles => names.all(|name| name != "cluster-admin" && !name.starts_with("system:")),
            Excuse::Identities => names.all(|name| !is_administrator(name)),
            Excuse::Accounts => holder == Holder::Role,
            Excuse::Signers => names.all(|name| !name.starts_with("kubernetes.io/")),
        }
    }
}

/// True if a rule deletes what it names.
fn deletes(rule: &Rule<'_>) -> bool {
    rule.verbs().any(|verb| ["delete", "*"].contains(&verb))
}

/// True for users and groups of Kubernetes itself, and for the administrators that kubeadm makes.
fn is_administrator(name: &str) -> bool {
    name.starts_with("system:")
        || name.starts_with("kubeadm:")
        || ["kubernetes-admin", "kubernetes-super-admin"].contains(&name)
}

/// True if a rule reads Secrets of any name.
pub(super) fn reads_secrets(rule: &Rule<'_>) -> bool {
    let has = |mut values: Box<dyn Iterator<Item = &str> + '_>, wanted: &[&str]| {
        values.any(|value| value == "*" || wanted.contains(&value))
    };
    rule.limit().is_none()
        && has(Box::new(rule.api_groups()), &[""])
        && has(Box::new(rule.resources()), &["secrets"])
        && has(Box::new(rule.verbs()), &["get", "list", "watch"])
}

/// The way a list matches: by a value, or by `*`.
fn of<'r>(values: impl Iterator<Item = &'r str>, is_it: impl Fn(&str) -> bool) -> Match {
    strongest(values.map(|value| match value {
        value if is_it(value) => Match::Named,
        "*" => Match::Wildcard,
        _ => Match::None,
    }))
}

/// The most telling of some matches.
fn strongest(matches: impl Iterator<Item = Match>) -> Match {
    let mut strongest = Match::None;
    for found in matches {
        match found {
            Match::Named => return found,
            Match::Wildcard => strongest = found,
            Match::None => {}
        }
    }
    strongest
}
