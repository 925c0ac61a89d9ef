//! `check` judges a Pod as the API server completes it: ports on the node's network, and what LimitRanges give.

use super::{folder, run_in};

const CONFIG: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n\
                      policies: {host-ports: {mode: enforce}, unbounded-containers: {mode: enforce}}\n";
const BOUNDED: &str = "resources: {limits: {cpu: 1, memory: 1Gi}}";

/// Findings of `check --format json` in these files: policies and paths.
fn found(files: &[(&str, &str)], arguments: &[&str]) -> Vec<(String, String)> {
    let files: Vec<(&str, &str)> = [("c.yaml", CONFIG)].into_iter().chain(files.iter().copied()).collect();
    let folder = folder(&files);
    let ran = run_in(folder.path(), &[&["check", "--config", "c.yaml", "--format", "json"], arguments].concat(), b"");
    assert!(ran.err.is_empty(), "{ran:?}");
    let rows = ran.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().expect(key).to_owned();
    rows.flat_map(|row| row["findings"].as_array().cloned().expect("findings"))
        .map(|finding| (text(&finding, "policy"), text(&finding, "path")))
        .collect()
}

/// A Pod spec whose containers have ports.
fn spec(host_network: &str) -> String {
    format!(
        "{{hostNetwork: {host_network},
    containers: [{{name: a, {BOUNDED}, ports: [{{containerPort: 80}}, {{containerPort: 81, hostPort: 0}}]}}],
    initContainers: [{{name: b, {BOUNDED}, ports: [{{containerPort: 82, hostPort: null}}]}}],
    ephemeralContainers: [{{name: c, ports: [{{containerPort: 83}}]}}]}}"
    )
}

#[test]
fn on_the_node_s_network_every_port_is_one_of_the_node() {
    let pod =
        |host_network| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {}\n", spec(host_network));
    assert_eq!(found(&[("a.yaml", &pod("false"))], &["a.yaml"]), []);
    let at = |place: &str| ("host-ports".to_owned(), format!("spec.{place}.hostPort"));
    let ports = [at("initContainers[0].ports[0]"), at("containers[0].ports[0]"), at("containers[0].ports[1]")];
    assert_eq!(found(&[("a.yaml", &pod("true"))], &["a.yaml"]), ports);
    // A template is stored as it is written, and its Pods are refused.
    for (kind, version, before, after) in [
        ("Deployment", "apps/v1", "spec: {template: {spec: ", "}}"),
        ("CronJob", "batch/v1", "spec: {jobTemplate: {spec: {template: {spec: ", "}}}}"),
        ("PodTemplate", "v1", "template: {spec: ", "}"),
    ] {
        let spec = spec("true");
        let file = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\n{before}{spec}{after}\n");
        let found = found(&[("a.yaml", &file)], &["a.yaml"]);
        assert_eq!(found.len(), 3, "{kind}: {found:?}");
        assert!(found.iter().all(|(policy, path)| policy == "host-ports" && path.ends_with(".hostPort")), "{found:?}");
    }
}

#[test]
fn a_finding_at_host_network_covers_the_ports_that_follow_from_it() {
    let spec =
        "{hostNetwork: true, containers: [{name: a, ports: [{containerPort: 80}, {containerPort: 81, hostPort: 81}]}]}";
    let pod = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {spec}\n");
    let job =
        format!("apiVersion: batch/v1\nkind: Job\nmetadata: {{name: web}}\nspec: {{template: {{spec: {spec}}}}}\n");
    for (file, below) in [(pod, "spec"), (job, "spec.template.spec")] {
        let found = |network: &str, ports: &str| {
            let config = format!(
                "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {{host-namespaces: {{mode: {network}}}, \
                 host-ports: {{mode: {ports}}}}}\n"
            );
            let folder = folder(&[("a.yaml", &file), ("c.yaml", &config)]);
            let ran = run_in(folder.path(), &["check", "--config", "c.yaml", "--format", "json", "a.yaml"], b"");
            let row: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
            let paths = row["findings"].as_array().expect("findings").iter();
            let paths: Vec<_> = paths.map(|finding| finding["path"].as_str().expect("a path").to_owned()).collect();
            (ran.code, paths)
        };
        let at = |path: &str| format!("{below}.{path}");
        let (network, first, second) =
            (at("hostNetwork"), at("containers[0].ports[0].hostPort"), at("containers[0].ports[1].hostPort"));
        assert_eq!(found("enforce", "enforce"), (1, vec![network.clone(), second.clone()]));
        assert_eq!(found("enforce", "warn"), (1, vec![network.clone(), second.clone()]));
        // Where the other one would not refuse, this one is what the user has to know of.
        let (code, mut paths) = found("warn", "enforce");
        paths.sort();
        let mut all = vec![network, first.clone(), second.clone()];
        all.sort();
        assert_eq!((code, paths), (1, all));
        assert_eq!(found("off", "enforce"), (1, vec![first, second]));
    }
}

#[test]
fn the_finding_points_to_the_port_as_it_is_written_and_says_why() {
    let file = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  hostNetwork: true\n  containers:\n  - name: a\n    ports:\n    \
                - containerPort: 80\n";
    let folder = folder(&[
        ("a.yaml", file),
        (
            "c.yaml",
            "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {host-ports: {mode: enforce}}\n",
        ),
    ]);
    let ran = run_in(folder.path(), &["check", "--config", "c.yaml", "a.yaml"], b"").with_code(1);
    let wanted = "a.yaml:9:7: enforce: Pod default/web: spec.containers[0].ports[0].hostPort must not be set: the container \
                  would take port 80 of its node, as every one with hostNetwork [host-ports]\n";
    assert!(ran.out.starts_with(wanted), "{ran:?}");
}

fn range(name: &str, namespace: &str, items: &str) -> String {
    format!(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{limits: [{items}]}}\n"
    )
}

const BARE: &str = "\
apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a}], initContainers: [{name: b}]}\n---
apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: a}]}}}\n";

#[test]
fn what_limit_ranges_give_is_there() {
    const WHOLE: &str = "{type: Container, default: {cpu: 1, memory: 1Gi}}";
    let bare = found(&[("a.yaml", BARE)], &["a.yaml"]);
    assert_eq!(bare.len(), 9, "a limit and two requests of three containers: {bare:?}");
    let with = |ranges: &[String]| found(&[("a.yaml", BARE), ("r.yaml", &ranges.join("---\n"))], &["a.yaml", "r.yaml"]);
    let around =
        |range: String| found(&[("a.yaml", BARE), ("r.yaml", &range)], &["a.yaml", "--cluster-from", "r.yaml"]);
    assert_eq!(with(&[range("r", "default", WHOLE)]), []);
    assert_eq!(around(range("r", "default", WHOLE)), []);
    assert_eq!(with(&[range("r", "elsewhere", WHOLE)]), bare);
    assert_eq!(around(range("r", "elsewhere", WHOLE)), bare);
    // Several together give what each of them gives.
    let memory = range("a", "default", "{type: Container, max: {memory: 1Gi}}");
    let cpu = range("b", "default", "{type: Container, min: {cpu: 1m}}");
    assert_eq!(with(std::slice::from_ref(&memory)).len(), 3, "a request of cpu is missing");
    assert_eq!(with(&[memory.clone(), cpu.clone()]), []);
    assert_eq!(with(&[cpu, memory]), []);
    for item in ["{type: Pod, max: {cpu: 1, memory: 1Gi}}", "{type: Container, default: {memory: 0}}", "x"] {
        assert_eq!(with(&[range("r", "default", item)]), bare, "{item}");
    }
    // The one in the set stands for the one of the same name in the cluster.
    let (old, new) = (range("r", "default", WHOLE), range("r", "default", "{type: Pod}"));
    let files = [("a.yaml", BARE), ("old.yaml", &old), ("new.yaml", &new)];
    assert_eq!(found(&files, &["a.yaml", "new.yaml", "--cluster-from", "old.yaml"]), bare);
    // What is written counts.
    let none = BARE.replace("{name: a}", "{name: a, resources: {limits: {memory: 0}, requests: {cpu: 0}}}");
    let found = found(&[("a.yaml", &none), ("r.yaml", &range("r", "default", WHOLE))], &["a.yaml", "r.yaml"]);
    assert_eq!(found.len(), 4, "{found:?}");
}
