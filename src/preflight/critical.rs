//! `node-critical-pods`: what a node needs to have a network, in a namespace that is enforced.

use super::{Seen, Trap, is_enforced};
use crate::snapshot::Snapshot;

/// A DaemonSet of Pods that a node needs: on the host's network, with the priority `system-node-critical`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Critical {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Policies that would refuse its Pods.
    pub refused_by: Vec<&'static str>,
}

pub(super) fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    let judged = seen.critical.iter().filter(|pods| is_enforced(seen, snapshot, &pods.namespace));
    let trap = |pods: &Critical| {
        let refused = if pods.refused_by.is_empty() {
            String::new()
        } else {
            format!(", and they break {}", pods.refused_by.join(", "))
        };
        Trap::new(
            "node-critical-pods",
            format!("DaemonSet {}/{}", pods.namespace, pods.name),
            format!(
                "makes Pods that a node needs for its network: while no replica answers they cannot be created, and without \
                 them no replica starts on a new node{refused}"
            ),
            format!("add {{match: {{names: [{}]}}, ceiling: audit, relax: true}} to `namespaces`", pods.namespace),
        )
    };
    judged.map(trap).collect()
}
