//! The Pod Security Standards: what `k8s.io/pod-security-admission` finds at version 1.37 is what the policies find.

use super::Corpora;

/// Each policy, and the controls that it is. Both ways, for every object.
const CONTROLS: [(&str, &[&str]); 4] = [
    ("privilege-escalation", &["allowPrivilegeEscalation"]),
    ("undropped-capabilities", &["capabilities_restricted"]),
    ("root-users", &["runAsNonRoot", "runAsUser"]),
    ("missing-seccomp-profiles", &["seccompProfile_restricted"]),
];

#[test]
fn the_policies_find_what_the_standards_find_and_nothing_else() {
    let Some(corpora) = Corpora::get() else { return };
    let (mut agreed, mut disagreed) = (0, Vec::new());
    for (entry, labelled, row) in corpora.judged() {
        let Some(standard) = &labelled.standard else { continue };
        for (policy, controls) in CONTROLS {
            let fails = controls.iter().any(|control| standard.failed.contains(*control));
            if row.breaks(policy) == fails {
                agreed += 1;
            } else {
                let says = |breaks: bool| if breaks { "breaks" } else { "keeps" };
                disagreed.push(format!("{}: {} {} {} {policy}", entry.file, row.kind, row.name, says(!fails)));
            }
        }
    }
    assert!(disagreed.is_empty(), "the standards say otherwise:\n{}", disagreed.join("\n"));
    assert!(agreed > 0);
    println!("{agreed} verdicts agree");
}

#[test]
fn what_the_standards_do_not_judge_breaks_none_of_their_controls() {
    let Some(corpora) = Corpora::get() else { return };
    // Not of Kubernetes: the standards know nothing of it, and the configuration of this test does.
    let unknown =
        corpora.judged().filter(|(_, labelled, row)| labelled.standard.is_none() && row.kind != "DeploymentConfig");
    for (entry, _, row) in unknown {
        let broken: Vec<_> = CONTROLS.iter().filter(|(policy, _)| row.breaks(policy)).collect();
        assert!(broken.is_empty(), "{}: {} {} holds no pod, and breaks {broken:?}", entry.file, row.kind, row.name);
    }
}
