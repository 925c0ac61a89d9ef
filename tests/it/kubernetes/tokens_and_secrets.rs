//! `long-lived-tokens` and `unmanaged-secrets`: Secrets by their type and by who writes them, and requests for tokens.

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};

const CANARY: &str = "Canary-of-a-Secret";

fn secret(name: &str, kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": {"password": CANARY}})
}

fn token_secret(name: &str, account: &str) -> Value {
    let mut secret = secret(name, "kubernetes.io/service-account-token");
    secret["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": account});
    secret
}

fn request(fields: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": fields})
}

/// Makes the Pod `web` with a token, as if it ran on a node; returns what a kubelet binds the token to.
fn running(space: &Space, node: &str) -> Value {
    let mut mounting = spec();
    let token = json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}});
    mounting["volumes"] = json!([{"name": "token", "projected": {"sources": [token]}}]);
    mounting["containers"][0]["volumeMounts"] = json!([{"name": "token", "mountPath": "/var/run/secrets/tokens"}]);
    let stored = space.create("pods", &pod("web", mounting)).admitted();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
    space.create("pods/web/binding", &binding).admitted();
    json!({"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": stored["metadata"]["uid"]})
}

/// The namespace as a user who administers it.
fn as_user(plane: &Plane, space: &Space, name: &str) -> Space {
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name.replace(':', ".")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]});
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", space.name);
    plane.admin.call(Method::POST, &path, Some(&binding)).admitted();
    let seen = space.seen_by(plane.impersonating(name, "system:authenticated"));
    eventually("the user has rights", || seen.get("secrets", "none").code.eq(&404).then_some(()));
    seen
}

/// No output holds a value of a Secret.
fn is_silent(portcullis: &Portcullis) {
    let trail = std::fs::read_to_string(portcullis.trail()).expect("there is a trail");
    let coded = "Q2FuYXJ5LW9mLWEtU2VjcmV0";
    for text in [&trail, &portcullis.log(), &portcullis.admin("/metrics")] {
        assert!(!text.contains(CANARY) && !text.contains(coded), "{text}");
    }
}

#[test]
fn a_secret_with_a_token_is_warned_of_and_refused_and_an_old_one_changes_elsewhere() {
    let plane = Plane::shared();
    let (space, warned) = (Space::new(plane, "it-token-secrets"), Space::new(plane, "it-token-secrets-warned"));
    space.create("secrets", &token_secret("old", "web")).admitted();
    let configuration = "profile: hardened\npolicies: {long-lived-tokens: {mode: enforce}}\n\
                         namespaces:\n- {match: {names: [it-token-secrets-warned]}, policies: {long-lived-tokens: {mode: warn}}, \
                         relax: true}\n";
    let mut portcullis = Portcullis::guard(plane, &[&space, &warned], configuration, &[]);
    let message = "long-lived-tokens: type must not be kubernetes.io/service-account-token, whose tokens have no end (it is for ServiceAccount \"web\")";
    for answer in
        [space.create_dry("secrets", &token_secret("new", "web")), space.create("secrets", &token_secret("new", "web"))]
    {
        assert!(answer.refused().starts_with(message), "{answer:#?}");
    }
    let record = portcullis.decision("Secret", "new");
    assert_eq!((&record["decision"], &record["object"]), (&"deny".into(), &Value::Null));
    let answer = warned.create("secrets", &token_secret("new", "web"));
    assert!(answer.warns(message), "{answer:#?}");
    answer.admitted();

    // Another type is not sent, and no policy is asked.
    space.create("secrets", &secret("plain", "Opaque")).admitted();
    assert!(portcullis.records().iter().all(|record| record["name"] != "plain"));

    // An old one changes elsewhere, and does not become the token of another account.
    let answer =
        space.patch("secrets", "old", &json!({"metadata": {"labels": {"a": "b"}}, "stringData": {"more": CANARY}}));
    assert!(answer.warns(message), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Secret", "old")["findings"][0]["inherited"], true);
    let stolen = json!({"metadata": {"annotations": {"kubernetes.io/service-account.name": "default",
        "kubernetes.io/service-account.uid": null}}, "data": {"token": null}});
    space.patch("secrets", "old", &stolen).refused();
    is_silent(&portcullis);

    portcullis.kill();
    let answer = space.create("secrets", &token_secret("later", "web"));
    assert!(answer.message().contains("failed calling webhook \"enforce-secrets.portcullis.dev\""), "{answer:#?}");
    space.create("secrets", &secret("later", "kubernetes.io/tls-like")).admitted();
    warned.create("secrets", &token_secret("later", "web")).admitted();
}

#[test]
fn a_long_request_for_a_token_is_warned_of_and_recorded_and_kubelets_are_not_asked_about() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-token-requests");
    let mut portcullis = Portcullis::hardened(plane, &space);
    let ask = |space: &Space, fields: Value| space.create("serviceaccounts/web/token", &request(fields));
    let last = |portcullis: &Portcullis| portcullis.decision("TokenRequest", "web");

    let answer = ask(&space, json!({"expirationSeconds": 2 * 86_400}));
    let message = "long-lived-tokens: spec.expirationSeconds must be at most 86400, which is 24 hours: it is 172800";
    assert!(answer.warns(message), "{answer:#?}");
    let token = answer.admitted()["status"]["token"].as_str().expect("a token").to_owned();
    let record = last(&portcullis);
    assert_eq!(
        (&record["decision"], &record["access"]["expirationSeconds"]),
        (&"warn".into(), &172_800.into()),
        "{record:#}"
    );
    for fields in [json!({}), json!({"expirationSeconds": 86_400, "audiences": ["vault"]})] {
        let answer = ask(&space, fields.clone());
        assert_eq!(answer.warnings, [] as [&str; 0]);
        answer.admitted();
        let record = last(&portcullis);
        let seconds = fields.get("expirationSeconds").unwrap_or(&json!(3600)).clone();
        assert_eq!(
            (&record["decision"], &record["access"]["expirationSeconds"]),
            (&"allow".into(), &seconds),
            "{record:#}"
        );
    }
    assert_eq!(last(&portcullis)["access"]["audiences"], json!(["vault"]));

    // What an API server makes a year of.
    let of_pod = running(&space, "it-token-node");
    let answer = ask(&space, json!({"expirationSeconds": 3607, "boundObjectRef": of_pod}));
    assert!(answer.warns("spec.expirationSeconds must not be 3607 for a token that is bound to a Pod"), "{answer:#?}");
    let token_of_a_pod = answer.admitted()["status"]["token"].as_str().expect("a token").to_owned();
    assert_eq!(last(&portcullis)["access"]["boundTo"], "Pod/web");
    assert!(lifetime(&token_of_a_pod) > 300 * 86_400, "the API server extends it");

    // The kubelet of the Pod's node.
    let node = "system:node:it-token-node";
    let kubelet = space.seen_by(plane.user(node, "system:nodes"));
    let mounted = || ask(&kubelet, json!({"expirationSeconds": 3607, "boundObjectRef": of_pod}));
    eventually("the kubelet has the right", || mounted().is_success().then_some(()));
    assert!(portcullis.records().iter().all(|record| record["user"]["name"] != node), "it is not sent");
    // Nobody is taken for a kubelet who is not one for the API server.
    let likely = as_user(plane, &space, "system:node-like");
    ask(&likely, json!({})).admitted();
    assert_eq!(last(&portcullis)["user"]["name"], "system:node-like");

    let trail = std::fs::read_to_string(portcullis.trail()).expect("there is a trail");
    assert!(!trail.contains(&token) && !portcullis.log().contains(&token));
    portcullis.kill();
    ask(&space, json!({"expirationSeconds": 2 * 86_400})).admitted();
    assert!(mounted().is_success());
}

#[test]
fn a_long_request_for_a_token_is_refused_where_the_policy_enforces_and_no_kubelet_waits_for_us() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-token-refusals");
    let configuration =
        "policies:\n  host-ports: {mode: audit}\n  long-lived-tokens: {mode: enforce, settings: {maxHours: 1}}\n";
    let mut portcullis = Portcullis::guard(plane, &[&space], configuration, &[]);
    let of_pod = running(&space, "it-refused-node");
    for (seconds, is_refused) in [(3600, false), (3607, false), (3608, true), (86_400, true)] {
        let answer = space.create("serviceaccounts/web/token", &request(json!({"expirationSeconds": seconds})));
        assert_eq!(answer.code == 403, is_refused, "{seconds}: {answer:#?}");
        let mut asking = spec();
        let token = json!({"serviceAccountToken": {"path": "token", "expirationSeconds": seconds}});
        asking["volumes"] = json!([{"name": "token", "projected": {"sources": [token]}}]);
        let answer = space.create_dry("pods", &pod("asking", asking));
        assert_eq!(answer.code == 403, is_refused, "{seconds}: {answer:#?}");
    }
    portcullis.kill();
    let kubelet = space.seen_by(plane.user("system:node:it-refused-node", "system:nodes"));
    eventually("the kubelet has its token", || {
        let asked = request(json!({"expirationSeconds": 3607, "boundObjectRef": of_pod}));
        kubelet.create("serviceaccounts/web/token", &asked).is_success().then_some(())
    });
    let answer = space.create("serviceaccounts/web/token", &request(json!({})));
    assert!(answer.message().contains("\"enforce-serviceaccounts-token.portcullis.dev\""), "{answer:#?}");
}

/// Seconds of a token from its beginning to its end.
fn lifetime(token: &str) -> i64 {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).expect("claims");
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["exp"].as_i64().expect("an end") - claims["iat"].as_i64().expect("a beginning")
}

#[test]
fn a_secret_is_written_by_listed_writers_alone() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-unmanaged");
    let warned = Space::new(plane, "it-unmanaged-warned");
    for name in ["cert-manager", "store"] {
        space.create("serviceaccounts", &account(name, None)).admitted();
    }
    let unlisted = as_user(plane, &space, "eve");
    let certificates = as_user(plane, &space, "system:serviceaccount:it-unmanaged:cert-manager");
    let store = as_user(plane, &space, "system:serviceaccount:it-unmanaged:store");
    unlisted.create("secrets", &secret("old", "Opaque")).admitted();
    let settings = "settings: {serviceAccounts: [{namespace: it-unmanaged, name: cert-manager}], \
                    controllers: [{namespace: it-unmanaged, name: store}]}";
    let configuration = format!(
        "policies:\n  host-ports: {{mode: audit}}\n  long-lived-tokens: {{mode: warn}}\n  unmanaged-secrets: {{mode: enforce, {settings}}}\n\
         namespaces:\n- {{match: {{names: [it-unmanaged-warned]}}, policies: {{unmanaged-secrets: {{mode: warn}}}}, relax: true}}\n"
    );
    let mut portcullis = Portcullis::guard(plane, &[&space, &warned], &configuration, &[]);

    let message = "unmanaged-secrets: . must be written by a user, group or ServiceAccount that the settings list: \"eve\" writes a Secret of \
                   type \"Opaque\"";
    for answer in
        [unlisted.create_dry("secrets", &secret("new", "Opaque")), unlisted.create("secrets", &secret("new", "Opaque"))]
    {
        assert!(answer.refused().starts_with(message), "{answer:#?}");
    }
    assert_eq!(portcullis.decision("Secret", "new")["decision"], "deny");
    // A write is not inherited: it is another one.
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    assert!(unlisted.patch("secrets", "old", &label).refused().starts_with(message));
    certificates.patch("secrets", "old", &label).admitted();
    let answer = certificates.create("secrets", &secret("tls", "Opaque"));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    assert_eq!(portcullis.decision("Secret", "tls")["decision"], "allow");
    unlisted.create("secrets", &secret("sh.helm.release.v1.web.v1", "helm.sh/release.v1")).admitted();

    // An owner counts where its controller writes, and limits it to that.
    let mut owned = secret("owned", "Opaque");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "name": "db", "uid": "0c7f5a0c-6f7b-4a5b-9b6e-4d0c5b2f1a11", "controller": true}]);
    unlisted.create_dry("secrets", &owned).refused();
    store.create_dry("secrets", &owned).admitted();
    store.create_dry("secrets", &secret("free", "Opaque")).refused();

    // The copy of kubectl is warned of, whoever writes it.
    let mut applied = secret("applied", "Opaque");
    let copy = json!({"kind": "Secret", "stringData": {"password": CANARY}}).to_string();
    applied["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": copy});
    let answer = certificates.create("secrets", &applied);
    let place =
        "metadata.annotations[kubectl.kubernetes.io/last-applied-configuration] must not hold the values of the Secret";
    assert!(answer.warns(place) && !answer.warnings.concat().contains(CANARY), "{answer:#?}");
    answer.admitted();
    let answer = warned.create("secrets", &secret("warned", "Opaque"));
    assert!(answer.warns("unmanaged-secrets: "), "{answer:#?}");
    answer.admitted();
    is_silent(&portcullis);

    portcullis.kill();
    let answer = certificates.create("secrets", &secret("later", "Opaque"));
    assert!(answer.message().contains("failed calling webhook \"enforce-secrets.portcullis.dev\""), "{answer:#?}");
    warned.create("secrets", &secret("later", "Opaque")).admitted();
}
