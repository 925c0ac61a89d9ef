//! The admission request, as policies, decision and trail see it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::object::mapping;
use crate::object::resource::{
    self, ClusterRole, ClusterRoleBinding, ConnectOptions, FromContent, Grant, Role, RoleBinding, Rule,
};
use crate::object::unchanged::value_in;
use crate::object::{Container, ImageUse, Object, Pod, Text, Unreadable, Workloads};

pub use crate::operation::Operation;

/// A GroupVersionKind.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Kind<'a> {
    /// Empty for the core group.
    #[serde(borrow, serialize_with = "as_str")]
    pub group: Text<'a>,
    /// Such as `v1`.
    #[serde(borrow, serialize_with = "as_str")]
    pub version: Text<'a>,
    /// Such as `Pod`.
    #[serde(borrow, serialize_with = "as_str")]
    pub kind: Text<'a>,
}

/// A GroupVersionResource.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resource<'a> {
    /// Empty for the core group.
    #[serde(borrow)]
    pub group: Text<'a>,
    /// Such as `v1`.
    #[serde(borrow)]
    pub version: Text<'a>,
    /// Plural name, such as `pods`.
    #[serde(borrow)]
    pub resource: Text<'a>,
}

/// The requesting user (`UserInfo` of `authentication.k8s.io/v1`, without `extra`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct User<'a> {
    /// User name.
    #[serde(borrow)]
    pub username: Option<Text<'a>>,
    /// User id.
    #[serde(borrow)]
    pub uid: Option<Text<'a>>,
    /// Groups.
    #[serde(borrow, deserialize_with = "mapping::groups")]
    pub groups: Option<Arc<[Text<'a>]>>,
}

impl User<'_> {
    /// User name, empty if it is absent.
    pub fn name(&self) -> &str {
        self.username.as_deref().unwrap_or_default()
    }

    /// True if the user is in `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.as_deref().unwrap_or_default().iter().any(|name| name == group)
    }
}

/// Origin of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An API server, which has applied its defaults and its own admission plugins (ServiceAccount).
    ApiServer,
    /// A manifest, judged together with the other manifests of its set.
    Manifest,
}

/// Subresources of Pods and of kinds with pod templates through which a pod spec cannot change. Kinds without pods list theirs
/// in their row (`Resource::harmless`).
const HARMLESS: [&str; 7] = ["status", "scale", "binding", "eviction", "log", "finalize", "token"];

/// The controllers that delete what is in a terminating namespace, and what belonged to a deleted object: their ServiceAccounts, and
/// the user that they are where kube-controller-manager runs without `--use-service-account-credentials`.
pub const CLEANERS: [&str; 3] = [
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:kube-controller-manager",
];

/// An admission request.
pub struct Request<'a> {
    /// The request's uid, which the answer must carry.
    pub uid: Text<'a>,
    /// Operation.
    pub operation: Operation,
    /// Kind of the object.
    pub kind: Kind<'a>,
    /// Resource that the request was sent to.
    pub resource: Resource<'a>,
    /// Subresource, empty for the resource itself.
    pub subresource: Text<'a>,
    /// Name of the object; empty if the API server will generate it.
    pub name: Text<'a>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: Text<'a>,
    /// The requesting user.
    pub user: User<'a>,
    /// True if nothing will be stored (`dryRun`).
    pub dry_run: bool,
    /// Time of arrival, for records; no policy reads it.
    pub received: Timestamp,
    /// Origin of the request.
    pub source: Source,
    /// The object; `None` if the operation has none.
    pub object: Option<Object<'a>>,
    /// The object as received; on CONNECT, its options.
    pub sent: Option<&'a RawValue>,
    /// The old object as received; parsed only when needed.
    pub old: Option<&'a RawValue>,
    /// Options of the operation as received.
    pub options: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// The Pod, or each pod template; empty for other kinds.
    pub fn pods(&self) -> &[Pod<'a>] {
        self.object.as_ref().map(Object::pods).unwrap_or_default()
    }

    /// Every container of every pod or template.
    pub fn containers<'r>(&'r self) -> impl Iterator<Item = Container<'r, 'a>> {
        self.pods().iter().flat_map(Pod::containers)
    }

    /// Every image of every pod or template, image volumes included.
    pub fn images(&self) -> impl Iterator<Item = ImageUse<'_>> {
        self.pods().iter().flat_map(Pod::images)
    }

    /// The fields of an object of a kind without pods, such as `object_as::<ServiceAccount>()`; `None` for other kinds.
    pub fn object_as<'r, T: FromContent<'a>>(&'r self) -> Option<&'r T> {
        T::from_content(self.object.as_ref()?.content())
    }

    /// The rules of a Role or ClusterRole; empty for other kinds.
    pub fn rules<'r>(&'r self) -> impl Iterator<Item = &'r Rule<'a>> {
        let own = self.object_as::<Role<'a>>().into_iter().flat_map(Role::rules);
        own.chain(self.object_as::<ClusterRole<'a>>().into_iter().flat_map(ClusterRole::rules))
    }

    /// Role and subjects of a RoleBinding or ClusterRoleBinding; `None` for other kinds.
    pub fn grant<'r>(&'r self) -> Option<&'r Grant<'a>> {
        let own = self.object_as::<RoleBinding<'a>>().map(RoleBinding::grant);
        own.or_else(|| self.object_as::<ClusterRoleBinding<'a>>().map(ClusterRoleBinding::grant))
    }

    /// The options of a CONNECT; `None` for other operations, and for options that are not known.
    pub fn connect_options<'r>(&'r self) -> Option<&'r ConnectOptions<'a>> {
        self.object.as_ref()?.connect_options()
    }

    /// True if the request is for access to something that runs: a CONNECT, an ephemeral container, or a token.
    pub fn is_access(&self) -> bool {
        let is_of_pods = || *self.kind.group == *"" && *self.kind.kind == *"Pod";
        self.operation == Operation::Connect
            || self.operation == Operation::Update && self.subresource == "ephemeralcontainers" && is_of_pods()
            || self.is_for_token()
    }

    /// True for a request for a token of a ServiceAccount.
    pub fn is_for_token(&self) -> bool {
        self.operation == Operation::Create
            && *self.kind.group == *resource::TOKEN_REQUESTS.group
            && *self.kind.kind == *resource::TOKEN_REQUESTS.kind
    }

    /// True if the object is a Secret, by its kind or by the resource.
    pub fn is_of_secret(&self) -> bool {
        let is_core = |group: &Text<'_>| group.is_empty();
        is_core(&self.kind.group) && *self.kind.kind == *"Secret"
            || is_core(&self.resource.group) && *self.resource.resource == *"secrets"
    }

    /// True for a CONNECT, which no policy on pods judges, and for a subresource through which no pod spec can change.
    pub fn is_out_of_scope(&self) -> bool {
        self.operation == Operation::Connect || HARMLESS.contains(&self.subresource.as_str())
    }

    /// True if no policy can ask for the object: it is out of scope, and not of a kind without pods that changes through the
    /// subresource.
    pub fn is_unread(&self) -> bool {
        let row = || resource::Resource::find(&self.kind.group, &self.kind.kind);
        let is_of = |row: &resource::Resource| {
            row.operations.contains(&Operation::Connect) == (self.operation == Operation::Connect)
                && row.changes_through(&self.subresource)
        };
        self.is_out_of_scope() && !row().is_some_and(is_of)
    }

    /// The namespace whose configuration applies: a Namespace's own name for that object.
    pub fn governed_by(&self) -> &str {
        if self.is_about_namespace() { &self.name } else { &self.namespace }
    }

    /// True if it is about a Namespace.
    pub(crate) fn is_about_namespace(&self) -> bool {
        self.kind.group.is_empty() && self.kind.kind == "Namespace"
    }

    /// Name of the object, or the `generateName` from which the API server will make one.
    pub fn display_name(&self) -> &str {
        if !self.name.is_empty() {
            return &self.name;
        }
        let metadata = self.object.as_ref().map(Object::metadata);
        metadata
            .map_or("", |metadata| if metadata.name().is_empty() { metadata.generate_name() } else { metadata.name() })
    }

    /// True for a request of one of the [`CLEANERS`].
    pub fn is_by_cleaner(&self) -> bool {
        CLEANERS.contains(&self.user.name())
    }

    /// True if a controller owns the object.
    pub fn is_owned(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.metadata().has_controller())
    }

    /// True for a pod template that a controller owns: it was judged and defaulted at its owner.
    pub fn is_owned_template(&self) -> bool {
        self.is_owned() && self.pods().iter().any(Pod::is_template)
    }

    /// True if its pod templates are those of another request, byte for byte.
    pub(crate) fn has_templates_of(&self, other: &Self) -> bool {
        self.object.as_ref().map(Object::templates) == other.object.as_ref().map(Object::templates)
    }

    /// A static pod's mirror, made by the kubelet of its own node: annotation *and* credentials. The annotation alone
    /// buys nothing.
    pub fn is_mirror_pod(&self) -> bool {
        let [pod] = self.pods() else { return false };
        !pod.is_template()
            && pod.metadata().is_some_and(|metadata| metadata.annotation("kubernetes.io/config.mirror").is_some())
            && !pod.node_name().is_empty()
            && self.user.name().strip_prefix("system:node:") == Some(pod.node_name())
            && self.user.is_in("system:nodes")
    }

    /// The same request as if the old object were created now, with today's facts; `None` without one.
    ///
    /// # Errors
    /// When the old object cannot be read as its kind says.
    pub fn before(&self, workloads: &Workloads) -> Result<Option<Request<'a>>, Unreadable> {
        let Some(old) = self.old else { return Ok(None) };
        let shape = workloads.shape(&self.kind.group, &self.kind.kind);
        let object = Some(Object::read_beside(old, self.sent, shape)?);
        Ok(Some(Request { object, sent: Some(old), ..self.again() }))
    }

    /// The value of the object as received at the path `names`; `None` if it is absent or cannot be found.
    pub(crate) fn raw(&self, names: &[&str]) -> Option<&'a str> {
        value_in(self.sent?, names).map(RawValue::get)
    }

    /// The same request without its objects.
    pub(crate) fn again(&self) -> Request<'a> {
        Request {
            uid: self.uid.clone(),
            operation: self.operation,
            kind: self.kind.clone(),
            resource: self.resource.clone(),
            subresource: self.subresource.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            user: self.user.clone(),
            dry_run: self.dry_run,
            received: self.received,
            source: self.source,
            object: None,
            sent: None,
            old: None,
            options: self.options,
        }
    }
}

fn as_str<S: serde::Serializer>(text: &Text<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
