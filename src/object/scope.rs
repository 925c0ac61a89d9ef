//! Kubernetes' own kinds, by whether their objects live in namespaces.

/// Kinds that live in no namespace.
const CLUSTER_SCOPED: [&str; 29] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceSlice",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];
/// Kinds that live in namespaces.
const NAMESPACED: [&str; 30] = [
    "CSIStorageCapacity",
    "ConfigMap",
    "ControllerRevision",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "Lease",
    "LimitRange",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PodTemplate",
    "ReplicaSet",
    "ReplicationController",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
];

/// True for a kind of Kubernetes' own that lives in no namespace.
pub fn is_cluster_scoped(kind: &str) -> bool {
    CLUSTER_SCOPED.contains(&kind)
}

/// True for a kind of Kubernetes' own that lives in namespaces.
pub fn is_namespaced(kind: &str) -> bool {
    NAMESPACED.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::{CLUSTER_SCOPED, is_namespaced};
    use crate::object::Workloads;

    #[test]
    fn no_kind_is_both_and_every_built_in_workload_is_in_a_namespace() {
        assert!(!CLUSTER_SCOPED.into_iter().any(is_namespaced));
        assert!(Workloads::built_in().iter().all(|row| is_namespaced(&row.kind)));
    }
}
