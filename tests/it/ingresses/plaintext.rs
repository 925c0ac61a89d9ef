//! `plaintext-ingresses`.

use serde_json::{Value, json};

use super::Answer::{Admit, Deny, Warn};
use super::{Answer, assert_answers, ingress, judged};

const POLICY: &str = "plaintext-ingresses";

/// An Ingress without TLS of the API's own.
fn bare(class: &str, annotations: Value) -> Value {
    ingress(class, annotations, &[])
}

/// The same with TLS for its host.
fn covered(class: &str, annotations: Value) -> Value {
    ingress(class, annotations, &["web.example.com"])
}

#[test]
fn each_controller_is_read_by_its_own_conventions() {
    let nginx = |name: &str, value: &str| json!({format!("nginx.ingress.kubernetes.io/{name}"): value});
    let alb = |name: &str, value: &str| json!({format!("alb.ingress.kubernetes.io/{name}"): value});
    let traefik = |name: &str, value: &str| json!({format!("traefik.ingress.kubernetes.io/router.{name}"): value});
    let class = |class: &str| json!({"kubernetes.io/ingress.class": class});
    let both = |mut one: Value, other: Value| {
        one.as_object_mut().expect("a map").extend(other.as_object().expect("a map").clone());
        one
    };
    let ports = |ports: &str| both(alb("listen-ports", ports), alb("certificate-arn", "arn"));
    let cases: Vec<(&str, Value, Answer)> = vec![
        // ingress-nginx
        ("the redirect is on by default", covered("nginx", json!({})), Admit),
        ("on", covered("nginx", nginx("ssl-redirect", "true")), Admit),
        ("a value that Go does not read leaves the default", covered("nginx", nginx("ssl-redirect", "maybe")), Admit),
        ("off", covered("nginx", nginx("ssl-redirect", "false")), Deny),
        ("off in capitals", covered("nginx", nginx("ssl-redirect", "FALSE")), Deny),
        ("off by the class of the annotation", covered("", both(class("nginx"), nginx("ssl-redirect", "f"))), Deny),
        ("without TLS there is nothing to redirect to", bare("nginx", nginx("ssl-redirect", "true")), Deny),
        ("forced", bare("nginx", nginx("force-ssl-redirect", "true")), Admit),
        ("forced by a value that Go reads as false", bare("nginx", nginx("force-ssl-redirect", "yes")), Deny),
        ("not forced", bare("nginx", nginx("force-ssl-redirect", "false")), Deny),
        ("passed through", bare("nginx", nginx("ssl-passthrough", "true")), Warn),
        ("redirected elsewhere", bare("nginx", nginx("permanent-redirect", "HTTPS://shop.example.com")), Admit),
        (
            "the redirection that counts is to http",
            bare(
                "nginx",
                both(
                    nginx("temporal-redirect", "http://shop.example.com"),
                    nginx("permanent-redirect", "https://shop.example.com"),
                ),
            ),
            Deny,
        ),
        ("a path of this host", bare("nginx", nginx("permanent-redirect", "/https://")), Deny),
        ("a canary", bare("nginx", nginx("canary", "true")), Warn),
        ("a canary of another controller", bare("traefik", nginx("canary", "true")), Deny),
        ("F5 turns it off", covered("nginx", json!({"nginx.org/ssl-redirect": "false"})), Deny),
        ("the annotation of another controller", covered("nginx", json!({"haproxy.org/ssl-redirect": "false"})), Admit),
        ("the certificate of another controller", bare("nginx", alb("certificate-arn", "arn")), Deny),
        ("the router of another controller", bare("nginx", traefik("tls", "true")), Deny),
        // AWS
        ("a certificate", bare("alb", alb("certificate-arn", "arn")), Admit),
        ("no certificate", bare("alb", json!({})), Deny),
        ("a blank certificate", bare("alb", alb("certificate-arn", " ")), Deny),
        ("TLS of the API makes no listener", covered("alb", json!({})), Deny),
        ("HTTPS alone", bare("alb", alb("listen-ports", r#"[{"HTTPS":443}]"#)), Admit),
        ("HTTPS on another port", bare("alb", alb("listen-ports", r#"[{"HTTPS": 8443}]"#)), Admit),
        ("HTTP alone", bare("alb", ports(r#"[{"HTTP": 80}]"#)), Deny),
        ("HTTP too", bare("alb", ports(r#"[{"HTTP": 80}, {"HTTPS": 443}]"#)), Deny),
        ("both in one entry", bare("alb", ports(r#"[{"HTTP": 80, "HTTPS": 443}]"#)), Deny),
        (
            "a redirect",
            bare("alb", both(ports(r#"[{"HTTP": 80}, {"HTTPS": 443}]"#), alb("ssl-redirect", "443"))),
            Admit,
        ),
        (
            "a redirect to a port for HTTP",
            bare("alb", both(ports(r#"[{"HTTP": 80}, {"HTTPS": 443}]"#), alb("ssl-redirect", "80"))),
            Deny,
        ),
        (
            "a redirect that is a word",
            bare("alb", both(ports(r#"[{"HTTP": 80}, {"HTTPS": 443}]"#), alb("ssl-redirect", "true"))),
            Deny,
        ),
        ("not a list", bare("alb", ports("{}")), Deny),
        ("no ports", bare("alb", ports("[]")), Deny),
        ("an unknown protocol", bare("alb", ports(r#"[{"https": 443}]"#)), Deny),
        ("a group", bare("alb", both(ports(r#"[{"HTTP": 80}, {"HTTPS": 443}]"#), alb("group.name", "web"))), Warn),
        // GKE
        (
            "a shared certificate, and no HTTP",
            bare(
                "gce",
                json!({"ingress.gcp.kubernetes.io/pre-shared-cert": "a", "kubernetes.io/ingress.allow-http": "false"}),
            ),
            Admit,
        ),
        ("HTTP is on by default", bare("gce", json!({"networking.gke.io/managed-certificates": "a"})), Warn),
        (
            "a FrontendConfig",
            bare(
                "gce-internal",
                json!({"networking.gke.io/managed-certificates": "a", "networking.gke.io/v1beta1.FrontendConfig": "a"}),
            ),
            Admit,
        ),
        ("HTTP is allowed", covered("gce", json!({"kubernetes.io/ingress.allow-http": "true"})), Deny),
        ("no certificate on GKE", bare("gce", json!({})), Deny),
        (
            "hosts of another certificate, which GKE does not read",
            ingress("gce", json!({"kubernetes.io/ingress.allow-http": "false"}), &["shop.example.com"]),
            Admit,
        ),
        // Traefik
        ("a router with TLS", bare("traefik", traefik("tls", "true")), Admit),
        ("a router without TLS", bare("traefik", traefik("tls", "false")), Deny),
        ("the secure entry point", bare("traefik", traefik("entrypoints", "websecure")), Admit),
        ("both entry points", bare("traefik", traefik("entrypoints", "web, websecure")), Deny),
        ("both with TLS of the API", covered("traefik", traefik("entrypoints", "web,websecure")), Deny),
        (
            "both, where every router has TLS",
            bare("traefik", both(traefik("entrypoints", "web"), traefik("tls", "true"))),
            Admit,
        ),
        (
            "a middleware that may redirect",
            covered("traefik", both(traefik("entrypoints", "web"), traefik("middlewares", "a-b@kubernetescrd"))),
            Warn,
        ),
        ("another entry point with TLS of the API", covered("traefik", traefik("entrypoints", "internal")), Admit),
        ("another entry point without", bare("traefik", traefik("entrypoints", "internal")), Deny),
        ("nothing said", covered("traefik", json!({})), Admit),
        // HAProxy
        ("both projects redirect by default", covered("haproxy", json!({})), Admit),
        ("off for haproxy.org", covered("haproxy", json!({"haproxy.org/ssl-redirect": "false"})), Deny),
        ("off for haproxy.com", covered("haproxy", json!({"haproxy.com/ssl-redirect": "disabled"})), Deny),
        (
            "off for HAProxy Ingress",
            covered("haproxy", json!({"haproxy-ingress.github.io/ssl-redirect": "false"})),
            Deny,
        ),
        ("off by the older prefix", covered("haproxy", json!({"ingress.kubernetes.io/ssl-redirect": "false"})), Deny),
        ("the default certificate", bare("haproxy", json!({"haproxy.org/ssl-redirect": "true"})), Admit),
        ("passed through by HAProxy", bare("haproxy", json!({"haproxy.org/ssl-passthrough": "true"})), Admit),
        (
            "HTTPS for every host",
            bare("haproxy", json!({"haproxy-ingress.github.io/ssl-always-add-https": "true"})),
            Admit,
        ),
        ("off for NGINX", covered("haproxy", nginx("ssl-redirect", "false")), Admit),
        // Contour
        ("no redirect by default", covered("contour", json!({})), Deny),
        ("the redirect", covered("contour", json!({"ingress.kubernetes.io/force-ssl-redirect": "true"})), Admit),
        ("exactly true", covered("contour", json!({"ingress.kubernetes.io/force-ssl-redirect": "True"})), Deny),
        ("HTTPS alone with Contour", covered("contour", json!({"kubernetes.io/ingress.allow-http": "false"})), Admit),
        ("Contour's own class", covered("", json!({"projectcontour.io/ingress.class": "contour"})), Deny),
        // Others
        (
            "Azure",
            bare("azure-application-gateway", json!({"appgw.ingress.kubernetes.io/appgw-ssl-certificate": "a"})),
            Admit,
        ),
        ("Kong", bare("kong", json!({"konghq.com/protocols": "https,grpcs"})), Admit),
        ("Kong takes HTTP too", bare("kong", json!({"konghq.com/protocols": "http,https"})), Deny),
        // Without a class, and with one that nobody knows.
        ("no class, a certificate", bare("", alb("certificate-arn", "arn")), Admit),
        ("no class, off", covered("", nginx("ssl-redirect", "false")), Deny),
        ("no class, nothing", bare("", json!({})), Deny),
        ("another class, a certificate", bare("internal", alb("certificate-arn", "arn")), Warn),
        ("another class, off", covered("internal", nginx("ssl-redirect", "false")), Warn),
        ("another class with TLS", covered("internal", json!({})), Admit),
        ("a class that begins the same", bare("nginx-internal", nginx("force-ssl-redirect", "true")), Warn),
        ("another class, nothing", bare("internal", json!({})), Deny),
        (
            "the annotation comes before the field",
            bare("alb", both(class("nginx"), alb("certificate-arn", "arn"))),
            Deny,
        ),
    ];
    assert_answers(POLICY, "{}", &cases);
}

#[test]
fn settings_name_what_cannot_be_seen() {
    let web = json!({
        "traefik.ingress.kubernetes.io/router.entrypoints": "web",
        "traefik.ingress.kubernetes.io/router.middlewares": "auth@file, default-redirect@kubernetescrd",
    });
    let forced = json!({"nginx.ingress.kubernetes.io/force-ssl-redirect": "true"});
    let secure = json!({"traefik.ingress.kubernetes.io/router.entrypoints": "edge"});
    for (settings, object, answer) in [
        ("{classes: {internal: nginx}}", bare("internal", forced.clone()), Admit),
        ("{classes: {internal: traefik}}", bare("internal", forced.clone()), Deny),
        ("{classes: {nginx: haproxy}}", bare("nginx", forced), Deny),
        ("{tlsByController: [traefik]}", bare("traefik", json!({})), Admit),
        ("{tlsByController: [traefik]}", bare("nginx", json!({})), Deny),
        ("{tlsByController: [traefik]}", bare("", json!({})), Deny),
        ("{secureEntryPoints: [edge]}", bare("traefik", secure.clone()), Admit),
        ("{secureEntryPoints: []}", bare("traefik", secure), Deny),
        ("{redirectMiddlewares: ['default-redirect@kubernetescrd']}", covered("traefik", web.clone()), Admit),
        ("{redirectMiddlewares: ['default-redirect']}", covered("traefik", web), Warn),
        ("{httpListeners: [plain]}", route(json!({"name": "a", "sectionName": "plain"}), false), Deny),
        ("{httpListeners: [plain]}", route(json!({"name": "a", "sectionName": "http"}), false), Warn),
        ("{httpsListeners: [tls]}", route(json!({"name": "a", "sectionName": "tls"}), false), Admit),
    ] {
        let (found, said) = judged(POLICY, settings, &object);
        assert_eq!(found, answer, "{settings}: {object}: {said:#?}");
    }
}

/// An HTTPRoute with one parent, and a backend or a redirect.
fn route(parent: Value, redirects: bool) -> Value {
    let redirect = json!({"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]});
    let rule = if redirects { redirect } else { json!({"backendRefs": [{"name": "web", "port": 80}]}) };
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {"parentRefs": [parent], "rules": [rule]}})
}

#[test]
fn a_route_is_judged_by_the_listener_that_it_names() {
    for (parent, answer) in [
        (json!({"name": "a", "sectionName": "http"}), Deny),
        (json!({"name": "a", "sectionName": "http", "kind": null, "group": null}), Deny),
        (json!({"name": "a", "port": 80}), Deny),
        (json!({"name": "a", "port": 80, "sectionName": "https"}), Deny),
        (json!({"name": "a", "port": 443, "sectionName": "http"}), Admit),
        (json!({"name": "a", "port": 8443}), Admit),
        (json!({"name": "a", "port": 8080}), Warn),
        (json!({"name": "a"}), Warn),
        (json!({"name": "a", "sectionName": "https-redirect-http"}), Warn),
        (json!({"name": "a", "sectionName": "https"}), Admit),
        (json!({"name": "a", "kind": "Service", "group": "", "port": 80}), Admit),
        (json!({"name": "a", "kind": "ListenerSet", "sectionName": "http"}), Deny),
    ] {
        let (found, said) = judged(POLICY, "{}", &route(parent.clone(), false));
        assert_eq!(found, answer, "{parent}: {said:#?}");
        assert_eq!(judged(POLICY, "{}", &route(parent.clone(), true)).0, Admit, "{parent}");
        let mut grpc = route(parent, false);
        grpc["kind"] = "GRPCRoute".into();
        assert_eq!(judged(POLICY, "{}", &grpc).0, answer, "{grpc}");
    }
}

#[test]
fn lists_that_are_null_or_large_are_read() {
    let mut many = covered("nginx", json!({}));
    let hosts: Vec<String> = (0..20_000).map(|number| format!("a{number}.example.com")).collect();
    many["spec"]["tls"] = json!([{"hosts": hosts}, {"hosts": ["*.wild.example.com"]}]);
    many["spec"]["rules"] =
        hosts.iter().map(|host| json!({"host": host})).chain([json!({"host": "a.wild.example.com"})]).collect();
    assert_eq!(judged(POLICY, "{}", &many).0, Admit);
    many["spec"]["rules"][7]["host"] = "other.example.com".into();
    let (answer, said) = judged(POLICY, "{}", &many);
    assert_eq!((answer, said.len()), (Deny, 1), "{said:#?}");
    for spec in [json!(null), json!({}), json!({"rules": null, "tls": null}), json!({"rules": []})] {
        let mut empty = covered("nginx", json!(null));
        empty["spec"] = spec;
        assert_eq!(judged(POLICY, "{}", &empty).0, Admit, "{empty}");
    }
    let mut empty = bare("nginx", json!(null));
    empty["spec"]["tls"] = json!([{"hosts": null, "secretName": "web"}]);
    assert_eq!(judged(POLICY, "{}", &empty).0, Admit, "an entry without hosts is for all");
    empty["spec"]["rules"][0]["http"] = json!(null);
    empty["spec"]["tls"] = json!([]);
    assert_eq!(judged(POLICY, "{}", &empty).0, Deny, "it has the default backend of the controller");
}
