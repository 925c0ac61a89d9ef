//! Reviews as an enemy would write them: long, escaped, and with as much to find as fits.

use serde_json::{Map, Value, json};

use crate::trail_spool::Random;

/// Characters that take one to six bytes in JSON.
const LETTERS: [&str; 6] = ["a", "\u{1}", "\"", "\\", "\u{1f6e1}", "password=hunter2 "];

fn text(random: &mut Random, most: usize) -> String {
    let letter = LETTERS[random.below(LETTERS.len())];
    letter.repeat((1 + random.below(most)) / letter.len().min(6) + 1)
}

fn container(random: &mut Random, number: usize, length: usize) -> Value {
    let name = format!("{}{number}", text(random, length));
    json!({
        "name": name, "image": text(random, length), "ports": [{"containerPort": 1, "hostPort": 1}],
        "livenessProbe": {"httpGet": {"host": text(random, length), "port": 1}},
        "securityContext": {
            "privileged": true, "allowPrivilegeEscalation": true, "runAsUser": 0, "procMount": text(random, length),
            "capabilities": {"add": [text(random, length), "ALL"]},
            "seccompProfile": {"type": "Unconfined"},
            "seLinuxOptions": {"type": text(random, length), "user": text(random, length)},
            "windowsOptions": {"hostProcess": true},
        },
    })
}

/// A container that leaves most to the mutators.
fn bare(random: &mut Random, number: usize, length: usize) -> Value {
    json!({"name": format!("{}{number}", text(random, length)), "image": "x"})
}

/// A review of a pod, or of a template of one, up to the largest that is read.
pub(crate) fn review(random: &mut Random, case: usize) -> String {
    // Many short entries, some long ones, and a few that are as long as it gets.
    let (containers, mut length) = [(1_000, 8), (300, 200), (24, 40_000)][case % 3];
    loop {
        let review = written(random, case, containers, length);
        if review.len() <= super::BODY {
            return review;
        }
        length /= 2;
    }
}

fn written(random: &mut Random, case: usize, containers: usize, length: usize) -> String {
    let is_bare = case % 4 == 1;
    let entry = |random: &mut Random, number| {
        if is_bare { bare(random, number, length) } else { container(random, number, length) }
    };
    let list = |random: &mut Random, most: usize| -> Vec<Value> {
        (0..=random.below(most)).map(|number| entry(random, number)).collect()
    };
    let annotations: Map<String, Value> = (0..containers.min(300))
        .map(|number| {
            let key = format!("container.apparmor.security.beta.kubernetes.io/{number}{}", text(random, length));
            (key, json!(text(random, length)))
        })
        .collect();
    let sysctls: Vec<Value> =
        (0..containers.min(300)).map(|_| json!({"name": text(random, length), "value": "1"})).collect();
    let volumes: Vec<Value> = (0..containers.min(300))
        .map(|number| json!({"name": format!("v{number}"), "hostPath": {"path": text(random, length)}}))
        .collect();
    let spec = json!({
        "hostNetwork": true, "hostPID": true, "hostIPC": true,
        "containers": list(random, containers), "initContainers": list(random, containers / 2),
        "ephemeralContainers": list(random, containers / 4), "volumes": volumes,
        "securityContext": {"sysctls": sysctls},
    });
    let metadata = json!({"name": text(random, 40_000), "uid": text(random, 40_000), "annotations": annotations});
    let (kind, group, object) = if case % 5 == 4 {
        let template = json!({"metadata": {"annotations": metadata["annotations"]}, "spec": spec});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
                            "spec": {"template": template}});
        ("Deployment", "apps", object)
    } else {
        ("Pod", "", json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    };
    let groups: Vec<String> = (0..100).map(|_| text(random, 4_000)).collect();
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": text(random, 20_000), "operation": "CREATE", "namespace": text(random, 20_000), "name": text(random, 20_000),
        "subResource": "", "dryRun": true,
        "kind": {"group": group, "version": text(random, 20_000), "kind": kind},
        "resource": {"group": text(random, 20_000), "version": text(random, 20_000), "resource": text(random, 20_000)},
        "userInfo": {"username": text(random, 20_000), "uid": text(random, 20_000), "groups": groups},
        "object": object,
    }});
    review.to_string()
}
