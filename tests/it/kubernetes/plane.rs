//! A control plane of its own for the tests: etcd, kube-apiserver and kube-controller-manager, run by
//! `tools/kubernetes`. They end when this process does, however it does: their standard input ends with it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use kube::config::Kubeconfig;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::space::Space;

/// A running control plane.
pub(crate) struct Plane {
    pub(crate) place: Place,
    /// `system:masters`
    pub(crate) admin: Client,
    control: Mutex<Control>,
}

/// Paths and address of a control plane (`Place` in `tools/kubernetes/main.go`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) server: String,
    pub(crate) kubectl: PathBuf,
    pub(crate) ca_cert: PathBuf,
    pub(crate) ca_key: PathBuf,
    /// Empty unless it was asked for.
    pub(crate) audit_log: PathBuf,
}

struct Control {
    child: Child,
    /// `None` once it has been told to end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Plane {
    /// The one that tests share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Plane> = LazyLock::new(|| Plane::start(&["--audit-log"]));
        &SHARED
    }

    /// The one for storms, one at a time. Nothing but the tests writes to it.
    pub(crate) fn for_storms() -> MutexGuard<'static, Self> {
        static STORMS: LazyLock<Mutex<Plane>> =
            LazyLock::new(|| Mutex::new(Plane::start(&["--with-controller-manager=false"])));
        STORMS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one, and returns when it can be used.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(programs().join("control-plane"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("control-plane starts");
        let (commands, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.expect("its standard output is piped"));
        let mut control = Control { child, commands, answers };
        let place = control.line();
        let place: Place =
            serde_json::from_str(&place).unwrap_or_else(|error| panic!("control-plane: {error}: {place}"));
        let admin = Client::new(Kubeconfig::read_from(&place.kubeconfig).expect("its kubeconfig"));
        Self { place, admin, control: Mutex::new(control) }
    }

    /// Restarts one of its programs, and returns when all are ready again.
    pub(crate) fn restart(&self, program: &str) {
        self.tell(&format!("restart {program}"));
    }

    /// Ends one of its programs.
    pub(crate) fn stop(&self, program: &str) {
        self.tell(&format!("stop {program}"));
    }

    /// Starts one again, and returns when all are ready.
    pub(crate) fn resume(&self, program: &str) {
        self.tell(&format!("start {program}"));
    }

    fn tell(&self, command: &str) {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = control.commands.as_mut().expect("it has not been told to end");
        writeln!(commands, "{command}").expect("control-plane listens");
        assert_eq!(control.line(), "ok");
    }

    /// A client with a certificate for that user, signed by the cluster's authority.
    pub(crate) fn user(&self, name: &str, group: &str) -> Client {
        let pem = |file: &PathBuf| std::fs::read_to_string(file).expect("the authority's files are there");
        let key = rcgen::KeyPair::from_pem(&pem(&self.place.ca_key)).expect("the authority's key");
        let issuer = rcgen::Issuer::new(named("control-plane", None), key);
        let mut parameters = named(name, Some(group));
        parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
        self.client(json!({
            "client-certificate-data": base64(certificate.pem()),
            "client-key-data": base64(key.serialize_pem()),
        }))
    }

    /// The administrator, whose requests about what lives in no namespace reach the webhooks of the test that has this namespace
    /// first, and those of no other test.
    pub(crate) fn admin_of(&self, space: &Space) -> Client {
        self.acting("admin", &["system:masters", &space.name])
    }

    /// A client that is the administrator and acts as somebody else.
    pub(crate) fn impersonating(&self, name: &str, group: &str) -> Client {
        self.acting(name, &[group])
    }

    fn acting(&self, name: &str, groups: &[&str]) -> Client {
        let mut kubeconfig = Kubeconfig::read_from(&self.place.kubeconfig).expect("its kubeconfig");
        let user = kubeconfig.auth_infos.first_mut().and_then(|user| user.auth_info.as_mut()).expect("its one user");
        user.impersonate = Some(name.to_owned());
        user.impersonate_groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        Client::new(kubeconfig)
    }

    fn client(&self, user: serde_json::Value) -> Client {
        let kubeconfig = json!({
            "clusters": [{"name": "it", "cluster": {
                "server": self.place.server, "certificate-authority": self.place.ca_cert,
            }}],
            "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        });
        Client::new(serde_json::from_value(kubeconfig).expect("a kubeconfig"))
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let control = self.control.get_mut().unwrap_or_else(PoisonError::into_inner);
        control.commands = None;
        let _ = control.child.wait();
    }
}

impl Control {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("control-plane answers");
        line.trim_end().to_owned()
    }
}

/// The folder of the programs, built first if need be: that takes minutes, once a machine.
pub(crate) fn programs() -> &'static PathBuf {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let build = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/kubernetes/build");
        let output = Command::new(build).stderr(Stdio::inherit()).output().expect("tools/kubernetes/build runs");
        assert!(output.status.success(), "tools/kubernetes/build failed: {}", output.status);
        String::from_utf8(output.stdout).expect("a path").trim_end().into()
    })
}

/// A certificate's subject as Go writes it: issuers are compared byte by byte.
fn named(common: &str, organization: Option<&str>) -> rcgen::CertificateParams {
    let printable = |text: &str| {
        let text = rcgen::string::PrintableString::try_from(text).expect("a printable name");
        rcgen::DnValue::PrintableString(text)
    };
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(organization) = organization {
        parameters.distinguished_name.push(rcgen::DnType::OrganizationName, printable(organization));
    }
    parameters.distinguished_name.push(rcgen::DnType::CommonName, printable(common));
    parameters
}

fn base64(text: String) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
