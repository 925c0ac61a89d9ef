//! `unlimited-ingresses`.

use serde_json::json;

use super::Answer::{Admit, Deny, Warn};
use super::{ingress, judged};

#[test]
fn settings_of_unlimited_ingresses_decide() {
    let policy = "unlimited-ingresses";
    let of = |class: &str, annotations| ingress(class, annotations, &["web.example.com"]);
    let nginx = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), json!(value)));
        of("nginx", serde_json::Value::Object(pairs.collect()))
    };
    let limit = ("limit-rps", "10");
    let listed = ("whitelist-source-range", "10.0.0.0/8,192.0.2.7");
    let everywhere = ("whitelist-source-range", "0.0.0.0/1, 128.0.0.0/1");
    let middleware = |name: &str| of("traefik", json!({"traefik.ingress.kubernetes.io/router.middlewares": name}));
    for (settings, object, answer) in [
        ("{sourceRanges: suffice}", nginx(&[listed]), Admit),
        ("{sourceRanges: suffice}", nginx(&[("allowlist-source-range", "2001:db8::/32")]), Admit),
        ("{sourceRanges: suffice}", nginx(&[everywhere]), Deny),
        ("{sourceRanges: suffice}", nginx(&[("whitelist-source-range", "somewhere")]), Deny),
        ("{sourceRanges: suffice}", nginx(&[limit]), Admit),
        ("{sourceRanges: suffice, widest: {ipv4: 16}}", nginx(&[("whitelist-source-range", "20.0.0.0/16")]), Deny),
        ("{sourceRanges: suffice}", of("haproxy", json!({"haproxy.org/allow-list": "patterns/office"})), Admit),
        (
            "{sourceRanges: suffice}",
            of("alb", json!({"alb.ingress.kubernetes.io/inbound-cidrs": "20.0.0.0/24"})),
            Admit,
        ),
        ("{sourceRanges: suffice}", of("nginx", json!({"haproxy.org/allow-list": "20.0.0.0/24"})), Deny),
        ("{sourceRanges: ignore}", nginx(&[listed]), Deny),
        ("{sourceRanges: require}", nginx(&[limit]), Deny),
        ("{sourceRanges: require}", nginx(&[limit, everywhere]), Deny),
        ("{sourceRanges: require}", nginx(&[limit, listed]), Admit),
        ("{maxBodySize: 8m}", nginx(&[limit]), Admit),
        ("{maxBodySize: 8m}", nginx(&[limit, ("proxy-body-size", "8M")]), Admit),
        ("{maxBodySize: 8m}", nginx(&[limit, ("proxy-body-size", "8193k")]), Deny),
        ("{maxBodySize: 8m}", nginx(&[limit, ("proxy-body-size", "0")]), Deny),
        ("{maxBodySize: 8m}", nginx(&[limit, ("proxy-body-size", "big")]), Deny),
        ("{}", nginx(&[limit, ("proxy-body-size", "0")]), Admit),
        ("{limitedByController: [contour]}", of("contour", json!({})), Admit),
        ("{limitedByController: [contour]}", of("nginx", json!({})), Deny),
        ("{rateLimitMiddlewares: ['a-limit@kubernetescrd']}", middleware("a-auth@file,a-limit@kubernetescrd"), Admit),
        ("{rateLimitMiddlewares: ['a-limit@kubernetescrd']}", middleware("a-limit@file"), Deny),
        ("{classes: {internal: nginx}}", of("internal", json!({"nginx.ingress.kubernetes.io/limit-rps": "1"})), Admit),
        ("{}", of("internal", json!({"nginx.ingress.kubernetes.io/limit-rps": "1"})), Warn),
    ] {
        let (found, said) = judged(policy, settings, &object);
        assert_eq!(found, answer, "{settings}: {object}: {said:#?}");
    }
}
