//! The demo shows what it promises.

mod current;

use std::process::Command;

use super::process::PROGRAM;

#[test]
fn the_demo_shows_what_it_promises() {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/demo/run"))
        .env("DEMO_ONCE", "1")
        .env("PORTCULLIS", PROGRAM)
        .output()
        .expect("the demo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("The demo takes 20 seconds") || text.starts_with("The first demo on a machine builds"),
        "{text}"
    );
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let table =
        text.lines().skip_while(|line| !line.trim_start().starts_with("DECISION")).take_while(|line| !line.is_empty());
    let table: Vec<&str> = table.collect();
    // A Deployment that is deleted in the foreground has its ReplicaSet updated, whose kind and name are long.
    assert!(table.iter().any(|line| line.contains("ReplicaSet")), "{table:#?}");
    for line in &table {
        let cells = line.trim().split("  ").filter(|cell| !cell.is_empty());
        assert_eq!(cells.count(), 4, "columns run together: {line}\n{table:#?}");
    }
    // Long lines are folded for the eye.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        r#"unpinned-images: spec.containers[0].image must end in a digest: "nginx:latest" names the tag latest"#,
        "(name the image by its digest, NAME:TAG@sha256:DIGEST, as `crane digest NAME:TAG` prints it)",
        r#"unpinned-images: spec.containers[0].image must end in a digest: "nginx:1.27.3" names a tag"#,
        "root-users: spec.securityContext.runAsUser must not be 0",
        "privileged-containers: spec.containers[0].securityContext.privileged must not be true",
        "host-namespaces: spec.hostPID must not be true",
        r#"volume-types: spec.volumes[0].hostPath must be of another type: "hostPath" is not managed by Kubernetes"#,
        "unisolated-pods: metadata.labels must be selected by a NetworkPolicy for ingress",
        "pod/web created",
        "networkpolicy.networking.k8s.io/lonely created",
        "pod/lonely created",
        "deployment.apps/bare created",
        r#"of the pod: {"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}}"#,
        r#"of the container: {"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true}"#,
        r#"room to write: [{"mountPath":"/tmp","name":"portcullis-writable-1"}]"#,
        "pod/latest-tag created",
        "pod/tag-only created",
        "pod/runs-as-root created",
        "would-deny Pod demo/latest-tag unpinned-images",
        "would-deny Pod demo/tag-only unpinned-images",
        "would-deny Pod demo/runs-as-root root-users",
        "has no stop record",
        "whole as far as it goes: every record that is here is as it was written",
        "its hash does not fit its bytes",
    ] {
        assert!(text.contains(expected), "the demo does not say: {expected}\n{text}");
    }
    assert_eq!(text.matches("Error from server (Forbidden)").count(), 5, "{text}");
}
