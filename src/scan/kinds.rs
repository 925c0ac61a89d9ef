//! The kinds to list: those that some policy in force judges when they are created.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::Client;

use super::list::{ListError, fetch};
use crate::object::resource::Resource;
use crate::object::{NamedKind, Scope, Workload};
use crate::policy::Kinds;
use crate::request::Operation;
use crate::snapshot::Snapshot;

/// A kind of objects, and where an API server lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// API group, empty for the core group.
    pub group: String,
    /// Version in which the objects are read.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural resource name.
    pub resource: String,
}

/// The kinds that an API server serves, and those that it does not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The kinds to list. A kind stands before those whose objects it owns, and Pods come last.
    pub kinds: Vec<Listed>,
    /// One line for each kind that is not served.
    pub missing: Vec<String>,
    /// Kinds of which it is not known whether they are served.
    pub errors: Vec<ListError>,
}

/// Version of the core group, and of other groups whose versions are not known.
const CORE: &str = "v1";
/// Position of a built-in kind in the order of lists; other kinds come first.
const ORDER: [&str; 9] = [
    "PodTemplate",
    "ReplicationController",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "ReplicaSet",
    "Job",
    "Pod",
];

impl Listed {
    /// A kind of a group and version.
    pub fn new(group: &str, version: &str, kind: &str, resource: &str) -> Self {
        let owned = str::to_owned;
        Self { group: owned(group), version: owned(version), kind: owned(kind), resource: owned(resource) }
    }

    /// The path of its list, over all namespaces.
    pub fn path(&self) -> String {
        let Self { group, version, resource, .. } = self;
        if group.is_empty() {
            format!("/api/{version}/{resource}")
        } else {
            format!("/apis/{group}/{version}/{resource}")
        }
    }

    /// True for Secrets, of which the metadata alone is listed.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.resource == "secrets"
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The resource as RBAC and kubectl name it: `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) }
    }
}

/// Group, kind and resource of each kind that some policy judges by what is stored, in the order of lists.
fn judged(snapshot: &Snapshot) -> Vec<(String, String, String)> {
    let mut kinds: Vec<(String, String, String)> = Vec::new();
    for row in snapshot.judged_when_stored() {
        match row {
            Kinds::Pods => {
                kinds.extend(snapshot.workloads().iter().map(|Workload { group, kind, resource, .. }| {
                    (group.clone().into_owned(), kind.clone().into_owned(), resource.clone().into_owned())
                }));
            }
            // The right to list Secrets is one to read their values, which a scan is not given for the sake of a type.
            Kinds::Resource(row) if row.is_secret() => {}
            Kinds::Resource(row) if row.operations.contains(&Operation::Create) && !row.resource.contains('/') => {
                kinds.push((row.group.to_owned(), row.kind.to_owned(), row.resource.to_owned()));
            }
            Kinds::Named(NamedKind { group, kind, resource, .. }) => {
                kinds.push((group.clone().into_owned(), kind.clone().into_owned(), resource.clone().into_owned()));
            }
            Kinds::Resource(_) | Kinds::Settings => {}
        }
    }
    let order = |kind: &str| ORDER.iter().position(|known| *known == kind).map_or(0, |place| place + 1);
    kinds.sort_by(|one, other| order(&one.1).cmp(&order(&other.1)).then_with(|| one.cmp(other)));
    kinds.dedup();
    kinds
}

/// Asks an API server in which versions it serves the kinds that are judged.
///
/// # Errors
/// [`ListError`] if it does not answer.
pub async fn served(client: &Client, snapshot: &Snapshot) -> Result<Served, ListError> {
    let judged = judged(snapshot);
    let mut served = Served::default();
    if judged.iter().all(|(group, ..)| group.is_empty()) {
        let core = judged.iter().map(|(_, kind, resource)| Listed::new("", CORE, kind, resource));
        return Ok(Served { kinds: core.collect(), ..served });
    }
    let groups = match fetch("API groups", || async { client.list_api_groups().await }).await {
        Ok(list) => Some(list.groups),
        // Kinds of Kubernetes itself can be listed without being told that they are served.
        Err(ListError::Forbidden { message, .. }) => {
            served.errors.push(ListError::Undiscovered(message));
            None
        }
        Err(error) => return Err(error),
    };
    for (group, kind, resource) in judged {
        // A kind that comes with a CustomResourceDefinition, which a cluster need not have.
        let is_optional = Resource::find(&group, &kind).is_some_and(Resource::is_added);
        let is_own = !is_optional && !is_added(snapshot, &group, &kind);
        let group_served = groups.as_ref().and_then(|groups| groups.iter().find(|known| known.name == group));
        let version = match (&groups, group_served) {
            _ if group.is_empty() => Some(CORE.to_owned()),
            (None, _) if is_own => Some(CORE.to_owned()),
            (None, _) => continue,
            (Some(_), None) => None,
            (Some(_), Some(known)) if is_own => preferred(known).first().map(|version| (*version).to_owned()),
            (Some(_), Some(known)) => match serving(client, known, &kind, &resource).await {
                Ok(version) => version,
                Err(error) => {
                    served.errors.push(error);
                    continue;
                }
            },
        };
        match version {
            Some(version) => served.kinds.push(Listed::new(&group, &version, &kind, &resource)),
            None if is_optional => {}
            None => served.missing.push(format!("{group} {kind}: the API server serves no {resource} of that kind")),
        }
    }
    Ok(served)
}

/// True for a kind of another project, which the configuration names.
fn is_added(snapshot: &Snapshot, group: &str, kind: &str) -> bool {
    let mut rows = snapshot.workloads().added();
    let is_named = |named: &NamedKind| named.scope == Scope::Unknown && named.is(group, kind);
    rows.any(|row| row.group == group && row.kind == kind) || snapshot.named_kinds().any(is_named)
}

/// The versions of a group, the preferred one first.
fn preferred(group: &APIGroup) -> Vec<&str> {
    let first = group.preferred_version.iter().map(|version| version.version.as_str());
    let mut versions: Vec<&str> = first.collect();
    let others = group.versions.iter().map(|version| version.version.as_str());
    let others: Vec<&str> = others.filter(|version| !versions.contains(version)).collect();
    versions.extend(others);
    versions
}

/// The first version in which a group serves a resource of that kind.
async fn serving(client: &Client, group: &APIGroup, kind: &str, resource: &str) -> Result<Option<String>, ListError> {
    for version in preferred(group) {
        let name = format!("{}/{version}", group.name);
        let listed = fetch(&name, || async {
            match client.list_api_group_resources(&name).await {
                // A version that went in between.
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
                listed => listed.map(|list| list.resources),
            }
        });
        if listed.await?.iter().any(|found| found.name == resource && found.kind == kind) {
            return Ok(Some(version.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::judged;
    use crate::config::{compile, compile_profile};

    fn kinds(snapshot: &crate::snapshot::Snapshot) -> Vec<String> {
        judged(snapshot).into_iter().map(|(_, kind, _)| kind).collect()
    }

    #[test]
    fn an_owner_is_listed_before_what_it_owns() {
        let text = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: pss-restricted\n\
                    workloads: [{group: a.b, kind: Rollout, path: /spec/template}]\n";
        let snapshot = compile("c", text, None).expect("a configuration").snapshot;
        let kinds = kinds(&snapshot);
        assert_eq!(kinds.last().map(String::as_str), Some("Pod"));
        let place = |kind: &str| kinds.iter().position(|known| known == kind).expect(kind);
        assert!(place("Rollout") < place("PodTemplate"));
        assert!(place("Deployment") < place("ReplicaSet") && place("CronJob") < place("Job"));
        assert_eq!(kinds.len(), 10);
    }

    #[test]
    fn without_a_policy_nothing_is_listed() {
        let text = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
        assert_eq!(kinds(&compile("c", text, None).expect("a configuration").snapshot), [""; 0]);
        assert_eq!(kinds(&compile_profile("pss-restricted", None).expect("a profile").snapshot).len(), 9);
    }
}
