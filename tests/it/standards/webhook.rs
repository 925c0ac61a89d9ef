//! The webhook of `k8s.io/pod-security-admission`, in front of namespaces of every version: what it says of a pod, and what
//! the policies say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use axum::http::Method;
use portcullis::cluster::Manifests;
use portcullis::request::Source;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::controls::{ours, policy_of, theirs};
use super::fixtures::{Fixture, completed};
use super::{Level, NEWEST, pods, run, snapshot, upstream};
use crate::judging;
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;
use crate::ports::Port;
use crate::serve::client::{Client, Connection, Protocol, whole};
use crate::serve::pki::Authority;

/// Pods in every run of the tests, each at every version and level.
const PODS: u64 = 2_000;

/// A running one. It ends with it.
struct Webhook {
    child: Child,
    client: Client,
    _port: Port,
    _dir: TempDir,
}

/// A connection to it.
struct Judge {
    runtime: Runtime,
    connection: Connection,
}

#[derive(Deserialize)]
struct Reply {
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    allowed: bool,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    audit_annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

/// The standards ask for nothing else of the cluster.
static NOTHING: LazyLock<Manifests> = LazyLock::new(Manifests::default);

/// The namespaces: a refusal is about `restricted`, and what is audited about `baseline`.
static NAMESPACES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let plane = Plane::shared();
    let make = |minor: usize| {
        let (name, version) = (format!("it-evaluator-{minor}"), format!("v1.{minor}"));
        let labels = json!({
            "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": version,
            "pod-security.kubernetes.io/audit": "baseline", "pod-security.kubernetes.io/audit-version": version,
        });
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
        name
    };
    (0..=NEWEST).map(make).collect()
});

impl Webhook {
    /// Starts one that knows the namespaces.
    fn start() -> Self {
        LazyLock::force(&NAMESPACES);
        let dir = TempDir::new().expect("a folder");
        let authority = Authority::new("it");
        authority.issue(&["localhost"]).write(dir.path());
        let port = Port::reserve();
        let address = port.address();
        let child = Command::new(&upstream().webhook)
            .args(["--kubeconfig".as_ref(), Plane::shared().place.kubeconfig.as_os_str()])
            .args(["--bind-address", "127.0.0.1", "--secure-port", &address.port().to_string()])
            .args(["--tls-cert-file".as_ref(), dir.path().join("tls.crt").as_os_str()])
            .args(["--tls-private-key-file".as_ref(), dir.path().join("tls.key").as_os_str()])
            .stdin(Stdio::null())
            .stderr(File::create(dir.path().join("log")).expect("a log"))
            .spawn()
            .expect("the webhook starts");
        let mut webhook = Self { child, client: Client::new(address, &authority), _port: port, _dir: dir };
        eventually("the webhook knows the namespaces", || {
            assert!(webhook.child.try_wait().expect("it is our child").is_none(), "it ended");
            let ready = webhook.client.send(Protocol::Http1, Method::GET, "/readyz", whole(""));
            ready.is_ok_and(|answer| answer.status == 200).then_some(())
        });
        webhook
    }

    fn judge(&self) -> Judge {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connection = runtime.block_on(self.client.connect(Protocol::Http1)).expect("a connection");
        Judge { runtime, connection }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Judge {
    /// The evaluator's response to a pod in the namespace of a version.
    fn ask(&mut self, pod: &str, minor: usize) -> Response {
        let namespace = &NAMESPACES[minor];
        let review = format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","operation":"CREATE",
            "kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},
            "name":"web","namespace":"{namespace}","userInfo":{{"username":"it"}},"object":{pod}}}}}"#
        );
        let sending = self.connection.send(Method::POST, "/", whole(review));
        let answer = self.runtime.block_on(sending).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice::<Reply>(&answer.body).expect("a review").response
    }

    /// Difference between the evaluator and the policies about a pod in a version, if there is one.
    fn difference(&mut self, pod: &Value, text: &str, minor: usize) -> Option<String> {
        let response = self.ask(text, minor);
        let refusal = (!response.allowed).then_some(response.status.message.as_str());
        let audited = response.audit_annotations.get("audit-violations").map(String::as_str);
        [(Level::Restricted, refusal), (Level::Baseline, audited)].into_iter().find_map(|(level, message)| {
            let theirs = message.map(|message| theirs(message, level, minor)).unwrap_or_default();
            let decision =
                match judging::create_written(snapshot(level, minor), pod, text, &*NOTHING, Source::ApiServer) {
                    Ok(decision) => decision,
                    Err(error) => return Some(format!("{level} v1.{minor}: {error}\n{pod:#}")),
                };
            let ours = ours(&decision, level, minor);
            let agrees = decision.allowed == message.is_none() && ours == theirs;
            let theirs = format!("{theirs:?} ({})", message.unwrap_or("allowed"));
            (!agrees).then(|| format!("{level} v1.{minor}: {ours:?} here, {theirs} there\n{pod:#}"))
        })
    }
}

#[test]
fn the_evaluator_and_the_policies_agree_on_every_generated_pod_at_every_version() {
    let webhook = Webhook::start();
    run::judge_all(
        "the evaluator",
        PODS,
        pods::any,
        || webhook.judge(),
        |judge, pod| {
            let text = pod.to_string();
            (0..=NEWEST).find_map(|minor| judge.difference(pod, &text, minor))
        },
    );
}

/// So what the names of the fixtures are held to (`fixtures::Fixture::expected`) is the evaluator's own word.
#[test]
fn the_evaluator_finds_in_its_fixtures_what_is_expected_of_them() {
    let webhook = Webhook::start();
    let mut judge = webhook.judge();
    for fixture in Fixture::all() {
        let pod = completed(&fixture.pod());
        let response = judge.ask(&pod.to_string(), fixture.minor);
        let message = match fixture.level {
            Level::Restricted => (!response.allowed).then_some(response.status.message),
            Level::Baseline => response.audit_annotations.get("audit-violations").cloned(),
        };
        let controls = message.map(|message| theirs(&message, fixture.level, fixture.minor)).unwrap_or_default();
        let policies: BTreeSet<String> = controls.into_iter().map(|id| policy_of(id).to_owned()).collect();
        assert_eq!(policies, fixture.expected(), "{}", fixture.file);
    }
}
