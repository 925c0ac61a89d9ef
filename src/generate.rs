//! `portcullis generate`: keeps NetworkPolicies in namespaces that opt in.
//!
//! [`plan`] is a pure function of one namespace, its workloads, its NetworkPolicies and the [`Settings`]; everything else finds these
//! and does what it says. Writes are made by one replica at a time, which holds a Lease, with server-side apply and a field manager of
//! their own. A NetworkPolicy of somebody else is never written to, nor one of ours that somebody edited: its label, its field
//! manager and the digest of its spec tell. Each write names the state that it replaces, so that what changed meanwhile stays.

mod election;
mod names;
mod pace;
mod plan;
mod policy;
mod run;
mod settings;
mod standing;
mod state;
mod stores;

pub use self::election::Timing;
pub use self::plan::{Action, Cause, Kind, Namespace, Plan, Remark, Workload, plan};
pub use self::policy::generated;
pub use self::run::Generator;
pub use self::settings::{Direction, Settings};
pub use self::state::State;

/// Field manager of every write, and value of [`LABEL`].
pub const MANAGER: &str = "portcullis-generate";
/// Label of a generated policy.
pub const LABEL: &str = "app.kubernetes.io/managed-by";
/// Annotation of a generated policy: SHA-256 of its spec as it was generated.
pub const DIGEST: &str = "portcullis.dev/generated";
/// Label by which a namespace opts in: `allow-ingress`, `default-deny` or `all`.
pub const OPT_IN: &str = "portcullis.dev/generate";
/// Name of the policy that denies what no other policy allows.
pub const DEFAULT_DENY: &str = "default-deny";
/// End of the names of the policies of workloads.
pub const ALLOW_INGRESS: &str = "-allow-ingress";
/// Name of the Lease, in our namespace.
pub const LEASE: &str = "portcullis-generate";
/// Maximum number of generated policies in a namespace.
pub const POLICIES: usize = 1_000;

/// True for namespaces in which nothing is ever generated: our own, and those of Kubernetes itself.
pub fn is_excluded(own: &str, namespace: &str) -> bool {
    namespace == own || namespace.starts_with("kube-")
}
