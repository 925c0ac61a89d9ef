//! `proc-mounts`: the kernel's masked files stay masked.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// KEP-127: in a user namespace the unmasked files belong to nobody on the node.
const EXEMPTS_USER_NAMESPACES: Change =
    Change::new(35, "at level `baseline`, Pods with `spec.hostUsers: false` are exempt");

/// Settings. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProcMounts {
    /// The level of the standard: since 1.35 `baseline` excuses pods in a user namespace, and `restricted` does not.
    level: Level,
    #[serde(skip)]
    version: Version,
}

/// A level of the Pod Security Standards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Baseline,
    Restricted,
}

impl Policy for ProcMounts {
    const META: &'static Meta = &Meta {
        id: "proc-mounts",
        title: "a container that sees all of /proc",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Runtimes hide and write-protect the files of /proc through which a container could read or steer the \
              node's kernel; procMount: Unmasked takes that away.",
        fix: "drop securityContext.procMount, or set it to Default",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.hostUsers"]),
            Fields::of_containers(&["securityContext.procMount"]).allow(&[Allowed::Absent, Allowed::Value("Default")]),
        ],
        changes: &[EXEMPTS_USER_NAMESPACES],
        controls: &[
            Control { standard: "Pod Security Standards, baseline", name: "/proc Mount Type" },
            Control { standard: "Pod Security Standards, restricted", name: "/proc Mount Type" },
        ],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }
}

impl Validator for ProcMounts {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for container in request.containers() {
            let is_relaxed = self.level == Level::Baseline && EXEMPTS_USER_NAMESPACES.holds(self.version);
            let is_exempt = is_relaxed && container.pod().has_user_namespace();
            if let Some(kind) = container.proc_mount().filter(|kind| *kind != "Default" && !is_exempt) {
                let kind = quoted(kind);
                report.add(container.at("securityContext.procMount"), format_args!("must be Default, not {kind}"));
            }
        }
        Ok(())
    }
}
