//! `scan --write-exceptions`: what is there is excepted, and nothing that is not there yet.

use std::path::Path;

use serde_json::{Value, json};

use super::files::{HEAD, dumps, folder, scanned, stored};
use super::{Scanned, scan};
use crate::kubernetes::objects::{Flaw, broken_pod, broken_spec, container, holder, pod, spec};

/// The time of these scans.
const NOW: &str = "2026-11-27T10:00:00Z";
const CONFIG: &str = "profile: hardened\npolicies: {unisolated-pods: {mode: off}}\n";
const WRITE: [&str; 6] = ["--write-exceptions", "baseline", "--expires", "90d", "--at", NOW];

/// The files of a baseline in order, below a configuration.
pub(crate) fn with_baseline(configuration: &str, baseline: &Path) -> String {
    let mut names: Vec<_> =
        std::fs::read_dir(baseline).expect("a folder").map(|entry| entry.expect("one").path()).collect();
    names.retain(|name| name.extension().is_some_and(|ending| ending == "yaml"));
    names.sort();
    let texts = names.iter().map(|name| std::fs::read_to_string(name).expect("a file"));
    configuration.to_owned() + &texts.collect::<String>()
}

/// What no exception covers, a line each, without the comments.
pub(crate) fn uncovered(baseline: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(baseline.join("not-covered.txt")).expect("the list");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Writes a baseline, and puts it below the configuration, as `after.yaml`.
fn written(folder: &tempfile::TempDir, code: i32, arguments: &[&str]) -> Scanned {
    let ran = scanned(folder, &[&WRITE[..], arguments].concat()).with_code(code);
    let own = std::fs::read_to_string(folder.path().join("c.yaml")).expect("a configuration");
    let after = with_baseline(&own, &folder.path().join("baseline"));
    std::fs::write(folder.path().join("after.yaml"), after).expect("written");
    ran
}

/// Scans again with the baseline.
fn after(folder: &tempfile::TempDir, code: i32) -> Scanned {
    let arguments = ["set", "--config", "after.yaml", "--format", "json", "--at", NOW];
    let ran = scan(folder.path(), &arguments).with_code(code);
    assert!(!ran.err.contains("warning"), "{}", ran.err);
    ran
}

fn replace(folder: &tempfile::TempDir, name: &str, object: &Value) {
    std::fs::write(folder.path().join("set").join(name), object.to_string()).expect("written");
}

/// Policies and paths of the findings that refuse.
fn refusing(ran: &Scanned) -> Vec<String> {
    let rows = ran.rows();
    let findings = rows.iter().flat_map(|row| row["findings"].as_array().expect("findings"));
    let refusing = findings.filter(|finding| finding["mode"] == "enforce" && finding["exception"].is_null());
    refusing
        .map(|finding| {
            format!("{} {}", finding["policy"].as_str().expect("an id"), finding["path"].as_str().expect("a path"))
        })
        .collect()
}

fn exceptions(folder: &tempfile::TempDir) -> String {
    std::fs::read_to_string(folder.path().join("baseline/exceptions-001.yaml")).expect("a file")
}

#[test]
fn an_entry_names_the_owner_the_container_and_the_image() {
    let folder = folder(CONFIG, &dumps());
    let ran = written(&folder, 0, &["--owner", "platform"]);
    assert_eq!(
        ran.err,
        "baseline: 1 exception until 2027-02-25T00:00:00Z in 1 file; they cover everything that would be refused\n"
    );
    assert_eq!(
        exceptions(&folder),
        "\
# Written by `portcullis scan --write-exceptions`; the next run replaces it.
# All files in order, below a configuration without `exceptions`, are its exceptions.
exceptions:
- name: \"shop-web-web-NAME\"
  policies: [unpinned-images]
  match:
    namespace: \"shop\"
    kind: \"Deployment.apps\"
    name: \"web\"
    containers: [\"web\"]
    images: [\"docker.io/library/nginx:1.27.3\"]
  expires: 2027-02-25T00:00:00Z
  reason: \"existed before the policies were enforced\"
  owner: \"platform\"
"
        .replace("NAME", &exceptions(&folder).split_once("shop-web-web-").expect("a name").1[..12])
    );
    assert!(uncovered(&folder.path().join("baseline")).is_empty());
    let rows = after(&folder, 0).by_name();
    let pod = &rows[&("Pod".to_owned(), "shop".to_owned(), "web-5d-a".to_owned())];
    assert_eq!(pod["findings"][0]["exception"]["expires"], "2027-02-25T00:00:00Z", "{pod:#}");
    // Another run writes the same.
    let before = exceptions(&folder);
    written(&folder, 0, &["--owner", "platform"]);
    assert_eq!(exceptions(&folder), before);
}

#[test]
fn what_was_not_there_is_refused() {
    let flawed = |flaw: &'static str, mut spec: Value| {
        Flaw::of(flaw).make(&mut spec);
        spec
    };
    let base = || flawed("host-namespaces", broken_spec());
    let sidecar = |image: &str| {
        let mut spec = base();
        let mut added = container("added");
        added["image"] = json!(image);
        spec["containers"].as_array_mut().expect("containers").push(added);
        spec
    };
    let moved = |image: &str| {
        let mut spec = base();
        spec["containers"][0]["image"] = json!(image);
        spec
    };
    let renamed = || {
        let mut spec = base();
        spec["containers"][0]["name"] = json!("other");
        spec
    };
    for (what, spec, expected) in [
        ("the same", base(), vec![]),
        (
            "another policy",
            flawed("privileged-containers", base()),
            vec!["privilege-escalation", "privileged-containers"],
        ),
        ("another container", sidecar("nginx:1.27.3"), vec!["unpinned-images"]),
        ("another image beside it", sidecar("evil.example.com/x:latest"), vec!["host-namespaces", "unpinned-images"]),
        ("another tag", moved("nginx:latest"), vec!["host-namespaces", "unpinned-images"]),
        ("another name", renamed(), vec!["unpinned-images"]),
    ] {
        let folder = folder(CONFIG, &[("a.json", holder("Deployment", "web", base()))]);
        written(&folder, 0, &[]);
        replace(&folder, "a.json", &holder("Deployment", "web", spec));
        let ran = after(&folder, i32::from(!expected.is_empty()));
        let mut found: Vec<String> =
            refusing(&ran).iter().map(|one| one.split(' ').next().unwrap_or_default().to_owned()).collect();
        found.dedup();
        found.sort();
        assert_eq!(found, expected, "{what}: {:#?}", ran.rows());
    }
    // Another object, another kind, another namespace.
    let folder = folder(CONFIG, &[("a.json", holder("Deployment", "web", base()))]);
    written(&folder, 0, &[]);
    let mut elsewhere = holder("Deployment", "web", base());
    elsewhere["metadata"]["namespace"] = json!("other");
    for other in [holder("Deployment", "web-2", base()), holder("StatefulSet", "web", base()), elsewhere] {
        replace(&folder, "a.json", &other);
        after(&folder, 1);
    }
}

#[test]
fn one_entry_is_for_containers_that_have_image_and_policies_in_common() {
    let mut spec = broken_spec();
    for (name, image) in [("two", "nginx:1.27.3"), ("three", "nginx:1.27.4"), ("four", "nginx:1.27.3")] {
        let mut added = container(name);
        added["image"] = json!(image);
        if name == "four" {
            added["securityContext"]["privileged"] = json!(true);
        }
        spec["containers"].as_array_mut().expect("containers").push(added);
    }
    let folder = folder(CONFIG, &[("a.json", holder("Deployment", "web", spec))]);
    written(&folder, 0, &[]);
    let text = exceptions(&folder);
    let lists: Vec<&str> = text.lines().filter(|line| line.contains("containers:")).map(str::trim).collect();
    assert_eq!(lists.len(), 3, "{text}");
    for list in ["containers: [\"two\", \"web\"]", "containers: [\"three\"]", "containers: [\"four\"]"] {
        assert!(lists.contains(&list), "{text}");
    }
    after(&folder, 0);
}

#[test]
fn what_has_one_cause_is_covered_whole() {
    let mut spec = spec();
    spec["hostNetwork"] = json!(true);
    spec["containers"][0]["ports"] = json!([{"containerPort": 8080}]);
    let folder = folder(CONFIG, &[("a.json", pod("web", spec))]);
    written(&folder, 0, &[]);
    let text = exceptions(&folder);
    assert!(text.contains("[host-namespaces]") && text.contains("[host-ports]"), "{text}");
    after(&folder, 0);
}

#[test]
fn owners_come_from_a_label_or_are_named_and_a_label_beats_the_namespace() {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "shops"}}});
    let mut own = stored(holder("Deployment", "own", broken_spec()), "shop", None);
    own["metadata"]["labels"] = json!({"team": "web"});
    // The Pod comes first in the list, and its label is not the Deployment's.
    let set = stored(holder("ReplicaSet", "own-1", broken_spec()), "shop", Some(&own));
    let mut made = stored(broken_pod("own-1-a"), "shop", Some(&set));
    made["metadata"]["labels"] = json!({"team": "injected"});
    let silent = stored(holder("Deployment", "silent", broken_spec()), "shop", None);
    let files = [
        ("0.json", made),
        ("1.json", set),
        ("2.json", own),
        ("3.json", silent),
        ("4.json", namespace),
        ("5.json", broken_pod("lone")),
    ];
    let folder = folder(CONFIG, &files);
    let ran = written(&folder, 0, &["--owner-from", "team", "--reason", "it: was\nthere"]);
    let text = exceptions(&folder);
    let owners: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  owner: ")).collect();
    assert_eq!(owners, ["\"unassigned\"", "\"web\"", "\"shops\""], "{text}");
    assert_eq!(text.matches("  reason: \"it: was\\nthere\"\n").count(), 3, "{text}");
    assert!(ran.out.contains("\nTEAM "), "{}", ran.out);
}

#[test]
fn what_cannot_be_covered_is_listed_with_the_reason() {
    let generated = |name: &str, owner: Option<&Value>| {
        let mut pod = stored(broken_pod(name), "shop", owner);
        pod["metadata"]["generateName"] = json!(name.trim_end_matches(|last| last != '-'));
        pod
    };
    let custom = json!({"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "app", "uid": "u"}});
    let set = stored(holder("StatefulSet", "db", spec()), "shop", None);
    let mut nameless = broken_pod("x");
    nameless["metadata"] = json!({"generateName": "run-"});
    let mut unread = broken_pod("unread");
    unread["spec"]["hostNetwork"] = json!("no such");
    let secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let mut hidden = broken_pod("hidden");
    hidden["spec"]["containers"][0]["name"] = json!(secret);
    let long = broken_pod(&"a".repeat(254));
    let files = [
        ("a.json", generated("lone-x1", None)),
        ("b.json", generated("app-x1", Some(&custom))),
        ("c.json", nameless),
        ("d.json", hidden),
        ("e.json", long),
        // The template has not what the Pod has; its name stays the same.
        ("f.json", set.clone()),
        ("g.json", generated("db-0", Some(&set))),
    ];
    let folder = folder(CONFIG, &files);
    let ran = written(&folder, 1, &[]);
    let listed = uncovered(&folder.path().join("baseline"));
    assert_eq!(listed.len(), 5, "{listed:#?}");
    for (start, end) in [
        (
            "shop/Pod/lone-x1: unpinned-images: spec.containers[0].image must ",
            "no owner that is known has the same finding in its template",
        ),
        ("shop/Pod/app-x1: unpinned-images: ", "no owner that is known has the same finding in its template"),
        ("default/Pod/run-: unpinned-images: ", "the object has no name, and the next one would have another"),
        ("default/Pod/hidden: unpinned-images: ", "looks like a secret, which is not written"),
        ("default/Pod/aaaa", "match.name must not be longer than 253 bytes"),
    ] {
        assert!(listed.iter().any(|line| line.starts_with(start) && line.ends_with(end)), "{start}: {listed:#?}");
        assert!(ran.err.contains(start) && ran.err.contains(end), "{}", ran.err);
    }
    let names: Vec<Value> = after(&folder, 1).rows().into_iter().filter(|row| row["decision"] == "allow").collect();
    assert!(names.iter().any(|row| row["name"] == "db-0"), "{names:#?}");
    let all = exceptions(&folder) + &listed.concat() + &ran.err + &ran.out;
    assert!(!all.contains(secret) && !all.contains("ghp_"), "{all}");
    // A field that cannot be read is an error of the scan too.
    replace(&folder, "h.json", &unread);
    written(&folder, 2, &[]);
    let listed = uncovered(&folder.path().join("baseline"));
    assert!(listed.contains(&"default/Pod/unread: a field of the object could not be read".to_owned()), "{listed:#?}");
}

#[test]
fn a_folder_with_other_files_is_left_alone_and_one_of_an_earlier_run_is_replaced() {
    let folder = folder(CONFIG, &dumps());
    let baseline = folder.path().join("baseline");
    written(&folder, 0, &[]);
    // An earlier, larger run.
    let mark = exceptions(&folder).lines().next().expect("a mark").to_owned();
    std::fs::write(baseline.join("exceptions-002.yaml"), format!("{mark}\n- name: a\n")).expect("written");
    written(&folder, 0, &[]);
    assert!(!baseline.join("exceptions-002.yaml").exists());
    let left = std::fs::read_dir(folder.path())
        .expect("a folder")
        .filter(|entry| entry.as_ref().expect("an entry").file_name().to_string_lossy().starts_with('.'));
    assert_eq!(left.count(), 0, "nothing is left beside it");
    for (name, text) in
        [("notes.txt", "mine\n"), ("exceptions-009.yaml", "exceptions: []\n"), ("exceptions-010.yaml", "")]
    {
        std::fs::write(baseline.join(name), text).expect("written");
        let before = exceptions(&folder);
        let ran = scanned(&folder, &WRITE).with_code(2);
        let expected =
            format!("baseline: holds {name}, which is not of an earlier run; name an empty or a new folder\n");
        assert_eq!((ran.err, ran.out, exceptions(&folder)), (expected, String::new(), before));
        std::fs::remove_file(baseline.join(name)).expect("removed");
    }
    std::fs::write(folder.path().join("file"), "").expect("written");
    let ran = scanned(&folder, &["--write-exceptions", "file", "--expires", "90d"]).with_code(2);
    assert!(ran.err.starts_with("file: "), "{}", ran.err);
    // A folder that is to be made, with the one that it is in.
    scanned(&folder, &["--write-exceptions", "new/baseline", "--expires", "90d"]).with_code(0);
    assert!(folder.path().join("new/baseline/not-covered.txt").is_file());
}

#[test]
fn an_end_that_the_configuration_refuses_writes_nothing() {
    let folder = folder(CONFIG, &dumps());
    for (expires, expected) in [
        ("400d", "is more than maxLifetime (365d) ahead"),
        ("0d", "must be later than now"),
        ("soon", "must be a time such as 90d"),
        ("2026-01-01T00:00:00Z", "must be later than now"),
    ] {
        let ran = scanned(&folder, &["--write-exceptions", "baseline", "--expires", expires, "--at", NOW]).with_code(2);
        assert!(ran.err.starts_with("--expires ") && ran.err.contains(expected), "{}", ran.err);
    }
    let ran = scanned(&folder, &["--write-exceptions", "baseline"]).with_code(2);
    assert!(ran.err.contains("--expires"), "{}", ran.err);
    assert!(!folder.path().join("baseline").exists());
    let long = format!("{CONFIG}exceptions: {{maxLifetime: 500d, entries: []}}\n");
    std::fs::write(folder.path().join("c.yaml"), format!("{HEAD}{long}")).expect("written");
    scanned(&folder, &["--write-exceptions", "baseline", "--expires", "400d", "--at", NOW]).with_code(0);
}

#[test]
fn what_is_excepted_already_is_not_excepted_again_and_names_stay_apart() {
    let folder = folder(CONFIG, &[("a.json", broken_pod("a"))]);
    written(&folder, 0, &[]);
    std::fs::copy(folder.path().join("after.yaml"), folder.path().join("c.yaml")).expect("copied");
    replace(&folder, "b.json", &broken_pod("b"));
    let ran = scanned(&folder, &WRITE).with_code(0);
    assert!(ran.err.starts_with("baseline: 1 exception until"), "{}", ran.err);
    assert!(exceptions(&folder).contains("name: \"b\"") && !exceptions(&folder).contains("name: \"a\""));
    // The end of the first one has passed: its name is taken.
    let late =
        ["set", "--config", "c.yaml", "--write-exceptions", "late", "--expires", "90d", "--at", "2027-06-01T00:00:00Z"];
    scan(folder.path(), &late).with_code(1);
    let listed = uncovered(&folder.path().join("late"));
    assert!(
        listed.len() == 1 && listed[0].contains("the configuration has an exception of its name already"),
        "{listed:?}"
    );
}

#[test]
fn a_configuration_that_refuses_nothing_needs_no_exceptions_and_the_scan_says_so() {
    let folder = folder(&format!("{CONFIG}ceiling: warn\n"), &dumps());
    let ran = written(&folder, 0, &[]);
    assert!(ran.err.contains("baseline: 0 exceptions") && ran.err.contains("whose ceiling is enforce"), "{}", ran.err);
    assert!(exceptions(&folder).ends_with("exceptions: []\n"));
    after(&folder, 0);
}

#[test]
fn many_entries_are_split_into_files_that_a_config_map_takes_up_to_what_a_configuration_holds() {
    let long = "a".repeat(230);
    let pods: Vec<Value> = (0..4_100).map(|at| broken_pod(&format!("{long}-{at:04}"))).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": pods});
    let folder = folder("policies: {unpinned-images: {mode: enforce}}\n", &[("a.json", list)]);
    let reason = "r".repeat(500);
    let ran = written(&folder, 1, &["--reason", &reason]);
    assert!(ran.err.starts_with("baseline: 4096 exceptions until"), "{}", ran.err);
    let files = std::fs::read_dir(folder.path().join("baseline")).expect("a folder");
    let sizes: Vec<u64> = files.map(|file| file.expect("a file").metadata().expect("its size").len()).collect();
    assert!(sizes.len() > 4 && sizes.iter().all(|size| *size < 1_000_000), "{sizes:?}");
    let listed = uncovered(&folder.path().join("baseline"));
    assert_eq!(listed.len(), 4);
    assert!(
        listed[0].ends_with("-4096: unpinned-images: a configuration holds at most 4096 exceptions"),
        "{}",
        listed[0]
    );
    let ran = after(&folder, 1);
    assert_eq!((&ran.summary()["exempt"], &ran.summary()["refused"]), (&json!(4_096), &json!(4)));
}
