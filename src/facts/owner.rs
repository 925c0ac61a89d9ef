//! The kinds of Kubernetes' own whose objects own Pods, or own those that do.

/// A kind that owns Pods, or objects that do, each with a controller of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// It owns Pods.
    ReplicationController,
    /// It owns Pods.
    ReplicaSet,
    /// It owns ReplicaSets.
    Deployment,
    /// It owns Pods.
    StatefulSet,
    /// It owns Pods.
    DaemonSet,
    /// It owns Pods.
    Job,
    /// It owns Jobs.
    CronJob,
}

impl OwnerKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::ReplicationController,
        Self::ReplicaSet,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
    ];

    /// The kind of this name, if it is in the table.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.kind() == kind && one.group() == group)
    }

    /// API group, empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::ReplicationController => "",
            Self::ReplicaSet | Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
            Self::Job | Self::CronJob => "batch",
        }
    }

    /// Kind, as in `kind:`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::ReplicationController => "ReplicationController",
            Self::ReplicaSet => "ReplicaSet",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// Plural name of the resource.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::ReplicationController => "replicationcontrollers",
            Self::ReplicaSet => "replicasets",
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::Job => "jobs",
            Self::CronJob => "cronjobs",
        }
    }

    /// Name of its controller, and of that controller's ServiceAccount in `kube-system`.
    pub const fn controller(self) -> &'static str {
        match self {
            Self::ReplicationController => "replication-controller",
            Self::ReplicaSet => "replicaset-controller",
            Self::Deployment => "deployment-controller",
            Self::StatefulSet => "statefulset-controller",
            Self::DaemonSet => "daemon-set-controller",
            Self::Job => "job-controller",
            Self::CronJob => "cronjob-controller",
        }
    }

    /// User name of its controller, where controllers have one each.
    pub fn user(self) -> String {
        format!("system:serviceaccount:kube-system:{}", self.controller())
    }

    /// The kind that may own its objects in turn.
    pub const fn above(self) -> Option<Self> {
        match self {
            Self::ReplicaSet => Some(Self::Deployment),
            Self::Job => Some(Self::CronJob),
            _ => None,
        }
    }

    /// True if its controller makes objects of a kind.
    pub fn makes(self, group: &str, kind: &str) -> bool {
        match self {
            Self::Deployment | Self::CronJob => Self::find(group, kind).is_some_and(|made| made.above() == Some(self)),
            _ => group.is_empty() && kind == "Pod",
        }
    }

    /// Path of an object in the API.
    pub fn path(self, namespace: &str, name: &str) -> String {
        let root = if self.group().is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/v1", self.group()) };
        format!("{root}/namespaces/{namespace}/{}/{name}", self.resource())
    }
}

#[cfg(test)]
mod tests {
    use super::OwnerKind;

    #[test]
    fn a_controller_makes_pods_or_what_its_kind_stands_above() {
        let makers = |group: &str, kind: &str| {
            let makers = OwnerKind::ALL.into_iter().filter(|owner| owner.makes(group, kind));
            makers.map(OwnerKind::kind).collect::<Vec<_>>()
        };
        assert_eq!(makers("", "Pod"), ["ReplicationController", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"]);
        assert_eq!((makers("apps", "ReplicaSet"), makers("batch", "Job")), (vec!["Deployment"], vec!["CronJob"]));
        for (group, kind) in [("apps", "Deployment"), ("", "ReplicaSet"), ("apps", "Pod"), ("example.com", "Job")] {
            assert_eq!(makers(group, kind), [""; 0], "{group} {kind}");
        }
    }

    #[test]
    fn an_object_has_the_path_of_its_kind() {
        let path = |kind: OwnerKind| kind.path("shop", "web");
        assert_eq!(path(OwnerKind::Deployment), "/apis/apps/v1/namespaces/shop/deployments/web");
        assert_eq!(path(OwnerKind::ReplicationController), "/api/v1/namespaces/shop/replicationcontrollers/web");
    }
}
