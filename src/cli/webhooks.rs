//! `portcullis webhooks`: prints the webhook configurations for a configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::{Policies, print};
use crate::mode::Mode;
use crate::webhooks::{Target, mutating, validating};

/// Arguments of `webhooks`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    policies: Policies,
    /// Namespace of the Service; it is never judged
    #[arg(long, value_name = "NS", default_value = "portcullis")]
    namespace: String,
    /// Name of the Service
    #[arg(long, value_name = "NAME", default_value = "portcullis")]
    service: String,
    /// Base URL to use instead of a Service, such as https://127.0.0.1:8443
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// PEM certificates that sign the serving certificate
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let snapshot = args.policies.load(None, Timestamp::now())?;
    let ca_bundle = match &args.ca_bundle {
        Some(file) => Some(std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?),
        None => None,
    };
    let target =
        Target { namespace: args.namespace.clone(), service: args.service.clone(), url: args.url.clone(), ca_bundle };
    if snapshot.strongest("kube-system") == Mode::Enforce {
        eprintln!(
            "note: kube-system is enforced too: while Portcullis is unreachable, its Pods cannot be created, and the cluster's \
             own components break most policies; an entry of `namespaces` with match: {{names: [kube-system]}}, \
             ceiling: audit and relax: true leaves it alone"
        );
    }
    let yaml = |error: serde_saphyr::ser::Error| error.to_string();
    let validating = serde_saphyr::to_string(&validating(&snapshot, &target)).map_err(yaml)?;
    let mutating = serde_saphyr::to_string(&mutating(&snapshot, &target)).map_err(yaml)?;
    print(&format!("{validating}---\n{mutating}"))
}
