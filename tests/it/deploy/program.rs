//! The real program, connected to an API server as the ServiceAccount that `deploy/` makes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{NAME, token};
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;
use crate::kubernetes::process::PROGRAM;
use crate::serve::{Output, Running, json_lines, spawn, text};

/// Maximum time for a connection to a port nearby.
const CONNECT: Duration = Duration::from_secs(2);
/// Maximum time for its answer. Whoever waits with patience has time for another attempt.
const ANSWER: Duration = Duration::from_secs(15);

/// A process that ends with this.
pub(crate) struct Program {
    child: Running,
    stdout: Output,
    stderr: Output,
    dir: Option<TempDir>,
}

impl Program {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let (child, stdout, stderr) = spawn(command);
        Self { child, stdout, stderr, dir: None }
    }

    /// On loopback, with that configuration, and the rights of the ServiceAccount.
    pub(crate) fn serve(plane: &Plane, configuration: &str) -> Self {
        Self::serve_as(plane, configuration, &token(plane, &3600.into(), None))
    }

    /// The same, with a token at hand.
    pub(crate) fn serve_as(plane: &Plane, configuration: &str, token: &str) -> Self {
        Self::serve_with(plane, configuration, token, &[])
    }

    /// The same, with further arguments.
    pub(crate) fn serve_with(plane: &Plane, configuration: &str, token: &str, arguments: &[&str]) -> Self {
        let serve =
            ["serve", "--listen", "127.0.0.1:0", "--self-managed-certificate", "portcullis/portcullis-certificate"];
        Self::with_token(plane, configuration, token, &[&serve, arguments].concat())
    }

    /// `generate`, with that configuration, token and further arguments.
    pub(crate) fn generate(plane: &Plane, configuration: &str, token: &str, arguments: &[&str]) -> Self {
        Self::with_token(plane, configuration, token, &[&["generate"], arguments].concat())
    }

    fn with_token(plane: &Plane, configuration: &str, token: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        let kubeconfig = json!({
            "clusters": [{"name": "it", "cluster": {
                "server": plane.place.server, "certificate-authority": plane.place.ca_cert,
            }}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        });
        std::fs::write(path("kubeconfig"), kubeconfig.to_string()).expect("written");
        std::fs::write(path("config.yaml"), configuration).expect("written");
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .args(["--admin-listen", "127.0.0.1:0"])
            .arg("--config")
            .arg(path("config.yaml"))
            .arg("--kubeconfig")
            .arg(path("kubeconfig"))
            .env_remove("PORTCULLIS_LOG");
        let mut program = Self::spawn(&mut command);
        program.dir = Some(dir);
        program
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that it was configured with.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.as_ref().expect("it has a folder of its own").path().join("config.yaml")
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        text(&self.stderr)
    }

    /// The first log line that holds all of this.
    pub(crate) fn said(&self, parts: &[&str]) -> Option<String> {
        let log = self.log();
        log.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
    }

    /// Waits for it.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) -> String {
        eventually(&format!("{parts:?}"), || self.said(parts))
    }

    /// The records on standard output so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }

    /// The addresses that it serves: reviews, admin.
    #[track_caller]
    pub(crate) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let line: Value = serde_json::from_str(&self.says(&["\"message\":\"serving\""])).expect("JSON");
        let address = |name: &str| line[name].as_str().and_then(|text| text.parse().ok()).expect("an address");
        (address("address"), address("admin"))
    }

    /// The answer of the admin port.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        let began = || self.said(&["\"message\":\"serving\""]).or_else(|| self.said(&["\"message\":\"generating\""]));
        let line: Value = serde_json::from_str(&eventually("it has begun", began)).expect("JSON");
        get(line["admin"].as_str().and_then(|text| text.parse().ok()).expect("an address"), path)
    }

    /// The value of a metric without labels, or with the labels as they are shown.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.admin("/metrics");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until it is ready.
    #[track_caller]
    pub(crate) fn ready(self) -> Self {
        eventually("it is ready", || (self.admin("/readyz").0 == 200).then_some(()));
        self
    }

    /// Its exit status, if it has ended.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// Its exit code and the log, once it has ended.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let status = eventually("its end", || self.child.try_wait().expect("its state"));
        (status.code(), self.log())
    }

    /// Sends a review by its Service's name, over a connection that trusts `ca` alone; `None` when there is no answer.
    pub(crate) fn review(&self, ca: &str, review: &Value) -> Option<Value> {
        post(self.addresses().0, ca, review, "--http1.1")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of a portcullis:\n{}", self.log());
        }
    }
}

/// A review, by its Service's name, over a connection that trusts `ca` alone.
pub(crate) fn post(address: SocketAddr, ca: &str, review: &Value, protocol: &str) -> Option<Value> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ca.crt");
    std::fs::write(&file, ca).expect("written");
    let (host, port) = (format!("{NAME}.{NAME}.svc"), address.port());
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", protocol, "--noproxy", "*", "--max-time", "20", "--data-binary", "@-"])
        .args(["--resolve", &format!("{host}:{port}:{}", address.ip()), "--header", "content-type: application/json"])
        .arg("--cacert")
        .arg(&file)
        .arg(format!("https://{host}:{port}/validate"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl runs");
    // It may have ended already: no trust, no request.
    let _ = curl.stdin.take().expect("piped").write_all(review.to_string().as_bytes());
    let output = curl.wait_with_output().expect("its end");
    serde_json::from_slice(&output.stdout).ok()
}

/// A GET over plain HTTP: status, body. Zero when nobody answers.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut answer = String::new();
    let mut asked = || {
        // An attempt from before there was a way must not hold up those after it.
        let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    };
    if asked().is_err() {
        return (0, String::new());
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}
