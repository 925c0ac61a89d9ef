//! Checks that the API server serves the kinds that the configuration adds, under the names that the webhooks are registered
//! with. A row that matches nothing has nothing judged, and nobody would hear of it otherwise.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResource};
use kube::Client;

use super::App;
use crate::lock::lock;
use crate::object::Scope;
use crate::snapshot::Snapshot;
use crate::trail::{Class, Record};

/// Time between two questions to the API server. A CRD may come at any time, and discovery is cheap: one question, and one
/// for each version of a group that a row names.
const ASK: Duration = Duration::from_secs(5);

/// Errors of rows of `workloads`, as they were last seen: one line a row.
#[derive(Default)]
pub struct Discovery {
    missing: Mutex<Vec<String>>,
}

impl Discovery {
    /// Rows that the API server does not serve; empty when nothing is missing, or nothing is known.
    pub fn missing(&self) -> Vec<String> {
        lock(&self.missing).clone()
    }
}

/// Asks the API server what it serves for as long as it runs, and tells of changes. Never returns.
pub async fn watch(app: Arc<App>, client: Client) {
    loop {
        let snapshot = app.snapshot.load_full();
        match missing(&client, &snapshot).await {
            Ok(missing) => {
                app.metrics.workloads_missing.set(missing.len().try_into().unwrap_or(i64::MAX));
                let last = std::mem::replace(&mut *lock(&app.discovery.missing), missing.clone());
                if last != missing {
                    tell(&app, snapshot.digest(), &missing).await;
                }
            }
            // The last state stays.
            Err(error) => tracing::debug!(%error, "the API server does not say what it serves"),
        }
        tokio::time::sleep(ASK).await;
    }
}

async fn tell(app: &App, configuration: &str, missing: &[String]) {
    if missing.is_empty() {
        tracing::info!("the API server serves every kind of workloads");
    } else {
        tracing::warn!(?missing, "rows of workloads match nothing: what they mean to judge is not judged");
    }
    let record = Record::Workloads { time: Timestamp::now(), configuration, missing };
    if let Err(error) = app.trail.record(Class::Refused, None, record.to_bytes()).await {
        tracing::error!(%error, "the state of the workloads could not be recorded");
    }
}

/// A kind that the configuration adds.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row<'r> {
    group: &'r str,
    kind: &'r str,
    resource: &'r str,
}

/// The rows of `workloads`, and the kinds of other projects that settings name.
fn rows(snapshot: &Snapshot) -> BTreeSet<Row<'_>> {
    let added = snapshot.workloads().added();
    let added = added.map(|row| Row { group: &row.group, kind: &row.kind, resource: &row.resource });
    let named = snapshot.named_kinds().filter(|named| named.scope == Scope::Unknown);
    let named = named.map(|row| Row { group: &row.group, kind: &row.kind, resource: &row.resource });
    added.chain(named).collect()
}

/// Errors of the rows that the configuration added.
async fn missing(client: &Client, snapshot: &Snapshot) -> kube::Result<Vec<String>> {
    let rows = rows(snapshot);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let groups = match client.list_api_groups().await {
        Ok(list) => list.groups,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(vec![
                "the API server lets nobody ask what it serves: bind the ClusterRole system:discovery".to_owned(),
            ]);
        }
        Err(error) => return Err(error),
    };
    let mut missing = Vec::new();
    for row in rows {
        let resources = match groups.iter().find(|group| group.name == row.group) {
            Some(group) => resources(client, group).await?,
            None => Vec::new(),
        };
        missing.extend(complaint(&row, &resources));
    }
    Ok(missing)
}

/// The resources of a group, of whatever version, without subresources.
async fn resources(client: &Client, group: &APIGroup) -> kube::Result<Vec<APIResource>> {
    let mut found = Vec::new();
    for version in &group.versions {
        match client.list_api_group_resources(&version.group_version).await {
            Ok(list) => found.extend(list.resources.into_iter().filter(|resource| !resource.name.contains('/'))),
            // A version that went in between.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The error of a row, given the resources that its group serves.
fn complaint(row: &Row<'_>, served: &[APIResource]) -> Option<String> {
    let Row { group, kind, resource } = row;
    let is_row = |found: &&APIResource| found.name == *resource && found.kind == *kind;
    if served.iter().any(|found| is_row(&found)) {
        return None;
    }
    let by_kind = served.iter().find(|found| found.kind == *kind);
    let by_name = served.iter().find(|found| found.name == *resource);
    Some(match (by_kind, by_name) {
        (Some(found), _) => {
            format!("{group} {kind}: the resource is not {resource}; write resource: {}", found.name)
        }
        (_, Some(found)) => format!("{group} {kind}: {resource} are of another kind; write kind: {}", found.kind),
        _ if served.is_empty() => format!("{group} {kind}: the API server serves no group {group}"),
        _ => format!("{group} {kind}: the API server serves no such kind, and no {resource}"),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

    use super::{Row, complaint};

    #[test]
    fn a_row_is_served_under_its_kind_and_its_resource() {
        let resource = |name: &str, kind: &str| APIResource {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..APIResource::default()
        };
        let row = |kind: &'static str, resource: &'static str| Row { group: "a.b", kind, resource };
        let served = [resource("sandboxes", "Sandbox"), resource("rollouts", "Rollout")];
        assert_eq!(complaint(&row("Sandbox", "sandboxes"), &served), None);
        for (kind, name, expected) in [
            ("Sandbox", "sandboxs", "a.b Sandbox: the resource is not sandboxs; write resource: sandboxes"),
            ("Rollouts", "rollouts", "a.b Rollouts: rollouts are of another kind; write kind: Rollout"),
            ("Sandbox", "rollouts", "a.b Sandbox: the resource is not rollouts; write resource: sandboxes"),
            ("Other", "others", "a.b Other: the API server serves no such kind, and no others"),
        ] {
            assert_eq!(complaint(&row(kind, name), &served).as_deref(), Some(expected));
        }
        let alone = complaint(&row("Sandbox", "sandboxes"), &[]);
        assert_eq!(alone.as_deref(), Some("a.b Sandbox: the API server serves no group a.b"));
    }
}
