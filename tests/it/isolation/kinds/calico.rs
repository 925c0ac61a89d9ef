//! Calico's policies.

use super::{each, found};

#[test]
fn the_selectors_of_calico_are_read_as_calico_reads_them() {
    each(
        "calico",
        "{selector: \"$\", types: [Ingress, Egress]}",
        &[
            ("-", ""),
            ("-", "all()"),
            ("-", "has(app)"),
            ("ie", "!has(app)"),
            ("-", "app == 'web'"),
            ("-", "app=='web'"),
            ("ie", "app == 'shop'"),
            ("ie", "app != 'web'"),
            ("-", "zone != 'a'"),
            ("-", "app in {'shop', 'web'}"),
            ("-", "app in {'shop', 'web', }"),
            ("ie", "app in {}"),
            ("ie", "app not in {'web'}"),
            ("-", "zone not in {'a'}"),
            ("-", "app contains 'e'"),
            ("-", "app starts with 'we'"),
            ("ie", "app starts with 'eb'"),
            ("-", "app ends with 'eb'"),
            ("ie", "zone contains ''"),
            ("ie", "global()"),
            ("-", "app == 'web' && tier == 'front'"),
            ("ie", "app == 'web' && tier == 'back'"),
            ("-", "app == 'shop' || tier == 'front'"),
            // `&&` binds tighter.
            ("-", "has(tier) || has(zone) && has(zone)"),
            ("ie", "(has(tier) || has(zone)) && has(zone)"),
            ("ie", "!(app == 'web')"),
            ("-", "!!has(app)"),
            ("-", "!(has(zone) || app == 'shop')"),
            ("-", "projectcalico.org/namespace == 'default'"),
            ("-", "projectcalico.org/serviceaccount == 'web'"),
            ("-", "projectcalico.org/orchestrator == 'k8s'"),
            ("-", "pcns.team == 'shop'"),
            ("-", "pcsa.role == 'api'"),
            ("ie", "pcsa.role == 'other'"),
            // Calico refuses these.
            ("ie", "app = 'web'"),
            ("ie", "app == web"),
            ("ie", "app == 'web' &&"),
            ("ie", "app == 'web' tier == 'front'"),
            ("ie", "(app == 'web'"),
            ("ie", "app == 'web"),
            ("ie", "has()"),
        ],
    );
    each(
        "global",
        "{$, types: [Ingress, Egress]}",
        &[
            ("-", "order: 1"),
            ("-", "namespaceSelector: \"team == 'shop'\""),
            ("-", "namespaceSelector: \"projectcalico.org/name == 'default'\""),
            ("-", "namespaceSelector: all()"),
            ("ie", "namespaceSelector: has(zone)"),
            ("ie", "namespaceSelector: global()"),
            ("-", "serviceAccountSelector: \"role == 'api'\""),
            ("-", "serviceAccountSelector: \"projectcalico.org/name == 'web'\""),
            ("ie", "serviceAccountSelector: \"role == 'other'\""),
            ("ie", "applyOnForward: true, doNotTrack: true"),
            ("ie", "applyOnForward: true, preDNAT: true"),
        ],
    );
}

#[test]
fn the_types_of_calico_follow_from_its_rules() {
    for kind in ["calico", "crd", "global"] {
        each(
            kind,
            "{$}",
            &[
                ("e", ""),
                ("e", "ingress: [{action: Deny}]"),
                ("i", "egress: [{action: Deny}]"),
                ("-", "ingress: [{action: Deny}], egress: [{action: Deny}]"),
                ("e", "types: [Ingress], egress: [{action: Deny}]"),
                ("-", "types: [Ingress, Egress]"),
            ],
        );
    }
}

#[test]
fn the_rules_of_calico_are_taken_in_order() {
    let frame = "{types: [Ingress, Egress], ingress: [$]}";
    each(
        "calico",
        frame,
        &[
            ("i", "{action: Allow}"),
            ("-", "{action: Log}"),
            ("-", "{action: Other}"),
            ("-", "{action: Deny}, {action: Allow}"),
            ("i", "{action: Allow}, {action: Deny}"),
            ("i", "{action: Log}, {action: Allow}"),
            // A namespace's profile allows what the only tier passes on.
            ("i", "{action: Pass}"),
            ("-", "{action: Deny}, {action: Pass}"),
            ("-", "{action: Allow, source: {nets: [10.0.0.0/8]}}"),
            ("i", "{action: Allow, source: {nets: [0.0.0.0/0]}}"),
            ("i", "{action: Allow, source: {nets: [0.0.0.0/1]}}, {action: Allow, source: {nets: [128.0.0.0/1]}}"),
            ("i", "{action: Allow, source: {notNets: [10.0.0.0/8]}}"),
            ("-", "{action: Allow, source: {notNets: [0.0.0.0/0, \"::/0\"]}}"),
            ("i", "{action: Allow, ipVersion: 6}"),
            ("-", "{action: Deny, source: {nets: [0.0.0.0/0, \"::/0\"]}}, {action: Allow}"),
            ("i", "{action: Deny, source: {nets: [0.0.0.0/0]}}, {action: Allow}"),
            ("i", "{action: Deny, source: {nets: [8.8.8.8/32]}}, {action: Allow}"),
            ("-", "{action: Allow, protocol: TCP, destination: {ports: [80, \"443\"]}}"),
            ("i", "{action: Allow, protocol: TCP, destination: {ports: [\"1:65535\"]}}"),
            ("i", "{action: Allow, protocol: 6}"),
            ("-", "{action: Allow, protocol: ICMP}"),
            ("i", "{action: Allow, notProtocol: TCP}"),
            ("-", "{action: Allow, protocol: UDP, destination: {notPorts: [53]}}"),
            ("-", "{action: Allow, destination: {ports: [\"1:65535\"]}}"),
            ("-", "{action: Allow, source: {ports: [53]}}"),
            ("-", "{action: Allow, http: {methods: [GET]}}"),
            ("-", "{action: Allow, destination: {selector: \"app == 'web'\"}}"),
            ("-", "{action: Allow, source: {selector: all()}}"),
            ("i", "{action: Allow, source: {namespaceSelector: all()}}"),
            ("-", "{action: Allow, source: {selector: has(app), namespaceSelector: all()}}"),
            (
                "i",
                "{action: Allow, source: {selector: has(app), namespaceSelector: all()}}, \
                 {action: Allow, source: {selector: \"!has(app)\", namespaceSelector: all()}}",
            ),
            ("i", "{action: Allow, source: {selector: \"has(app) || !has(app)\", namespaceSelector: all()}}"),
            ("i", "{action: Allow, source: {selector: \"app contains '' || !has(app)\", namespaceSelector: all()}}"),
            ("i", "{action: Allow, source: {notSelector: has(app)}}"),
            ("-", "{action: Allow, source: {serviceAccounts: {names: [web]}}}"),
            ("-", "{action: Allow, source: {services: {name: web, namespace: default}}}"),
            ("i", "{action: Deny, source: {selector: has(app), namespaceSelector: all()}}, {action: Allow}"),
        ],
    );
    each(
        "global",
        frame,
        &[("i", "{action: Allow, source: {selector: all()}}"), ("-", "{action: Allow, source: {selector: has(app)}}")],
    );
    let (allow, deny) = ("ingress: [{action: Allow}]", "ingress: [{action: Deny}]");
    let egress = ("np", "{policyTypes: [Egress]}");
    let policy = |place: &str, rules: &str| format!("{{{place}, types: [Ingress], {rules}}}");
    let pass = "ingress: [{action: Pass}]";
    for (expected, first, second) in [
        ("-", policy("order: 10", deny), policy("order: 20", allow)),
        ("i", policy("order: 20", deny), policy("order: 10", allow)),
        ("-", policy("order: -1.5", deny), policy("order: 0", allow)),
        // The last, by default.
        ("i", policy("order: null", deny), policy("order: 10", allow)),
        // By name.
        ("-", policy("order: 5", deny), policy("order: 5", allow)),
        ("-", policy("tier: first", pass), policy("tier: default", deny)),
        ("i", policy("tier: first", pass), policy("tier: default", allow)),
        ("i", policy("tier: first", allow), policy("tier: default", deny)),
    ] {
        let policies = [egress, ("calico", first.as_str()), ("global", second.as_str())];
        assert_eq!(found(false, &policies), expected, "{policies:?}");
    }
}
