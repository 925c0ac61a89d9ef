//! The hosts that `spec.tls` of an Ingress covers.

use std::collections::HashSet;

use crate::object::resource::Ingress;

/// Hosts with TLS.
pub(super) enum Covered {
    /// Every host: an entry lists none.
    All,
    /// These, and one label more for those with a wildcard.
    Hosts(HashSet<String>),
}

impl Covered {
    pub(super) fn of(ingress: &Ingress<'_>) -> Self {
        let mut hosts = HashSet::new();
        for entry in ingress.tls() {
            if entry.hosts().next().is_none() {
                return Self::All;
            }
            hosts.extend(entry.hosts().map(str::to_ascii_lowercase));
        }
        Self::Hosts(hosts)
    }

    /// True if nothing has TLS.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Hosts(hosts) if hosts.is_empty())
    }

    /// True if a host has TLS; the empty one stands for every host.
    pub(super) fn hold(&self, host: &str) -> bool {
        let Self::Hosts(hosts) = self else { return true };
        let host = host.to_ascii_lowercase();
        let by_wildcard = || {
            let (label, parent) = host.split_once('.')?;
            (!label.is_empty() && label != "*").then(|| hosts.contains(&format!("*.{parent}")))
        };
        !host.is_empty() && (hosts.contains(&host) || by_wildcard() == Some(true))
    }
}
