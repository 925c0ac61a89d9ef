//! A kubelet in miniature: starts a Pod's one container as its spec says (arguments, environment, mounts, user, root file
//! system), in namespaces of its own. What it does not know it refuses, so that nothing in a manifest is passed over.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::http::Method;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::image::Image;
use super::network::Network;
use super::program::{Program, get};
use super::{NAME, token};
use crate::kubernetes::client::Answer;
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;
use crate::kubernetes::process::PROGRAM;

/// Directories of the host's shared libraries, which stand in for those of the image.
const LIBRARIES: [&str; 4] = ["lib", "lib64", "usr/lib", "usr/lib64"];

/// A running Pod.
pub(crate) struct Replica {
    pub(crate) program: Program,
    pub(crate) address: Ipv4Addr,
    pod: Value,
    dir: TempDir,
}

/// Our Pods, once there are `count`.
pub(crate) fn pods(plane: &Plane, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{NAME}/pods?labelSelector=app.kubernetes.io/name={NAME}");
    eventually("the Pods of the Deployment", || {
        let list = plane.admin.call(Method::GET, &path, None).admitted();
        list["items"].as_array().filter(|pods| pods.len() == count).cloned()
    })
}

impl Replica {
    /// Starts it. `log` is a filter for its log, beside what the Pod says.
    pub(crate) fn start(plane: &Plane, network: &Network, pod: Value, log: &str) -> Self {
        Self::run(plane, network, pod, log, tempfile::tempdir().expect("a folder"))
    }

    /// Ends its program at once, and starts it again at another address, with the same volumes.
    pub(crate) fn again(self, plane: &Plane, network: &Network, log: &str) -> Self {
        let Self { program, pod, dir, .. } = self;
        drop(program);
        Self::run(plane, network, pod, log, dir)
    }

    fn run(plane: &Plane, network: &Network, pod: Value, log: &str, dir: TempDir) -> Self {
        let spec = &pod["spec"];
        let [container] = spec["containers"].as_array().expect("containers").as_slice() else {
            panic!("more than one container")
        };
        assert!(spec["initContainers"].is_null() && container["command"].is_null() && container["envFrom"].is_null());
        for volume in spec["volumes"].as_array().into_iter().flatten() {
            mount(plane, &pod, volume, &dir.path().join("volumes"));
        }
        let address = network.address();
        let script = script(&pod, container, dir.path(), &network.connect(address), log, plane);
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", &script]).arg("portcullis");
        command.args(strings(&container["args"]));
        Self { program: Program::spawn(&mut command), address, pod, dir }
    }

    /// An address by the name or number of a port.
    pub(crate) fn port(&self, port: &Value) -> SocketAddr {
        let ports = self.pod["spec"]["containers"][0]["ports"].as_array().expect("ports");
        let named = || ports.iter().find(|named| named["name"] == *port)?["containerPort"].as_u64();
        let number = port.as_u64().or_else(named).expect("a port of that name");
        (self.address, u16::try_from(number).expect("a port")).into()
    }

    /// The answer to a probe of the Pod.
    pub(crate) fn probe(&self, name: &str) -> (u16, String) {
        let probe = &self.pod["spec"]["containers"][0][name]["httpGet"];
        get(self.port(&probe["port"]), probe["path"].as_str().expect("a path"))
    }

    /// Tells the API server that the Pod runs and is ready, here.
    pub(crate) fn report(&self, plane: &Plane) {
        self.bind(plane).admitted();
        self.report_as(plane, true);
    }

    /// Tells the API server which node the Pod runs on.
    pub(crate) fn bind(&self, plane: &Plane) -> Answer {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}});
        plane.admin.call(Method::POST, "/api/v1/nodes", Some(&node));
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": self.pod["metadata"]["name"]},
            "target": {"kind": "Node", "name": "node"}});
        plane.admin.call(Method::POST, &format!("{}/binding", self.path()), Some(&binding))
    }

    /// Tells the API server that the Pod runs here, and if it is ready.
    pub(crate) fn report_as(&self, plane: &Plane, is_ready: bool) {
        let address = self.address.to_string();
        let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"$patch": "replace"}, {"ip": address}],
            "conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}]}});
        plane.admin.call(Method::PATCH, &format!("{}/status", self.path()), Some(&status)).admitted();
    }

    /// The Pod's path at the API server.
    pub(crate) fn path(&self) -> String {
        format!("/api/v1/namespaces/{NAME}/pods/{}", self.pod["metadata"]["name"].as_str().expect("a name"))
    }

    /// The folder of one of its volumes.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.dir.path().join("volumes").join(name)
    }

    /// Brings mounted ConfigMaps up to date, as the kubelet does about once a minute.
    pub(crate) fn sync(&self, plane: &Plane) {
        for volume in self.pod["spec"]["volumes"].as_array().into_iter().flatten() {
            if !volume["configMap"].is_null() {
                mount(plane, &self.pod, volume, &self.dir.path().join("volumes"));
            }
        }
    }
}

/// The container's process: its file system, its network, its user, and then the program.
fn script(pod: &Value, container: &Value, dir: &Path, connect: &str, log: &str, plane: &Plane) -> String {
    let image = Image::parsed();
    let root = dir.join("root");
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    let mut script = format!("set -eu\nmount --make-rprivate /\n{connect}");
    let mut bind = |from: &Path, to: &Path, options: &str| {
        script += &format!("mount --rbind '{}' '{}'\n", from.display(), to.display());
        script += &format!("mount -o remount,bind,{options} '{}'\n", to.display());
    };
    std::fs::create_dir_all(&root).expect("made");
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).expect("opened to all");
    let security = &container["securityContext"];
    bind(&root, &root, "rw");
    for library in LIBRARIES.iter().map(|library| Path::new("/").join(library)).filter(|library| library.is_dir()) {
        let inside = at(library.to_str().expect("UTF-8"));
        std::fs::create_dir_all(&inside).expect("made");
        bind(&library, &inside, "ro");
    }
    let program = at(&image.program);
    std::fs::create_dir_all(program.parent().expect("a folder")).expect("made");
    std::fs::write(&program, "").expect("made");
    bind(Path::new(PROGRAM), &program, "ro");
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let inside = at(mount["mountPath"].as_str().expect("a path"));
        std::fs::create_dir_all(&inside).expect("made");
        let volume = dir.join("volumes").join(mount["name"].as_str().expect("a name"));
        bind(&volume, &inside, if mount["readOnly"] == true { "ro" } else { "rw" });
    }
    if security["readOnlyRootFilesystem"] == true {
        bind(&root, &root, "ro");
    }
    let user = |field: &str| {
        let own = security[field].as_u64().or_else(|| pod["spec"]["securityContext"][field].as_u64());
        own.unwrap_or(image.user)
    };
    // The group of the volumes is one of its process's.
    let groups = pod["spec"]["securityContext"]["fsGroup"].as_u64().map_or_else(String::new, |group| group.to_string());
    let privileges = if security["allowPrivilegeEscalation"] == false { "--no-new-privs" } else { "" };
    let (host, port) = plane.place.server.trim_start_matches("https://").split_once(':').expect("a port");
    let mut variables = BTreeMap::from([
        ("KUBERNETES_SERVICE_HOST".to_owned(), host.to_owned()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_owned()),
        ("PORTCULLIS_LOG".to_owned(), log.to_owned()),
    ]);
    for variable in container["env"].as_array().into_iter().flatten() {
        let text = |field: &str| variable[field].as_str().expect("a plain variable").to_owned();
        variables.insert(text("name"), text("value"));
    }
    let variables: Vec<String> = variables.iter().map(|(name, value)| format!("'{name}={value}'")).collect();
    script
        + &format!(
            "exec \"$(command -v env)\" -i {} \"$(command -v setpriv)\" {privileges} \"$(command -v chroot)\" \
             --userspec={}:{} --groups={groups} '{}' '{}' \"$@\"\n",
            variables.join(" "),
            user("runAsUser"),
            user("runAsGroup"),
            root.display(),
            image.program,
        )
}

/// Fills a volume, or brings it up to date.
fn mount(plane: &Plane, pod: &Value, volume: &Value, volumes: &Path) {
    let number = |field: &str| pod["spec"]["securityContext"][field].as_u64().and_then(|one| u32::try_from(one).ok());
    let own = number("runAsUser");
    if volume["persistentVolumeClaim"].is_object() {
        let folder = volumes.join(volume["name"].as_str().expect("a name"));
        std::fs::create_dir_all(&folder).expect("made");
        // A disk belongs to root; what fsGroup names may write to it.
        chown(&folder, Some(0), number("fsGroup")).expect("its group");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o2770)).expect("its mode");
        return;
    }
    let mut files = Vec::new();
    let usual = if volume["secret"].is_object() {
        let source = &volume["secret"];
        files.extend(secret(plane, source).into_iter().map(|(name, text)| (name, text, None)));
        &source["defaultMode"]
    } else if volume["configMap"].is_object() {
        let source = &volume["configMap"];
        files.extend(config_map(plane, source).into_iter().map(|(name, text)| (name, text, None)));
        &source["defaultMode"]
    } else {
        for source in volume["projected"]["sources"].as_array().expect("a volume of a kind that is known") {
            let (kind, source) = source.as_object().and_then(|source| source.iter().next()).expect("a source");
            match kind.as_str() {
                "serviceAccountToken" => {
                    assert!(source["audience"].is_null());
                    let token = token(plane, &source["expirationSeconds"], Some(pod));
                    files.push((source["path"].as_str().expect("a path").to_owned(), token, own));
                }
                "configMap" => {
                    files.extend(config_map(plane, source).into_iter().map(|(name, text)| (name, text, None)));
                }
                "downwardAPI" => {
                    for item in source["items"].as_array().expect("items") {
                        assert_eq!(item["fieldRef"]["fieldPath"], "metadata.namespace");
                        let namespace = pod["metadata"]["namespace"].as_str().expect("a namespace");
                        files.push((item["path"].as_str().expect("a path").to_owned(), namespace.to_owned(), None));
                    }
                }
                other => panic!("an unknown source: {other}"),
            }
        }
        &volume["projected"]["defaultMode"]
    };
    let usual = u32::try_from(usual.as_u64().expect("a mode")).expect("a mode");
    let folder = volumes.join(volume["name"].as_str().expect("a name"));
    let stamp = format!("..{}", std::fs::read_dir(&folder).map_or(0, Iterator::count));
    std::fs::create_dir_all(folder.join(&stamp)).expect("made");
    for (name, text, owner) in &files {
        let file = folder.join(&stamp).join(name);
        std::fs::write(&file, text).expect("written");
        // A token belongs to the one user of the Pod, and to nobody else.
        let mode = if owner.is_some() { 0o600 } else { usual };
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("its mode");
        chown(&file, *owner, owner.or(number("fsGroup"))).expect("its owner");
        let _ = symlink(Path::new("..data").join(name), folder.join(name));
    }
    symlink(&stamp, folder.join("..data_tmp")).expect("linked");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
}

/// The files of a Secret, which must be there before its Pod starts.
fn secret(plane: &Plane, source: &Value) -> Vec<(String, String)> {
    let path = format!("/api/v1/namespaces/{NAME}/secrets/{}", source["secretName"].as_str().expect("a name"));
    let found = plane.admin.call(Method::GET, &path, None).admitted();
    let data = found["data"].as_object().expect("data");
    let text = |key: &str| super::decoded(data[key].as_str().expect("base64"));
    picked(data, source, text)
}

/// The files of a ConfigMap; it may come later than its Pod.
fn config_map(plane: &Plane, source: &Value) -> Vec<(String, String)> {
    let path = format!("/api/v1/namespaces/{NAME}/configmaps/{}", source["name"].as_str().expect("a name"));
    let found = eventually(&path, || {
        let answer = plane.admin.call(Method::GET, &path, None);
        answer.is_success().then_some(answer.body)
    });
    let data = found["data"].as_object().expect("data");
    picked(data, source, |key| data[key].as_str().expect("text").to_owned())
}

/// The files that a volume takes from its source: all, or those that it names.
fn picked(data: &Map<String, Value>, source: &Value, text: impl Fn(&str) -> String) -> Vec<(String, String)> {
    match source["items"].as_array() {
        None => data.keys().map(|key| (key.clone(), text(key))).collect(),
        Some(items) => {
            let named = |item: &Value, field: &str| item[field].as_str().expect("a name").to_owned();
            items.iter().map(|item| (named(item, "path"), text(&named(item, "key")))).collect()
        }
    }
}

pub(crate) fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("text").to_owned()).collect()
}
