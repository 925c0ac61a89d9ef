//! The Pod Security Standards, proven against Kubernetes' own evaluator, `k8s.io/pod-security-admission`: its fixtures, its
//! webhook (every version), and the API server that it is part of (every version that one knows).
//!
//! The last two take generated pods, 2,000 each in every run. A long run, which prints its seed, and how to repeat it:
//!
//! ```text
//! STANDARDS_PODS=100000 cargo test --release --test it agree_on_every_generated_pod -- --nocapture
//! STANDARDS_PODS=100000 STANDARDS_SEED=1795366089 cargo test …
//! ```

mod api_server;
pub(crate) mod controls;
mod fixtures;
mod pods;
mod run;
mod spread;
mod webhook;

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{LazyLock, OnceLock};

use portcullis::pod_security::Version;
use portcullis::snapshot::Snapshot;

use crate::judging::configured;

/// The newest version that the evaluator of `tools/pod-security` knows, as ours does.
pub(crate) const NEWEST: usize = 37;

/// A level of the standards that forbids something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Baseline,
    Restricted,
}

pub(crate) const LEVELS: [Level; 2] = [Level::Baseline, Level::Restricted];

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// The configuration of a level and version, compiled once.
fn snapshot(level: Level, minor: usize) -> &'static Snapshot {
    static SNAPSHOTS: LazyLock<Vec<Snapshot>> = LazyLock::new(|| {
        let all = LEVELS.into_iter().flat_map(|level| (0..=NEWEST).map(move |minor| (level, minor)));
        all.map(|(level, minor)| configured(&configuration(level, minor))).collect()
    });
    &SNAPSHOTS[level as usize * (NEWEST + 1) + minor]
}

/// Configuration that an operator writes for a level and version.
fn configuration(level: Level, minor: usize) -> String {
    format!("profile: pss-{level}\npodSecurityVersion: v1.{minor}\n")
}

/// Files of the evaluator on this machine.
struct Upstream {
    webhook: PathBuf,
    fixtures: PathBuf,
}

/// Built first if need be: that takes minutes, once a machine.
fn upstream() -> &'static Upstream {
    static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
    UPSTREAM.get_or_init(|| {
        let build = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/pod-security/build");
        let output = Command::new(build).stderr(Stdio::inherit()).output().expect("tools/pod-security/build runs");
        assert!(output.status.success(), "tools/pod-security/build failed: {}", output.status);
        let printed = String::from_utf8(output.stdout).expect("paths");
        let (programs, fixtures) = printed.trim_end().split_once('\n').expect("two lines");
        Upstream { webhook: PathBuf::from(programs).join("webhook"), fixtures: fixtures.into() }
    })
}

#[test]
fn the_evaluator_is_as_new_as_the_policies() {
    let newest = format!("v1.{NEWEST}");
    assert_eq!(Version::LATEST.to_string(), newest);
    let go_mod = include_str!("../../tools/pod-security/go.mod");
    assert!(go_mod.contains(&format!("k8s.io/pod-security-admission v0.{NEWEST}.")), "{newest}");
}
