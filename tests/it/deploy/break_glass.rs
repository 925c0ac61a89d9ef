//! The lock-out drill: Portcullis is dead and enforces. `deploy/backstop.md` and `deploy/break-glass.md` are executed line by line, with
//! each form of the backstop, by somebody of the group that they name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{NAME, WEBHOOKS, copy, name_image, webhooks_path};
use crate::golden::repository;
use crate::kubernetes::backstop::{Admission, Form, POLICIES, acting_as, developer, permit};
use crate::kubernetes::client::{Answer, Client};
use crate::kubernetes::eventually;
use crate::kubernetes::objects::{broken_pod, holder, pod, spec};
use crate::kubernetes::plane::{Plane, programs};
use crate::kubernetes::process::PROGRAM;
use crate::kubernetes::space::{Space, account};

/// Heading of the part of the page of the backstop about its removal.
const REMOVE: &str = "\n## Remove\n";
/// Where the page's part on what comes after begins.
const AFTERWARDS: &str = "\n## Afterwards\n";
/// API servers read files again once a minute.
const REREAD: Duration = Duration::from_mins(2);
/// The GitOps objects that the page names: API version, plural, kind, namespace, spec.
const GITOPS: [(&str, &str, &str, &str); 3] = [
    ("kustomize.toolkit.fluxcd.io/v1", "kustomizations", "Kustomization", "flux-system"),
    ("helm.toolkit.fluxcd.io/v2", "helmreleases", "HelmRelease", "flux-system"),
    ("argoproj.io/v1alpha1", "applications", "Application", "argocd"),
];

/// A cluster in which Portcullis is installed as the overlay `enforce`, and has never answered.
struct Drill {
    form: Form,
    plane: Plane,
    admission: Admission,
    folder: TempDir,
    /// Of somebody on call.
    kubeconfig: PathBuf,
    jane: Client,
}

impl Drill {
    fn new(form: Form) -> Self {
        let admission = Admission::new();
        let file = admission.file();
        let plane = match form {
            Form::Api => Plane::start(&[]),
            Form::Static => Plane::start(&["--admission", &file]),
        };
        let folder = tempfile::tempdir().expect("a folder");
        copy(&repository("deploy"), &folder.path().join("deploy"));
        name_image(folder.path());
        permit(&plane, "on-call");
        let kubeconfig = folder.path().join("kubeconfig");
        acting_as(&plane, "ada", "on-call", &kubeconfig);
        let jane = developer(&plane);
        for row in &GITOPS {
            define(&plane, row);
        }
        let drill = Self { form, plane, admission, folder, kubeconfig, jane };
        drill.run("kubectl apply -k deploy/overlays/enforce");
        drill
    }

    /// The commands of a page, or of its part before or after a heading, that are for this form.
    fn lines(&self, text: &str) -> Vec<String> {
        let fenced = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
        let is_own = |line: &&str| {
            let (of_files, of_api) =
                (line.contains(POLICIES), line.contains(" backstop.yaml") || line.contains("policybindings"));
            if self.form == Form::Static { !of_api } else { !of_files }
        };
        fenced.flat_map(str::lines).filter(is_own).map(str::to_owned).collect()
    }

    /// Runs a line as it is written, but for the folder of the control plane, in a shell of somebody on call.
    fn run(&self, line: &str) {
        let folder = self.admission.folder("policies");
        let line = line.replace(POLICIES, folder.to_str().expect("UTF-8"));
        let program = Path::new(PROGRAM).parent().expect("a folder").display().to_string();
        let path = format!("{}:{program}:{}", programs().display(), std::env::var("PATH").expect("a path"));
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .expect("sh runs");
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {errors}");
        let has_deleted = said.contains(" deleted");
        assert!(!line.starts_with("kubectl delete") || has_deleted, "{line}: {said}{errors}");
    }

    fn space(&self, name: &str) -> Space {
        Space::named(&self.jane, name)
    }

    fn admin(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.plane.admin.call(method, path, Some(body))
    }
}

/// A kind of a GitOps tool, with any fields, and the object of it that installs Portcullis.
fn define(plane: &Plane, (api_version, plural, kind, namespace): &(&str, &str, &str, &str)) {
    let (group, version) = api_version.split_once('/').expect("a group");
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"),
            "annotations": {"api-approved.kubernetes.io": "https://example.com"}},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
            "versions": [{"name": version, "served": true, "storage": true, "schema": schema}]},
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    plane.admin.call(Method::POST, path, Some(&definition)).admitted();
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&space));
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": NAME},
        "spec": {"suspend": false, "syncPolicy": {"automated": {"selfHeal": true}}}});
    let path = format!("/apis/{api_version}/namespaces/{namespace}/{plural}");
    eventually("it is served", || {
        plane.admin.try_call(Method::POST, &path, Some(&object)).ok()?.is_success().then_some(())
    });
}

/// A Pod that is root on its node.
fn privileged(name: &str) -> Value {
    let mut spec = spec();
    spec["containers"][0]["securityContext"] = json!({"privileged": true});
    pod(name, spec)
}

fn is_refused_by_backstop(answer: &Answer) -> bool {
    let message = answer.message();
    answer.code == 403
        && message.contains("ValidatingAdmissionPolicy 'portcullis-backstop-pods")
        && answer.body["details"]["causes"].to_string().contains("privileged-containers: ")
}

/// The cluster's own components, nodes, and ourselves: what has to go on, and what brings us back.
fn it_can_be_put_right(drill: &Drill) {
    let system = drill.space("kube-system");
    eventually("kube-system has its account", || system.get("serviceaccounts", "default").is_success().then_some(()));
    let mut dns = privileged("dns");
    dns["spec"]["serviceAccountName"] = "default".into();
    system.create("pods", &dns).admitted();
    system.create("deployments", &holder("Deployment", "dns", dns["spec"].clone())).admitted();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    drill.admin(Method::POST, "/api/v1/nodes", &node).admitted();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "n1"}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    drill.admin(Method::POST, leases, &lease).admitted();
    let renewed = json!({"spec": {"holderIdentity": "n1"}});
    drill.admin(Method::PATCH, &format!("{leases}/n1"), &renewed).admitted();
    let own = drill.space(NAME);
    let restarted = json!({"spec": {"template": {"metadata": {"annotations": {"example.com/restarted": "now"}}}}});
    own.patch("deployments", NAME, &restarted).admitted();
    eventually("our own Pods are there", || (!own.list("pods").is_empty()).then_some(()));
}

/// Nobody but those listed changes what Portcullis consists of.
fn it_is_guarded(drill: &Drill) {
    let annotated = json!({"metadata": {"annotations": {"example.com/mine": "yes"}}});
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let paths = [
        webhooks_path(WEBHOOKS[0]),
        webhooks_path(WEBHOOKS[1]),
        format!("/api/v1/namespaces/{NAME}"),
        format!("{rbac}/clusterroles/{NAME}"),
        format!("{rbac}/clusterrolebindings/{NAME}"),
        format!("{rbac}/namespaces/{NAME}/roles/{NAME}"),
        format!("{rbac}/namespaces/{NAME}/rolebindings/{NAME}"),
    ];
    let is_refused = |answer: &Answer| answer.code == 403 && answer.message().contains("the backstop of Portcullis: ");
    for path in &paths {
        // Each policy is in force a moment after it was stored.
        let dry = format!("{path}?dryRun=All");
        within_a_reread(path, || is_refused(&drill.jane.call(Method::PATCH, &dry, Some(&annotated))));
        for method in [Method::PATCH, Method::DELETE] {
            let answer = drill.jane.call(method.clone(), path, (method == Method::PATCH).then_some(&annotated));
            assert!(is_refused(&answer), "{path}: {answer:#?}");
        }
    }
    // A whole collection names no object.
    let collection = webhooks_path(WEBHOOKS[0]);
    let collection = collection.strip_suffix(&format!("/{NAME}")).expect("its name");
    let answer = drill.jane.call(Method::DELETE, collection, None);
    assert!(is_refused(&answer), "{answer:#?}");
    // Objects of others, of the same kinds. The guard lets them be written, and then nobody answers the webhooks.
    let role =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": NAME}, "rules": []});
    let others = format!("{rbac}/namespaces/shop/roles");
    let answer = drill.jane.call(Method::POST, &others, Some(&role));
    assert!(!is_refused(&answer) && answer.message().contains("failed calling webhook"), "{answer:#?}");
    // The certificate is renewed by our own ServiceAccount.
    let us = drill.plane.impersonating(&format!("system:serviceaccount:{NAME}:{NAME}"), "system:serviceaccounts");
    let bundle = json!({"webhooks": [{"name": "enforce.portcullis.dev", "clientConfig": {"caBundle": null}}]});
    us.call(Method::PATCH, &paths[0], Some(&bundle)).admitted();
}

fn drill(form: Form) {
    let drill = Drill::new(form);
    let space = Space::named(&drill.plane.admin, "shop");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    drill.admin(Method::POST, "/api/v1/namespaces", &namespace).admitted();
    space.create("serviceaccounts", &account("web", None)).admitted();
    let shop = drill.space("shop");
    eventually("webhooks refuse", || (shop.create_dry("pods", &pod("web", spec())).code == 500).then_some(()));

    let page = |name: &str| std::fs::read_to_string(repository(&format!("deploy/{name}.md"))).expect("a page");
    let backstop = page("backstop");
    let (install, remove) = backstop.split_once(REMOVE).expect("the heading");
    drill.lines(install).iter().for_each(|line| drill.run(line));
    within_a_reread("the backstop refuses", || is_refused_by_backstop(&shop.create_dry("pods", &privileged("web"))));
    let answer = shop.create_dry("pods", &pod("web", spec()));
    assert!(answer.code == 500 && answer.message().contains("failed calling webhook"), "{answer:#?}");
    it_can_be_put_right(&drill);
    it_is_guarded(&drill);

    let text = page("break-glass");
    let (before, afterwards) = text.split_once(AFTERWARDS).expect("the heading");
    for line in drill.lines(before) {
        drill.run(&line);
        if line.contains("delete validatingwebhookconfigurations") {
            // The GitOps tools were told first. Nobody asks Portcullis now, and the worst is refused all the same.
            assert_eq!(suspended(&drill), [true, true, true]);
            eventually("no webhook is asked", || {
                shop.create_dry("pods", &pod("web", spec())).is_success().then_some(())
            });
            assert!(is_refused_by_backstop(&shop.create("pods", &privileged("web"))));
            mirrored(&drill);
        }
    }
    within_a_reread("everything is admitted", || shop.create_dry("pods", &privileged("web")).is_success());
    shop.create("pods", &privileged("web")).admitted();
    shop.create("pods", &broken_pod("other")).admitted();
    shop.create("deployments", &holder("Deployment", "web", privileged("web")["spec"].clone())).admitted();

    drill.lines(afterwards).iter().for_each(|line| drill.run(line));
    assert_eq!(suspended(&drill), [false, false, false]);
    eventually("webhooks refuse again", || (shop.create_dry("pods", &pod("web", spec())).code == 500).then_some(()));
    within_a_reread("so does the backstop", || is_refused_by_backstop(&shop.create_dry("pods", &privileged("web"))));

    if form == Form::Api {
        drill.lines(remove).iter().for_each(|line| drill.run(line));
        within_a_reread("it is gone for good", || {
            !is_refused_by_backstop(&shop.create_dry("pods", &privileged("web")))
        });
    }

    // It is removed by somebody of the group, and what is in its namespace by the controllers.
    drill.run("kubectl delete -k deploy/overlays/enforce --wait=false");
    let own = drill.space(NAME);
    eventually("the namespace is gone", || {
        for pod in own.list("pods") {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            own.delete("pods", &format!("{name}?gracePeriodSeconds=0"));
        }
        let path = format!("/api/v1/namespaces/{NAME}");
        (drill.plane.admin.call(Method::GET, &path, None).code == 404).then_some(())
    });
}

/// A node shows its static Pods, whatever they are. Others may write the annotation too, and it helps them nothing.
fn mirrored(drill: &Drill) {
    let mut mirror = privileged("static-n1");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    mirror["spec"]["nodeName"] = "n1".into();
    let of_spec = mirror["spec"].as_object_mut().expect("a mapping");
    of_spec.remove("serviceAccountName");
    of_spec.remove("automountServiceAccountToken");
    assert!(is_refused_by_backstop(&drill.space("shop").create("pods", &mirror)));
    let uid = drill.plane.admin.call(Method::GET, "/api/v1/nodes/n1", None).admitted()["metadata"]["uid"].clone();
    mirror["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": true}]);
    let node = drill.plane.user("system:node:n1", "system:nodes");
    Space::named(&node, "shop").create("pods", &mirror).admitted();
}

/// True for each GitOps tool that is suspended.
fn suspended(drill: &Drill) -> [bool; 3] {
    GITOPS.map(|(api_version, plural, _, namespace)| {
        let path = format!("/apis/{api_version}/namespaces/{namespace}/{plural}/{NAME}");
        let object = drill.plane.admin.call(Method::GET, &path, None).admitted();
        if plural == "applications" {
            object["spec"]["syncPolicy"]["automated"].is_null()
        } else {
            object["spec"]["suspend"] == true
        }
    })
}

/// Waits until it is so; files are read once a minute.
#[track_caller]
fn within_a_reread(what: &str, look: impl Fn() -> bool) {
    let deadline = Instant::now() + REREAD;
    while !look() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_page_restores_everything_with_a_backstop_of_objects() {
    drill(Form::Api);
}

#[test]
fn the_page_restores_everything_with_a_backstop_of_files() {
    drill(Form::Static);
}
