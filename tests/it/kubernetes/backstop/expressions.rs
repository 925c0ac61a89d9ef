//! What the API server says of the expressions themselves: its compiler, its checks of types, and its defaults.

use axum::http::Method;
use serde_json::{Value, json};

use super::super::eventually;
use super::super::plane::Plane;
use super::printed;
use crate::judging::{HEAD, documents};

const API: &str = "/apis/admissionregistration.k8s.io/v1";
/// Names that would end a literal, if they were not escaped.
const HOSTILE: [&str; 5] = [
    "a\"] || true || g in [\"b",
    "a\\",
    "a\nb",
    "a'\u{2028}\u{7f}ü",
    "  two  spaces  between  all  the  words  of  a  long  name  ",
];

/// The policies of some configurations, each with another name, and no binding: they act nowhere.
fn policies(configuration: &str, version: &str, arguments: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, format!("{HEAD}profile: {configuration}\npodSecurityVersion: {version}\n")).expect("written");
    let file = file.to_str().expect("UTF-8");
    let text = printed(&[&["backstop", "--config", file, "--allow-group"], arguments].concat());
    let mut objects = documents(&text);
    objects.retain(|object| object["kind"] == "ValidatingAdmissionPolicy");
    // The name is there as it was given, whatever YAML does with it.
    for object in &objects {
        let expressions = object["spec"]["matchConditions"].as_array().into_iter().flatten();
        let expressions = expressions.chain(object["spec"]["validations"].as_array().into_iter().flatten());
        let texts: Vec<&str> = expressions.filter_map(|one| one["expression"].as_str()).collect();
        for name in arguments {
            assert!(texts.iter().any(|text| text.contains(&Value::from(*name).to_string())), "{name:?}: {texts:#?}");
        }
    }
    for object in &mut objects {
        let name = object["metadata"]["name"].as_str().expect("a name");
        object["metadata"]["name"] = format!("it-{configuration}-{version}-{name}").into();
    }
    objects
}

#[test]
fn the_api_server_finds_nothing_wrong_and_changes_nothing() {
    let plane = Plane::shared();
    let mut all = Vec::new();
    for profile in ["pss-baseline", "hardened"] {
        for version in ["latest", "v1.34", "v1.24", "v1.0"] {
            all.extend(policies(profile, version, &HOSTILE));
        }
    }
    assert!(all.len() >= 12);
    for object in all {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let made =
            plane.admin.call(Method::POST, &format!("{API}/validatingadmissionpolicies"), Some(&object)).admitted();
        // A tool that compares what is applied with what is stored sees no difference.
        assert_eq!(made["spec"], object["spec"], "{name}");
        let path = format!("{API}/validatingadmissionpolicies/{name}");
        let status = eventually("its types are checked", || {
            let read = plane.admin.call(Method::GET, &path, None).admitted();
            (read["status"]["observedGeneration"] == read["metadata"]["generation"]).then(|| read["status"].clone())
        });
        assert_eq!(status["typeChecking"]["expressionWarnings"], json!(null), "{name}: {status:#}");
        plane.admin.call(Method::DELETE, &path, None).admitted();
    }
}
