//! The real program, serving, and its registration with an API server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Client;
use super::objects;
use super::plane::Plane;
use super::space::Space;
use super::{PATIENCE, eventually};
use crate::judging;
use crate::ports::Port;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");
const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1";
const HEAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
/// Seconds from SIGTERM to the end, of which it goes on accepting for a quarter.
const GRACE: &str = "4";

/// Portcullis, and the webhooks that lead to it. Both end with it.
pub(crate) struct Portcullis {
    dir: TempDir,
    server: Server,
    _port: Port,
    plane: PathBuf,
    arguments: Vec<String>,
    admin: Client,
    registered: Vec<String>,
}

/// One process of it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Portcullis {
    /// Starts it with a configuration (what follows `kind:`), for webhooks that match these namespaces alone, of which
    /// the first is there; without any, the webhooks are as they are printed.
    pub(crate) fn guard(plane: &Plane, spaces: &[&Space], configuration: &str, arguments: &[&str]) -> Self {
        Self::start(plane, spaces, configuration, arguments, false)
    }

    /// The same with mutating webhooks that fail closed and have half a minute: as they are printed, a busy machine makes the
    /// API server store an object without them, and say nothing.
    pub(crate) fn insisting(plane: &Plane, spaces: &[&Space], configuration: &str) -> Self {
        Self::start(plane, spaces, configuration, &[], true)
    }

    fn start(plane: &Plane, spaces: &[&Space], configuration: &str, arguments: &[&str], insists: bool) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        write_certificates(dir.path());
        configure(dir.path(), configuration);
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        // Its webhooks lead to it there, also after a restart.
        let port = Port::reserve();
        let server = Server::start(dir.path(), Some(&plane.place.kubeconfig), port.address(), &arguments);
        let (kubeconfig, admin) = (plane.place.kubeconfig.clone(), plane.admin.clone());
        let mut portcullis =
            Self { dir, server, _port: port, plane: kubeconfig, arguments, admin, registered: Vec::new() };
        portcullis.register(spaces, insists);
        portcullis
    }

    /// The profile `hardened` in one namespace.
    pub(crate) fn hardened(plane: &Plane, space: &Space) -> Self {
        Self::guard(plane, &[space], "profile: hardened\n", &[])
    }

    /// Replaces the configuration in one step, and says nothing to the process.
    pub(crate) fn configure(&self, configuration: &str) {
        configure(self.dir.path(), configuration);
    }

    /// Every record of the trail.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.trail()).expect("there is a trail");
        // The writer may be in the middle of a line.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The last decision about an object that was to be stored.
    #[track_caller]
    pub(crate) fn decision(&self, kind: &str, name: &str) -> Value {
        let is_it = |event: &&Value| {
            event["kind"]["kind"] == kind && event["name"] == name && event["dryRun"] == Value::Bool(false)
        };
        self.records().iter().rfind(is_it).cloned().unwrap_or_else(|| panic!("no decision about the {kind} {name}"))
    }

    /// The file that its trail is in.
    pub(crate) fn trail(&self) -> PathBuf {
        self.dir.path().join("trail.jsonl")
    }

    /// What the process wrote to its log.
    pub(crate) fn log(&self) -> String {
        self.server.log()
    }

    /// The answer of the admin port, status line and headers included.
    pub(crate) fn admin(&self, path: &str) -> String {
        get(self.server.admin, path).unwrap_or_default()
    }

    /// The value of a metric without labels, or with the labels as they are shown.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = self.admin("/metrics");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// SIGTERM, and then, once it has ended, another one at the same address with the same files.
    pub(crate) fn restart(&mut self) {
        let status = self.server.end();
        assert!(status.success(), "{status}: {}", self.server.log());
        self.revive();
    }

    /// Another one at the same address with the same files, after one that has ended.
    pub(crate) fn revive(&mut self) {
        self.server = Server::start(self.dir.path(), Some(&self.plane), self.server.address, &self.arguments);
    }

    /// Ends it as a kubelet does.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.server.end()
    }

    /// Ends it as a crash does. Its webhooks stay.
    pub(crate) fn kill(&mut self) {
        self.server.child.kill().expect("it runs");
        self.server.child.wait().expect("it is our child");
    }

    /// Registers what `portcullis webhooks` prints, for these namespaces alone, and waits until the API server asks.
    fn register(&mut self, spaces: &[&Space], insists: bool) {
        let dir = self.dir.path();
        let output = Command::new(PROGRAM)
            .arg("webhooks")
            .args(["--config".as_ref(), dir.join("portcullis.yaml").as_os_str()])
            .args(["--url", &format!("https://{}", self.server.address)])
            .args(["--ca-bundle".as_ref(), dir.join("ca.crt").as_os_str()])
            .output()
            .expect("portcullis webhooks runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("text");
        let names: Vec<&str> = spaces.iter().map(|space| space.name.as_str()).collect();
        let probed = spaces.first().map_or_else(|| Space::named(&self.admin, "default"), |space| (*space).clone());
        for mut webhooks in judging::documents(&printed) {
            let (endpoint, resource) = match webhooks["kind"].as_str() {
                Some("ValidatingWebhookConfiguration") => ("validate", "validatingwebhookconfigurations"),
                _ => ("mutate", "mutatingwebhookconfigurations"),
            };
            let entries = webhooks["webhooks"].as_array_mut().expect("webhooks");
            if entries.is_empty() {
                continue;
            }
            for webhook in entries.iter_mut().filter(|_| !names.is_empty()) {
                let ours = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": names});
                let selected = webhook["namespaceSelector"]["matchExpressions"].as_array_mut();
                selected.expect("every webhook selects namespaces").push(ours);
            }
            for webhook in entries.iter_mut().filter(|_| !names.is_empty()) {
                // No selector holds back what lives in no namespace, and other tests write such objects too.
                let conditions = webhook["matchConditions"].as_array_mut().expect("every webhook has conditions");
                conditions.push(json!({"name": "in-a-namespace-or-by-this-test", "expression": is_ours(&probed)}));
            }
            for webhook in entries.iter_mut().filter(|_| insists && endpoint == "mutate") {
                webhook["failurePolicy"] = "Fail".into();
                webhook["timeoutSeconds"] = 30.into();
            }
            webhooks["metadata"]["name"] = probed.name.as_str().into();
            let resource = format!("{REGISTRATION}/{resource}");
            self.admin.call(Method::POST, &resource, Some(&webhooks)).admitted();
            self.registered.push(format!("{resource}/{}", probed.name));
            // An object that is known for one namespace is known for all.
            eventually("the API server asks", || {
                probed.create_dry("pods", &objects::broken_pod("probe"));
                let asked = |event: &Value| {
                    event["endpoint"] == endpoint
                        && event["name"] == "probe"
                        && event["namespace"] == probed.name.as_str()
                };
                self.records().iter().any(asked).then_some(())
            });
        }
    }
}

impl Drop for Portcullis {
    fn drop(&mut self) {
        for path in &self.registered {
            let _ = self.admin.try_call(Method::DELETE, path, None);
        }
        if std::thread::panicking() {
            // Decisions are in the trail; what else it said is rarely long.
            let log = self.server.log();
            let telling: Vec<&str> = log.lines().filter(|line| !line.contains("\"decided\"")).collect();
            eprintln!("the log of portcullis, without decisions:\n{}", telling.join("\n"));
        }
    }
}

impl Server {
    /// One without a cluster, with its files in `dir`: `ca.crt` is what its certificate can be checked with.
    pub(crate) fn alone(dir: &Path, arguments: &[&str]) -> Self {
        write_certificates(dir);
        configure(dir, "profile: hardened\n");
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::start(dir, None, SocketAddr::from(([127, 0, 0, 1], 0)), &arguments)
    }

    fn start(dir: &Path, kubeconfig: Option<&Path>, listen: SocketAddr, arguments: &[String]) -> Self {
        let cluster = kubeconfig.map(|file| ["--kubeconfig".as_ref(), file.as_os_str()]);
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .args(["--config".as_ref(), dir.join("portcullis.yaml").as_os_str()])
            .args(cluster.into_iter().flatten())
            .args(["--listen", &listen.to_string(), "--admin-listen", "127.0.0.1:0", "--grace", GRACE])
            .args(["--tls-cert".as_ref(), dir.join("tls.crt").as_os_str()])
            .args(["--tls-key".as_ref(), dir.join("tls.key").as_os_str()])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("portcullis starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its standard error is piped"));
        let log = Arc::new(Mutex::new(String::new()));
        let mut server = Self { child, address: listen, admin: listen, log: Arc::clone(&log) };
        let mut line = String::new();
        loop {
            line.clear();
            let length = lines.read_line(&mut line).expect("a log");
            assert!(length > 0, "portcullis ended: {}", server.log());
            keep(&log, &line);
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["message"] == "serving" {
                let address = |name: &str| entry[name].as_str().and_then(|text| text.parse().ok());
                server.address = address("address").expect("its address");
                server.admin = address("admin").expect("its admin address");
                break;
            }
        }
        // Read on, or it would stand still once the pipe is full. Ends with the process.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                keep(&log, &(line + "\n"));
            }
        });
        let admin = server.admin;
        eventually("portcullis is ready", || get(admin, "/readyz")?.starts_with("HTTP/1.0 200").then_some(()));
        server
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(killed.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it is our child")
    }

    fn end(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(log: &Mutex<String>, line: &str) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push_str(line);
}

/// The condition that a request is about something that lives in a namespace, or comes from [`Plane::admin_of`] the test that has
/// this one.
fn is_ours(space: &Space) -> String {
    let group = &space.name;
    format!(
        "has(request.namespace) && request.namespace != '' || has(request.userInfo.groups) && '{group}' in request.userInfo.groups"
    )
}

/// A GET over plain HTTP.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Writes the whole file beside, and renames it: a reader never sees half of it.
fn configure(dir: &Path, configuration: &str) {
    let trail = dir.join("trail.jsonl");
    let configuration = routine(configuration);
    let text = format!("{HEAD}trail: {{file: {}}}\n{configuration}", trail.display());
    std::fs::write(dir.join("portcullis.new"), text).expect("the configuration is written");
    std::fs::rename(dir.join("portcullis.new"), dir.join("portcullis.yaml")).expect("the configuration is replaced");
}

/// The configuration without `routine-admins`, unless it is about it: the tests' administrator is a member of `system:masters`, and
/// each of its writes would be warned of.
fn routine(configuration: &str) -> String {
    const OFF: &str = "routine-admins: {mode: off}";
    let has_it = ["profile: hardened", "profile: audit-only"].iter().any(|profile| configuration.contains(profile));
    if !has_it || configuration.contains("routine-admins") {
        return configuration.to_owned();
    }
    let mut lines: Vec<String> = configuration.lines().map(str::to_owned).collect();
    match lines.iter_mut().find(|line| line.starts_with("policies:")) {
        Some(line) => {
            *line = match line.strip_prefix("policies: {") {
                Some(rest) => format!("policies: {{{OFF}, {rest}"),
                None => format!("{line}\n  {OFF}"),
            }
        }
        None => lines.push(format!("policies: {{{OFF}}}")),
    }
    lines.join("\n") + "\n"
}

/// A CA and a certificate for 127.0.0.1 that it signed.
fn write_certificates(dir: &Path) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).expect("a CA");
    let issuer = rcgen::Issuer::new(authority, key);
    let own = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let signed = parameters.signed_by(&own, &issuer).expect("a certificate");
    for (name, text) in [("ca.crt", certificate.pem()), ("tls.crt", signed.pem()), ("tls.key", own.serialize_pem())] {
        std::fs::write(dir.join(name), text).expect("a file is written");
    }
}
