//! Cluster objects that `check` uses: the NetworkPolicies among its inputs, or those of `--cluster-from`.

use std::path::Path;

use tempfile::TempDir;

use crate::judging::HEAD;
use crate::serve::run;

const NOTE: &str = "note: unisolated-pods was left out";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: {containers: []}\n";
const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n";

fn policy(namespace: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: all, namespace: {namespace}}}\n\
         spec: {{podSelector: {{}}, policyTypes: [Ingress, Egress]}}\n"
    )
}

/// A folder with the inputs, one with what is told of the cluster, and the configuration.
struct Files(TempDir);

impl Files {
    fn new(inputs: &[&str], cluster: &[&str]) -> Self {
        let files = Self(tempfile::tempdir().expect("a temporary folder"));
        for (folder, texts) in [("inputs", inputs), ("cluster", cluster)] {
            std::fs::create_dir(files.path().join(folder)).expect("a folder");
            for (number, text) in texts.iter().enumerate() {
                let file = files.path().join(folder).join(format!("{number}.yaml"));
                std::fs::write(file, text).expect("a file is written");
            }
        }
        let configuration = format!("{HEAD}policies: {{unisolated-pods: {{mode: enforce}}}}\n");
        std::fs::write(files.path().join("portcullis.yaml"), configuration).expect("a file is written");
        files
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit code, findings, notes.
    fn check(&self, with_cluster: bool) -> (Option<i32>, usize, usize) {
        let place = |name: &str| self.path().join(name).display().to_string();
        let (inputs, config, cluster) = (place("inputs"), place("portcullis.yaml"), place("cluster"));
        let mut arguments = vec!["check", &inputs, "--config", &config];
        if with_cluster {
            arguments.extend(["--cluster-from", &cluster]);
        }
        let (code, out, err) = run(&arguments, "");
        let findings = out.lines().filter(|line| line.ends_with("[unisolated-pods]")).count();
        let notes = err.lines().filter(|line| line.starts_with(NOTE)).count();
        assert_eq!(err.lines().count(), notes, "{err}");
        (code, findings, notes)
    }
}

#[test]
fn without_any_network_policy_the_policy_is_left_out_and_says_so_once() {
    let three = format!("{POD}---\n{POD}");
    assert_eq!(Files::new(&[POD, &three, ACCOUNT], &[]).check(false), (Some(0), 0, 1));
    let on_host = POD.replace("containers:", "hostNetwork: true, containers:");
    assert_eq!(Files::new(&[&on_host], &[]).check(false), (Some(1), 1, 0), "that needs no NetworkPolicy to be seen");
}

#[test]
fn one_anywhere_among_the_inputs_has_all_judged() {
    assert_eq!(Files::new(&[POD, &policy("default")], &[]).check(false), (Some(0), 0, 0));
    assert_eq!(Files::new(&[POD, &policy("shop")], &[]).check(false), (Some(1), 2, 0));
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: \
                {name: all}, spec: {policyTypes: [Ingress, Egress]}}\n";
    assert_eq!(Files::new(&[POD, list], &[]).check(false), (Some(0), 0, 0));
    // One that is not what its kind says isolates nothing, and is one. Among the inputs it is an error.
    let malformed = policy("default").replace("podSelector: {}", "podSelector: all");
    assert_eq!(Files::new(&[POD], &[&malformed]).check(true), (Some(1), 2, 0));
    let (code, out, err) = run(&["check", "--profile", "hardened", "-"], &malformed);
    assert_eq!(code, Some(2), "{out} {err}");
    assert!(err.contains("NetworkPolicy spec.podSelector: invalid type: a string, expected an object"), "{err}");
}

#[test]
fn a_cluster_that_is_told_is_told_whole() {
    assert_eq!(Files::new(&[POD], &[]).check(true), (Some(1), 2, 0), "an empty folder");
    assert_eq!(Files::new(&[POD], &[ACCOUNT]).check(true), (Some(1), 2, 0));
    assert_eq!(Files::new(&[POD], &[&policy("default")]).check(true), (Some(0), 0, 0));
    assert_eq!(Files::new(&[POD, &policy("default")], &[ACCOUNT]).check(true), (Some(0), 0, 0));
}

#[test]
fn a_template_is_refused_where_the_whole_set_is_seen() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n\
                      spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}\n";
    assert_eq!(Files::new(&[deployment], &[]).check(true), (Some(1), 2, 0));
    assert_eq!(Files::new(&[deployment, &policy("default")], &[]).check(false), (Some(0), 0, 0));
}
