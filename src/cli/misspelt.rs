//! Finds fields that an object has and its kind does not, most of which are misspelt. The kinds' fields are those of
//! k8s-openapi's types, as in kubectl's strict validation.

use std::cell::RefCell;
use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Pod, PodTemplate, PodTemplateSpec, ReplicationController, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Visitor};

use crate::document::{Key, Node, Value};
use crate::object::Workload;

/// An unknown field, and the likely intended one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misspelt<'n> {
    /// The field as written.
    pub(super) key: &'n Key,
    /// The likely intended field.
    pub(super) meant: &'static str,
}

/// The misspelt fields of an object that policies read, in the order of the file. `workload` is the row of its kind.
pub(super) fn misspelt<'n>(
    object: &'n Node,
    group: &str,
    kind: &str,
    workload: Option<&Workload>,
) -> Vec<Misspelt<'n>> {
    let found = RefCell::new(Vec::new());
    match (workload.map_or(group, |workload| &workload.group), kind) {
        ("", "Namespace") => look::<Namespace>(object, &found),
        ("", "ServiceAccount") => look::<ServiceAccount>(object, &found),
        ("networking.k8s.io", "NetworkPolicy") => look::<NetworkPolicy>(object, &found),
        ("rbac.authorization.k8s.io", "ClusterRole") => look::<ClusterRole>(object, &found),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => look::<ClusterRoleBinding>(object, &found),
        ("rbac.authorization.k8s.io", "Role") => look::<Role>(object, &found),
        ("rbac.authorization.k8s.io", "RoleBinding") => look::<RoleBinding>(object, &found),
        ("", "Pod") => look::<Pod>(object, &found),
        ("", "PodTemplate") => look::<PodTemplate>(object, &found),
        ("", "ReplicationController") => look::<ReplicationController>(object, &found),
        ("apps", "DaemonSet") => look::<DaemonSet>(object, &found),
        ("apps", "Deployment") => look::<Deployment>(object, &found),
        ("apps", "ReplicaSet") => look::<ReplicaSet>(object, &found),
        ("apps", "StatefulSet") => look::<StatefulSet>(object, &found),
        ("batch", "CronJob") => look::<CronJob>(object, &found),
        ("batch", "Job") => look::<Job>(object, &found),
        // In custom kinds only the pod templates have Kubernetes' own types.
        _ => {
            for path in workload.iter().flat_map(|workload| &workload.templates) {
                templates(object, path, &found);
            }
        }
    }
    let mut found = found.into_inner();
    found.sort_by_key(|misspelt| misspelt.key.position);
    found
}

type Found<'n> = RefCell<Vec<Misspelt<'n>>>;

/// Finds the fields of a value that the type `T` does not know. The types of the fields are not checked.
fn look<'n, T: Deserialize<'n>>(node: &'n Node, found: &Found<'n>) {
    // The deserializer below returns a valid value for everything that a type asks for.
    let _ = T::deserialize(Look { node, found });
}

fn templates<'n>(node: &'n Node, path: &[std::borrow::Cow<'static, str>], found: &Found<'n>) {
    match (path.split_first(), &node.value) {
        (None, _) => look::<PodTemplateSpec>(node, found),
        (Some((first, rest)), Value::List(items)) if first == "*" => {
            for item in items {
                templates(item, rest, found);
            }
        }
        (Some((first, rest)), _) => {
            if let Some(child) = node.get(first) {
                templates(child, rest, found);
            }
        }
    }
}

/// The field that `name` probably means.
fn meant(name: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let plain = |name: &str| name.replace(['-', '_', ' '], "").to_lowercase();
    let written = plain(name);
    // One edit in short names, two in long ones.
    let most = if written.len() < 10 { 1 } else { 2 };
    let distances = known.iter().map(|known| (strsim::osa_distance(&written, &plain(known)), *known));
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// A deserializer that returns a valid value of any type, and records fields that the type does not ask for.
#[derive(Clone, Copy)]
struct Look<'f, 'n> {
    node: &'n Node,
    found: &'f Found<'n>,
}

impl<'n> Look<'_, 'n> {
    fn entries(self) -> impl Iterator<Item = (&'n str, Self)> {
        let entries = if let Value::Map(map) = &self.node.value { map.entries.as_slice() } else { &[] };
        entries.iter().map(move |(key, node)| (key.name.as_str(), Self { node, found: self.found }))
    }
}

/// The error of the deserializer; never shown.
#[derive(Debug)]
struct Never;

impl fmt::Display for Never {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the type asks for something else")
    }
}

impl std::error::Error for Never {}

impl de::Error for Never {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'n> IntoDeserializer<'n, Never> for Look<'_, 'n> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Defines methods that return a fixed value.
macro_rules! always {
    ($($method:ident => $visit:ident $($value:expr)?,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
            visitor.$visit($($value)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Look<'_, 'de> {
    type Error = Never;

    always! {
        deserialize_any => visit_borrowed_str "",
        deserialize_bool => visit_bool false,
        deserialize_i8 => visit_i64 0,
        deserialize_i16 => visit_i64 0,
        deserialize_i32 => visit_i64 0,
        deserialize_i64 => visit_i64 0,
        deserialize_u8 => visit_u64 0,
        deserialize_u16 => visit_u64 0,
        deserialize_u32 => visit_u64 0,
        deserialize_u64 => visit_u64 0,
        deserialize_f32 => visit_f64 0.0,
        deserialize_f64 => visit_f64 0.0,
        deserialize_char => visit_char ' ',
        deserialize_str => visit_borrowed_str "",
        deserialize_string => visit_borrowed_str "",
        deserialize_bytes => visit_borrowed_bytes b"",
        deserialize_byte_buf => visit_borrowed_bytes b"",
        deserialize_unit => visit_unit,
        deserialize_identifier => visit_borrowed_str "",
        deserialize_ignored_any => visit_unit,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Never> {
        match name {
            "Time" | "MicroTime" => visitor.visit_newtype_struct(BorrowedStrDeserializer::new("1970-01-01T00:00:00Z")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let items = if let Value::List(items) = &self.node.value { items.as_slice() } else { &[] };
        visitor.visit_seq(SeqDeserializer::new(items.iter().map(|node| Self { node, found: self.found })))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_map(MapDeserializer::new(self.entries()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        if let Value::Map(map) = &self.node.value {
            let unknown = map.entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str()));
            let misspelt = unknown.filter_map(|(key, _)| Some(Misspelt { key, meant: meant(&key.name, known)? }));
            self.found.borrow_mut().extend(misspelt);
        }
        // k8s-openapi compares `apiVersion` and `kind`.
        let fields = self.entries().filter(|(name, _)| *name != "apiVersion" && *name != "kind");
        visitor.visit_map(MapDeserializer::new(fields))
    }

    serde::forward_to_deserialize_any! { i128 u128 unit_struct tuple tuple_struct enum }
}

#[cfg(test)]
mod tests {
    use super::{meant, misspelt};
    use crate::document;
    use crate::object::Workloads;

    fn found(kind: &str, text: &str) -> Vec<String> {
        let nodes = document::read(&format!("apiVersion: v1\nkind: {kind}\n{text}")).expect("readable");
        let rows = Workloads::built_in();
        let row = ["", "apps", "batch"].into_iter().find_map(|group| rows.find(group, kind));
        let group = if kind == "NetworkPolicy" { "networking.k8s.io" } else { "" };
        let show = |found: &super::Misspelt<'_>| format!("{} {}→{}", found.key.position, found.key.name, found.meant);
        misspelt(&nodes[0], group, kind, row).iter().map(show).collect()
    }

    #[test]
    fn fields_are_looked_for_at_every_depth_whatever_they_hold() {
        let pod = "metadata: {lables: {a: b}, creationTimestamp: never}\nspec:\n  hostPid: true\n  securtyContext: 5\n  containers:\n  - name: 5\n    \
                   image_pull_policy: x\n    securityContext: {readOnlyRootFileSystem: true, privileged: [x]}\n    \
                   ports: [{containerPort: x, hostport: 1}]\n    livenessProbe: {httpGet: {port: {}, hots: x}}\n    \
                   resources: {limits: {memory: 5, anything: 1}}\n  - null\n  - text\n  volumes: [{name: v, hostpath: {path: /}}]\n  nodeSelector: {hostNetwerk: a}\n";
        assert_eq!(
            found("Pod", pod),
            [
                "3:12 lables→labels",
                "5:3 hostPid→hostPID",
                "6:3 securtyContext→securityContext",
                "9:5 image_pull_policy→imagePullPolicy",
                "10:23 readOnlyRootFileSystem→readOnlyRootFilesystem",
                "11:32 hostport→hostPort",
                "12:41 hots→host",
                "16:23 hostpath→hostPath",
            ]
        );
        assert_eq!(found("NetworkPolicy", "spec: {podselector: {matchLables: {}}}\n"), ["3:8 podselector→podSelector"]);
        assert_eq!(
            found("ServiceAccount", "automountServiceAccounttoken: false\n"),
            ["3:1 automountServiceAccounttoken→automountServiceAccountToken"]
        );
        assert_eq!(found("Secret", "dat: {}\n"), [""; 0], "no policy reads it");
        assert_eq!(found("Deployment", "spec: {tempalte: {spec: {}}}\n"), ["3:8 tempalte→template"]);
        assert_eq!(
            found("CronJob", "spec: {jobTemplate: {spec: {template: {spec: {initcontainers: []}}}}}\n"),
            ["3:47 initcontainers→initContainers"]
        );
    }

    #[test]
    fn what_is_not_near_a_field_is_nobody_s_slip() {
        for name in ["x-own", "", "port", "somethingElse"] {
            assert_eq!(meant(name, &["hostPort", "privileged", "image"]), None, "{name}");
        }
        assert_eq!(meant("imgae", &["hostPort", "privileged", "image"]), Some("image"));
    }
}
