//! The real program, served: started with free ports, watched over its outputs, and ended with its test.

pub(crate) mod client;
pub(crate) mod load;
mod output;
pub(crate) mod pki;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use client::{Answer, Client, Protocol};
pub(crate) use output::{Output, json_lines, text};
use pki::Authority;

/// The most that a test waits for anything: a machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Configuration that refuses. These servers have no cluster, and would refuse every Pod because its NetworkPolicies
/// cannot be read: that policy is off. The text ends among the policies, so that a test may add some.
pub(crate) const HARDENED: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n\
                                   policies:\n  unisolated-pods: {mode: off}\n";
/// Configuration that refuses nothing, but records, and warns of its own trouble.
pub(crate) const AUDIT: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n\
                                ceiling: audit\npolicies:\n  unisolated-pods: {mode: off}\n";

/// A digest that a registry may have given.
pub(crate) const DIGEST: &str = "sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc";

/// Builder of a [`Server`].
pub(crate) struct Serve {
    config: String,
    args: Vec<String>,
    grace: u64,
    limits: String,
    program: PathBuf,
    folder: TempDir,
    authority: Authority,
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Running,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) folder: TempDir,
    /// Who signed its certificate.
    pub(crate) authority: Authority,
    stdout: Output,
    stderr: Output,
}

impl Serve {
    /// A server with this configuration; its files are `config.yaml`, `tls.crt` and `tls.key` in [`Serve::path`].
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("serving");
        authority.issue(&["localhost"]).write(folder.path());
        std::fs::write(folder.path().join("config.yaml"), config).expect("written");
        let program = env!("CARGO_BIN_EXE_portcullis").into();
        let (config, limits) = ("config.yaml".into(), String::new());
        Self { config, args: Vec::new(), grace: 4, limits, program, folder, authority }
    }

    /// A place in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Prepares the folder, with the authority that clients trust.
    pub(crate) fn with_authority(self, prepare: impl FnOnce(&Path, &Authority)) -> Self {
        prepare(self.folder.path(), &self.authority);
        self
    }

    /// The configuration's place in the folder, where it is another than `config.yaml`.
    pub(crate) fn config_at(mut self, name: &str) -> Self {
        name.clone_into(&mut self.config);
        self
    }

    /// Further arguments.
    pub(crate) fn args<'t>(mut self, args: impl IntoIterator<Item = &'t str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// Seconds from SIGTERM to the end.
    pub(crate) fn grace(mut self, seconds: u64) -> Self {
        self.grace = seconds;
        self
    }

    /// Bytes of the largest file that it may write, a multiple of 512.
    pub(crate) fn file_limit(mut self, bytes: u64) -> Self {
        // A write past the limit fails then, instead of ending the process.
        self.limits += &format!("trap '' XFSZ; ulimit -S -f {}; ", bytes / 512);
        self
    }

    /// The files that it may have open, until it raises that limit, and to what it may.
    pub(crate) fn descriptors(mut self, soft: u64, hard: u64) -> Self {
        self.limits += &format!("ulimit -S -n {soft}; ulimit -H -n {hard}; ");
        self
    }

    /// The program, where it is another than the one that was built for the tests.
    pub(crate) fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Who signs its certificate.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The command, not started.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{}exec \"$0\" \"$@\"", self.limits)]).arg(&self.program);
        let path = self.folder.path();
        command
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--grace"])
            .arg(self.grace.to_string())
            .arg("--config")
            .arg(path.join(&self.config))
            .arg("--tls-cert")
            .arg(path.join("tls.crt"))
            .arg("--tls-key")
            .arg(path.join("tls.key"))
            .args(&self.args)
            .current_dir(path)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env_remove("PORTCULLIS_LOG");
        command
    }

    /// Starts it, and waits until it is ready.
    pub(crate) fn start(self) -> Server {
        let (mut child, stdout, stderr) = spawn(&mut self.command());
        let line = until("the line that says the ports", || {
            let ended = child.try_wait().expect("its state");
            assert!(ended.is_none(), "it ended: {}", text(&stderr));
            json_lines(&stderr).into_iter().find(|line| line["message"] == "serving")
        });
        let port = |field: &str| line[field].as_str().expect("an address").parse().expect("an address");
        let (address, admin) = (port("address"), port("admin"));
        let server = Server { child, address, admin, folder: self.folder, authority: self.authority, stdout, stderr };
        until("readiness", || (server.get("/readyz").0 == 200).then_some(()));
        server
    }
}

/// Starts a command and reads what it prints.
pub(crate) fn spawn(command: &mut Command) -> (Running, Output, Output) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let stdout = Output::follow(child.stdout.take().expect("a pipe"));
    let stderr = Output::follow(child.stderr.take().expect("a pipe"));
    (Running(child), stdout, stderr)
}

/// A process that ends with the test, however early that fails.
pub(crate) struct Running(Child);

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = self.wait();
    }
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, ask)
}

/// Asks again until there is an answer, for so long at most.
pub(crate) fn until_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < patience, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Server {
    /// The records on standard output so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }

    /// The record of the decision about `uid`.
    pub(crate) fn event(&self, uid: &str) -> Value {
        until(&format!("the event of {uid}"), || self.events().into_iter().find(|event| event["uid"] == uid))
    }

    /// Standard output so far.
    pub(crate) fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Standard error so far.
    pub(crate) fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// The log lines so far.
    pub(crate) fn logs(&self) -> Vec<Value> {
        json_lines(&self.stderr)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client that trusts it.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, &self.authority)
    }

    /// Sends a review in a connection of its own, HTTP/2.
    pub(crate) fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.client().post(Protocol::Http2, path, body.into()).expect("an answer")
    }

    /// Asks the admin port: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let Ok(mut stream) = TcpStream::connect(self.admin) else { return (0, String::new()) };
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let asked = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let done = stream.write_all(asked.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (done.ok().and(status).unwrap_or(0), body.to_owned())
    }

    /// The value of a metric, named with its labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the end", || self.child.try_wait().expect("its state"))
    }

    /// True if the program is still running.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// Ends it in order, and keeps its folder.
    pub(crate) fn stop(mut self) -> (ExitStatus, String, String, TempDir, Authority) {
        self.signal("TERM");
        let status = self.ended();
        until("the last output", || (self.stdout.is_over() && self.stderr.is_over()).then_some(()));
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        let authority = std::mem::replace(&mut self.authority, Authority::new("none"));
        (status, self.stdout(), self.stderr(), folder, authority)
    }
}

/// Longest run of the program that is no server, on a busy machine.
const LONGEST: Duration = Duration::from_mins(5);

/// Runs the program to its end: exit code, standard output, standard error.
#[track_caller]
pub(crate) fn run(args: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env_remove("KUBERNETES_SERVICE_HOST").spawn().expect("started");
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let (id, (ended, end)) = (child.id(), channel());
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let Ok(output) = end.recv_timeout(LONGEST) else {
        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        panic!("portcullis {args:?} had not ended after {LONGEST:?}");
    };
    let output = output.expect("its end");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Exit code and output of `trail verify` on a file.
pub(crate) fn verify(file: &Path) -> (Option<i32>, String) {
    let (code, stdout, stderr) = run(&["trail", "verify", file.to_str().expect("UTF-8")], "");
    (code, stdout + &stderr)
}

/// A review of the creation of `object` in `namespace`.
pub(crate) fn review(uid: &str, namespace: &str, object: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "operation": "CREATE", "namespace": namespace, "name": "web",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "alice", "groups": ["developers"]},
        "object": object,
    }})
}

/// A Pod that every policy admits that asks nobody.
pub(crate) fn good_pod() -> Value {
    let image = format!("registry.example.com/web:1.4.2@{DIGEST}");
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "uid": "object-uid"}, "spec": {
        "serviceAccountName": "web",
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "web", "image": image,
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}}],
    }})
}

/// A Pod that every policy refuses.
pub(crate) fn bad_pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "nginx:latest"}]}})
}
