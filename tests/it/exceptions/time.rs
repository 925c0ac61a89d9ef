//! Ends: to the second, at most so far ahead, and past ones for nothing.

use portcullis::cluster::Manifests;
use portcullis::config::{ConfigError, compile_at};
use portcullis::decision::Verdict;

use serde_json::Value;

use super::owners::{Stored, controller, created_at, deployment, of, owned, privileged, set};
use super::{END, NOW, answer, configured, container, exception, pod, review_of, time};
use crate::judging::HEAD;
use crate::scan::{check, scan, without_owner};

const POLICIES: &str = "policies: {unpinned-images: {mode: enforce}}\n";

#[test]
fn an_exception_counts_until_the_second_of_its_end() {
    let lines = format!("{POLICIES}exceptions: [{}]\n", exception("one", "unpinned-images", "namespace: shop"));
    let snapshot = configured(&lines);
    let review = review_of("CREATE", "jane", &pod("web", &[container("web", "nginx")]), None);
    for (received, verdict) in [
        (NOW, Verdict::Exempt),
        ("2027-01-30T23:59:59Z", Verdict::Exempt),
        ("2027-01-30T23:59:59.999999999Z", Verdict::Exempt),
        (END, Verdict::Deny),
        ("2027-01-31T00:00:01Z", Verdict::Deny),
        ("2029-01-01T00:00:00Z", Verdict::Deny),
    ] {
        assert_eq!(answer(&snapshot, &review, &Manifests::default(), time(received)).verdict, verdict, "{received}");
    }
}

#[test]
fn webhook_check_and_scan_agree_on_the_second_for_what_an_owner_makes_too() {
    let bad = [privileged("web", "nginx")];
    let top = deployment(&bad);
    let set = set(&bad, Some(&top));
    let mut pod = owned(pod("web-5d-x", &bad), &set);
    pod["metadata"]["uid"] = "uid-of-a-pod".into();
    let world = Stored::of(&[&set, &top]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("set")).expect("made");
    for (name, object) in [("a-pod.json", &pod), ("b-set.json", &set), ("c-deployment.json", &top)] {
        std::fs::write(folder.path().join("set").join(name), object.to_string()).expect("written");
    }
    for matching in ["namespace: shop, kind: Pod, name: web-5d-x".to_owned(), of("Deployment")] {
        let one = exception("one", "privileged-containers", &matching);
        let lines = format!("policies: {{privileged-containers: {{mode: enforce}}}}\nexceptions: [{one}]\n");
        std::fs::write(folder.path().join("c.yaml"), format!("{HEAD}{lines}")).expect("written");
        let snapshot = configured(&lines);
        for (at, is_exempt) in [
            ("2027-01-30T23:59:59Z", true),
            ("2027-01-30T23:59:59.999999999Z", true),
            (END, false),
            ("2027-01-31T00:00:01Z", false),
        ] {
            let sent = created_at(time(at), &snapshot, &pod, &controller("replicaset-controller"), &world);
            assert_eq!(sent.verdict, if is_exempt { Verdict::Exempt } else { Verdict::Deny }, "{matching} at {at}");
            let arguments = ["set", "--config", "c.yaml", "--at", at, "--format", "json"];
            let rows = |rows: Vec<Value>| rows.into_iter().map(without_owner).collect::<Vec<_>>();
            let checked = rows(check(folder.path(), &arguments));
            let row = checked.iter().find(|row| row["kind"] == "Pod").expect("a Pod");
            let expected = if is_exempt { ("allow", Some("one")) } else { ("deny", None) };
            let name = row["findings"][0]["exception"]["name"].as_str();
            assert_eq!((row["decision"].as_str().unwrap_or_default(), name), expected, "{matching} at {at}");
            assert_eq!(rows(scan(folder.path(), &arguments).rows()), checked, "{matching} at {at}");
        }
    }
}

/// The warnings about an exception with this end, or the errors.
fn read(exceptions: &str) -> Result<Vec<String>, ConfigError> {
    let text = format!("{HEAD}{POLICIES}exceptions: {exceptions}\n");
    let configuration = compile_at("config.yaml", &text, None, time(NOW))?;
    Ok(configuration.warnings.iter().map(ToString::to_string).collect())
}

fn ending(end: &str) -> String {
    exception("one", "unpinned-images", "namespace: shop").replace(END, end)
}

#[test]
fn an_end_in_the_past_is_a_warning_and_counts_for_nothing() {
    for end in [NOW, "2026-11-26T11:59:59Z", "2020-01-01T00:00:00+02:00"] {
        let [warning] = read(&format!("[{}]", ending(end))).expect("compiles").try_into().expect("one warning");
        assert_eq!(
            warning,
            "config.yaml:4:90: warning: exceptions[0].expires: is in the past: the exception counts for nothing; remove it, \
             or give it a later end"
        );
    }
    assert_eq!(read(&format!("[{}]", ending("2026-11-26T12:00:01Z"))).expect("compiles"), Vec::<String>::new());
}

#[test]
fn an_end_is_at_most_so_far_ahead() {
    let year = "2027-11-26T12:00:00Z";
    assert!(read(&format!("[{}]", ending(year))).is_ok());
    let error = read(&format!("[{}]", ending("2027-11-26T12:00:01Z"))).expect_err("too far").to_string();
    assert_eq!(
        error,
        "config.yaml:4:90: exceptions[0].expires: is more than maxLifetime (365d) ahead: write 2027-11-26T12:00:00Z or \
         earlier, or exceptions: {maxLifetime: 400d, entries: [...]}"
    );
    assert!(read(&format!("{{maxLifetime: 400d, entries: [{}]}}", ending("2027-12-26T12:00:00Z"))).is_ok());
    let error = read(&format!("{{maxLifetime: 12h, entries: [{}]}}", ending(END))).expect_err("too far").to_string();
    assert!(
        error.contains(
            "4:118: exceptions.entries[0].expires: is more than maxLifetime (12h) ahead: write 2026-11-27T00:00:00Z"
        ),
        "{error}"
    );
}
