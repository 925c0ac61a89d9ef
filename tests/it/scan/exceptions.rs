//! What `scan` says of exceptions, and when they end.

use serde_json::{Value, json};

use super::files::{dumps, folder, scanned};
use super::{check, without_owner};
use crate::kubernetes::objects::{broken_pod, pod, spec};

/// The end of the exception.
const END: &str = "2027-01-31T00:00:00Z";
const BEFORE: &str = "2027-01-30T23:59:59Z";

/// A configuration with one exception from unpinned images, for these objects.
fn configuration(matching: &str) -> String {
    format!(
        "policies: {{unpinned-images: {{mode: enforce}}, privileged-containers: {{mode: enforce}}}}\nexceptions:\n- {{name: \
         old-images, policies: [unpinned-images], match: {{{matching}}}, expires: {END}, reason: moving, owner: shop}}\n"
    )
}

/// The decision of each row, with the names of the exceptions at its findings.
fn decisions(rows: &[Value]) -> Vec<(String, Vec<String>)> {
    let decision = |row: &Value| {
        let findings = row["findings"].as_array().expect("findings").iter();
        let names = findings.map(|one| one["exception"]["name"].as_str().unwrap_or("none").to_owned());
        (row["decision"].as_str().expect("a decision").to_owned(), names.collect())
    };
    rows.iter().map(decision).collect()
}

fn privileged(name: &str) -> Value {
    let mut pod = broken_pod(name);
    pod["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
    pod
}

#[test]
fn an_exception_ends_to_the_second() {
    let folder = folder(&configuration("namespace: default, kind: Pod"), &[("a.json", broken_pod("web"))]);
    for (at, code, decision, name) in [(BEFORE, 0, "allow", "old-images"), (END, 1, "deny", "none")] {
        let ran = scanned(&folder, &["--at", at, "--format", "json"]).with_code(code);
        assert_eq!(decisions(&ran.rows()), [(decision.to_owned(), vec![name.to_owned()])], "{at}");
        let count = |key: &str| ran.summary()[key].clone();
        let exempt = usize::from(code == 0);
        assert_eq!((count("exempt"), count("refused")), (json!(exempt), json!(1 - exempt)), "{at}");
        let arguments = ["set", "--config", "c.yaml", "--at", at, "--format", "json"];
        let rows: Vec<Value> = ran.rows().into_iter().map(without_owner).collect();
        assert_eq!(check(folder.path(), &arguments), rows, "{at}");
    }
    // At a fraction of a second before its end too.
    scanned(&folder, &["--at", "2027-01-30T23:59:59.999999999Z"]).with_code(0);
    let ran = scanned(&folder, &["--at", "yesterday"]).with_code(2);
    assert!(ran.err.contains("invalid value 'yesterday' for '--at <TIME>'"), "{}", ran.err);
}

#[test]
fn exempt_objects_stand_in_the_tables_with_the_exception_and_its_end() {
    let files = [
        ("a.json", broken_pod("web")),
        ("b.json", privileged("worse")),
        ("c.json", pod("clean", spec())),
        ("d.json", broken_pod("also")),
    ];
    let folder = folder(&configuration("namespace: default, kind: Pod"), &files);
    let ran = scanned(&folder, &["--at", BEFORE]).with_code(1);
    assert_eq!(
        ran.out,
        "\
1 of 4 objects would be refused, 2 would be refused but for an exception, 0 would get a warning, 0 would be recorded

POLICY                 REFUSED  EXEMPT  WARNED  RECORDED  NAMESPACES
privileged-containers        1       0       0         0           1
unpinned-images              0       3       0         0           1

NAMESPACE  REFUSED  EXEMPT  WARNED  RECORDED  OBJECTS
default          1       2       0         0        4

NAMESPACE  OWNER      REFUSED  EXEMPT  WARNED  RECORDED  OBJECTS
default    Pod/worse        1       0       0         0        1
default    Pod/also         0       1       0         0        1
default    Pod/web          0       1       0         0        1

EXCEPTION   UNTIL                 OBJECTS
old-images  2027-01-31T00:00:00Z        3

default/Pod/worse (1 object)
  refused: privileged-containers (1): Pod worse: spec.containers[0].securityContext.privileged must not be true
  exempt: unpinned-images (1): Pod worse: spec.containers[0].image must end in a digest: \"nginx:1.27.3\" names a tag, which can move \
(exception \"old-images\" until 2027-01-31T00:00:00Z)
default/Pod/also (1 object)
  exempt: unpinned-images (1): Pod also: spec.containers[0].image must end in a digest: \"nginx:1.27.3\" names a tag, which can move \
(exception \"old-images\" until 2027-01-31T00:00:00Z)
default/Pod/web (1 object)
  exempt: unpinned-images (1): Pod web: spec.containers[0].image must end in a digest: \"nginx:1.27.3\" names a tag, which can move \
(exception \"old-images\" until 2027-01-31T00:00:00Z)

`portcullis explain ID` says why and how to comply.
"
    );
    let summary = scanned(&folder, &["--at", BEFORE, "--format", "json"]).with_code(1).summary();
    assert_eq!(summary["exceptions"], json!([{"name": "old-images", "expires": END, "objects": 3}]));
    assert_eq!((&summary["exempt"], &summary["refused"]), (&json!(2), &json!(1)));
}

#[test]
fn where_all_refusals_are_excepted_nothing_would_be_refused() {
    let folder = folder(&configuration("namespace: default"), &[("a.json", broken_pod("web"))]);
    let ran = scanned(&folder, &["--at", BEFORE]).with_code(0);
    let verdict =
        "Nothing would be refused: 1 object judged, 1 would be refused but for an exception, 0 would get a warning";
    assert!(ran.out.starts_with(verdict), "{}", ran.out);
}

#[test]
fn an_exception_is_for_what_it_names_in_the_cluster_dump_too() {
    for (matching, exempt, refused) in [
        ("namespace: shop", 3, 0),
        ("namespace: shop, kind: Deployment, name: web", 3, 0),
        ("namespace: shop, kind: Deployment", 3, 0),
        ("namespace: shop, kind: Deployment, name: other", 0, 3),
        ("namespace: shop, kind: ReplicaSet, name: web-5d", 0, 3),
        ("namespace: shop, kind: Pod, name: web-5d-a", 1, 2),
        ("namespace: quiet", 0, 3),
        ("namespace: shop, users: [jane]", 0, 3),
    ] {
        let folder = folder(&configuration(matching), &dumps());
        let summary = scanned(&folder, &["--at", BEFORE, "--format", "json"]).summary();
        let counts = (&summary["exempt"], &summary["refused"], &summary["warned"]);
        assert_eq!(counts, (&json!(exempt), &json!(refused), &json!(1)), "{matching}");
    }
}
