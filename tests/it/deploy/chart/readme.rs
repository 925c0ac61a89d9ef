//! The README of the chart: its values, with the comments that `values.yaml` has of them.

use std::fmt::Write as _;

use super::CHART;
use crate::golden::{assert_holds, repository};

/// A value that is not a mapping of values that are described: its path, default and description.
struct Described {
    path: String,
    default: String,
    text: String,
}

/// The values of a file in which each key has a comment above it.
fn described(text: &str) -> Vec<Described> {
    let mut found: Vec<Described> = Vec::new();
    let (mut comment, mut path): (Vec<&str>, Vec<(usize, &str)>) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let written = line.trim_start();
        let indent = line.len() - written.len();
        if let Some(words) = written.strip_prefix("# ") {
            comment.push(words);
        } else if written.is_empty() {
            comment.clear();
        } else if let Some((key, value)) = written.split_once(':').filter(|_| !comment.is_empty()) {
            path.retain(|(other, _)| *other < indent);
            path.push((indent, key));
            let path = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            let (default, text) = (value.trim().to_owned(), std::mem::take(&mut comment).join(" "));
            found.push(Described { path, default, text });
        } else if let Some(last) = found.last_mut() {
            // The rest of a default of several lines.
            let _ = write!(last.default, "{}{written}", if last.default.is_empty() { "" } else { ", " });
        }
    }
    found
}

fn rendered(text: &str) -> String {
    let mut page = HEAD.to_owned();
    let values = described(text);
    for (position, value) in values.iter().enumerate() {
        let is_group = values.get(position + 1).is_some_and(|next| next.path.starts_with(&format!("{}.", value.path)));
        let default = match value.default.as_str() {
            "" if is_group => String::new(),
            default => format!("`{}`", default.replace('|', "\\|")),
        };
        let _ = writeln!(page, "| `{}` | {default} | {} |", value.path, value.text.replace('|', "\\|"));
    }
    page + TAIL
}

const HEAD: &str = "# Portcullis

A Helm chart of [Portcullis](../../README.md), a Kubernetes admission webhook that refuses what breaks the security posture, and
writes every decision down. It installs the objects of [deploy/](../../deploy/rights.md), which explains each right. One installation
fits in a cluster: the webhooks have fixed names.

```sh
helm install portcullis charts/portcullis --namespace portcullis --create-namespace \\
  --set image.registry=REGISTRY --set image.digest=sha256:DIGEST
```

It starts in audit-only: it records what it would refuse, and refuses nothing. Enforcement is reached in the steps that
`helm status portcullis --namespace portcullis` prints.

The webhooks are derived from `configuration`, as `portcullis webhooks` derives them. The server writes `caBundle` and the Secret
`portcullis-certificate` as the field manager `portcullis`, and the manifests set neither. Argo CD and Flux therefore report no difference
between the manifests and the running objects. The chart has no hooks but those of `helm test`, which sends a review through the
Service, and upgrades do not need `--force`. Values hold the names of Secrets that you create, and no secrets. A GitOps tool that heals
itself brings back webhooks that were deleted: suspend it before you delete them to turn Portcullis off.

`helm uninstall` removes everything but the namespace, which helm does not own, and the volumes of a StatefulSet, which hold the
trail (`persistence.whenDeleted`). The namespace should have the labels of [namespace.yaml](../../deploy/base/namespace.yaml).

## Values

| value | default | description |
|---|---|---|
";

const TAIL: &str = "
The files in [ci/](ci) are examples: each is rendered, checked and installed by a test.
";

#[test]
fn its_readme_has_the_comments_of_its_values() {
    let text = std::fs::read_to_string(repository(&format!("{CHART}/values.yaml"))).expect("values");
    assert_holds(&format!("{CHART}/README.md"), &rendered(&text));
}

#[test]
fn every_value_is_described() {
    let text = std::fs::read_to_string(repository(&format!("{CHART}/values.yaml"))).expect("values");
    let values: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
    let described: Vec<String> = described(&text).into_iter().map(|value| value.path).collect();
    let mut missing = Vec::new();
    for (key, value) in values.as_object().expect("values") {
        missing.extend((!described.contains(key)).then(|| key.clone()));
        for (inner, _) in value.as_object().into_iter().flatten() {
            let path = format!("{key}.{inner}");
            let is_opaque = key == "resources" || path == "configuration.apiVersion" || path == "configuration.kind";
            missing.extend((!is_opaque && !described.contains(&path)).then_some(path));
        }
    }
    assert_eq!(missing, [] as [String; 0]);
}
