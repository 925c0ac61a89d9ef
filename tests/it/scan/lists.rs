//! `scan` over an API server that answers as a real one does only now and then: lists that expire, pages that are too large,
//! errors that pass.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Scanned, scan};
use crate::kubernetes::objects::broken_pod;

/// An answer: status and body.
type Answer = (u16, String);

/// An API server whose answers a function makes; it ends with the test's process.
struct Server {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = serve(stream, &log, &answer);
            }
        });
        let kubeconfig = json!({
            "clusters": [{"name": "it", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        });
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).expect("written");
        let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n\
                      policies: {unpinned-images: {mode: enforce}}\n";
        std::fs::write(folder.path().join("c.yaml"), config).expect("written");
        Self { folder, asked }
    }

    fn scan(&self, arguments: &[&str]) -> Scanned {
        let fixed = ["--kubeconfig", "kubeconfig", "--config", "c.yaml", "--format", "json"];
        scan(self.folder.path(), &[&fixed, arguments].concat())
    }

    /// The requests for a resource.
    fn asked(&self, resource: &str) -> Vec<String> {
        let asked = self.asked.lock().expect("a list");
        asked.iter().filter(|path| path.contains(&format!("/{resource}?"))).cloned().collect()
    }
}

/// Answers one request.
fn serve(mut stream: TcpStream, log: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut head)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().expect("a list").push(path.clone());
    let (status, body) = match path.as_str() {
        "/apis" => (200, groups().to_string()),
        path => answer(path),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn groups() -> Value {
    let group = |name: &str| {
        let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
        json!({"name": name, "versions": [version], "preferredVersion": version})
    };
    json!({"kind": "APIGroupList", "groups": [group("apps"), group("batch")]})
}

fn page(names: &[&str], token: &str) -> Answer {
    let pods = names.iter().map(|name| {
        let mut pod = broken_pod(name);
        pod["metadata"]["namespace"] = json!("shop");
        pod
    });
    let metadata = json!({"continue": token, "resourceVersion": "7"});
    (200, json!({"kind": "PodList", "metadata": metadata, "items": pods.collect::<Vec<_>>()}).to_string())
}

fn empty() -> Answer {
    (200, json!({"metadata": {}, "items": null}).to_string())
}

fn status(code: u16, message: &str, token: Option<&str>) -> Answer {
    (code, json!({"kind": "Status", "code": code, "message": message, "metadata": {"continue": token}}).to_string())
}

fn is_pods(path: &str) -> bool {
    path.starts_with("/api/v1/pods?")
}

fn names(ran: &Scanned) -> Vec<String> {
    ran.rows().iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn an_expired_list_goes_on_where_it_was() {
    let server = Server::start(|path| match path {
        path if !is_pods(path) => empty(),
        path if path.contains("continue=newer") => page(&["c", "d"], ""),
        path if path.contains("continue=old%2F") => status(410, "expired", Some("newer")),
        _ => page(&["a", "b"], "old/"),
    });
    let ran = server.scan(&[]).with_code(1);
    assert_eq!(names(&ran), ["a", "b", "c", "d"]);
    assert_eq!(
        ran.err,
        "note: pods: the list expired after 2 objects; it goes on at the same place, in a newer state: objects that changed \
         meanwhile may be missing\n"
    );
    assert_eq!(server.asked("pods").len(), 3);
}

#[test]
fn an_expired_list_that_cannot_go_on_begins_again_and_counts_nothing_twice() {
    let has_expired = Mutex::new(false);
    let server = Server::start(move |path| match path {
        path if !is_pods(path) => empty(),
        path if path.contains("continue=second") => page(&["c", "d"], ""),
        path if path.contains("continue=old") => {
            *has_expired.lock().expect("a flag") = true;
            status(410, "expired", None)
        }
        // `a` went, and `aa` came meanwhile: it lies before the last one seen.
        _ if *has_expired.lock().expect("a flag") => page(&["aa", "b", "bb"], "second"),
        _ => page(&["a", "b"], "old"),
    });
    let ran = server.scan(&[]).with_code(1);
    assert_eq!(names(&ran), ["a", "b", "bb", "c", "d"]);
    assert!(ran.err.contains("after 2 objects; it begins again, in a newer state"), "{}", ran.err);
}

#[test]
fn a_list_that_always_expires_ends() {
    let server = Server::start(|path| match path {
        path if !is_pods(path) => empty(),
        path if path.contains("continue=") => status(410, "expired", Some("next")),
        _ => page(&["a"], "next"),
    });
    let ran = server.scan(&[]).with_code(2);
    assert!(ran.err.contains("pods: the list expired again and again before its end"), "{}", ran.err);
    assert_eq!((names(&ran), &ran.summary()["unreadable"]), (vec!["a".to_owned()], &json!(1)));
}

#[test]
fn errors_that_pass_are_waited_for() {
    let times = Mutex::new(0);
    let server = Server::start(move |path| {
        if !is_pods(path) {
            return empty();
        }
        let mut times = times.lock().expect("a number");
        *times += 1;
        match *times {
            1 => status(429, "too many requests", None),
            2 => status(500, "internal error", None),
            _ => page(&["a"], ""),
        }
    });
    assert_eq!(names(&server.scan(&[]).with_code(1)), ["a"]);
}

#[test]
fn what_cannot_be_listed_is_named_and_the_rest_is_judged() {
    let server = Server::start(|path| match path {
        path if path.starts_with("/apis/batch/v1/cronjobs?") => status(403, "no \u{1b}[31m way", None),
        path if path.starts_with("/apis/apps/v1/daemonsets?") => status(400, "bad", None),
        path if path.starts_with("/api/v1/podtemplates?") => status(404, "not found", None),
        path if path.starts_with("/apis/apps/v1/deployments?") => (200, "{\"items\": 7}".to_owned()),
        path if is_pods(path) => page(&["a"], ""),
        _ => empty(),
    });
    let ran = server.scan(&[]).with_code(2);
    assert_eq!(names(&ran), ["a"]);
    assert_eq!(ran.summary()["unreadable"], 3);
    let lines: Vec<&str> = ran.err.lines().collect();
    let has = |text: &str| assert!(lines.iter().any(|line| line.contains(text)), "{text}: {lines:#?}");
    has("cronjobs.batch: forbidden: grant the verb list on cronjobs.batch in all namespaces (no \\u{1b}[31m way)");
    has("daemonsets.apps: 400 Bad Request: bad");
    has("deployments.apps: the answer is not a list: ");
    has("note: podtemplates: the API server serves none");
    assert_eq!(lines.len(), 4, "{lines:#?}");
}

#[test]
fn a_cluster_that_does_not_answer_is_unreadable() {
    let server = Server::start(|_| empty());
    let text = std::fs::read_to_string(server.folder.path().join("kubeconfig")).expect("written");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let mut kubeconfig: Value = serde_json::from_str(&text).expect("JSON");
    kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("http://127.0.0.1:{port}"));
    std::fs::write(server.folder.path().join("kubeconfig"), kubeconfig.to_string()).expect("written");
    let ran = server.scan(&[]).with_code(2);
    assert!(ran.err.starts_with("the cluster: API groups: ") && ran.err.contains("onnect"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let filler = "x".repeat(1 << 20);
    let server = Server::start(move |path| {
        if !is_pods(path) {
            return empty();
        }
        let (_, query) = path.split_once('?').expect("a query");
        let number = |key: &str| query.split('&').find_map(|part| part.strip_prefix(key)?.parse::<usize>().ok());
        let (limit, first) = (number("limit=").expect("a limit"), number("continue=").unwrap_or(0));
        let last = (first + limit).min(40);
        let items: Vec<Value> = (first..last)
            .map(|number| {
                let mut pod = broken_pod(&format!("pod-{number:02}"));
                pod["metadata"]["annotations"] = json!({"filler": filler});
                pod
            })
            .collect();
        let token = if last < 40 { last.to_string() } else { String::new() };
        (200, json!({"metadata": {"continue": token}, "items": items}).to_string())
    });
    let ran = server.scan(&[]).with_code(1);
    let expected: Vec<String> = (0..40).map(|number| format!("pod-{number:02}")).collect();
    assert_eq!(names(&ran), expected);
}

#[test]
fn facts_that_cannot_be_listed_are_unknown() {
    let server = Server::start(|path| match path {
        path if path.contains("/networkpolicies?") => status(403, "no", None),
        path if is_pods(path) => page(&["a"], ""),
        _ => empty(),
    });
    let config =
        "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {unisolated-pods: {mode: enforce}}\n";
    std::fs::write(server.folder.path().join("c.yaml"), config).expect("written");
    let ran = server.scan(&[]).with_code(2);
    let message = ran.rows()[0]["findings"][0]["message"].to_string();
    assert!(message.contains("could not be read (networkpolicies could not be listed)"), "{message}");
    assert!(ran.err.contains("grant the verb list on networkpolicies.networking.k8s.io"), "{}", ran.err);
}
