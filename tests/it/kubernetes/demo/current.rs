//! The demo in a cluster that is there (`CLUSTER=current`): it asks first, touches one namespace, and leaves nothing.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::LazyLock;

use axum::http::Method;
use serde_json::Value;

use super::PROGRAM;
use crate::kubernetes::objects::broken_pod;
use crate::kubernetes::plane::{Plane, programs};
use crate::kubernetes::space::{Space, account};

/// The cluster that is there. Nothing but these tests writes to it.
static THERE: LazyLock<Plane> = LazyLock::new(|| Plane::start(&[]));
/// What is asked for before and after: all that the demo makes is of these kinds, or in its namespace.
const KINDS: [&str; 6] = [
    "/api/v1/namespaces",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
];
/// Exit code after SIGINT.
const INTERRUPTED: i32 = 130;

fn items(path: &str) -> Vec<Value> {
    THERE.admin.call(Method::GET, path, None).admitted()["items"].as_array().cloned().expect("a list")
}

/// The objects of a demo: their paths, by the namespace in their names.
fn of_demo(namespace: &str) -> BTreeSet<String> {
    let name = |item: &Value| item["metadata"]["name"].as_str().expect("a name").to_owned();
    let paths =
        KINDS.iter().flat_map(|path| items(path).into_iter().map(move |item| format!("{path}/{}", name(&item))));
    paths.filter(|path| path.contains(namespace)).collect()
}

/// A demo that runs.
struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
    text: String,
    /// The name of its namespace, once it has said it.
    namespace: String,
}

impl Demo {
    /// Starts one with a kubeconfig and a kubectl of ours, and reads on until it has named its namespace.
    fn start(variables: &[(&str, &str)]) -> Self {
        let path = format!("{}:{}", programs().display(), std::env::var("PATH").expect("PATH"));
        // A shell cannot trap a signal that was ignored when it started, as SIGINT is in the background.
        let mut child = Command::new("env")
            .args(["--default-signal=INT", concat!(env!("CARGO_MANIFEST_DIR"), "/tools/demo/run")])
            .envs([("CLUSTER", "current"), ("PORTCULLIS", PROGRAM), ("DEMO_ADDRESS", "127.0.0.1"), ("PATH", &path)])
            .env("KUBECONFIG", &THERE.place.kubeconfig)
            .env_remove("YES")
            .env_remove("DEMO_ONCE")
            .envs(variables.iter().copied())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo runs");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut demo = Self { child, output, text: String::new(), namespace: String::new() };
        demo.read_until("namespace    portcullis-demo-");
        let line = demo.text.lines().last().expect("a line");
        let name = line.split_whitespace().nth(1).expect("a name").trim_end_matches(',').to_owned();
        demo.namespace = name;
        demo
    }

    /// Reads to the end of the line that holds `text`.
    #[track_caller]
    fn read_until(&mut self, text: &str) {
        loop {
            let before = self.text.len();
            self.output.read_line(&mut self.text).expect("it writes");
            assert!(self.text.len() > before, "it ended before it said {text}:\n{}", self.text);
            if self.text[before..].contains(text) {
                return;
            }
        }
    }

    /// The folder in which it works.
    fn folder(&self) -> &Path {
        let at = self.text.find("/portcullis-demo.").expect("its folder");
        let start = self.text[..at].rfind([' ', '=']).map_or(0, |space| space + 1);
        let end = self.text[at + 1..].find('/').expect("a file in it") + at + 1;
        Path::new(&self.text[start..end])
    }

    /// Sends SIGINT to it, or to all of its processes, as Ctrl-C on a terminal does.
    fn interrupt(&self, all: bool) {
        let id = format!("{}{}", if all { "-" } else { "" }, self.child.id());
        assert!(Command::new("kill").args(["-INT", "--", &id]).status().expect("kill").success());
    }

    /// Its end: the exit status, and all that it wrote.
    fn end(mut self) -> (ExitStatus, String) {
        self.output.read_to_string(&mut self.text).expect("UTF-8");
        let mut errors = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("UTF-8");
        (self.child.wait().expect("it ends"), std::mem::take(&mut self.text) + &errors)
    }
}

impl Drop for Demo {
    /// What a failed test leaves behind ends, and removes what it made.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.interrupt(true);
            let _ = self.child.wait();
        }
    }
}

#[test]
fn it_touches_its_namespace_alone_and_leaves_nothing() {
    let mut demo = Demo::start(&[("YES", "1")]);
    demo.read_until("It is all still up");
    demo.read_until("Ctrl-C ends it");
    let namespace = demo.namespace.clone();
    assert_eq!(of_demo(&namespace).len(), 3, "{:?}", of_demo(&namespace));
    // Other tests have demos in this cluster at the same time.
    let is_its = |object: &Value| object["metadata"]["name"] == namespace.as_str();
    for path in &KINDS[1..3] {
        for configuration in items(path).into_iter().filter(is_its) {
            for webhook in configuration["webhooks"].as_array().expect("a list") {
                assert_eq!(webhook["failurePolicy"], "Ignore");
                assert_eq!(
                    webhook["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
                    namespace.as_str()
                );
                assert!(webhook["rules"].as_array().expect("a list").iter().all(|rule| rule["scope"] == "Namespaced"));
            }
        }
    }
    let text = demo.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("server {}", THERE.place.server)), "{text}");
    assert_eq!(text.matches("Error from server (Forbidden)").count(), 5, "{text}");
    let pods = items(&format!("/api/v1/namespaces/{namespace}/pods"));
    assert!(!pods.is_empty() && pods.iter().all(|pod| pod["spec"]["schedulerName"] == "portcullis-demo"), "{pods:#?}");

    // What others do meanwhile is neither judged nor recorded.
    let elsewhere = Space::named(&THERE.admin, "default");
    elsewhere.create("serviceaccounts", &account("web", None)).admitted();
    let elsewhere = elsewhere.create("pods", &broken_pod("elsewhere"));
    assert!(elsewhere.warnings.iter().all(|warning| !warning.contains("unpinned-images")), "{elsewhere:#?}");
    elsewhere.admitted();
    let folder = demo.folder().to_owned();
    let trail = std::fs::read_to_string(folder.join("trail.jsonl")).expect("the trail");
    assert!(trail.contains(&namespace) && !trail.contains("elsewhere"));

    demo.interrupt(false);
    let (status, text) = demo.end();
    assert_eq!(status.code(), Some(INTERRUPTED), "{text}");
    assert!(text.contains("Nothing of the demo is left in the cluster."), "{text}");
    assert_eq!(of_demo(&namespace), BTreeSet::new());
    assert!(!folder.exists());
}

#[test]
fn interrupted_in_the_middle_it_leaves_nothing() {
    for moment in ["kube-apiserver v", "serving at", "A pod that runs as root", "stored with every default"] {
        let mut demo = Demo::start(&[("YES", "1")]);
        demo.read_until(moment);
        demo.interrupt(true);
        let namespace = demo.namespace.clone();
        let (status, text) = demo.end();
        assert_eq!(status.code(), Some(INTERRUPTED), "{text}");
        assert_eq!(of_demo(&namespace), BTreeSet::new(), "{text}");
    }
}

#[test]
fn without_an_answer_nothing_is_made() {
    let demo = Demo::start(&[]);
    let namespace = demo.namespace.clone();
    let (status, text) = demo.end();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("set YES=1") && !text.contains("Removing"), "{text}");
    assert_eq!(of_demo(&namespace), BTreeSet::new());
}

#[test]
fn an_address_that_the_api_server_does_not_reach_is_named() {
    let demo = Demo::start(&[("YES", "1"), ("DEMO_ADDRESS", "nowhere.invalid")]);
    let namespace = demo.namespace.clone();
    let (status, text) = demo.end();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("the API server did not reach https://nowhere.invalid:"), "{text}");
    assert!(text.contains("set DEMO_ADDRESS"), "{text}");
    assert_eq!(of_demo(&namespace), BTreeSet::new());
}
