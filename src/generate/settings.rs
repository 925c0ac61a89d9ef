//! The settings of the generator, from the mapping `generate` of the configuration.

use std::collections::BTreeSet;

/// Settings of the generator. Without any, only namespaces with the label are served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Namespaces whose workloads have policies, beside those with the label.
    pub allow_ingress: BTreeSet<String>,
    /// Namespaces that may reach the workloads, beside their own.
    pub from: BTreeSet<String>,
    /// Namespaces with a policy that denies by default, beside those with the label.
    pub default_deny: BTreeSet<String>,
    /// Directions that this policy denies; empty for both.
    pub directions: BTreeSet<Direction>,
}

/// A direction of traffic, seen from the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the Pod.
    Ingress,
    /// From the Pod.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The name in a NetworkPolicy.
    pub(super) fn policy_type(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}
