//! `portcullis backstop`: prints ValidatingAdmissionPolicies that hold while nobody asks Portcullis.

use std::process::ExitCode;

use jiff::Timestamp;

use super::{Policies, escape, print};
use crate::backstop::{Settings, backstop};

/// Maximum number of groups, and of users.
const NAMES: usize = 64;
/// Maximum length of the name of a group or a user, in bytes.
const NAME: usize = 253;
/// Groups that everybody is in, or every program in the cluster, or those who create Pods for others: every controller of
/// Kubernetes, and every node.
const EVERYBODY: [&str; 5] = [
    "system:authenticated",
    "system:nodes",
    "system:serviceaccounts",
    "system:serviceaccounts:kube-system",
    "system:unauthenticated",
];

/// What protects objects of the API.
const API_FORM: &str = "\
# What protects it: RBAC. Whoever may write or delete ValidatingAdmissionPolicies or their bindings can remove it; no
# policy of this form can forbid that, because the API server evaluates none for them.
# Apply: kubectl apply --prune --selector app.kubernetes.io/name=portcullis,app.kubernetes.io/component=backstop \\
#   --prune-allowlist admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy \\
#   --prune-allowlist admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding --filename FILE
";
/// What protects files.
const STATIC_FORM: &str = "\
# What protects it: the disk of the control plane. Nobody can remove it by the API, where it is not seen either.
# Place: the folder that staticManifestsDir of the plugin ValidatingAdmissionPolicy names in the file of the flag
# --admission-control-config-file, on every API server (Kubernetes 1.37; in 1.36 behind the feature gate
# ManifestBasedAdmissionControlConfig). A change of the file is read within a minute.
";

/// Arguments of `backstop`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    policies: Policies,
    /// Groups whose members the backstop refuses nothing, such as those of on-call and of helm or a GitOps tool;
    /// system:masters is always one of them
    #[arg(long, value_name = "GROUP", num_args = 1.., required = true, value_parser = group)]
    allow_group: Vec<String>,
    /// Users who may change the objects of Portcullis: whoever else writes `caBundle`, such as cert-manager's CA injector
    /// (system:serviceaccount:cert-manager:cert-manager-cainjector), or a provider's admissions enforcer
    #[arg(long, value_name = "USER", num_args = 1.., value_parser = name)]
    allow_user: Vec<String>,
    /// Namespace of Portcullis; its Pods are never judged
    #[arg(long, value_name = "NS", default_value = "portcullis")]
    namespace: String,
    /// Print files for the control plane's disk (KEP-5793) instead of objects for the API
    #[arg(long)]
    r#static: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    for (option, names) in [("--allow-group", &args.allow_group), ("--allow-user", &args.allow_user)] {
        if names.len() > NAMES {
            return Err(format!("{option}: must be at most {NAMES}, not {}", names.len()));
        }
    }
    let now = Timestamp::now();
    let snapshot = args.policies.load(None, now)?;
    let settings = Settings {
        namespace: args.namespace.clone(),
        groups: args.allow_group.clone(),
        users: args.allow_user.clone(),
        is_static: args.r#static,
        now,
    };
    let made = backstop(&snapshot, &settings);
    let mut text = format!(
        "# Backstop of Portcullis for the configuration sha256:{}.\n\
         # It is always in force, whether or not Portcullis answers, and knows no exception and no reason on an object: it judges\n\
         # the creation of Pods, and changes of the objects of Portcullis. Print it again after each change of the configuration.\n",
        snapshot.digest()
    );
    text += if args.r#static { STATIC_FORM } else { API_FORM };
    for note in &made.notes {
        let note = escape(note);
        eprintln!("note: {note}");
        text += &format!("# {note}\n");
    }
    let yaml = |error: serde_saphyr::ser::Error| error.to_string();
    let mut documents = Vec::new();
    for (policy, binding) in &made.policies {
        documents.push(serde_saphyr::to_string(policy).map_err(yaml)?);
        documents.push(serde_saphyr::to_string(binding).map_err(yaml)?);
    }
    // The comments belong to the first document: an API server reads no file with a document that holds nothing.
    print(&(text + &documents.join("---\n")))
}

/// Reads the name of a group.
fn group(text: &str) -> Result<String, String> {
    if EVERYBODY.contains(&text) {
        let who = "everybody, every program in the cluster, or every controller that creates Pods is in it: name a group of \
                   people, or that of one namespace's programs, such as system:serviceaccounts:argocd";
        return Err(who.to_owned());
    }
    name(text)
}

/// Reads a name.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("must be a name".to_owned());
    }
    if text.len() > NAME {
        return Err(format!("must be at most {NAME} bytes long"));
    }
    Ok(text.to_owned())
}
