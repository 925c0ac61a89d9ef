//! Kubernetes' own kinds, and those among them that settings must not name, each with its reason.

/// A kind of Kubernetes' own.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Kind, as in `kind:`.
    pub kind: &'static str,
    /// Plural resource name.
    pub resource: &'static str,
    /// True if its objects live in namespaces.
    pub is_namespaced: bool,
}

/// Makes the table: a group, then its kinds that live in namespaces, then those that do not.
macro_rules! known {
    ($($group:literal: [$($kind:ident $resource:literal),*] [$($whole:ident $plural:literal),*];)*) => {
        pub(super) const KNOWN: &[Known] = &[$(
            $(Known { group: $group, kind: stringify!($kind), resource: $resource, is_namespaced: true },)*
            $(Known { group: $group, kind: stringify!($whole), resource: $plural, is_namespaced: false },)*
        )*];
    };
}

known! {
    "": [
        Pod "pods", Service "services", ConfigMap "configmaps", Secret "secrets", ServiceAccount "serviceaccounts",
        PersistentVolumeClaim "persistentvolumeclaims", PodTemplate "podtemplates",
        ReplicationController "replicationcontrollers", LimitRange "limitranges", ResourceQuota "resourcequotas",
        Endpoints "endpoints", Event "events", Binding "bindings"
    ] [Namespace "namespaces", Node "nodes", PersistentVolume "persistentvolumes", ComponentStatus "componentstatuses"];
    "apps": [
        Deployment "deployments", StatefulSet "statefulsets", DaemonSet "daemonsets", ReplicaSet "replicasets",
        ControllerRevision "controllerrevisions"
    ] [];
    "batch": [Job "jobs", CronJob "cronjobs"] [];
    "autoscaling": [HorizontalPodAutoscaler "horizontalpodautoscalers"] [];
    "policy": [PodDisruptionBudget "poddisruptionbudgets"] [];
    "networking.k8s.io": [Ingress "ingresses", NetworkPolicy "networkpolicies"]
        [IngressClass "ingressclasses", IPAddress "ipaddresses", ServiceCIDR "servicecidrs"];
    "rbac.authorization.k8s.io": [Role "roles", RoleBinding "rolebindings"]
        [ClusterRole "clusterroles", ClusterRoleBinding "clusterrolebindings"];
    "storage.k8s.io": [CSIStorageCapacity "csistoragecapacities"]
        [StorageClass "storageclasses", VolumeAttachment "volumeattachments", CSIDriver "csidrivers", CSINode "csinodes"];
    "scheduling.k8s.io": [] [PriorityClass "priorityclasses"];
    "node.k8s.io": [] [RuntimeClass "runtimeclasses"];
    "resource.k8s.io": [ResourceClaim "resourceclaims", ResourceClaimTemplate "resourceclaimtemplates"]
        [DeviceClass "deviceclasses", ResourceSlice "resourceslices"];
    "flowcontrol.apiserver.k8s.io": []
        [FlowSchema "flowschemas", PriorityLevelConfiguration "prioritylevelconfigurations"];
    "coordination.k8s.io": [Lease "leases", LeaseCandidate "leasecandidates"] [];
    "events.k8s.io": [Event "events"] [];
    "discovery.k8s.io": [EndpointSlice "endpointslices"] [];
    "authentication.k8s.io": [] [TokenReview "tokenreviews", SelfSubjectReview "selfsubjectreviews"];
    "authorization.k8s.io": [LocalSubjectAccessReview "localsubjectaccessreviews"] [
        SubjectAccessReview "subjectaccessreviews", SelfSubjectAccessReview "selfsubjectaccessreviews",
        SelfSubjectRulesReview "selfsubjectrulesreviews"
    ];
    "certificates.k8s.io": [PodCertificateRequest "podcertificaterequests"]
        [CertificateSigningRequest "certificatesigningrequests", ClusterTrustBundle "clustertrustbundles"];
    "admissionregistration.k8s.io": [] [
        ValidatingWebhookConfiguration "validatingwebhookconfigurations",
        MutatingWebhookConfiguration "mutatingwebhookconfigurations",
        ValidatingAdmissionPolicy "validatingadmissionpolicies",
        ValidatingAdmissionPolicyBinding "validatingadmissionpolicybindings",
        MutatingAdmissionPolicy "mutatingadmissionpolicies",
        MutatingAdmissionPolicyBinding "mutatingadmissionpolicybindings"
    ];
    "apiregistration.k8s.io": [] [APIService "apiservices"];
    "apiextensions.k8s.io": [] [CustomResourceDefinition "customresourcedefinitions"];
}

const HEARTBEAT: &str =
    "it is a heartbeat, and a webhook that does not answer would take nodes and leaders out of the cluster";
const EVENT: &str =
    "every component writes it all the time, and a webhook that does not answer would hide what goes wrong";
const ENDPOINTS: &str = "traffic follows it, and a webhook that does not answer would send it to Pods that are gone";
const NODE: &str = "the kubelet writes it, and a webhook that does not answer would keep nodes out of the cluster";
const REVIEW: &str = "it is how the cluster asks who somebody is and what they may, and a webhook that does not answer would lock everybody out";
const CERTIFICATE: &str =
    "nodes renew their certificates by it, and a webhook that does not answer would lock them out";
const ADMISSION: &str = "it is how a webhook that does not answer is turned off, and must stay reachable meanwhile";
const API: &str = "the API itself is made of it, and a webhook that does not answer would keep what repairs the cluster from being installed";
const SCHEDULING: &str = "it is how a Pod gets its node, and a webhook that does not answer would stop every Pod, those that bring it back too";
const EVICTION: &str = "it is how a node is drained, and a webhook that does not answer would stop that";
const SCALE: &str = "it is a subresource that autoscalers write, and a webhook that does not answer would stop them";

/// Kinds that settings must not name: group, resources (all of the group if there are none), reason.
const REFUSED: [(&str, &[&str], &str); 17] = [
    ("coordination.k8s.io", &[], HEARTBEAT),
    ("", &["events"], EVENT),
    ("events.k8s.io", &[], EVENT),
    ("", &["endpoints"], ENDPOINTS),
    ("discovery.k8s.io", &[], ENDPOINTS),
    ("", &["nodes", "componentstatuses"], NODE),
    ("storage.k8s.io", &["csinodes"], NODE),
    ("resource.k8s.io", &["resourceslices"], NODE),
    ("authentication.k8s.io", &[], REVIEW),
    ("authorization.k8s.io", &[], REVIEW),
    ("certificates.k8s.io", &["certificatesigningrequests", "podcertificaterequests"], CERTIFICATE),
    ("admissionregistration.k8s.io", &[], ADMISSION),
    ("apiregistration.k8s.io", &[], API),
    ("apiextensions.k8s.io", &[], API),
    ("", &["bindings"], SCHEDULING),
    ("policy", &["evictions"], EVICTION),
    ("autoscaling", &["scales"], SCALE),
];

/// Ends of the kinds of reviews, in whatever group: aggregated API servers have their own.
const REVIEWS: [&str; 4] = ["AccessReview", "TokenReview", "RulesReview", "SelfSubjectReview"];
/// Kinds of subresources.
const OTHERS: [(&str, &str, &str); 2] = [("policy", "Eviction", EVICTION), ("autoscaling", "Scale", SCALE)];

/// The reason why settings must not name a kind; `None` if they may.
pub(super) fn refusal(group: &str, kind: &str, resource: &str) -> Option<&'static str> {
    let is_it = |(refused, resources, _): &&(&str, &[&str], &str)| {
        *refused == group && (resources.is_empty() || resources.contains(&resource))
    };
    let is_review = || {
        let resource = resource.strip_suffix('s').unwrap_or(resource);
        REVIEWS.iter().any(|end| kind.ends_with(end) || resource.ends_with(&end.to_lowercase()))
    };
    let other = || OTHERS.iter().find(|(of, name, _)| *of == group && *name == kind).map(|(.., reason)| *reason);
    let by_name = REFUSED.iter().find(is_it).map(|(.., reason)| *reason);
    by_name.or_else(other).or_else(|| is_review().then_some(REVIEW))
}
