//! `headerless-ingresses`, and the root namespace of `plaintext-meshes`.

use serde_json::{Value, json};

use super::Answer::{Admit, Deny, Warn};
use super::{Answer, ingress, judged};

const POLICY: &str = "headerless-ingresses";

fn of(class: &str, annotations: Value) -> Value {
    ingress(class, annotations, &["web.example.com"])
}

fn assert_each(cases: &[(&str, Value, Answer)]) {
    for (settings, object, answer) in cases {
        let (found, said) = judged(POLICY, settings, object);
        assert_eq!(found, *answer, "{settings}: {object}: {said:#?}");
    }
}

#[test]
fn settings_of_headerless_ingresses_decide() {
    let custom = |name: &str| of("nginx", json!({"nginx.ingress.kubernetes.io/custom-headers": name}));
    let snippet = |text: &str| of("nginx", json!({"nginx.ingress.kubernetes.io/configuration-snippet": text}));
    let good = "more_set_headers \"X-Frame-Options: DENY\" 'X-Content-Type-Options: nosniff';\n\
                add_header Strict-Transport-Security \"max-age=63072000; includeSubDomains\" always;";
    let haproxy = |text: &str| of("haproxy", json!({"haproxy.org/backend-config-snippet": text}));
    let lines = "http-response set-header X-Frame-Options DENY\nhttp-response set-header X-Content-Type-Options nosniff\n\
                 http-response set-header Strict-Transport-Security max-age=31536000";
    let middleware = |name: &str| of("traefik", json!({"traefik.ingress.kubernetes.io/router.middlewares": name}));
    let f5 = |age: &str| of("nginx", json!({"nginx.org/hsts": "true", "nginx.org/hsts-max-age": age}));
    assert_each(&[
        ("{byController: [nginx]}", of("nginx", json!({})), Admit),
        ("{byController: [nginx]}", of("contour", json!({})), Deny),
        ("{configMaps: [default/headers]}", custom("headers"), Admit),
        ("{configMaps: [default/headers]}", custom("default/headers"), Admit),
        ("{configMaps: [default/headers]}", custom("other/headers"), Deny),
        // Whoever else sets the headers.
        (
            "{configMaps: [default/headers], headersByController: [Strict-Transport-Security, X-Frame-Options, X-Content-Type-Options]}",
            custom("other/headers"),
            Deny,
        ),
        ("{snippets: true}", snippet(good), Admit),
        ("{}", snippet(good), Deny),
        ("{snippets: true}", snippet(&good.replace("63072000", "60")), Deny),
        ("{snippets: true}", snippet(&good.replace("more_set_headers", "more_set_headers -s 404")), Deny),
        ("{snippets: true}", snippet(&format!("if ($a) {{ {good} }}")), Deny),
        ("{snippets: true}", snippet(&format!("# {}", good.replace('\n', " "))), Deny),
        ("{snippets: true}", of("haproxy", snippet(good)["metadata"]["annotations"].clone()), Deny),
        ("{snippets: true}", haproxy(lines), Admit),
        ("{snippets: true}", haproxy(&lines.replace("DENY", "DENY if { path /a }")), Deny),
        ("{middlewares: ['a-b@file']}", middleware("a-b@file"), Admit),
        ("{middlewares: ['a-b@file']}", middleware("a-c@file"), Deny),
        ("{headers: {Strict-Transport-Security: '.+'}}", f5("31536000"), Admit),
        ("{headers: {Strict-Transport-Security: '.+'}}", f5("31535999"), Deny),
        ("{headers: {Strict-Transport-Security: '.+'}, minMaxAge: 60}", f5("60"), Admit),
        ("{headers: {Strict-Transport-Security: '.*preload.*'}}", f5("31536000"), Deny),
        ("{headersByController: [X-Frame-Options, X-Content-Type-Options]}", f5("31536000"), Admit),
        ("{headersByController: [X-Frame-Options]}", f5("31536000"), Deny),
        // A value that is seen and does not fit is wrong whoever else sets the header.
        ("{headersByController: [X-Frame-Options, X-Content-Type-Options]}", f5("1"), Deny),
        (
            "{classes: {internal: nginx}}",
            of("internal", json!({"nginx.ingress.kubernetes.io/custom-headers": "a"})),
            Admit,
        ),
        ("{}", of("internal", json!({"nginx.ingress.kubernetes.io/custom-headers": "a"})), Warn),
    ]);
}

#[test]
fn a_config_map_that_the_settings_list_is_judged() {
    let map =
        |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "headers"}, "data": data});
    let good = json!({"Strict-Transport-Security": "max-age=31536000", "x-content-type-options": "nosniff",
        "Content-Security-Policy": "frame-ancestors 'self'"});
    let mut short = good.clone();
    short["Strict-Transport-Security"] = "max-age=1".into();
    let mut open = good.clone();
    open["Content-Security-Policy"] = "frame-ancestors *".into();
    let listed = "{configMaps: [default/headers]}";
    assert_each(&[
        (listed, map(good), Admit),
        (listed, map(short.clone()), Deny),
        (listed, map(open), Deny),
        (listed, map(json!(null)), Deny),
        ("{configMaps: [other/headers]}", map(short.clone()), Admit),
        ("{}", map(short), Admit),
    ]);
}

#[test]
fn the_mesh_has_no_parent_to_take_its_mode_from() {
    let mesh = |spec: Value| json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default"}, "spec": spec});
    let selector = json!({"matchLabels": {"app": "web"}});
    // Requests of these tests are for the namespace default.
    for (settings, spec, answer) in [
        ("{rootNamespace: default}", json!({}), Deny),
        ("{rootNamespace: default}", json!({"mtls": {"mode": "UNSET"}}), Deny),
        ("{rootNamespace: default}", json!({"selector": {"matchLabels": {}}}), Deny),
        ("{rootNamespace: default}", json!({"selector": selector}), Admit),
        ("{rootNamespace: default}", json!({"mtls": {"mode": "STRICT"}}), Admit),
        ("{}", json!({"mtls": {"mode": "UNSET"}}), Admit),
    ] {
        let mut mesh = mesh(spec);
        for version in ["v1", "v1beta1"] {
            mesh["apiVersion"] = format!("security.istio.io/{version}").into();
            let (found, said) = judged("plaintext-meshes", settings, &mesh);
            assert_eq!(found, answer, "{version} {settings}: {said:#?}");
        }
    }
}
