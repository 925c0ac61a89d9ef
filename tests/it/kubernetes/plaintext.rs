//! Ingresses, routes and meshes that take plain text, on a real API server: refused, warned of, and worked with when they are old.

use serde_json::{Value, json};

use super::custom_kinds;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const NOT_COVERED: &str =
    "plaintext-ingresses: spec.rules[0].host must be covered by spec.tls: \"web.example.com\" is ";

/// An Ingress for one host, with TLS or without.
fn ingress(name: &str, annotations: Value, has_tls: bool) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    let mut ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "web.example.com", "http": {"paths": paths}}]},
    });
    if has_tls {
        ingress["spec"]["tls"] = json!([{"hosts": ["web.example.com"], "secretName": "web"}]);
    }
    ingress
}

/// An HTTPRoute that is attached to a listener.
fn route(name: &str, parent: Value) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {"parentRefs": [parent], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}})
}

fn openshift_route(name: &str, tls: Value) -> Value {
    json!({"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": name},
        "spec": {"host": "web.example.com", "to": {"kind": "Service", "name": "web"}, "tls": tls}})
}

/// The same object with other content, as it is stored.
fn changed(stored: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = stored.clone();
    change(&mut object);
    object
}

#[test]
fn an_ingress_over_plain_http_is_refused_and_an_old_one_gets_no_worse() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-plaintext-ingresses");
    space.create("ingresses", &ingress("old", json!({}), false)).admitted();
    let portcullis = Portcullis::hardened(plane, &space);

    let answer = space.create_dry("ingresses", &ingress("new", json!({}), false));
    assert!(answer.refused().starts_with(NOT_COVERED), "{answer:#?}");
    assert!(space.create("ingresses", &ingress("new", json!({}), false)).refused().starts_with(NOT_COVERED));
    assert_eq!(portcullis.decision("Ingress", "new")["decision"], "deny");
    let off = json!({"nginx.ingress.kubernetes.io/ssl-redirect": "false"});
    let message = space.create("ingresses", &ingress("new", off.clone(), true)).refused().to_owned();
    assert!(message.contains("nginx.ingress.kubernetes.io/ssl-redirect] must not be \"false\""), "{message}");
    let answer = space.create("ingresses", &ingress("new", json!({}), true));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    let canary = json!({"nginx.ingress.kubernetes.io/canary": "true"});
    let answer = space.create("ingresses", &ingress("canary", canary, false));
    assert!(answer.warns(NOT_COVERED), "{answer:#?}");
    answer.admitted();
    let mut challenge = ingress("challenge", json!({}), false);
    challenge["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/.well-known/acme-challenge/abc".into();
    let answer = space.create("ingresses", &challenge);
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();

    // The redirect is an annotation, which an update of the status keeps.
    let patch = json!({"metadata": {"annotations": off}});
    space.patch("ingresses", "new", &patch).refused();
    space.patch("ingresses", "new/status", &patch).refused();

    let answer = space.patch("ingresses", "old", &json!({"metadata": {"labels": {"team": "shop"}}}));
    assert!(answer.warns(NOT_COVERED), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Ingress", "old")["findings"][0]["inherited"], true);
    space.patch("ingresses", "old", &patch).refused();
    let other = json!({"spec": {"rules": [{"host": "shop.example.com"}]}});
    assert!(space.patch("ingresses", "old", &other).refused().contains("\"shop.example.com\""));
    let tls = json!({"spec": {"tls": [{"hosts": ["web.example.com"], "secretName": "web"}]}});
    space.patch("ingresses", "old", &tls).admitted();
    space.patch("ingresses", "old", &json!({"spec": {"tls": null}})).refused();
    space.delete("ingresses", "old").admitted();
}

#[test]
fn routes_of_gateways_and_of_openshift_are_judged_where_they_are_served() {
    let plane = Plane::shared();
    custom_kinds::serve(plane);
    let space = Space::open(plane, "it-plaintext-routes");
    let plain = json!({"name": "public", "sectionName": "http"});
    let old = space.create("httproutes", &route("old", plain.clone())).admitted();
    space.create("routes", &openshift_route("old", json!(null))).admitted();
    let portcullis = Portcullis::hardened(plane, &space);

    let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "public"},
    "spec": {"gatewayClassName": "public", "listeners": [
        {"name": "http", "port": 80, "protocol": "HTTP"},
        {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "web"}]}},
    ]}});
    let answer = space.create("gateways", &gateway);
    assert!(
        answer.warns("plaintext-ingresses: spec.listeners[0].protocol must not be HTTP, but for redirects"),
        "{answer:#?}"
    );
    answer.admitted();
    assert_eq!(portcullis.decision("Gateway", "public")["decision"], "warn");

    let message = "plaintext-ingresses: spec.rules[0].filters must redirect to https: \"web\" is served over plain HTTP, on \
                   listener \"http\" of Gateway \"public\"";
    let answer = space.create_dry("httproutes", &route("new", plain.clone()));
    assert!(answer.refused().starts_with(message), "{answer:#?}");
    space.create("httproutes", &route("new", json!({"name": "public", "port": 80}))).refused();
    let answer = space.create("httproutes", &route("unsure", json!({"name": "public"})));
    assert!(answer.warns("plaintext-ingresses: spec.parentRefs[0] must name a listener with TLS"), "{answer:#?}");
    answer.admitted();
    let answer = space.create("httproutes", &route("new", json!({"name": "public", "sectionName": "https"})));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    let mut redirect = route("redirect", plain);
    redirect["spec"]["rules"] =
        json!([{"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]}]);
    space.create("httproutes", &redirect).admitted();

    let answer = space.replace("httproutes", &changed(&old, |old| old["metadata"]["labels"] = json!({"team": "shop"})));
    assert!(answer.warns(message), "{answer:#?}");
    let old = answer.admitted();
    let more = json!({"backendRefs": [{"name": "shop", "port": 80}]});
    let worse = changed(&old, |old| old["spec"]["rules"].as_array_mut().expect("rules").push(more));
    assert!(space.replace("httproutes", &worse).refused().contains("\"shop\" is served over plain HTTP"));
    // The status of a kind of another project leaves everything else as it is.
    let status = changed(&worse, |old| {
        old["status"] = json!({"parents": []});
    });
    let stored = space.replace_status("httproutes", &status).admitted();
    assert_eq!(stored["spec"], old["spec"]);

    let place = "plaintext-ingresses: spec.tls must be set: \"web.example.com\" is served over plain HTTP";
    assert!(space.create("routes", &openshift_route("new", json!(null))).refused().starts_with(place));
    let open = json!({"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"});
    space.create("routes", &openshift_route("new", open.clone())).refused();
    space.create("routes", &openshift_route("new", json!({"termination": "edge"}))).admitted();
    let old = space.get("routes", "old").admitted();
    let answer = space.replace("routes", &changed(&old, |old| old["metadata"]["labels"] = json!({"team": "shop"})));
    assert!(answer.warns(place), "{answer:#?}");
    let old = answer.admitted();
    space.replace("routes", &changed(&old, |old| old["spec"]["tls"] = open)).refused();
}

#[test]
fn limits_headers_and_meshes_are_judged_where_a_configuration_says_so() {
    let plane = Plane::shared();
    custom_kinds::serve(plane);
    let space = Space::open(plane, "it-plaintext-optional");
    space.create("ingresses", &ingress("old", json!({}), true)).admitted();
    let mesh = |name: &str, mode: &str| {
        json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": name},
            "spec": {"mtls": {"mode": mode}}})
    };
    let old = space.create("peerauthentications", &mesh("old", "PERMISSIVE")).admitted();
    let lines = "profile: hardened\npolicies:\n  unlimited-ingresses: {mode: enforce}\n  headerless-ingresses: {mode: enforce, \
                 settings: {configMaps: [it-plaintext-optional/headers]}}\n  plaintext-meshes: {mode: enforce}\n";
    let portcullis = Portcullis::guard(plane, &[&space], lines, &[]);

    let good = json!({
        "nginx.ingress.kubernetes.io/limit-rps": "10", "nginx.ingress.kubernetes.io/custom-headers": "it-plaintext-optional/headers",
    });
    let without = |key: &str| {
        let mut annotations = good.clone();
        annotations[format!("nginx.ingress.kubernetes.io/{key}")] = "".into();
        ingress("new", annotations, true)
    };
    let limit = "unlimited-ingresses: metadata.annotations must have a rate limit of the controller";
    let header = "headerless-ingresses: metadata.annotations must set the response header ";
    assert!(space.create_dry("ingresses", &without("limit-rps")).refused().starts_with(limit));
    assert!(space.create("ingresses", &without("limit-rps")).refused().starts_with(limit));
    assert!(space.create("ingresses", &without("custom-headers")).refused().starts_with(header));
    let answer = space.create("ingresses", &ingress("new", good, true));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    space
        .patch(
            "ingresses",
            "new",
            &json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/limit-rps": "0"}}}),
        )
        .refused();
    let answer = space.patch("ingresses", "old", &json!({"metadata": {"labels": {"team": "shop"}}}));
    assert!(answer.warns(limit) && answer.warns(header), "{answer:#?}");
    answer.admitted();

    let map = |age: u32| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "headers"}, "data": {
            "Strict-Transport-Security": format!("max-age={age}"), "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
        }})
    };
    let place = "headerless-ingresses: data[Strict-Transport-Security] must set Strict-Transport-Security to a max-age of at least \
                 31536000, and not to \"max-age=60\"";
    assert!(space.create("configmaps", &map(60)).refused().starts_with(place));
    space.create("configmaps", &map(31_536_000)).admitted();

    let place = "plaintext-meshes: spec.mtls.mode must be STRICT, and not \"PERMISSIVE\"";
    assert!(space.create_dry("peerauthentications", &mesh("new", "PERMISSIVE")).refused().starts_with(place));
    space.create("peerauthentications", &mesh("new", "STRICT")).admitted();
    space.create("peerauthentications", &mesh("inherits", "UNSET")).admitted();
    let answer =
        space.replace("peerauthentications", &changed(&old, |old| old["metadata"]["labels"] = json!({"team": "shop"})));
    assert!(answer.warns(place), "{answer:#?}");
    let old = answer.admitted();
    assert_eq!(portcullis.decision("PeerAuthentication", "old")["findings"][0]["inherited"], true);
    space
        .replace("peerauthentications", &changed(&old, |old| old["spec"]["mtls"]["mode"] = "DISABLE".into()))
        .refused();
}
