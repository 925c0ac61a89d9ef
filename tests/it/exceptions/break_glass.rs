//! Break-glass: whose objects it admits, with which reason, what is told of it, and what it never admits.

use std::future::{Future, ready};
use std::pin::Pin;

use portcullis::cluster::Manifests;
use portcullis::config::compile_at;
use portcullis::decision::{Decision, Verdict};
use portcullis::facts::{Answer, Question, World};
use portcullis::mutation::mutate;
use portcullis::review;
use portcullis::snapshot::{Change, Snapshot, Weaker, weaker};
use serde_json::{Value, json};

use super::served::POLICIES;
use super::{NOW, answer, configured, container, covered, deployment, exception, pod, review_of, time};
use crate::judging::HEAD;
use crate::serve::{Serve, bad_pod, until};

/// A cluster that cannot be asked.
struct Unreachable;
impl World for Unreachable {
    fn known(&self, _: &Question) -> Option<Answer> {
        Some(Answer::Unavailable("no answer".to_owned()))
    }

    fn ask<'w>(&'w self, _: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(Answer::Unavailable("no answer".to_owned())))
    }
}

const CONFIG: &str = "policies: {unpinned-images: {mode: enforce}, host-paths: {mode: warn}}\nbreakGlass: {groups: [on-call, \
                      system:masters]}\n";

/// A Pod with an image that refuses, and this reason.
fn reasoned(reason: Option<&str>) -> Value {
    with_reason(pod("web", &[container("a", "nginx:1")]), reason)
}

fn with_reason(mut object: Value, reason: Option<&str>) -> Value {
    if let Some(reason) = reason {
        object["metadata"]["annotations"] = json!({"portcullis.dev/reason": reason});
    }
    object
}

/// The decision about an operation of a member of these groups.
fn decided(config: &str, operation: &str, groups: &[&str], object: &Value, old: Option<&Value>) -> Decision {
    let mut review = review_of(operation, "jane", object, old);
    review["request"]["userInfo"]["groups"] = json!(groups);
    answer(&configured(config), &review, &Manifests::default(), time(NOW))
}

#[test]
fn a_member_with_a_reason_admits_one_object() {
    let on_call = &["developers", "on-call"][..];
    for (groups, reason, verdict) in [
        (on_call, Some("INC-7: the registry is down"), Verdict::Exempt),
        (&["system:masters"], Some("INC-7"), Verdict::Exempt),
        (on_call, None, Verdict::Deny),
        (on_call, Some(""), Verdict::Deny),
        (on_call, Some(" \n"), Verdict::Deny),
        (&["developers"], Some("INC-7"), Verdict::Deny),
        (&["on-call-2", "On-Call", "on"], Some("INC-7"), Verdict::Deny),
        (&[], Some("INC-7"), Verdict::Deny),
    ] {
        let decision = decided(CONFIG, "CREATE", groups, &reasoned(reason), None);
        assert_eq!(
            (decision.verdict, decision.allowed),
            (verdict, verdict == Verdict::Exempt),
            "{groups:?} {reason:?}"
        );
        let glass = decision.break_glass().map(|glass| (glass.group.as_str(), glass.reason.as_str()));
        let expected = reason
            .filter(|_| decision.allowed)
            .map(|reason| (if groups.len() > 1 { "on-call" } else { "system:masters" }, reason));
        assert_eq!(glass, expected);
    }
    // Nobody may where the configuration names nobody.
    let without = "policies: {unpinned-images: {mode: enforce}}\n";
    assert_eq!(decided(without, "CREATE", &["system:masters"], &reasoned(Some("a")), None).verdict, Verdict::Deny);
    // The reason is on the object itself, not on what it would make.
    let mut template = deployment("web", &[container("a", "nginx:1")]);
    template["spec"]["template"]["metadata"] = json!({"annotations": {"portcullis.dev/reason": "INC-7"}});
    assert_eq!(decided(CONFIG, "CREATE", on_call, &template, None).verdict, Verdict::Deny);
    let template = with_reason(template, Some("INC-7"));
    assert_eq!(decided(CONFIG, "CREATE", on_call, &template, None).verdict, Verdict::Exempt);
    // On an update the new object states it.
    let (old, new) = (reasoned(Some("INC-7")), pod("web", &[container("a", "nginx:2")]));
    assert_eq!(decided(CONFIG, "UPDATE", on_call, &new, Some(&old)).verdict, Verdict::Deny);
    assert_eq!(decided(CONFIG, "UPDATE", on_call, &with_reason(new, Some("a")), Some(&old)).verdict, Verdict::Exempt);
}

#[test]
fn nothing_is_told_of_it_where_it_is_not_needed() {
    let clean = with_reason(pod("web", &[]), Some("INC-7"));
    let decision = decided(CONFIG, "CREATE", &["on-call"], &clean, None);
    assert_eq!((decision.verdict, decision.break_glass()), (Verdict::Allow, None));
    // An exception comes first.
    let config = format!("{CONFIG}exceptions: [{}]\n", exception("one", "unpinned-images", "namespace: shop"));
    let decision = decided(&config, "CREATE", &["on-call"], &reasoned(Some("INC-7")), None);
    assert_eq!((decision.verdict, decision.break_glass()), (Verdict::Exempt, None));
    assert_eq!(covered(&decision), [("unpinned-images", Some("one"))]);
}

#[test]
fn what_could_not_be_judged_is_refused_all_the_same() {
    let config = format!("{CONFIG}podSecurityLabels: tighten\n");
    let mut review = review_of("CREATE", "jane", &reasoned(Some("INC-7")), None);
    review["request"]["userInfo"]["groups"] = json!(["on-call"]);
    let decision = answer(&configured(&config), &review, &Unreachable, time(NOW));
    assert_eq!((decision.verdict, decision.allowed), (Verdict::Error, false));
}

#[test]
fn defaults_leave_the_object_alone() {
    let snapshot = configured(&format!("profile: hardened\ndefaults: all\n{}", "breakGlass: {groups: [on-call]}\n"));
    let verdict = |groups: &[&str], reason: Option<&str>| {
        let mut review = review_of("CREATE", "jane", &reasoned(reason), None);
        review["request"]["userInfo"]["groups"] = json!(groups);
        let bytes = review.to_string();
        let review = review::decode(bytes.as_bytes(), snapshot.workloads(), time(NOW)).expect("has a uid");
        mutate(&snapshot, &review.request).decision.verdict
    };
    assert_eq!(verdict(&["on-call"], Some("INC-7")), Verdict::Unchanged);
    assert_eq!(verdict(&["on-call"], None), Verdict::Patch);
    assert_eq!(verdict(&["developers"], Some("INC-7")), Verdict::Patch);
}

#[test]
fn each_mistake_says_what_to_write() {
    let many: Vec<String> = (0..65).map(|number| format!("g{number}")).collect();
    for (value, errors) in [
        ("on-call", &["3:13: breakGlass: must be a mapping, such as breakGlass: {groups: [platform-admins]}"][..]),
        (
            "{}",
            &[
                "3:13: breakGlass.groups: must name groups, such as groups: [platform-admins]; leave breakGlass out if nobody may use it",
            ],
        ),
        (
            "{group: [a]}",
            &[
                "3:13: breakGlass.groups: must name groups, such as groups: [platform-admins]; leave breakGlass out if nobody may use it",
                "3:14: breakGlass.group: unknown key; did you mean groups?",
            ],
        ),
        (
            "{groups: [a, system:authenticated]}",
            &[
                "3:26: breakGlass.groups[1]: must not begin with system:: Kubernetes gives such groups to users and programs by \
               itself; name a group of people, or system:masters",
            ],
        ),
        ("{groups: [a, b, a]}", &["3:29: breakGlass.groups[2]: is named already; remove one"]),
        ("{groups: [7]}", &["3:23: breakGlass.groups[0]: must be the name of a group"]),
        (&format!("{{groups: [{}]}}", many.join(", ")), &["3:333: breakGlass.groups: must be at most 64 groups"]),
    ] {
        let error = compile_at("c", &format!("{HEAD}breakGlass: {value}\n"), None, time(NOW)).err().expect(value);
        let said = error.to_string();
        let lines: Vec<&str> = said.lines().map(|line| line.strip_prefix("c:").expect(line)).collect();
        assert_eq!(lines, errors, "{value}");
    }
}

#[test]
fn a_group_that_is_added_is_told_as_a_weakening() {
    let groups = |list: &str| configured(&format!("breakGlass: {{groups: [{list}]}}\n"));
    let none = configured("profile: hardened\n");
    let told = |old: &Snapshot, new: &Snapshot| -> Vec<String> {
        let rows = weaker(old, new);
        rows.into_iter()
            .map(|Weaker { policy, namespace, change, from, to }| {
                assert_eq!(
                    (policy, namespace.as_str(), change, from.as_str()),
                    ("breakGlass", "*", Change::BreakGlass, "")
                );
                to
            })
            .collect()
    };
    assert_eq!(told(&groups("a"), &groups("b, a, c")), ["\"b\"", "\"c\""]);
    assert_eq!(told(&groups("a, b"), &groups("b")), [""; 0]);
    let added: Vec<_> =
        weaker(&none, &groups("a")).into_iter().filter(|row| row.change == Change::BreakGlass).collect();
    assert_eq!(added.len(), 1);
}

#[test]
fn the_record_the_warning_and_the_metric_tell_of_it() {
    let server = Serve::new(&format!("{POLICIES}breakGlass: {{groups: [on-call]}}\n")).start();
    let mut review = review_of("CREATE", "jane", &with_reason(bad_pod(), Some("INC-7, password=hunter2")), None);
    review["request"]["uid"] = json!("one");
    review["request"]["userInfo"]["groups"] = json!(["on-call"]);
    let answer = server.post("/validate", review.to_string()).response();
    assert_eq!((&answer["allowed"], &answer["auditAnnotations"]["decision"]), (&json!(true), &json!("exempt")));
    let warning = answer["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("exempt by break-glass (group \"on-call\"): unpinned-images: "), "{warning}");
    let event = server.event("one");
    let mut exception = json!({"name": "break-glass", "source": "break-glass", "policy": "unpinned-images"});
    assert_eq!(event["findings"][0]["exception"], exception);
    exception["group"] = json!("on-call");
    let reason = event["exception"]["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.starts_with("INC-7, password=") && !reason.contains("hunter2"), "{reason}");
    exception["reason"] = json!(reason);
    assert_eq!(event["exception"], exception);
    until("the metric", || {
        server.get("/metrics").1.lines().any(|line| line == "portcullis_break_glass_total 1").then_some(())
    });
}
