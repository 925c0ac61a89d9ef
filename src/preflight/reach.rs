//! `no-service`, `no-endpoint`, `unreachable-service`, `untrusted-certificate`, `webhooks-elsewhere`: the API server must reach our
//! Service, and trust it.

use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::{Reached, Seen, Trap, is_outside, may_refuse};
use crate::snapshot::Snapshot;
use crate::webhooks::NAME;

/// Port of the Service that the webhooks name.
const PORT: i32 = 443;

pub(super) fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    if !may_refuse(seen, snapshot) || is_outside(&seen.validating) {
        return Vec::new();
    }
    let mut traps = service(seen);
    traps.extend(installed(seen));
    traps
}

fn service(seen: &Seen) -> Vec<Trap> {
    let place = format!("Service {}/{}", seen.target.namespace, seen.target.service);
    let fails = "the API server cannot ask: every write that a webhook with failurePolicy Fail selects fails";
    let ports = seen.service.as_ref().and_then(|service| service.spec.as_ref()).and_then(|spec| spec.ports.as_ref());
    let has_port = ports.into_iter().flatten().any(|port| port.port == PORT);
    if seen.service.is_none() || !has_port {
        let what = if seen.service.is_none() { "does not exist".to_owned() } else { format!("has no port {PORT}") };
        let remedy = "create it as the chart and deploy/base do, or name it with --namespace and --service";
        return vec![Trap::new("no-service", place, format!("{what}: {fails}"), remedy)];
    }
    if !seen.endpoints.iter().any(has_ready) {
        let remedy = "see why no Pod of Portcullis is ready (`/readyz?verbose` at its port 8080)";
        return vec![Trap::new("no-endpoint", place, format!("has no ready endpoint: {fails}"), remedy)];
    }
    match &seen.reached {
        Reached::Answered | Reached::NotAsked(_) => Vec::new(),
        Reached::Failed(said) => vec![Trap::new(
            "unreachable-service",
            place,
            format!("does not answer the API server ({said}): {fails}"),
            "allow the API server's address in the NetworkPolicy and in firewalls between it and the nodes (port 8443)",
        )],
    }
}

fn has_ready(slice: &EndpointSlice) -> bool {
    let is_ready =
        |endpoint: &Endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
    slice.endpoints.iter().flatten().any(is_ready)
}

/// Our own webhooks, where they are installed.
fn installed(seen: &Seen) -> Vec<Trap> {
    let validating = seen.validating.iter().filter(|object| object.metadata.name.as_deref() == Some(NAME));
    let validating = validating.flat_map(|object| object.webhooks.iter().flatten());
    let validating =
        validating.map(|webhook| ("ValidatingWebhookConfiguration", &webhook.name, &webhook.client_config));
    let mutating = seen.mutating.iter().filter(|object| object.metadata.name.as_deref() == Some(NAME));
    let mutating = mutating.flat_map(|object| object.webhooks.iter().flatten());
    let mutating = mutating.map(|webhook| ("MutatingWebhookConfiguration", &webhook.name, &webhook.client_config));
    validating
        .chain(mutating)
        .filter_map(|(kind, name, client)| leads(seen, &format!("{kind} {NAME}: {name}"), client))
        .collect()
}

fn leads(seen: &Seen, place: &str, client: &WebhookClientConfig) -> Option<Trap> {
    let Some(service) = &client.service else { return None };
    if service.namespace != seen.target.namespace || service.name != seen.target.service {
        return Some(Trap::new(
            "webhooks-elsewhere",
            place,
            format!("leads to the Service {}/{}", service.namespace, service.name),
            "apply the webhook configurations again, or name the Service with --namespace and --service",
        ));
    }
    let is_trusted = client.ca_bundle.as_ref().is_some_and(|bundle| !bundle.0.is_empty());
    (!is_trusted).then(|| {
        Trap::new(
            "untrusted-certificate",
            place,
            "has no caBundle: the API server trusts no certificate of ours, and every call fails",
            "see the log of the server, which sets it, or set it yourself (`portcullis webhooks --ca-bundle FILE`)",
        )
    })
}
