//! Volumes of every type of core/v1 `VolumeSource`, of none, and of two at once.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Taste, absent};

/// Volumes that the standards allow, as the API server takes them.
fn managed() -> Vec<(&'static str, Value)> {
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    vec![
        ("emptyDir", json!({})),
        ("configMap", json!({"name": "x"})),
        ("secret", json!({"secretName": "x"})),
        ("downwardAPI", json!({"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}]})),
        ("projected", json!({"sources": [{"configMap": {"name": "x"}}]})),
        ("persistentVolumeClaim", json!({"claimName": "x"})),
        ("csi", json!({"driver": "x.example"})),
        ("ephemeral", json!({"volumeClaimTemplate": {"spec": claim}})),
        ("image", json!({"reference": "registry.example/data"})),
    ]
}

/// Volumes that the standards forbid.
fn unmanaged() -> Vec<(&'static str, Value)> {
    let gateway = json!({"gateway": "x", "system": "x", "secretRef": {"name": "x"}, "volumeName": "x"});
    vec![
        ("hostPath", json!({"path": "/x"})),
        ("gcePersistentDisk", json!({"pdName": "x"})),
        ("awsElasticBlockStore", json!({"volumeID": "x"})),
        ("gitRepo", json!({"repository": "https://git.example/x"})),
        ("nfs", json!({"server": "x", "path": "/x"})),
        ("iscsi", json!({"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.example:x", "lun": 0})),
        ("glusterfs", json!({"endpoints": "x", "path": "x"})),
        ("rbd", json!({"monitors": ["x"], "image": "x"})),
        ("flexVolume", json!({"driver": "example/x"})),
        ("cinder", json!({"volumeID": "x"})),
        ("cephfs", json!({"monitors": ["x"]})),
        ("flocker", json!({"datasetName": "x"})),
        ("fc", json!({"targetWWNs": ["x"], "lun": 0})),
        ("azureFile", json!({"secretName": "x", "shareName": "x"})),
        ("azureDisk", json!({"diskName": "x", "diskURI": "https://disk.example/x"})),
        ("vsphereVolume", json!({"volumePath": "x"})),
        ("quobyte", json!({"registry": "10.0.0.1:80", "volume": "x"})),
        ("portworxVolume", json!({"volumeID": "x"})),
        ("photonPersistentDisk", json!({"pdID": "x"})),
        ("scaleIO", gateway),
        ("storageos", json!({"volumeName": "x"})),
    ]
}

/// A volume's fields but for its name.
fn source(taste: Taste) -> BoxedStrategy<Value> {
    let of_type = |(name, source): (&str, Value)| json!({name: source});
    let good: Vec<Value> = managed().into_iter().map(of_type).collect();
    let bad: Vec<Value> = unmanaged().into_iter().map(of_type).collect();
    // One type of thirty is a check by itself, and there is no other field to a volume.
    let bad = [bad, vec![json!({"hostPath": {"path": "/x"}}); 10]].concat();
    let taste = Taste { bad: taste.bad * 3, ..taste };
    // An API server completes a volume that says nothing; Kubernetes' evaluator does not.
    let none = json!({});
    if taste.is_sound() {
        return taste.of([good, vec![none]].concat(), bad, vec![]);
    }
    let all = || managed().into_iter().chain(unmanaged());
    let nulls: Vec<Value> = all().map(|(name, _)| json!({name: null})).collect();
    let empty: Vec<Value> = all().map(|(name, _)| json!({name: {}})).collect();
    let unknown = vec![none, json!({"neverHeardOf": {}}), json!({"hostpath": {"path": "/x"}}), json!({"EmptyDir": {}})];
    let one = taste.of(good, bad, [nulls, empty, unknown].concat());
    let two = (one.clone(), one.clone()).prop_map(|(one, two)| {
        let fields = [one, two].into_iter().filter_map(|source| source.as_object().cloned()).flatten();
        fields.collect::<Map<_, _>>().into()
    });
    prop_oneof![12 => one, 1 => two].boxed()
}

/// `volumes`
pub(super) fn list(taste: Taste) -> BoxedStrategy<Value> {
    let list = prop::collection::vec(source(taste), 0..4).prop_map(|mut volumes| {
        for (position, volume) in volumes.iter_mut().enumerate() {
            volume["name"] = json!(format!("v{position}"));
        }
        Value::from(volumes)
    });
    prop_oneof![2 => Just(absent()), 1 => Just(Value::Null), 6 => list].boxed()
}
