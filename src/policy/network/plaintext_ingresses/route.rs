//! Routes of OpenShift.

use crate::object::resource::Route;
use crate::object::{Path, Place};
use crate::policy::ingress_controller::is_challenge;
use crate::policy::{Report, quoted};
use crate::request::Request;

/// Values of `termination` with which a client speaks TLS.
const TERMINATIONS: [&str; 3] = ["edge", "reencrypt", "passthrough"];

pub(super) fn judge(request: &Request<'_>, report: &mut Report) {
    let Some(route) = request.object_as::<Route<'_>>() else { return };
    if is_challenge(route.path()) {
        return;
    }
    let place = |field: &str| Place::field(Path::root().fields("spec").fields(field));
    let Some(tls) = route.tls() else {
        let message = format_args!("must be set: {} is served over plain HTTP", host(route.host()));
        report.add(place("tls"), message);
        return;
    };
    if !TERMINATIONS.contains(&tls.termination()) {
        let termination = quoted(tls.termination());
        report.add(
            place("tls.termination"),
            format_args!("must be edge, reencrypt or passthrough, and not {termination}"),
        );
    }
    if tls.insecure_policy() == "Allow" {
        let message = format_args!(
            "must not be Allow: {} is served over plain HTTP, too; Redirect sends clients to https",
            host(route.host())
        );
        report.add(place("tls.insecureEdgeTerminationPolicy"), message);
    }
}

/// A host as messages name it.
fn host(host: &str) -> String {
    if host.is_empty() { "the host".to_owned() } else { quoted(host).to_string() }
}
