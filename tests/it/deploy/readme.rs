//! The README's section "Install": every command in it runs as it is written, in the order in which it is written.

use std::path::Path;
use std::process::Command;

use axum::http::Method;
use serde_json::Value;

use super::{WEBHOOKS, copy, name_image, webhooks_path};
use crate::golden::repository;
use crate::kubernetes::plane::{Plane, programs};
use crate::kubernetes::process::PROGRAM;

/// Needs a kubelet.
const NOT_HERE: &str = "kubectl logs ";

/// The blocks of a section, each with its language.
fn blocks(section: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository("README.md")).expect("a README");
    let (_, rest) = text.split_once(&format!("\n## {section}\n")).expect("the section");
    let body = rest.split("\n## ").next().expect("its text");
    let fenced = body.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).map(|(kind, text)| (kind.to_owned(), text.to_owned())).collect()
}

#[test]
fn its_commands_install_it_raise_a_namespace_and_remove_it() {
    let plane = Plane::start(&[]);
    let dir = tempfile::tempdir().expect("a folder");
    copy(&repository("deploy"), &dir.path().join("deploy"));
    name_image(dir.path());
    let program = Path::new(PROGRAM).parent().expect("a folder").display().to_string();
    let path = format!("{}:{program}:{}", programs().display(), std::env::var("PATH").expect("a path"));
    let get = |resource: &str| plane.admin.call(Method::GET, &webhooks_path(resource), None);
    let mut enforced = Vec::new();
    // A console shows another way, which deploy::chart tests.
    for (kind, text) in blocks("Install").into_iter().filter(|(kind, _)| kind != "console") {
        if kind == "yaml" {
            std::fs::write(dir.path().join("deploy/overlays/audit-only/config.yaml"), text).expect("written");
            continue;
        }
        for line in text.lines().filter(|line| !line.starts_with(NOT_HERE)) {
            let output = Command::new("sh")
                .args(["-c", line])
                .current_dir(dir.path())
                .env("PATH", &path)
                .env("HOME", dir.path())
                .env("KUBECONFIG", &plane.place.kubeconfig)
                .output()
                .expect("sh runs");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && errors.is_empty(), "{line}: {errors}");
            let found = get(WEBHOOKS[0]);
            let names = found.body["webhooks"].as_array().into_iter().flatten().map(|webhook| webhook["name"].clone());
            enforced.push((line.split(' ').nth(1).unwrap_or_default().to_owned(), names.collect::<Vec<Value>>()));
        }
    }
    let (observe, enforce) = (Value::from("observe.portcullis.dev"), Value::from("enforce.portcullis.dev"));
    // Deletions, Secrets and requests for tokens are sent alone.
    let alone = ["deleted-networkpolicies", "secrets", "serviceaccounts-token"];
    let alone = alone.map(|name| Value::from(format!("observe-{name}.portcullis.dev")));
    let and_alone = |names: Vec<Value>| [names, alone.to_vec()].concat();
    let expected = [
        ("apply", and_alone(vec![observe.clone()])),
        ("webhooks", and_alone(vec![observe.clone()])),
        ("apply", and_alone(vec![enforce, observe, "observe-configmaps.portcullis.dev".into()])),
        ("delete", vec![]),
        ("delete", vec![]),
    ];
    assert_eq!(enforced, expected.map(|(verb, names)| (verb.to_owned(), names)));
    for resource in WEBHOOKS {
        assert_eq!(get(resource).code, 404);
    }
    let namespace = plane.admin.call(Method::GET, "/api/v1/namespaces/portcullis", None);
    assert_eq!(namespace.code, 404, "{namespace:#?}");
}
