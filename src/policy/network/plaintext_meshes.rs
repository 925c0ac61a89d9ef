//! `plaintext-meshes`: Istio's PeerAuthentication asks every client for mutual TLS.
//!
//! As Istio defines it, a mode that is `UNSET` or absent is that of the parent: of the namespace for a workload, of the mesh
//! for a namespace. The mesh itself has no parent and is then PERMISSIVE, so that in the root namespace the mode must be written.
//! A policy with a selector there is one for no mesh. A port without a mode has that of its workload.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{PEER_AUTHENTICATIONS, PeerAuthentication};
use crate::object::{Path, Place};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The mode that takes nothing but mutual TLS.
const STRICT: &str = "STRICT";

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PlaintextMeshes {
    /// Namespace whose PeerAuthentications are those of the mesh.
    root_namespace: Namespace,
}

/// The name of a namespace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct Namespace(String);

impl TryFrom<String> for Namespace {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(is_name) {
            return Err(format!("{} must be the name of a namespace, such as istio-system", quoted(&name)));
        }
        Ok(Self(name))
    }
}

impl Default for PlaintextMeshes {
    fn default() -> Self {
        Self { root_namespace: Namespace("istio-system".to_owned()) }
    }
}

impl Policy for PlaintextMeshes {
    const META: &'static Meta = &Meta {
        id: "plaintext-meshes",
        title: "an Istio PeerAuthentication that takes plain text",
        severity: Severity::High,
        since: "0.1.0",
        why: "With a mode below STRICT a workload takes connections without mutual TLS: anybody in the network may connect, and \
              nobody has proven who they are.",
        fix: "set mtls.mode to STRICT, in portLevelMtls too, or leave it out below the mesh, where the mode of the parent holds",
        kinds: &[Kinds::Resource(PEER_AUTHENTICATIONS)],
        fields: &[Fields::of(&["spec.mtls.mode", "spec.portLevelMtls[*].mode"]).allow(&[
            Allowed::Value(STRICT),
            Allowed::Words("absent or `UNSET`, but for `spec.mtls.mode` of the whole mesh, in the root namespace"),
        ])],
        changes: &[],
        controls: &[],
    };
}

impl Validator for PlaintextMeshes {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(authentication) = request.object_as::<PeerAuthentication<'_>>() else { return Ok(()) };
        let spec = || Path::root().fields("spec");
        let mode = authentication.mode();
        if is_unset(mode) {
            if *request.namespace == *self.root_namespace.0 && !authentication.has_selector() {
                let message = "must be STRICT: without a mode the whole mesh is PERMISSIVE";
                report.add(Place::field(spec().fields("mtls.mode")), message);
            }
        } else if mode != STRICT {
            let message = format_args!("must be STRICT, and not {}", quoted(mode));
            report.add(Place::field(spec().fields("mtls.mode")), message);
        }
        for (port, mode) in authentication.ports() {
            if !is_unset(mode) && mode != STRICT {
                let place = spec().fields("portLevelMtls").key(port).fields("mode");
                report.add(Place::field(place), format_args!("must be STRICT, and not {}", quoted(mode)));
            }
        }
        Ok(())
    }
}

/// True for a mode that is inherited.
fn is_unset(mode: &str) -> bool {
    mode.is_empty() || mode == "UNSET"
}
