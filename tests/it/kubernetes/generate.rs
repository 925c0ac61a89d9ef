//! `portcullis generate` in a real cluster, with its garbage collector: what is generated, what is removed, what is never touched, and
//! who writes.

use std::cell::RefCell;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Answer;
use super::eventually;
use super::objects::{holder, spec};
use super::plane::Plane;
use super::process::PROGRAM;
use super::space::{Space, isolation};
use crate::deploy::program::Program;

const HEAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n";
/// Seconds of the Lease.
const LEASE: &str = "3";
/// Workloads of each namespace, and their kinds.
const EACH: usize = 50;
const KINDS: [(&str, &str); 3] =
    [("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("DaemonSet", "daemonsets")];

/// The replicas of a generator, and their Lease. There is one generator at a time: it serves the whole cluster.
struct Replicas<'p> {
    plane: &'p Plane,
    _alone: MutexGuard<'static, ()>,
    labelled: RefCell<Vec<String>>,
    own: Space,
    folder: TempDir,
}

impl<'p> Replicas<'p> {
    fn new(plane: &'p Plane, own: &str, settings: &str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.yaml"), format!("{HEAD}{settings}")).expect("written");
        Self { plane, _alone: alone, labelled: RefCell::default(), own: Space::new(plane, own), folder }
    }

    /// A namespace with that value of the label.
    fn space(&self, name: &str, label: Option<&str>) -> Space {
        let space = Space::open(self.plane, name);
        self.labelled.borrow_mut().push(name.to_owned());
        opt(self.plane, name, label).admitted();
        space
    }

    fn start(&self) -> Program {
        let mut command = Command::new(PROGRAM);
        command
            .args(["generate", "--admin-listen", "127.0.0.1:0", "--lease-duration", LEASE])
            .args(["--namespace", &self.own.name, "--config"])
            .arg(self.folder.path().join("config.yaml"))
            .arg("--kubeconfig")
            .arg(&self.plane.place.kubeconfig)
            .env_remove("PORTCULLIS_LOG");
        Program::spawn(&mut command)
    }

    fn holder(&self) -> Option<String> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/portcullis-generate", self.own.name);
        self.plane.admin.call(Method::GET, &path, None).body["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }
}

fn leads(program: &Program) -> bool {
    program.metric("portcullis_generate_leader") == Some(1.0)
}

impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        for name in self.labelled.take() {
            opt(self.plane, &name, None);
        }
    }
}

fn opt(plane: &Plane, name: &str, label: Option<&str>) -> Answer {
    let patch = json!({"metadata": {"labels": {"portcullis.dev/generate": label}}});
    plane.admin.call(Method::PATCH, &format!("/api/v1/namespaces/{name}"), Some(&patch))
}

/// Creates the workload of that number; kinds take turns.
fn workload(space: &Space, number: usize) -> String {
    let (kind, resource) = KINDS[number % KINDS.len()];
    let name = format!("w{number}");
    let mut object = holder(kind, &name, spec());
    if number.is_multiple_of(5) {
        object["spec"]["selector"]["matchExpressions"] =
            json!([{"key": "app", "operator": "In", "values": [name, "other"]}]);
    }
    space.create(resource, &object).admitted();
    name
}

/// The names of the policies of a namespace.
fn policies(space: &Space) -> Vec<String> {
    let name = |policy: &Value| policy["metadata"]["name"].as_str().expect("a name").to_owned();
    space.list("networkpolicies").iter().map(name).collect()
}

fn version(space: &Space, policy: &str) -> Value {
    space.get("networkpolicies", policy).admitted()["metadata"]["resourceVersion"].clone()
}

/// Waits until a namespace has been looked at: what was generated for a workload is deleted, and there again.
fn looked_at(space: &Space, policy: &str) {
    let uid = || space.get("networkpolicies", policy).body["metadata"]["uid"].clone();
    let before = uid();
    space.delete("networkpolicies", policy).admitted();
    eventually("it is generated again", || (uid().is_string() && uid() != before).then_some(()));
}

fn kill(program: &Program, signal: &str) {
    assert!(Command::new("kill").args([signal, &program.pid().to_string()]).status().expect("kill runs").success());
}

#[test]
fn workloads_of_namespaces_that_opt_in_have_policies_that_go_with_them() {
    let plane = Plane::shared();
    let replicas = Replicas::new(
        plane,
        "it-generate",
        "generate: {allowIngress: {namespaces: [it-generate-3], from: [it-generate-0]}}\n",
    );
    let labels = [Some("all"), Some("allow-ingress"), Some("all"), None];
    let spaces: Vec<Space> =
        (0..4).zip(labels).map(|(number, label)| replicas.space(&format!("it-generate-{number}"), label)).collect();
    let out = replicas.space("it-generate-out", None);
    workload(&out, 0);
    spaces[0].create("networkpolicies", &isolation("w0-allow-ingress", json!({"app": "w0"}))).admitted();
    let foreign = version(&spaces[0], "w0-allow-ingress");
    std::thread::scope(|threads| {
        for space in &spaces {
            threads.spawn(|| (0..EACH).for_each(|number| drop(workload(space, number))));
        }
    });

    // 200 workloads, some of which are there before it starts.
    let (one, other) = (replicas.start(), replicas.start());
    let began = Instant::now();
    let expected = [EACH + 1, EACH, EACH + 1, EACH];
    eventually("every workload has its policy", || {
        let counts: Vec<usize> = spaces.iter().map(|space| policies(space).len()).collect();
        (counts == expected).then_some(())
    });
    eprintln!("200 policies after {:?}", began.elapsed());
    assert_eq!(policies(&out), [""; 0]);
    let (leader, follower) = if leads(&one) { (one, other) } else { (other, one) };
    assert!(leads(&leader) && !leads(&follower));
    eventually("it has counted", || (leader.metric("portcullis_generate_policies") == Some(201.0)).then_some(()));
    assert_eq!(follower.metric("portcullis_generate_policies"), Some(0.0));

    // What was generated.
    let policy = spaces[3].get("networkpolicies", "w5-allow-ingress").admitted();
    let daemon_set = spaces[3].get("daemonsets", "w5").admitted();
    let from = json!([{"podSelector": {}}, {"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["it-generate-0"]}]}}]);
    assert_eq!(
        policy["spec"],
        json!({"podSelector": daemon_set["spec"]["selector"], "policyTypes": ["Ingress"], "ingress": [{"from": from}]})
    );
    assert!(policy["spec"]["podSelector"]["matchExpressions"].is_array());
    assert_eq!(policy["metadata"]["ownerReferences"][0]["uid"], daemon_set["metadata"]["uid"]);
    let managed = policy["metadata"]["managedFields"].as_array().expect("managers");
    assert_eq!(
        (managed.len(), &managed[0]["manager"], &managed[0]["operation"]),
        (1, &json!("portcullis-generate"), &json!("Apply"))
    );

    // What others made or edited is never touched, and told.
    let edit = json!({"spec": {"policyTypes": ["Ingress", "Egress"]}});
    spaces[0].patch("networkpolicies", "w1-allow-ingress", &edit).admitted();
    let edited = version(&spaces[0], "w1-allow-ingress");
    looked_at(&spaces[0], "w2-allow-ingress");
    let remarks = |cause: &str| leader.metric(&format!("portcullis_generate_remarks{{cause=\"{cause}\"}}"));
    eventually("both are counted", || ([remarks("foreign"), remarks("edited")] == [Some(1.0); 2]).then_some(()));
    let said = leader.admin("/readyz?verbose");
    assert!(
        said.0 == 200
            && said.1.contains("[!]policies: it-generate-0: w0-allow-ingress is a NetworkPolicy of somebody else"),
        "{said:?}"
    );
    leader.says(&["w1-allow-ingress was generated, was edited by ", "\"cause\":\"edited\""]);

    // The garbage collector removes what belonged to what is deleted, and nothing else.
    for number in 10..20 {
        spaces[1].delete(KINDS[number % 3].1, &format!("w{number}")).admitted();
    }
    eventually("ten policies are gone", || (policies(&spaces[1]).len() == EACH - 10).then_some(()));
    let kept = policies(&spaces[1]);
    assert!((10..20).all(|number| !kept.contains(&format!("w{number}-allow-ingress"))), "{kept:?}");
    assert_eq!(leader.said(&["\"action\":\"delete\"", "\"it-generate-1\""]), None);

    // Opting out removes what was generated and left as it was. A value that nobody knows removes nothing.
    opt(plane, "it-generate-0", None).admitted();
    eventually("two policies are left", || {
        (policies(&spaces[0]) == ["w0-allow-ingress", "w1-allow-ingress"]).then_some(())
    });
    let versions = ["w0-allow-ingress", "w1-allow-ingress"].map(|name| version(&spaces[0], name));
    assert_eq!(versions, [foreign, edited]);
    opt(plane, "it-generate-2", Some("everything")).admitted();
    eventually("it is told", || (remarks("label") == Some(1.0)).then_some(()));
    assert_eq!(policies(&spaces[2]).len(), EACH + 1);
    assert_eq!(leader.metric("portcullis_generate_writes_total{action=\"create\",result=\"refused\"}"), None);
}

#[test]
fn another_replica_takes_over_within_a_lease() {
    let plane = Plane::shared();
    let replicas = Replicas::new(plane, "it-generate-lease", "");
    let space = replicas.space("it-generate-led", Some("allow-ingress"));
    let generated = |number: usize| {
        let name = workload(&space, number) + "-allow-ingress";
        eventually("its policy", || space.get("networkpolicies", &name).is_success().then_some(()));
    };
    let mut first = replicas.start();
    eventually("it leads", || leads(&first).then_some(()));
    let second = replicas.start().ready();
    generated(0);
    let holder = replicas.holder();

    // Killed: its Lease has to end.
    kill(&first, "-KILL");
    let killed = Instant::now();
    generated(1);
    let taken = killed.elapsed();
    eprintln!("taken over after {taken:?}");
    assert!(replicas.holder() != holder && leads(&second));
    // The Lease, an attempt of a fifth of its time, and what a busy machine needs.
    assert!(taken < Duration::from_secs(10), "{taken:?}");
    assert_eq!(first.ended().0, None);

    // Told to end: it gives the Lease up.
    let third = replicas.start().ready();
    let holder = replicas.holder();
    kill(&second, "-TERM");
    let told = Instant::now();
    generated(2);
    eprintln!("given up and taken over after {:?}", told.elapsed());
    assert!(leads(&third) && replicas.holder() != holder);
    let mut second = second;
    assert_eq!(second.ended().0, Some(0));
}

#[test]
fn a_configuration_that_changes_is_taken_and_one_with_errors_is_not() {
    let plane = Plane::shared();
    let replicas = Replicas::new(plane, "it-generate-reload", "");
    let space = replicas.space("it-generate-reloaded", None);
    workload(&space, 0);
    let program = replicas.start();
    eventually("it leads", || leads(&program).then_some(()));
    let write = |settings: &str| {
        let file = replicas.folder.path().join("config.yaml");
        std::fs::write(file.with_extension("new"), format!("{HEAD}{settings}")).expect("written");
        std::fs::rename(file.with_extension("new"), file).expect("renamed");
    };
    write("generate: {defaultDeny: {namespaces: [it-generate-reloaded], directions: [ingress]}}\n");
    eventually("it is denied", || (policies(&space) == ["default-deny"]).then_some(()));
    assert_eq!(space.list("networkpolicies")[0]["spec"], json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
    write("generate: {defaultDeny: {namespaces: [kube-system]}}\n");
    program.says(&["the configuration has errors", "must not begin with kube-"]);
    assert_eq!(program.metric("portcullis_generate_configuration_refused"), Some(1.0));
    assert_eq!(policies(&space), ["default-deny"]);
    write("");
    eventually("it is removed", || policies(&space).is_empty().then_some(()));
    program.says(&["\"action\":\"delete\"", "it-generate-reloaded", "default-deny"]);
}
