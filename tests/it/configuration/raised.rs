//! Entries of `namespaces` that match by a label.

use portcullis::config::compile;
use portcullis::mode::Mode;
use portcullis::snapshot::{Change, Scope, Snapshot, weaker};

use crate::judging::{HEAD, configured};

fn refused(entries: &str) -> Vec<String> {
    let lines = format!("profile: hardened\nceiling: warn\ndefaults: safe\nnamespaces:\n{entries}");
    match compile("c", &format!("{HEAD}{lines}"), None) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(|line| line.trim_start_matches("c:").to_owned()).collect(),
    }
}

/// The mode of `root-users` in a namespace with one label.
fn mode(snapshot: &Snapshot, namespace: &str, (key, value): (&str, &str)) -> Mode {
    let scope = snapshot.raised(namespace, |label| label.is_in(|asked| (asked == key).then_some(value)));
    scope.policies.iter().find(|policy| policy.meta.id == "root-users").map_or(Mode::Off, |policy| policy.mode)
}

#[test]
fn a_label_raises_and_never_lowers() {
    for entry in [
        "- match: {labels: {tier: pci}}\n  ceiling: enforce\n",
        "- match: {labels: {tier: [pci, prod]}}\n  defaults: all\n",
        "- match: {labels: {example.com/tier: \"\"}}\n  relax: false\n  policies: {root-users: {updates: strict}}\n",
    ] {
        assert_eq!(refused(entry), [] as [&str; 0], "{entry}");
    }
    let lowered =
        ": a label may only raise, so that nobody turns a policy off by labelling a namespace; match names to relax";
    for (rest, what) in [
        ("ceiling: audit", "ceiling"),
        ("ceiling: 'off'", "ceiling"),
        ("defaults: 'off'", "defaults"),
        ("policies: {root-users: {mode: audit}}", "root-users"),
    ] {
        for relax in ["", "\n  relax: true"] {
            let found = refused(&format!("- match: {{labels: {{tier: pci}}}}\n  {rest}{relax}\n"));
            let [error] = found.as_slice() else { panic!("{rest}: {found:?}") };
            assert!(
                error.starts_with("7:3: namespaces[0]: is weaker than the top for ") && error.ends_with(lowered),
                "{error}"
            );
            assert!(error.contains(what), "{error}");
        }
    }
    let label = "- match: {labels: {tier: pci}}\n";
    assert_eq!(
        refused(&format!("{label}  relax: true\n")),
        ["7:3: namespaces[0]: has relax: true, and a label may only raise; remove it"]
    );
    assert_eq!(
        refused(&format!("{label}  policies: {{host-ports: {{settings: {{}}}}}}\n")),
        ["7:3: namespaces[0]: has settings of its own, and a label raises modes only; write settings at the top"]
    );
}

#[test]
fn an_entry_matches_one_label() {
    for (matched, error) in [
        ("{labels: {}}", "7:19: namespaces[0].match.labels: must hold a label: labels: {KEY: VALUE}"),
        ("{labels: [tier]}", "7:19: namespaces[0].match.labels: must be a mapping"),
        (
            "{labels: {-a: b}}",
            "7:20: namespaces[0].match.labels.-a: is not the key of a label, such as tier or example.com/tier",
        ),
        (
            "{labels: {a/b/c: b}}",
            "7:20: namespaces[0].match.labels.a/b/c: is not the key of a label, such as tier or example.com/tier",
        ),
        ("{labels: {a: 7}}", "7:23: namespaces[0].match.labels.a: must be a string; put it in quotation marks"),
        ("{labels: {a: []}}", "7:23: namespaces[0].match.labels.a: must be a value, or a list of values"),
        (
            "{labels: {a: b c}}",
            "7:23: namespaces[0].match.labels.a: must be the value of a label: at most 63 letters, digits, -, _ and .",
        ),
        (
            "{labels: {kubernetes.io/metadata.name: pay}}",
            "7:20: namespaces[0].match.labels.kubernetes.io/metadata.name: is the name of a namespace; write match: {names: [NAME]}",
        ),
        (
            "{names: [pay], labels: {a: b}}",
            "7:10: namespaces[0].match: must hold names or labels, not both; write two entries",
        ),
    ] {
        assert_eq!(refused(&format!("- match: {matched}\n")), [error], "{matched}");
    }
    let [two] = &refused("- match: {labels: {a: b, c: d}}\n")[..] else { panic!("one error") };
    assert!(two.starts_with("7:26: namespaces[0].match.labels: must be one label: "), "{two}");
    let entries =
        |count: usize| (0..count).map(|number| format!("- match: {{labels: {{a: v{number}}}}}\n")).collect::<String>();
    assert_eq!(refused(&entries(16)), [] as [&str; 0]);
    assert_eq!(refused(&entries(17)), ["23:3: namespaces[16]: must be at most 16 entries that match by labels"]);
    let values = |count: usize| (0..count).map(|number| format!("v{number}")).collect::<Vec<_>>().join(", ");
    assert_eq!(refused(&format!("- match: {{labels: {{a: [{}]}}}}\n", values(64))), [] as [&str; 0]);
    let [many] = &refused(&format!("- match: {{labels: {{a: [{}]}}}}\n", values(65)))[..] else { panic!("one error") };
    assert!(many.ends_with("namespaces[0].match.labels.a: must be at most 64 values"), "{many}");
}

#[test]
fn the_strongest_mode_of_name_and_labels_counts() {
    let snapshot = configured(
        "profile: hardened\nceiling: audit\nnamespaces:\n- {match: {labels: {tier: [pci, prod]}}, ceiling: warn}\n\
         - {match: {labels: {tier: pci}}, ceiling: enforce}\n- {match: {names: [pay]}, ceiling: warn}\n\
         - {match: {names: [free]}, ceiling: off, relax: true}\n",
    );
    for (namespace, label, expected) in [
        ("shop", ("team", "a"), Mode::Audit),
        ("shop", ("tier", "dev"), Mode::Audit),
        ("shop", ("tier", "prod"), Mode::Warn),
        ("shop", ("tier", "pci"), Mode::Enforce),
        ("pay", ("team", "a"), Mode::Warn),
        ("pay", ("tier", "prod"), Mode::Warn),
        ("pay", ("tier", "pci"), Mode::Enforce),
        ("free", ("team", "a"), Mode::Off),
        ("free", ("tier", "prod"), Mode::Warn),
    ] {
        assert_eq!(mode(&snapshot, namespace, label), expected, "{namespace} {label:?}");
    }
    assert_eq!(snapshot.strongest(""), Mode::Audit, "no label raises what lives in no namespace");
}

/// The first entry raises little, so that all the rest comes from the second.
#[test]
fn what_several_labels_raise_adds_up() {
    let snapshot = configured(
        "ceiling: audit\ndefaults: safe\npodSecurityLabels: tighten\n\
         policies:\n  root-users: {mode: enforce}\n  unisolated-pods: {mode: enforce}\n  exposed-services: {mode: 'off', settings: \
         {externalIPs: [192.0.2.1]}}\n  host-paths: {mode: enforce}\n\
         namespaces:\n- {match: {labels: {a: x}}, ceiling: warn}\n\
         - match: {labels: {b: z}}\n  ceiling: enforce\n  policies:\n    root-users: {updates: strict}\n\
        \x20   unisolated-pods: {deletes: enforce}\n    exposed-services: {mode: warn}\n    open-ingress: {mode: warn}\n    volume-types: {mode: enforce}\n",
    );
    let scope = |labels: &[&str]| snapshot.raised("shop", |label| labels.contains(&&*label.key)).into_owned();
    let (little, both) = (scope(&["a"]), scope(&["a", "b"]));
    let of = |scope: &Scope, id: &str| {
        let policy = scope.policies.iter().find(|policy| policy.meta.id == id)?;
        Some((policy.mode, policy.strict_updates, policy.enforces_deletes))
    };
    assert_eq!(of(&little, "root-users"), Some((Mode::Warn, false, false)));
    assert_eq!(of(&both, "root-users"), Some((Mode::Enforce, true, false)));
    assert_eq!(of(&little, "unisolated-pods"), Some((Mode::Warn, false, false)));
    assert_eq!(of(&both, "unisolated-pods"), Some((Mode::Enforce, false, true)));
    // Off at the top, and not written there.
    let mode = |scope: &Scope, id: &str| of(scope, id).map(|found| found.0);
    assert_eq!(mode(&little, "exposed-services"), Some(Mode::Off));
    assert_eq!(mode(&both, "exposed-services"), Some(Mode::Warn));
    assert_eq!((mode(&little, "open-ingress"), mode(&both, "open-ingress")), (None, Some(Mode::Warn)));
    assert_eq!(both.settings["exposed-services"]["externalIPs"][0], "192.0.2.1");
    let strongest = |scope: &Scope| (scope.mutators.iter().map(|mutator| mutator.mode).max(), scope.labels);
    assert_eq!(strongest(&little), (Some(Mode::Warn), Mode::Warn));
    assert_eq!(strongest(&both), (Some(Mode::Enforce), Mode::Enforce));
    assert_eq!(of(&both, "host-paths"), None, "volume-types finds all that it finds");
    let configured = |policies: &str| configured(&format!("policies: {{{policies}}}\n"));
    let (one, all) = (configured("host-paths: {mode: enforce}"), configured("volume-types: {mode: enforce}"));
    assert_eq!(weaker(&one, &all), [], "a policy that finds all that another one finds stands for it");
    assert_eq!(weaker(&all, &one).len(), 1);
}

#[test]
fn a_label_that_raises_less_than_before_is_weaker() {
    let top = "ceiling: audit\npolicies: {root-users: {mode: enforce}}\n";
    let raised = |values: &str, ceiling: &str| {
        configured(&format!("{top}namespaces: [{{match: {{labels: {{tier: {values}}}}}, ceiling: {ceiling}}}]\n"))
    };
    let before = raised("[pci, prod]", "enforce");
    let changes = |after: &Snapshot| -> Vec<_> {
        let found = weaker(&before, after).into_iter();
        found.map(|one| (one.policy, one.namespace, one.change, one.from, one.to)).collect()
    };
    let one = |to: &str| {
        let text = |text: &str| text.to_owned();
        vec![("root-users", text("tier=pci|prod"), Change::Mode, text("enforce"), text(to))]
    };
    assert_eq!(changes(&before), []);
    assert_eq!(changes(&raised("[pci, prod, dev]", "enforce")), []);
    assert_eq!(changes(&raised("[pci, prod]", "warn")), one("warn"));
    assert_eq!(changes(&raised("pci", "enforce")), one("audit"));
    assert_eq!(changes(&configured(top)), one("audit"));
}
