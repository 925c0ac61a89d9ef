//! A row of `workloads` that matches nothing is shown, counted and recorded, until its kind is served: with the rights of
//! the ServiceAccount that `deploy/` makes.

use axum::http::Method;
use serde_json::{Value, json};

use super::program::Program;
use super::{cluster, replace};
use crate::kubernetes::discovery::{CRDS, crd};
use crate::kubernetes::eventually;

const GROUP: &str = "late.example.com";

fn configuration(row: &str) -> String {
    format!(
        "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: audit-only\nworkloads: [{{group: {GROUP}, {row}}}]\n"
    )
}

fn last(program: &Program) -> Option<Value> {
    program.records().into_iter().rfind(|record| record["record"] == "workloads")
}

/// Waits until that, and nothing else, is shown, counted and recorded.
#[track_caller]
fn misses(program: &Program, expected: &[&str]) {
    let line = match expected {
        [] => "[+]workloads as served, or not seen".to_owned(),
        _ => format!("[!]workloads: {}", expected.join("; ")),
    };
    eventually(&line, || {
        let (status, text) = program.admin("/readyz?verbose");
        (status == 200 && text.lines().any(|shown| shown == line)).then_some(())
    });
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let count = expected.len() as f64;
    eventually("it is counted", || (program.metric("portcullis_workloads_missing") == Some(count)).then_some(()));
    eventually("it is recorded", || (last(program)?["missing"] == json!(expected)).then_some(()));
}

#[test]
fn a_row_that_matches_nothing_is_shown_until_its_kind_is_served() {
    let plane = cluster();
    let program = Program::serve(&plane, &configuration("kind: Sandbox, path: /spec/podTemplate")).ready();
    misses(&program, &["late.example.com Sandbox: the API server serves no group late.example.com"]);

    // The CRD comes later.
    plane.admin.call(Method::POST, CRDS, Some(&crd(GROUP, "Sandbox", "sandboxes"))).admitted();
    misses(&program, &[]);

    for (row, expected) in [
        (
            "kind: Sandbox, resource: sandboxs, path: /spec/podTemplate",
            "Sandbox: the resource is not sandboxs; write resource: sandboxes",
        ),
        ("kind: Sandboxes, path: /spec/podTemplate", "Sandboxes: sandboxes are of another kind; write kind: Sandbox"),
        ("kind: Sandpit, path: /spec/podTemplate", "Sandpit: the API server serves no such kind, and no sandpits"),
    ] {
        replace(&program.file(), &configuration(row));
        misses(&program, &[&format!("late.example.com {expected}")]);
    }
    // And it may go again.
    replace(&program.file(), &configuration("kind: Sandbox, path: /spec/podTemplate"));
    misses(&program, &[]);
    plane.admin.call(Method::DELETE, &format!("{CRDS}/sandboxes.{GROUP}"), None).admitted();
    misses(&program, &["late.example.com Sandbox: the API server serves no group late.example.com"]);
}
