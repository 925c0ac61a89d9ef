//! Repairs an installed webhook configuration: what is weaker than derived becomes as strong, and nothing else changes.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::compare::{Difference, Part, Relation};
use super::editors;
use crate::webhooks::NAME;

/// Field manager of repairs. It keeps no field: whoever applied the object owns it again, and the next upgrade meets no conflict.
pub(super) const MANAGER: &str = "portcullis-repair";

/// The differences that a repair takes away: what is weaker, but for what a provider edits and what cannot be made from here.
pub(super) fn repairable(differences: &[Difference]) -> Vec<&Difference> {
    let is_ours =
        |one: &&Difference| one.relation == Relation::Weaker && one.provider.is_none() && !one.repair.is_null();
    differences.iter().filter(is_ours).collect()
}

/// The JSON Patch that takes these differences away from exactly this state of the object.
pub(super) fn patch(object: &Value, differences: &[&Difference]) -> Vec<Value> {
    let mut operations = vec![same_version(object)];
    let webhooks = object["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for Difference { webhook, part, repair, .. } in differences {
        let position = webhooks.iter().position(|other| other["name"] == webhook.as_str());
        match (part, position) {
            (Part::Field(field), Some(position)) => operations.extend([
                json!({"op": "test", "path": format!("/webhooks/{position}/name"), "value": webhook}),
                json!({"op": "add", "path": format!("/webhooks/{position}/{field}"), "value": repair}),
            ]),
            (Part::Missing, _) => operations.push(json!({"op": "add", "path": "/webhooks/-", "value": repair})),
            _ => {}
        }
    }
    operations
}

/// The JSON Patch that gives up what a repair owns; `None` if it owns nothing.
pub(super) fn release(object: &Value) -> Option<Vec<Value>> {
    let entry = format!("/metadata/managedFields/{}", editors::position(object, MANAGER)?);
    Some(vec![
        same_version(object),
        json!({"op": "test", "path": format!("{entry}/manager"), "value": MANAGER}),
        json!({"op": "remove", "path": entry}),
    ])
}

fn same_version(object: &Value) -> Value {
    json!({"op": "test", "path": "/metadata/resourceVersion", "value": object["metadata"]["resourceVersion"]})
}

/// Patches our object of kind `K`; the object as it is then.
pub(super) async fn send<K>(client: &Client, operations: Vec<Value>) -> kube::Result<Value>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let api: Api<K> = Api::all(client.clone());
    let patch = serde_json::from_value(Value::Array(operations)).map_err(kube::Error::SerdeError)?;
    let by = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let object = api.patch(NAME, &by, &Patch::<K>::Json(patch)).await?;
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}

/// True if the object was not in the state that the patch tests, or is gone: the watch tells the new one.
pub(super) fn is_outdated(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [404, 409, 422].contains(&status.code))
}
