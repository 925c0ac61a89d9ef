//! Messages of `check` about a manifest that its author did not intend: values of the wrong type, unrendered templates,
//! misspelt fields, kinds that no policy judges.

use serde_json::Value;

use super::{ALONE, Ran, folder, run_in};

fn check(text: &str, arguments: &[&str]) -> Ran {
    let folder = folder(&[("alone.yaml", ALONE)]);
    run_in(folder.path(), &[&["check", "-", "--config", "alone.yaml"], arguments].concat(), text.as_bytes())
}

/// A Pod with a finding of its image, and these lines.
fn pod(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n{metadata}spec:\n  containers:\n  - name: web\n    image: web:1\n{spec}"
    )
}

/// The paths of the findings.
fn paths(ran: &Ran) -> Vec<String> {
    let row: Value = serde_json::from_str(ran.out.lines().next().expect("a row")).expect("JSON");
    let findings = row["findings"].as_array().expect("a list").clone();
    findings.iter().map(|found| found["path"].as_str().expect("a path").to_owned()).collect()
}

#[test]
fn a_type_error_at_a_key_with_dots_points_to_it() {
    let labels = "  labels:\n    app: web\n    app.kubernetes.io/name: web\n    app.kubernetes.io/version: 1.10\n";
    let ran = check(&pod(labels, ""), &[]).with_code(2);
    let expected = "-:8:5: Pod metadata.labels[app.kubernetes.io/version]: invalid type: floating point `1.1`, expected a string; \
                    put it in quotation marks";
    assert_eq!(ran.err_lines(), [expected]);
    let annotations = "  annotations:\n    a: b\n    a.b/c.d: {}\n    a.b: true\n    \"\": 7\n";
    let ran = check(&pod(annotations, ""), &[]).with_code(2);
    let places: Vec<_> =
        ran.err_lines().iter().map(|line| line.split(" Pod ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(places, ["-:7:5:", "-:8:5:", "-:9:5:"], "{ran:?}");
    assert!(!ran.err_lines()[0].contains("quotation") && ran.err_lines()[1].contains("quotation"), "{ran:?}");
}

#[test]
fn a_type_error_hides_nothing_else() {
    let whole = check(&pod("", ""), &["--format", "json"]).with_code(1);
    let wrong = "    securityContext: {privileged: \"yes\", runAsUser: \"0\"}\n    args: x\n  hostNetwork: \"true\"\n  hostPID: true\n";
    let labels = "  labels: {a: 1, b: [2]}\n";
    let ran = check(&pod(labels, wrong), &["--format", "json"]).with_code(2);
    let lines = ran.err_lines();
    let said = lines.iter().map(|line| line.split(": invalid").next().unwrap_or_default().to_owned());
    let said: Vec<_> = said.filter(|line| line.contains(" Pod ")).collect();
    for place in [
        "-:5:12: Pod metadata.labels.a",
        "-:5:18: Pod metadata.labels.b",
        "-:10:23: Pod spec.containers[0].securityContext.privileged",
        "-:10:42: Pod spec.containers[0].securityContext.runAsUser",
        "-:12:3: Pod spec.hostNetwork",
    ] {
        assert!(said.iter().any(|line| line == place), "{place}: {ran:?}");
    }
    let (found, all) = (paths(&ran), paths(&whole));
    assert!(found.contains(&"spec.hostPID".to_owned()), "{found:?}");
    // All that the sound Pod breaks, this one breaks too.
    assert!(all.iter().all(|path| found.contains(path)), "{all:?} {found:?}");
    // What is of the wrong type is said once.
    for path in [
        "spec.containers[0].securityContext.privileged",
        "spec.containers[0].securityContext.runAsUser",
        "spec.hostNetwork",
    ] {
        assert!(!found.contains(&path.to_owned()), "{path}: {found:?}");
    }
    assert!(ran.out.contains("\"decision\":\"deny\""), "{ran:?}");
    assert!(
        ran.err.contains("hostNetwork: invalid type: a string, expected a boolean; write it without quotation marks"),
        "{ran:?}"
    );

    let summary = check(&pod(labels, wrong), &[]).with_code(2).out;
    assert!(
        summary.contains("1 object judged: 1 would be refused") && summary.contains("1 input could not be judged"),
        "{summary}"
    );
}

#[test]
fn an_object_with_nothing_but_a_type_error_is_not_clean() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {a: 1}}\n";
    let ran = check(text, &["--format", "json"]).with_code(2);
    assert!(ran.out.contains("\"decision\":\"error\",\"findings\":[]"), "{ran:?}");
    for text in ["spec: []", "metadata: 5", "spec: {containers: [x, {name: a}, 5]}", "spec: {containers: {}}"] {
        let ran = check(&format!("apiVersion: v1\nkind: Pod\n{text}\n"), &[]).with_code(2);
        assert!(ran.err.starts_with("-:3:") && ran.out.contains("1 input could not be judged"), "{ran:?}");
    }
}

#[test]
fn an_unrendered_template_is_called_one() {
    for (text, place) in [
        (pod("", "  nodeName: {{ .Values.node }}\n"), "-:9:"),
        (format!("{{{{- if .Values.on }}}}\n{}{{{{- end }}}}\n", pod("", "")), "-:1:"),
        (pod("  labels:\n    {{- include \"x\" . | nindent 4 }}\n", ""), "-:6:"),
        (pod("", "    securityContext: {runAsUser: \"{{ .Values.user }}\"}\n"), "-:9:"),
        (pod("", "    securityContext: \"{{ toYaml .Values.context }}\"\n"), "-:9:"),
    ] {
        let ran = check(&text, &[]).with_code(2);
        assert!(ran.err.starts_with(place) && ran.err.contains("unrendered template?"), "{text}\n{ran:?}");
    }
    for (text, place) in [
        (pod("", "  - {name: b, image: \"{{ .Values.image }}\"}\n"), "-:9:22"),
        (pod("  namespace: '{{ .Release.Namespace }}'\n", ""), "-:5:14"),
    ] {
        let ran = check(&text, &[]).with_code(1);
        assert_eq!(ran.err, format!("{place}: warning: unrendered template?\n"), "{text}");
    }
    // Placeholders of other programs are theirs, and a broken file is no template for having some.
    let text = pod("  annotations: {a: \"{{ b }}\"}\n", "    args: [\"{{ b }}\"]\n");
    assert_eq!(check(&text, &[]).with_code(1).err, "");
    let broken = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  a: '{{{{ b }}}}'\n---\n{}\nx: [\n",
        pod("", "")
    );
    assert!(!check(&broken, &[]).with_code(2).err.contains("template"));
}

#[test]
fn a_misspelt_field_is_named_with_the_one_that_was_meant() {
    let text = pod("", "    securityContext: {readOnlyRootFileSystem: true}\n");
    let ran = check(&text, &[]).with_code(1);
    assert_eq!(
        ran.err,
        "-:9:23: warning: Pod has no field readOnlyRootFileSystem; did you mean readOnlyRootFilesystem?\n"
    );
    let deployment =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  tempalte:\n    spec: {hostpid: true}\n";
    assert_eq!(
        check(deployment, &[]).with_code(0).err,
        "-:5:3: warning: Deployment has no field tempalte; did you mean template?\n"
    );
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a}\nspec: {paused: x, template: {spec: {hostpid: true}}}\n";
    let config = format!("{ALONE}workloads: [{{group: argoproj.io, kind: Rollout, path: /spec/template}}]\n");
    let folder = folder(&[("rollouts.yaml", &config), ("a.yaml", rollout)]);
    let ran = run_in(folder.path(), &["check", "a.yaml", "--config", "rollouts.yaml"], b"").with_code(1);
    assert_eq!(ran.err, "a.yaml:4:37: warning: Rollout has no field hostpid; did you mean hostPID?\n");
}

#[test]
fn a_kind_that_holds_pod_templates_and_is_not_configured_is_not_judged() {
    let head = |version: &str, kind: &str| format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n");
    let pod = "{spec: {hostPID: true, containers: [{name: a, image: b}]}}";
    for (text, group, row) in [
        (
            format!("{}spec: {{template: {pod}}}\n", head("argoproj.io/v1alpha1", "Rollout")),
            "Rollout (argoproj.io)",
            "{group: argoproj.io, kind: Rollout, path: /spec/template}",
        ),
        (
            format!("{}spec: {{template: {pod}}}\n", head("serving.knative.dev/v1", "Service")),
            "Service (serving.knative.dev)",
            "{group: serving.knative.dev, kind: Service, path: /spec/template}",
        ),
        (
            format!(
                "{}spec: {{replicatedJobs: [{{template: {{spec: {{template: {pod}}}}}}}]}}\n",
                head("jobset.x-k8s.io/v1", "JobSet")
            ),
            "JobSet (jobset.x-k8s.io)",
            "{group: jobset.x-k8s.io, kind: JobSet, path: /spec/replicatedJobs/*/template/spec/template}",
        ),
    ] {
        let ran = check(&text, &[]).with_code(0);
        assert_eq!(
            ran.err,
            format!(
                "note: {group} holds pod templates that no row of workloads leads to: not judged; to judge it, add to workloads: {row}\n"
            )
        );
        let (line, summary) = ran.out.split_once('\n').expect("two lines");
        assert!(line.starts_with("-:1:1: not judged: "), "{ran:?}");
        assert_eq!(summary, "0 objects judged: 0 would be refused, 0 findings; 1 object not judged\n");
        let ran = check(&text, &["--format", "json"]).with_code(0);
        assert!(ran.out.contains("\"decision\":\"not-judged\"") && ran.err.contains("not judged"), "{ran:?}");
        // With the row, it is judged.
        let folder = folder(&[("c.yaml", &format!("{ALONE}workloads: [{row}]\n")), ("a.yaml", &text)]);
        assert!(
            run_in(folder.path(), &["check", "a.yaml", "--config", "c.yaml"], b"")
                .with_code(1)
                .out
                .contains("1 object judged: 1 would")
        );
    }
    // A row that leads elsewhere judges nothing of it.
    let group = |place: &str| format!("- {{group: ray.io, kind: RayCluster, path: {place}}}\n");
    let (first, second) = (group("/spec/headGroupSpec/template"), group("/spec/workerGroupSpecs/*/template"));
    let cluster = format!("{}spec: {{workerGroupSpecs: [{{template: {pod}}}]}}\n", head("ray.io/v1", "RayCluster"));
    for (rows, code, ending) in [
        (first.clone(), 0, "0 objects judged: 0 would be refused, 0 findings; 1 object not judged\n"),
        (first + &second, 1, "why and how to comply\n"),
    ] {
        let folder = folder(&[("c.yaml", &format!("{ALONE}workloads:\n{rows}")), ("a.yaml", &cluster)]);
        let ran = run_in(folder.path(), &["check", "a.yaml", "--config", "c.yaml"], b"").with_code(code);
        assert!(
            ran.out.ends_with(ending) && ran.err.contains(second.trim_start_matches("- ").trim()) == (code == 0),
            "{ran:?}"
        );
    }
    // Two of a kind are noted once.
    let two = format!(
        "{0}spec: {{template: {pod}}}\n---\n{0}spec: {{template: {pod}}}\n",
        head("argoproj.io/v1alpha1", "Rollout")
    );
    let ran = check(&two, &[]).with_code(0);
    assert!(ran.err_lines().len() == 1 && ran.out.ends_with("; 2 objects not judged\n"), "{ran:?}");
    // A kind without any is judged: nothing in it is a pod.
    let other = format!("{}spec: {{containers: 5, items: {{}}}}\n", head("example.com/v1", "Other"));
    assert_eq!(check(&other, &[]).with_code(0).out, "1 object judged: 0 would be refused, 0 findings\n");
}

#[test]
fn a_list_without_items_is_no_object() {
    for kind in [
        "v1, kind: List",
        "v1, kind: PodList",
        "apps/v1, kind: DeploymentList",
        "networking.k8s.io/v1, kind: IngressList",
    ] {
        let ran = check(&format!("{{apiVersion: {kind}}}\n"), &[]).with_code(0);
        assert_eq!(ran.out, "0 objects judged: 0 would be refused, 0 findings\n", "{kind}");
        assert!(ran.err.starts_with("-:1:1: warning: ") && ran.err.contains("without items"), "{ran:?}");
    }
    for items in ["null", "[]"] {
        let ran = check(&format!("apiVersion: v1\nkind: List\nitems: {items}\n"), &[]).with_code(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("0 objects judged: 0 would be refused, 0 findings\n", ""));
    }
    assert_eq!(
        check("apiVersion: v1\nkind: List\nitems: {}\n", &[]).with_code(2).err,
        "-:3:8: items: must be a list\n"
    );
    // Another project's kind may be called so.
    assert!(
        check("apiVersion: example.com/v1\nkind: AllowList\n", &[]).with_code(0).out.starts_with("1 object judged")
    );
}

#[test]
fn nothing_hides_behind_a_separator() {
    let hidden =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {hostPID: true, containers: [{name: b, image: b}]}\n";
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    for separator in ["---", "--- ", "--- {}\n", "--- |\n", "...\n", "... ", "--- !x\n"] {
        let ran = check(&format!("{object}{separator}{hidden}"), &[]).with_code(2);
        assert!(ran.err.starts_with("-:4:") || ran.err.starts_with("-:5:1: "), "{separator}: {ran:?}");
    }
    for separator in ["---\n", "---\t# c\r\n", "...\n---\n", "---#c\n"] {
        assert!(
            check(&format!("{object}{separator}{hidden}"), &[]).with_code(1).out.contains("spec.hostPID"),
            "{separator}"
        );
    }
}
