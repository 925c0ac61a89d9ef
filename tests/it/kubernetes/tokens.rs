//! ServiceAccount tokens: what the API server has mounted, and what a template will get.

use serde_json::{Value, json};

use super::objects::{holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};

/// The one policy that is tested here: accounts of any name will do.
const TOKENS: &str = "policies: {automounted-tokens: {mode: enforce}}\n";

/// In order, but that it says nothing about tokens.
fn silent(account: &str) -> Value {
    let mut spec = spec();
    spec.as_object_mut().expect("an object").remove("automountServiceAccountToken");
    spec["serviceAccountName"] = account.into();
    spec
}

#[test]
fn a_pod_is_judged_by_what_the_api_server_mounted() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-mounts");
    let portcullis = Portcullis::guard(plane, &[&space], TOKENS, &[]);
    space.create("serviceaccounts", &account("yes", Some(true))).admitted();
    space.create("serviceaccounts", &account("no", Some(false))).admitted();

    for name in ["default", "yes"] {
        let answer = space.create("pods", &pod(name, silent(name)));
        let expected = format!(
            "automounted-tokens: spec.automountServiceAccountToken must be false: the token of ServiceAccount \"{name}\" \
             is mounted"
        );
        assert!(answer.refused().starts_with(&expected), "{answer:#?}");
    }
    let answer = space.create("pods", &pod("no", silent("no")));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    assert!(!answer.admitted()["spec"].to_string().contains("kube-api-access-"));
    assert_eq!(portcullis.decision("Pod", "no")["decision"], "allow");

    // The Pod's own word counts more than its account's, both ways.
    let mut insisting = silent("no");
    insisting["automountServiceAccountToken"] = true.into();
    space.create("pods", &pod("insisting", insisting)).refused();
    let mut declining = silent("yes");
    declining["automountServiceAccountToken"] = false.into();
    space.create("pods", &pod("declining", declining)).admitted();
}

#[test]
fn a_token_that_is_asked_for_by_name_is_allowed() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-projected");
    let _portcullis = Portcullis::guard(plane, &[&space], TOKENS, &[]);
    let mut asking = spec();
    let token = json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}});
    asking["volumes"] = json!([{"name": "token", "projected": {"sources": [token]}}]);
    asking["containers"][0]["volumeMounts"] = json!([{"name": "token", "mountPath": "/var/run/secrets/tokens"}]);
    space.create("pods", &pod("asking", asking)).admitted();
}

#[test]
fn a_template_that_says_nothing_is_warned_of_until_its_account_says_no() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-accounts");
    let portcullis = Portcullis::guard(plane, &[&space], TOKENS, &[]);
    let warning = "automounted-tokens: spec.template.spec.automountServiceAccountToken must be false: it is absent";

    let answer = space.create("deployments", &holder("Deployment", "early", silent("default")));
    assert!(answer.warns(warning), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Deployment", "early")["decision"], "warn");
    // The account may come later.
    let answer = space.create("deployments", &holder("Deployment", "orphan", silent("nobody")));
    assert!(answer.warns(warning), "{answer:#?}");
    answer.admitted();

    // Applied together: the account a moment before, again and again, so that the watch is late at least once.
    for number in 0..10 {
        let name = format!("quiet-{number}");
        space.create("serviceaccounts", &account(&name, Some(false))).admitted();
        let answer = space.create("deployments", &holder("Deployment", &name, silent(&name)));
        assert_eq!(answer.warnings, [] as [&str; 0]);
        answer.admitted();
        assert_eq!(portcullis.decision("Deployment", &name)["decision"], "allow");
    }
}
