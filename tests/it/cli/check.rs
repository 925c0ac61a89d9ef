//! `check`: what it prints, and how it ends.

use serde_json::Value;

use super::{ISOLATED, Ran, folder, run_in};
use crate::fixtures;
use crate::judging;

/// A Pod that every policy admits.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    seccompProfile:
      type: RuntimeDefault
  containers:
  - name: web
    image: registry.example.com/web:1.4.2@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [\"ALL\"]
    resources:
      requests: {cpu: 50m, memory: 32Mi}
      limits: {memory: 64Mi}
";
const CLEAN: &str = "clean.yaml";
const REFUSED: &str = "refused.yaml";

/// Checks files beside [`CLEAN`] and [`REFUSED`], which lacks one line, in a cluster where every Pod is isolated.
fn run(arguments: &[&str]) -> Ran {
    let refused = POD.replace("    runAsNonRoot: true\n", "");
    let folder = folder(&[(CLEAN, POD), (REFUSED, &refused), ("isolated.yaml", ISOLATED)]);
    run_in(folder.path(), &[arguments, &["--cluster-from", "isolated.yaml"]].concat(), b"")
}

/// The objects that `--format json` printed, one a line.
fn rows(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The keys of a JSON object in the order in which they stand.
fn keys(line: &str) -> Vec<String> {
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Ordered;
            impl<'de> serde::de::Visitor<'de> for Ordered {
                type Value = Keys;
                fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    out.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(Ordered)
        }
    }
    serde_json::from_str::<Keys>(line).expect(line).0
}

#[test]
fn clean_input_ends_with_0() {
    let ran = run(&["check", CLEAN]).with_code(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("1 object judged: 0 would be refused, 0 findings\n", ""));
}

#[test]
fn a_refusal_ends_with_1_and_says_where_and_what() {
    let ran = run(&["check", REFUSED]).with_code(1);
    assert_eq!(
        ran.out,
        format!(
            "{REFUSED}:14:5: enforce: Pod default/web: spec.containers[0].securityContext.runAsNonRoot must be true, \
             here or in the pod's securityContext [root-users]\n1 object judged: 1 would be refused, 1 finding; \
             `portcullis explain ID` says why and how to comply\n"
        )
    );
    assert_eq!(ran.err, "");
}

#[test]
fn findings_that_refuse_nothing_end_with_0() {
    for mode in ["warn", "audit"] {
        let ran = run(&["check", "--ceiling", mode, REFUSED]).with_code(0);
        assert!(ran.out.contains(&format!(": {mode}: Pod default/web: ")), "{ran:?}");
        assert!(ran.out.ends_with(
            "1 object judged: 0 would be refused, 1 finding; `portcullis explain ID` says why and how to comply\n"
        ));
    }
    let off = run(&["check", "--ceiling", "off", REFUSED]).with_code(0);
    assert_eq!(off.out, "1 object judged: 0 would be refused, 0 findings\n");
}

#[test]
fn unusable_input_or_configuration_ends_with_2() {
    let missing = run(&["check", "no-such-file.yaml"]).with_code(2);
    assert!(missing.err.starts_with("no-such-file.yaml: "), "{missing:?}");
    let profile = run(&["check", "--profile", "hardned", CLEAN]).with_code(2);
    assert_eq!(profile.err, "--profile hardned: no profile has this name; did you mean hardened?\n");
    let config = run(&["check", "--config", "no-such-file.yaml", CLEAN]).with_code(2);
    assert!(config.err.starts_with("no-such-file.yaml: ") && config.out.is_empty(), "{config:?}");
    // Unusable input weighs more than a refusal, and hides none.
    let both = run(&["check", REFUSED, "no-such-file.yaml"]).with_code(2);
    assert!(both.out.contains("[root-users]"), "{both:?}");
    assert!(both.out.ends_with("; 1 input could not be judged\n"), "{both:?}");
}

#[test]
fn an_error_of_the_configuration_has_its_place() {
    let folder =
        folder(&[("c.yaml", "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofle: x\nceilin: y\n")]);
    let ran = run_in(folder.path(), &["check", "--config", "c.yaml", "-"], b"").with_code(2);
    assert_eq!(
        ran.err_lines(),
        [
            "c.yaml:3:1: profle: unknown key; did you mean profile?",
            "c.yaml:4:1: ceilin: unknown key; did you mean ceiling?"
        ]
    );
}

#[test]
fn json_is_an_object_a_line_with_exactly_the_keys_of_the_contract() {
    let ran = run(&["check", "--format", "json", CLEAN, REFUSED]).with_code(1);
    assert_eq!(ran.err, "");
    assert_eq!(ran.out.lines().count(), 2);
    for line in ran.out.lines() {
        assert_eq!(keys(line), ["file", "line", "apiVersion", "kind", "namespace", "name", "decision", "findings"]);
    }
    let [clean, refused] = rows(&ran).try_into().expect("two");
    assert_eq!((&clean["decision"], &clean["findings"]), (&"allow".into(), &serde_json::json!([])));
    assert_eq!(refused["decision"], "deny");
    let finding = ran.out.lines().nth(1).and_then(|line| line.split_once("\"findings\":[")).expect("findings").1;
    let finding = finding.strip_suffix("]}").expect("the end");
    assert_eq!(keys(finding), ["policy", "severity", "mode", "path", "pointer", "line", "column", "message"]);
    assert_eq!(
        finding,
        "{\"policy\":\"root-users\",\"severity\":\"high\",\"mode\":\"enforce\",\
         \"path\":\"spec.containers[0].securityContext.runAsNonRoot\",\
         \"pointer\":\"/spec/containers/0/securityContext\",\"line\":14,\"column\":5,\
         \"message\":\"must be true, here or in the pod's securityContext\"}"
    );
    assert_eq!(
        (&refused["file"], &refused["line"], &refused["apiVersion"], &refused["kind"], &refused["namespace"]),
        (&REFUSED.into(), &1.into(), &"v1".into(), &"Pod".into(), &"default".into())
    );
}

#[test]
fn the_pointer_of_every_finding_resolves_in_the_object() {
    for (id, fixture) in fixtures::all() {
        if !fixture.is_denied() {
            continue;
        }
        let pod = fixture.pod();
        for object in [pod.clone(), fixtures::wrapped(&pod, fixtures::TEMPLATE_KINDS[7])] {
            let text = object.to_string();
            // The objects beside the Pod make the world.
            let around = format!("tests/policies/{id}/{}", fixture.name);
            let arguments = ["check", "-", "--format", "json", "--cluster-from", &around];
            let ran = run_in(&crate::golden::repository(""), &arguments, text.as_bytes());
            let rows = rows(&ran.with_code(1));
            for finding in rows[0]["findings"].as_array().expect("findings") {
                let pointer = finding["pointer"].as_str().expect("a pointer");
                let pointer = jsonptr::Pointer::parse(pointer).expect(pointer);
                assert!(pointer.resolve(&object).is_ok(), "{id}/{}: {pointer}", fixture.name);
                let path = finding["path"].as_str().expect("a path");
                let steps = judging::steps(path).into_iter().map(|step| step.trim_matches(['[', ']']).to_owned());
                let way = pointer.tokens().map(|token| token.decoded().into_owned());
                assert!(way.zip(steps).all(|(token, step)| token == step), "{path}: {pointer}");
                assert!(pointer.count() <= judging::steps(path).len(), "{path}: {pointer}");
            }
        }
    }
}

#[test]
fn lines_and_columns_are_those_of_the_file() {
    let text = "# a comment\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: é}\nspec:\n  containers:\n    - name: a\n      \
                securityContext:\n        runAsUser: 0\n        runAsNonRoot: true\n      image: x\n";
    let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {root-users: {mode: enforce}}\n";
    let folder = folder(&[("p.yaml", text), ("c.yaml", config)]);
    let ran = run_in(folder.path(), &["check", "--config", "c.yaml", "p.yaml"], b"").with_code(1);
    assert!(
        ran.out.starts_with(
            "p.yaml:10:9: enforce: Pod default/é: spec.containers[0].securityContext.runAsUser must not be 0"
        ),
        "{ran:?}"
    );
    let json = run_in(folder.path(), &["check", "--config", "c.yaml", "--format", "json", "p.yaml"], b"").with_code(1);
    assert_eq!(rows(&json)[0]["line"], 3);
}

#[test]
fn what_the_set_says_of_a_service_account_counts_wherever_it_stands() {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: pay}\nautomountServiceAccountToken: false\n";
    let config =
        "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {automounted-tokens: {mode: enforce}}\n";
    let pod = POD.replace("  automountServiceAccountToken: false\n", "");
    let folder = folder(&[("c.yaml", config), ("account.yaml", account), ("pod.yaml", &pod)]);
    let check =
        |arguments: &[&str]| run_in(folder.path(), &[&["check", "--config", "c.yaml"], arguments].concat(), b"");
    check(&["pod.yaml"]).with_code(1);
    check(&["pod.yaml", "account.yaml"]).with_code(1);
    // The Pod goes to the namespace that the ServiceAccount is in, before or after it.
    let together = check(&["--namespace", "pay", "pod.yaml", "account.yaml"]).with_code(0);
    assert!(together.out.starts_with("2 objects judged: "), "{together:?}");
    let around = check(&["--namespace", "pay", "pod.yaml", "--cluster-from", "account.yaml"]).with_code(0);
    assert!(around.out.starts_with("1 object judged: "), "what is around is not judged: {around:?}");
    check(&["pod.yaml", "--namespace", "pay", "--cluster-from", "missing.yaml"]).with_code(2);
}

#[test]
fn a_namespace_of_the_configuration_governs_objects_that_name_none() {
    let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\nceiling: audit\n\
                  namespaces: [{match: {names: [pay]}, ceiling: enforce}]\n";
    let folder = folder(&[
        ("c.yaml", config),
        ("p.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{image: x}]}\n"),
    ]);
    run_in(folder.path(), &["check", "--config", "c.yaml", "p.yaml"], b"").with_code(0);
    let ran = run_in(folder.path(), &["check", "--config", "c.yaml", "--namespace", "pay", "p.yaml"], b"").with_code(1);
    assert!(ran.out.contains(": enforce: Pod pay/web: "), "{ran:?}");
}

#[test]
fn kinds_that_a_configuration_adds_are_judged() {
    let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {unpinned-images: {mode: enforce}}\n\
                  workloads:\n- {group: argoproj.io, kind: Rollout, path: /spec/template}\n\
                  - {group: jobset.x-k8s.io, kind: JobSet, path: /spec/replicatedJobs/*/template/spec/template}\n";
    let template = "{spec: {containers: [{name: a, image: web}]}}";
    let rollout = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: r}}\nspec: {{template: {template}}}\n"
    );
    let set = format!(
        "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata: {{name: s}}\nspec:\n  replicatedJobs:\n  - template: {{spec: {{template: {template}}}}}\n"
    );
    let folder = folder(&[("c.yaml", config), ("w.yaml", &format!("{rollout}---\n{set}"))]);
    let ran = run_in(folder.path(), &["check", "--config", "c.yaml", "w.yaml"], b"").with_code(1);
    assert!(ran.out.contains(" Rollout default/r: spec.template.spec.containers[0].image must "), "{ran:?}");
    assert!(
        ran.out.contains(
            " JobSet default/s: spec.replicatedJobs[0].template.spec.template.spec.containers[0].image must "
        ),
        "{ran:?}"
    );
    run_in(folder.path(), &["check", "w.yaml"], b"").with_code(0);
}
