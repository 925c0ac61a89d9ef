//! A rolling restart of two replicas during a storm of creations under `failurePolicy: Fail`: no call fails.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::kubelet::Replica;
use super::network::Network;
use super::{NAME, kubectl};
use crate::kubernetes::objects::broken_pod;
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::Space;
use crate::kubernetes::{eventually, storm};

/// Time between two looks at the Pods. A kubelet hears of a change at once.
const LOOK: Duration = Duration::from_millis(50);

/// The kubelet of the one node: starts Pods, probes them, and ends those that are deleted.
struct Kubelet<'p> {
    plane: &'p Plane,
    network: &'p Network,
    /// By uid.
    running: BTreeMap<String, Running>,
    /// Exit codes of the Pods that were deleted.
    ended: Vec<Option<i32>>,
}

struct Running {
    replica: Replica,
    is_ready: bool,
    is_ending: bool,
}

impl Kubelet<'_> {
    fn look(&mut self) {
        let path = format!("/api/v1/namespaces/{NAME}/pods");
        let listed = self.plane.admin.call(Method::GET, &path, None).admitted();
        for pod in listed["items"].as_array().expect("a list") {
            let uid = pod["metadata"]["uid"].as_str().expect("a uid").to_owned();
            let is_deleted = pod["metadata"]["deletionTimestamp"].is_string();
            if !is_deleted && !self.running.contains_key(&uid) {
                let replica = Replica::start(self.plane, self.network, pod.clone(), "info,kube=warn");
                replica.bind(self.plane).admitted();
                self.running.insert(uid, Running { replica, is_ready: false, is_ending: false });
            } else if is_deleted && let Some(running) = self.running.get_mut(&uid) {
                running.end();
            }
        }
        let mut gone = Vec::new();
        for (uid, running) in &mut self.running {
            if running.is_ending {
                if let Some(status) = running.replica.program.has_ended() {
                    self.ended.push(status.code());
                    gone.push(uid.clone());
                    let now = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
                    self.plane.admin.call(Method::DELETE, &running.replica.path(), Some(&now)).admitted();
                }
                continue;
            }
            let is_ready = running.replica.probe("readinessProbe").0 == 200;
            if is_ready != running.is_ready {
                running.is_ready = is_ready;
                running.replica.report_as(self.plane, is_ready);
            }
        }
        self.running.retain(|uid, _| !gone.contains(uid));
    }
}

impl Running {
    /// SIGTERM, once.
    fn end(&mut self) {
        if !self.is_ending {
            self.is_ending = true;
            let sent = Command::new("kill").arg(self.replica.program.pid().to_string()).status();
            assert!(sent.expect("kill").success());
        }
    }
}

#[test]
fn a_rolling_restart_during_a_storm_fails_no_call() {
    let network = Network::new();
    let plane = Plane::start(&["--address", &network.node.to_string()]);
    let space = Space::new(&plane, "shop");
    kubectl(&plane, &["apply", "-k", "deploy/overlays/enforce"]);
    let over = AtomicBool::new(false);
    let ended = std::thread::scope(|threads| {
        let kubelet = threads.spawn(|| {
            let (plane, network) = (&plane, &network);
            let mut kubelet = Kubelet { plane, network, running: BTreeMap::new(), ended: Vec::new() };
            while !over.load(Ordering::Relaxed) {
                kubelet.look();
                std::thread::sleep(LOOK);
            }
            kubelet.ended
        });
        let deployment = || {
            let path = format!("/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}");
            plane.admin.call(Method::GET, &path, None).admitted()
        };
        let is_rolled_out = |deployment: &Value| {
            let status = &deployment["status"];
            let all = [&status["replicas"], &status["updatedReplicas"], &status["availableReplicas"]];
            let is_seen = status["observedGeneration"] == deployment["metadata"]["generation"];
            // A Pod that ends is one too.
            is_seen && all.iter().all(|count| **count == 2) && status["terminatingReplicas"].as_u64().unwrap_or(0) == 0
        };
        // Whatever fails, the kubelet must end.
        let tested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("two ready replicas", || is_rolled_out(&deployment()).then_some(()));
            eventually("it refuses", || (space.create_dry("pods", &broken_pod("probe")).code == 403).then_some(()));
            let restarted = AtomicBool::new(false);
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        kubectl(&plane, &["rollout", "restart", "deployment/portcullis", "--namespace", NAME]);
                        eventually("the rolling restart is done", || {
                            let path = format!("/api/v1/namespaces/{NAME}/pods");
                            let pods = plane.admin.call(Method::GET, &path, None).admitted();
                            let count = pods["items"].as_array().map_or(0, Vec::len);
                            (is_rolled_out(&deployment()) && count == 2).then_some(())
                        });
                    }));
                    restarted.store(true, Ordering::Relaxed);
                    done.expect("the rolling restart is done");
                });
                storm::fails_nothing(&space, &restarted);
            });
        }));
        over.store(true, Ordering::Relaxed);
        let ended = kubelet.join().expect("the kubelet ends");
        if let Err(failure) = tested {
            std::panic::resume_unwind(failure);
        }
        ended
    });
    assert_eq!(ended, [Some(0), Some(0)], "both replicas of before ended in order");
}
