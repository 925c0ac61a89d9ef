//! Wrong values are refused, and the message names the value.

use super::try_template;

/// A value, and what the message must name.
const WRONG: [(&str, &str); 58] = [
    ("image: {registry: ''}", "image.registry"),
    ("image: {registry: 'https://registry.example.com'}", "/image/registry"),
    ("image: {repository: Portcullis}", "/image/repository"),
    ("image: {digest: 'sha256:12'}", "/image/digest"),
    ("image: {digest: ''}", "image.digest"),
    ("image: {digest: '', tag: '1.0'}", "image.tag"),
    ("image: {digest: '', allowTag: true}", "image.digest"),
    ("image: {tag: 'a b'}", "/image/tag"),
    ("image: {allowTag: 'yes'}", "/image/allowTag"),
    ("image: {pullPolicy: Sometimes}", "/image/pullPolicy"),
    ("image: {pullSecrets: [{name: credentials}]}", "/image/pullSecrets/0"),
    ("image: {sha: 'sha256:12'}", "'sha'"),
    ("imagePullSecrets: [credentials]", "'imagePullSecrets'"),
    ("webhooks: []", "'webhooks'"),
    ("replicas: 0", "/replicas"),
    ("replicas: two", "/replicas"),
    ("replicas: 1", "podDisruptionBudget.minAvailable"),
    ("podDisruptionBudget: {minAvailable: 2}", "podDisruptionBudget.minAvailable"),
    ("podDisruptionBudget: {maxUnavailable: 1}", "'maxUnavailable'"),
    ("resources: {limit: {memory: 1Gi}}", "'limit'"),
    ("resources: {limits: {memory: much}}", "/resources/limits/memory"),
    ("nodeSelector: {gpu: true}", "/nodeSelector/gpu"),
    ("tolerations: [{key: a, operator: Is}]", "/tolerations/0/operator"),
    ("affinity: {podAntiaffinity: {}}", "'podAntiaffinity'"),
    ("topologySpread: [{maxSkew: 1, topologyKey: zone}]", "whenUnsatisfiable"),
    (
        "topologySpread: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: Never}]",
        "/topologySpread/0/whenUnsatisfiable",
    ),
    ("priorityClassName: Very_High", "/priorityClassName"),
    ("podLabels: {app.kubernetes.io/name: other}", "app.kubernetes.io/name"),
    ("podAnnotations: {a: 1}", "/podAnnotations/a"),
    ("serviceAccount: {name: other}", "'name'"),
    ("networkPolicy: {apiServerCidrs: {ingress: [192.0.2.1]}}", "/networkPolicy/apiServerCidrs/ingress/0"),
    ("networkPolicy: {apiServerPorts: [https]}", "/networkPolicy/apiServerPorts/0"),
    ("networkPolicy: {sinks: [{name: siem, cidrs: [192.0.2.1/32]}]}", "ports"),
    ("networkPolicy: {sinks: [{name: siem, cidrs: [192.0.2.1/32], ports: [443]}]}", "networkPolicy.sinks[0].name"),
    ("persistence: {enabled: true}", "configuration.trail.spool.directory"),
    ("persistence: {size: 2}", "/persistence/size"),
    ("fallbackToLastGood: true", "persistence.enabled"),
    ("fallbackToLastGood: yes please", "/fallbackToLastGood"),
    ("persistence: {whenDeleted: Keep}", "/persistence/whenDeleted"),
    ("configuration: {trail: {spool: {directory: /var/lib/portcullis/spool}}}", "persistence.enabled"),
    (
        "{persistence: {enabled: true}, configuration: {trail: {spool: {directory: /var/lib/portcullis/spool}, \
         key: {file: /etc/portcullis-key/key.pem}}}}",
        "trailKey.secretName",
    ),
    ("trailKey: {key: secret}", "'key'"),
    ("secretMounts: [{secretName: siem}]", "mountPath"),
    ("secretMounts: [{secretName: siem, mountPath: siem}]", "/secretMounts/0/mountPath"),
    ("certificate: {mode: none}", "/certificate/mode"),
    ("certificate: {mode: secret, caBundle: '-----BEGIN CERTIFICATE-----'}", "certificate.secretName"),
    ("certificate: {mode: secret, secretName: serving}", "certificate.caBundle"),
    ("certificate: {mode: files, caBundle: '-----BEGIN CERTIFICATE-----'}", "certificate.files.volume"),
    ("certificate: {secretName: serving}", "certificate.secretName"),
    ("certificate: {caBundle: '-----BEGIN CERTIFICATE-----'}", "certificate.caBundle"),
    ("certificate: {mode: cert-manager, certManager: {duration: 90d}}", "/certificate/certManager/duration"),
    (
        "certificate: {mode: cert-manager, certManager: {issuerRef: {kind: Vault}}}",
        "/certificate/certManager/issuerRef/kind",
    ),
    ("configuration: {profile: strict}", "/configuration/profile"),
    ("configuration: {ceiling: deny}", "/configuration/ceiling"),
    ("configuration: {policies: {root-user: {mode: enforce}}}", "'root-user'"),
    (
        "configuration: {namespaces: [{match: {names: []}, ceiling: enforce}]}",
        "/configuration/namespaces/0/match/names",
    ),
    ("configuration: {profiles: hardened}", "'profiles'"),
    ("configuration: {trail: {key: {pem: secret}}}", "'pem'"),
];

#[test]
fn a_wrong_value_is_refused_by_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("values.yaml");
    for (value, name) in WRONG {
        std::fs::write(&file, value).expect("written");
        // `--set` would win over the file.
        let image = super::image();
        let rest: Vec<&str> = image.split(',').filter(|set| !value.contains(key(set))).collect();
        let mut arguments = vec!["template", "portcullis", super::CHART, "--values", file.to_str().expect("UTF-8")];
        arguments.extend(rest.iter().flat_map(|set| ["--set", set]));
        let output = super::helm(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} is taken");
        assert!(said.contains(name), "{value}: {said}");
    }
}

/// The last part of a value's name in `--set`.
fn key(set: &str) -> &str {
    set.split('=').next().and_then(|path| path.rsplit('.').next()).expect("a name")
}

#[test]
fn a_tag_is_taken_with_a_digest_or_where_it_is_allowed() {
    for (set, image) in [
        ("image.tag=1.0", format!("registry.example.com/portcullis:1.0@{}", crate::serve::DIGEST)),
        ("image.digest=,image.allowTag=true,image.tag=1.0", "registry.example.com/portcullis:1.0".to_owned()),
    ] {
        let output = try_template(&["--set", set]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("image: {image}\n")), "{set}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
