//! Configurations that reach every branch of the derivation of webhooks, as the value `configuration` of the chart.

/// `null` takes away what the chart's own values hold.
pub(super) const CONFIGURATIONS: [&str; 97] = [
    // Profiles, ceilings and defaults.
    "{}",
    "{profile: null}",
    "{profile: null, defaults: null}",
    // Access, which judges some of what policies on Pods do, and nodes by a setting.
    "{profile: null, policies: {interactive-access: {mode: enforce}}}",
    "{profile: null, policies: {interactive-access: {mode: enforce, settings: {nodes: enforce}}}}",
    "{profile: hardened, policies: {interactive-access: {mode: enforce, settings: {groups: [sre]}}}}",
    "{profile: null, namespaces: [{match: {names: [pay]}, policies: {interactive-access: {mode: enforce, settings: {nodes: enforce}}}, relax: true}]}",
    // Writers, in the namespaces of the settings alone.
    "{profile: null, policies: {ad-hoc-edits: {mode: enforce, settings: {namespaces: [shop, pay]}}}}",
    "{profile: null, policies: {ad-hoc-edits: {mode: enforce}, routine-admins: {mode: enforce}}}",
    "{profile: hardened, policies: {ad-hoc-edits: {mode: enforce, settings: {namespaces: [shop, portcullis]}}}}",
    "{profile: hardened, ceiling: audit, policies: {ad-hoc-edits: {mode: enforce, settings: {namespaces: [shop, pay]}}}, namespaces:
      [{match: {labels: {tier: gold}}, ceiling: enforce}, {match: {names: [pay]}, ceiling: warn}]}",
    "{profile: hardened, ceiling: warn, policies: {ad-hoc-edits: {mode: enforce, settings: {namespaces: [shop, pay]}}}, namespaces:
      [{match: {names: [pay, bank]}, ceiling: enforce}]}",
    "{profile: hardened, policies: {routine-admins: {mode: 'off'}, literal-secrets: {mode: 'off'}}, namespaces: [{match: {names:
      [pay, bank]}, policies: {ad-hoc-edits: {mode: audit, settings: {namespaces: [bank, other]}}}, relax: true}]}",
    "{profile: hardened}",
    // NetworkPolicies that are changed or deleted, which are warned of unless a key says otherwise.
    "{profile: null, defaults: off, policies: {unisolated-pods: {mode: enforce}}}",
    "{profile: null, defaults: off, policies: {unisolated-pods: {mode: enforce, deletes: enforce}}}",
    "{profile: null, defaults: off, policies: {unisolated-pods: {mode: enforce, updates: strict}, open-ingress: {mode: warn}}}",
    "{profile: hardened, policies: {unisolated-pods: {deletes: enforce, updates: lenient}}, namespaces: [{match: {names: [pay]},
      policies: {unisolated-pods: {deletes: warn}}, relax: true}, {match: {names: [free]}, ceiling: warn, relax: true}]}",
    "{profile: hardened, ceiling: audit, policies: {unisolated-pods: {deletes: enforce}}, namespaces: [{match: {names: [pay, shop]},
      ceiling: enforce}, {match: {names: [bank]}, policies: {unisolated-pods: {mode: off}}, relax: true}]}",
    "{profile: hardened, policies: {open-egress: {mode: warn}}, namespaces: [{match: {names: [pay]}, policies: {unisolated-pods:
      {deletes: enforce, updates: strict}}}]}",
    "{profile: hardened, defaults: 'off'}",
    "{profile: hardened, defaults: off}",
    "{profile: hardened, defaults: all}",
    "{profile: pss-baseline}",
    "{profile: pss-restricted, ceiling: warn}",
    "{profile: audit-only, ceiling: enforce}",
    "{profile: hardened, ceiling: audit}",
    "{profile: hardened, ceiling: off}",
    "{profile: hardened, ceiling: 'off', defaults: all}",
    "{profile: hardened, ceiling: warn, podSecurityVersion: v1.24}",
    // Modes of policies, and of mutators.
    "{profile: null, defaults: off, policies: {root-users: {mode: audit}}}",
    "{profile: null, defaults: off, policies: {root-users: {mode: off}}}",
    "{profile: null, defaults: off, policies: {root-users: {mode: enforce, updates: strict}, host-paths: {mode: warn}}}",
    "{profile: null, defaults: off, policies: {automounted-tokens: {mode: enforce}}}",
    "{profile: null, defaults: off, policies: {default-seccomp-profile: {mode: enforce}}}",
    "{profile: null, defaults: safe, policies: {default-seccomp-profile: {mode: off}, default-no-token-automount: {mode: off},
      default-no-privilege-escalation: {mode: off}}}",
    "{profile: null, defaults: off, policies: {default-no-token-automount: {mode: warn}}}",
    "{profile: null, defaults: all, policies: {default-read-only-root: {settings: {paths: [/tmp, /run]}}}}",
    "{profile: pss-restricted, policies: {volume-types: {mode: audit}}}",
    "{profile: pss-restricted, policies: {host-paths: {mode: off}, volume-types: {mode: off}}}",
    "{profile: hardened, defaults: off, policies: {proc-mounts: {mode: warn, settings: {level: restricted}}}}",
    // Namespaces.
    "{profile: hardened, namespaces: []}",
    "{profile: hardened, namespaces: [{match: {names: [kube-system]}, ceiling: audit, relax: true}]}",
    "{profile: hardened, namespaces: [{match: {names: [kube-system, free]}, ceiling: off, relax: true}]}",
    "{profile: hardened, ceiling: audit, namespaces: [{match: {names: [pay]}, ceiling: enforce}]}",
    "{profile: hardened, ceiling: audit, namespaces: [{match: {names: [pay, shop]}, ceiling: enforce},
      {match: {names: [bank]}, ceiling: warn}]}",
    "{profile: audit-only, namespaces: [{match: {names: [z, a, m]}, ceiling: enforce}, {match: {names: [portcullis]},
      ceiling: enforce}]}",
    "{profile: audit-only, namespaces: [{match: {names: [portcullis]}, ceiling: enforce}]}",
    "{profile: hardened, namespaces: [{match: {names: [portcullis]}, ceiling: off, relax: true}]}",
    "{profile: null, defaults: off, namespaces: [{match: {names: [portcullis]}, policies: {root-users: {mode: enforce}}}]}",
    "{profile: null, defaults: off, namespaces: [{match: {names: [one]}, policies: {root-users: {mode: enforce}}},
      {match: {names: [two]}, policies: {root-users: {mode: audit}}}, {match: {names: [three]}, defaults: safe}]}",
    "{profile: hardened, defaults: all, namespaces: [{match: {names: [raw]}, defaults: off, relax: true}]}",
    "{profile: hardened, defaults: off, namespaces: [{match: {names: [new]}, defaults: safe}]}",
    "{profile: hardened, defaults: safe, namespaces: [{match: {names: [quiet]}, ceiling: off, defaults: 'off', relax: true},
      {match: {names: [loud]}, policies: {unbounded-containers: {mode: enforce}}}]}",
    "{profile: pss-baseline, policies: {host-ports: {mode: warn}}, namespaces: [{match: {names: [edge]}, policies:
      {host-ports: {mode: off}}, relax: true}, {match: {names: [core]}, policies: {host-ports: {mode: enforce}}}]}",
    "{ceiling: off, profile: hardened, namespaces: [{match: {names: [trial]}, ceiling: warn}]}",
    // Labels of namespaces.
    "{profile: null, defaults: off, podSecurityLabels: tighten}",
    "{profile: null, defaults: off, podSecurityLabels: ignore}",
    "{profile: null, defaults: off, podSecurityLabels: tighten, ceiling: audit}",
    "{profile: null, defaults: off, podSecurityLabels: tighten, ceiling: off}",
    "{profile: audit-only, podSecurityLabels: tighten, namespaces: [{match: {names: [pay]}, ceiling: enforce}]}",
    "{profile: null, podSecurityLabels: tighten, policies: {root-users: {mode: audit}}, namespaces:
      [{match: {names: [kube-system]}, ceiling: audit, relax: true}, {match: {names: [free]}, ceiling: off, relax: true}]}",
    // Entries that match by labels: alone, several, beside names, from off, for some kinds only, with defaults.
    "{profile: hardened, ceiling: audit, namespaces: [{match: {labels: {tier: pci}}, ceiling: enforce}]}",
    "{profile: hardened, ceiling: audit, namespaces: [{match: {labels: {tier: [prod, pci, pci]}}, ceiling: enforce},
      {match: {labels: {example.com/team: bank}}, ceiling: warn}, {match: {names: [pay]}, ceiling: enforce}]}",
    "{profile: hardened, ceiling: 'off', defaults: all, namespaces: [{match: {labels: {tier: pci}}, ceiling: enforce},
      {match: {labels: {tier: try}}, ceiling: warn}, {match: {labels: {tier: see}}, ceiling: audit}, {match: {names: [pay, portcullis]},
      ceiling: audit}]}",
    "{profile: hardened, namespaces: [{match: {names: [kube-system]}, ceiling: audit, relax: true}, {match: {names: [free]}, ceiling:
      off, relax: true}, {match: {labels: {tier: pci}}, policies: {unlabelled-namespaces: {mode: enforce}}}]}",
    "{profile: null, defaults: off, podSecurityLabels: tighten, ceiling: audit, namespaces: [{match: {labels: {tier: pci}}, ceiling:
      enforce}]}",
    "{profile: null, defaults: off, namespaces: [{match: {labels: {tier: pci}}, defaults: safe}, {match: {labels: {team: a}},
      defaults: all}, {match: {names: [pay]}, defaults: safe}]}",
    "{profile: audit-only, policies: {required-metadata: {mode: audit, settings: {instances: [{name: a, kinds: [{kind: Service}, {kind:
      Secret}, {kind: Namespace}], labels: {team: x}}]}}}, namespaces: [{match: {labels: {tier: pci}}, ceiling: enforce,
      policies: {required-metadata: {mode: enforce}, wildcard-roles: {mode: enforce}}}]}",
    "{profile: hardened, ceiling: audit, namespaces: [{match: {labels: {tier: pci}}, ceiling: enforce}, {match: {labels: {team: a}},
      ceiling: enforce}, {match: {labels: {team: b}}, ceiling: warn}], workloads: [{group: example.org, kind: Fleet, path:
      /spec/template}]}",
    // Further kinds.
    "{profile: hardened, workloads: [{group: argoproj.io, kind: Rollout, path: /spec/template}]}",
    "{profile: hardened, ceiling: audit, namespaces: [{match: {names: [pay]}, ceiling: enforce}], workloads:
      [{group: example.org, kind: Fleet, path: /spec/template}]}",
    "{profile: hardened, workloads: [{group: example.org, kind: Fleet, path: /spec/template, immutable: true},
      {group: example.org, kind: Ship, path: /spec/template}]}",
    "{profile: hardened, workloads: [{group: example.org, kind: Fleet, path: /spec/template},
      {group: example.org, kind: Fleet, path: /spec/other, immutable: true}]}",
    "{profile: hardened, workloads: [{group: apps, kind: Fleet, resource: fleet, path: /spec/template},
      {group: batch, kind: Wave, path: /spec/template, immutable: true}, {group: a.example.org, kind: Ship, path: /spec/a}]}",
    // Kinds that settings name: alone, beside Pods and rows of the table, in namespaces, and with modes of their own.
    "{profile: null, defaults: off, policies: {required-metadata: {mode: enforce, settings: {instances: [{name: a, kinds:
      [{kind: Service}, {kind: Deployment}, {kind: Namespace}, {kind: StorageClass}, {kind: Secret}, {kind: ServiceAccount},
      {kind: Pod}], labels: {team: x}}]}}}}",
    "{profile: hardened, ceiling: warn, policies: {required-metadata: {mode: enforce, settings: {instances: [{name: a, kinds:
      [{kind: Deployment}, {kind: Service}, {kind: Pod}], labels: {team: x}}]}}}, namespaces: [{match: {names: [pay]}, ceiling:
      enforce}]}",
    "{profile: hardened, policies: {root-users: {mode: warn}, required-metadata: {mode: warn, settings: {instances: [{name: a,
      kinds: [{kind: Deployment}, {kind: Pod}, {kind: Service}, {kind: Role}, {kind: Namespace}], labels: {team: x}}]}}}}",
    "{profile: audit-only, ceiling: enforce, policies: {exposed-services: {mode: audit}, required-metadata: {mode: enforce, settings:
      {instances: [{name: a, kinds: [{kind: Service}, {kind: Ingress}, {kind: CronJob}, {kind: PodTemplate}], labels: {team: x}},
      {name: b, kinds: [{kind: Service}], labels: {team: x}, mode: warn}]}}}}",
    "{profile: pss-restricted, ceiling: enforce, policies: {root-users: {mode: audit}, allowed-values: {mode: enforce, settings:
      {instances: [{name: a, kinds: [{kind: Pod}], path: spec.x, values: [a], mode: warn}]}}, interactive-access: {mode:
      audit}}}",
    "{profile: null, defaults: off, policies: {interactive-access: {mode: audit}, allowed-values: {mode: enforce, settings:
      {instances: [{name: a, kinds: [{kind: Pod}], path: spec.x, values: [a]}]}}}}",
    "{profile: null, policies: {required-metadata: {mode: enforce, settings: {instances: [{name: a, kinds: [{group: example.org,
      kind: Fleet, resource: fleets}, {group: other.example.org, kind: Fleet, resource: fleets}], labels: {team: x}}]}},
      allowed-values: {mode: warn, settings: {instances: [{name: a, kinds: [{group: example.org, kind: Fleet, resource: fleets},
      {kind: IngressClass}], path: spec.x, values: [a]}]}}}}",
    "{profile: null, defaults: off, policies: {required-metadata: {mode: enforce, settings: {instances: [{name: a, kinds: [{group:
      example.org, kind: Fleet, resource: fleets}], labels: {team: x}, mode: warn}, {name: b, kinds: [{group: other.example.org,
      kind: Fleet, resource: fleets}, {kind: Secret}], labels: {team: x}}]}}}, namespaces: [{match: {names: [pay]}, ceiling: warn,
      relax: true}, {match: {names: [shop]}, policies: {required-metadata: {mode: enforce, settings: {instances: [{name: c, kinds:
      [{kind: ConfigMap}], labels: {team: x}}]}}}, relax: true}]}",
    "{profile: hardened, workloads: [{group: example.org, kind: Fleet, path: /spec/template}], policies: {root-users: {mode: warn},
      required-metadata: {mode: enforce, settings: {instances: [{name: a, kinds: [{group: example.org, kind: Fleet, resource:
      fleets}], labels: {team: x}}]}}}, ceiling: warn, namespaces: [{match: {names: [pay]}, ceiling: enforce}]}",
    "{profile: hardened, policies: {required-metadata: {mode: enforce}, allowed-values: {mode: off, settings: {instances: [{name: a,
      kinds: [{kind: Service}], path: spec.x, values: [a]}]}}}}",
    "{profile: null, defaults: off, policies: {required-metadata: {mode: warn, settings: {instances: [{name: a, kinds: [{kind:
      Secret}, {kind: ConfigMap}, {group: serving.knative.dev, kind: Service, resource: services}, {group: '', kind: Service}],
      labels: {team: x}}]}}}}",
    // Secrets by their type, of every type, beside an instance on Secrets, and in one namespace.
    "{profile: null, policies: {long-lived-tokens: {mode: enforce}}}",
    "{profile: null, policies: {unmanaged-secrets: {mode: warn}}}",
    "{profile: hardened, policies: {unmanaged-secrets: {mode: enforce, settings: {users: [jane]}}}}",
    "{profile: hardened, policies: {required-metadata: {mode: enforce, settings: {instances: [{name: a, kinds: [{kind: Secret}],
      labels: {team: x}}]}}}}",
    "{profile: hardened, namespaces: [{match: {names: [pay]}, policies: {unmanaged-secrets: {mode: enforce}}}, {match: {names:
      [kube-system]}, policies: {long-lived-tokens: {mode: audit}}, relax: true}]}",
    // What the derivation does not read.
    "{profile: hardened, exceptions: [{name: old, policies: [unpinned-images], match: {namespace: shop}, expires:
      2027-01-31T00:00:00Z, reason: migration, owner: shop}]}",
    "{profile: hardened, exceptions: {maxLifetime: 400d, entries: []}, trail: {cluster: prod, redaction: on, sample: 1/100}}",
    "{profile: hardened, trail: {redaction: off}}",
    "{profile: hardened, existing: {admit: true, createdBefore: 2026-01-31T00:00:00Z}}",
    "{profile: hardened, namespaces: [{match: {names: [shop]}, policies: {}}], policies: {}}",
    "{profile: hardened, ceiling: enforce, defaults: all, podSecurityLabels: tighten, namespaces: [{match: {names: [a, b]},
      ceiling: warn, relax: true}, {match: {names: [c]}, ceiling: audit, defaults: off, relax: true}, {match: {names: [d]},
      ceiling: off, relax: true}], workloads: [{group: example.org, kind: Fleet, path: /spec/template}]}",
];

/// Kinds whose resource name is derived from the kind, one for each word and ending of the rule.
pub(super) const KINDS: &str = "Sandbox Elasticsearch Proxy Jenkins Policy Rollout Gateway Redis Kafka Field Index Mesh \
    Prometheus Canary Process Quiz Analysis AnalysisRun Medium Repo Photo Status Bus Knife Shelf Staff Matrix Vertex Tools \
    Sandboxes Life Batch Datum Quorum Hero Zoo Piano Radio Toy Key Soliloquy Person Child Mouse Series Class Buzz Fez \
    Criterion Thesis Axis Alias Atlas Focus Radius Consortium Spectrum Momentum Leaf Half Scarf Move Movie People Proxies \
    Directive Loaf Buy Synopsis Blitz Waltz Glory Crisis Nucleus";
