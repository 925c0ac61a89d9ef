//! `portcullis webhooks`: prints the webhook configurations for a configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::{Policies, print};
use crate::mode::Mode;
use crate::webhooks::{NAME, STATIC, Target, mutating, validating};

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
    /// Print files for the control plane's disk (KEP-5793) instead of objects for the API
    #[arg(long, requires_all = ["url", "ca_bundle"])]
    r#static: bool,
    /// Print one of the two configurations alone: as files, they lie in two folders
    #[arg(long, value_name = "KIND", value_enum)]
    only: Option<Kind>,
}

/// One of the two configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The configuration of `/validate`
    Validating,
    /// The configuration of `/mutate`
    Mutating,
}

/// First lines of a file.
fn head(plugin: &str) -> String {
    format!(
        "# What protects it: the disk of the control plane. Nobody can change it by the API, where it is not seen either: Portcullis\n\
         # does not renew caBundle here, and does not report a difference from its configuration.\n\
         # Place: the folder that staticManifestsDir of the plugin {plugin} names in the file of the flag\n\
         # --admission-control-config-file, on every API server (Kubernetes 1.37). A change of the file is read within a minute.\n"
    )
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
    let (mut validating, mut mutating) = (validating(&snapshot, &target), mutating(&snapshot, &target));
    let mut heads = [String::new(), String::new()];
    if args.r#static {
        if args.url.as_ref().is_none_or(|url| !url.starts_with("https://")) {
            return Err("--url: must begin with https://, as the API server demands of webhooks".to_owned());
        }
        let name = Some(format!("{NAME}{STATIC}"));
        (validating.metadata.name, mutating.metadata.name) = (name.clone(), name);
        heads = ["ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"].map(head);
    }
    let validating = heads[0].clone() + &serde_saphyr::to_string(&validating).map_err(yaml)?;
    let mutating = heads[1].clone() + &serde_saphyr::to_string(&mutating).map_err(yaml)?;
    match args.only {
        Some(Kind::Validating) => print(&validating),
        Some(Kind::Mutating) => print(&mutating),
        None => print(&format!("{validating}---\n{mutating}")),
    }
}
