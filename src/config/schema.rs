//! JSON Schema of the configuration (draft 2020-12), for editors.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::profile;
use crate::mode::Mode;
use crate::policy::catalogue::CATALOGUE;
use crate::trail::sink;

/// The schema of a configuration file.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let mode = || json!({"enum": Mode::ALL.map(Mode::as_str), "description": "off < audit < warn < enforce"});
    let defaults = || json!({"enum": ["off", "safe", "all"]});
    let mut policies = Map::new();
    for entry in CATALOGUE {
        let settings = entry.schema(&mut generator);
        let mut fields = closed(json!({"mode": mode(), "settings": settings}));
        if entry.safety.is_none() {
            fields["properties"]["updates"] =
                json!({"enum": ["lenient", "strict"], "description": "strict: an update is judged like a creation"});
        }
        if entry.judges_deletions() {
            fields["properties"]["deletes"] =
                json!({"enum": ["warn", "enforce"], "description": "enforce: a deletion may be refused"});
        }
        fields["description"] = json!(entry.meta.title);
        policies.insert(entry.meta.id.to_owned(), fields);
    }
    let policies = closed(Value::Object(policies));
    let text = || json!({"type": "string"});
    let mut root = closed(json!({
        "apiVersion": {"const": "portcullis.dev/v1alpha1"},
        "kind": {"const": "Configuration"},
        "profile": {"enum": profile::names().collect::<Vec<_>>()},
        "ceiling": mode(),
        "defaults": defaults(),
        "policies": policies.clone(),
        "podSecurityVersion": {"type": "string", "pattern": "^(latest|v1\\.(0|[1-9][0-9]*))$"},
        "podSecurityLabels": {
            "enum": ["ignore", "tighten"],
            "description": "tighten: the labels pod-security.kubernetes.io/{enforce,warn,audit}[-version] of a namespace add \
                            the policies of their level there, up to its ceiling, to Pods and templates; they never take \
                            anything away",
        },
        "namespaces": {"type": "array", "items": closed(json!({
            "match": namespaces_match(),
            "ceiling": mode(),
            "policies": policies,
            "defaults": defaults(),
            "relax": {"type": "boolean", "description": "must be true where an entry is weaker than the top"},
        }))},
        "exceptions": exceptions(),
        "existing": existing(),
        "breakGlass": break_glass(),
        "webhooks": closed(json!({"drift": {"enum": ["report", "repair"],
            "description": "repair: restore fields of the webhook objects that are weaker than derived, at most five times an hour"}})),
        "generate": generate(),
        "workloads": {"type": "array", "items": closed(json!({
            "group": text(), "kind": text(), "resource": text(),
            "path": {"type": "string", "description": "JSON pointer to the pod template; * stands for every item"},
            "immutable": {"type": "boolean", "description": "templates never change once stored, as a Job's"},
        }))},
        "trail": trail(&mut generator),
    }));
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Portcullis configuration");
    root["required"] = json!(["apiVersion", "kind"]);
    root["$defs"] = Value::Object(generator.take_definitions(true).into_iter().collect());
    root
}

fn namespaces_match() -> Value {
    let value = json!({"type": "string", "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$"});
    let mut matched = closed(json!({
        "names": {"type": "array", "items": {"type": "string", "maxLength": 63}, "minItems": 1},
        "labels": {
            "type": "object", "minProperties": 1, "maxProperties": 1,
            "additionalProperties": {"anyOf": [value, {"type": "array", "items": value, "minItems": 1, "maxItems": 64}]},
            "description": "one label, key: value or key: [values]. The entry only raises: a namespace that carries the label has of \
                            every policy the strongest mode of its entry by name, or else of the top, and of all entries whose \
                            label it carries",
        },
    }));
    matched["minProperties"] = json!(1);
    matched["maxProperties"] = json!(1);
    matched
}

fn exceptions() -> Value {
    let text = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most});
    let list = |item: Value| json!({"type": "array", "items": item, "minItems": 1, "maxItems": 256});
    let judging = CATALOGUE.iter().filter(|entry| entry.safety.is_none()).map(|entry| entry.meta.id);
    let policy = json!({"enum": judging.collect::<Vec<_>>()});
    let label = || json!({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"});
    let mut matched = closed(json!({
        "namespace": label(),
        "kind": {"type": "string", "pattern": "^[A-Z][A-Za-z0-9]*(\\.[-.a-z0-9]+)?$",
            "description": "kind of the object, such as Deployment, or with its group, Deployment.apps"},
        "name": text(253),
        "namePrefix": {"type": "string", "minLength": 1, "maxLength": 253,
            "description": "beginning of the name, also of a generated one; only together with images"},
        "containers": list(text(253)),
        "images": {"type": "array", "items": text(1_024), "minItems": 1, "maxItems": 256,
            "description": "image patterns: registry.example.com/** (everything below), shop/* (one component), shop/web:1.2"},
        "users": list(text(253)),
    }));
    matched["minProperties"] = json!(1);
    let mut entry = closed(json!({
        "name": label(),
        "policies": list(policy.clone()),
        "match": matched,
        "expires": {"type": "string", "format": "date-time", "description": "the first instant at which it no longer counts"},
        "reason": text(512),
        "owner": text(253),
        "ticket": text(253),
        "requires": {"type": "array", "items": policy, "maxItems": 256,
            "description": "policies that must hold for the object; otherwise the exception does not count"},
    }));
    entry["required"] = json!(["name", "policies", "match", "expires", "reason", "owner"]);
    let entries = json!({"type": "array", "items": entry, "maxItems": 4_096});
    let limited = closed(json!({
        "maxLifetime": {"type": "string", "pattern": "^[0-9]+[smhd]$", "description": "longest time to the end of an exception; 365d"},
        "entries": entries.clone(),
    }));
    json!({"anyOf": [entries, limited]})
}

fn break_glass() -> Value {
    let group = json!({"type": "string", "minLength": 1, "maxLength": 253,
        "anyOf": [{"const": "system:masters"}, {"not": {"pattern": "^system:"}}]});
    let mut break_glass = closed(json!({
        "groups": {"type": "array", "items": group, "minItems": 1, "maxItems": 64, "uniqueItems": true,
            "description": "a member may admit an object that policies refuse, with a reason in its annotation portcullis.dev/reason"},
    }));
    break_glass["required"] = json!(["groups"]);
    break_glass
}

fn generate() -> Value {
    let any = json!({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"});
    let mut served = any.clone();
    served["not"] = json!({"pattern": "^kube-"});
    let names = |name: &Value| json!({"type": "array", "items": name, "maxItems": 1_000, "uniqueItems": true});
    let mut allow_ingress = closed(json!({"namespaces": names(&served), "from": names(&any)}));
    allow_ingress["description"] =
        json!("a NetworkPolicy per workload, which is reached from its own namespace and those of from");
    let directions = json!({"enum": ["ingress", "egress"]});
    let mut default_deny = closed(json!({
        "namespaces": names(&served),
        "directions": {"type": "array", "items": directions, "minItems": 1, "uniqueItems": true},
    }));
    default_deny["description"] = json!("a NetworkPolicy that denies what no other one allows");
    closed(json!({"allowIngress": allow_ingress, "defaultDeny": default_deny}))
}

fn existing() -> Value {
    let mut existing = closed(json!({
        "admit": {"type": "boolean",
            "description": "true: a finding of a Pod does not refuse if its topmost owner has it and was created before createdBefore"},
        "createdBefore": {"type": "string", "format": "date-time", "description": "not in the future"},
    }));
    existing["required"] = json!(["admit"]);
    existing["if"] = json!({"properties": {"admit": {"const": true}}});
    existing["then"] = json!({"required": ["createdBefore"]});
    existing
}

fn trail(generator: &mut SchemaGenerator) -> Value {
    let text = || json!({"type": "string"});
    let size = || json!({"type": "string", "pattern": "^[0-9]+(Ki|Mi|Gi|Ti)?$"});
    let time = || json!({"type": "string", "pattern": "^[0-9]+[smhd]$"});
    let sink = sink(generator);
    let mut spool = closed(json!({
        "directory": text(),
        "guarantee": {"enum": ["durable", "buffered"], "description": "durable: on the disk before the answer leaves"},
        "maxSize": size(),
        "segmentSize": size(),
        "retention": closed(json!({"allow": time(), "refused": time(), "access": time()})),
    }));
    spool["required"] = json!(["directory"]);
    let mut key = closed(json!({"file": text(), "name": text()}));
    key["required"] = json!(["file"]);
    closed(json!({
        "file": text(),
        "cluster": text(),
        "spool": spool,
        "key": key,
        "sinks": {"type": "array", "items": sink},
        "sample": {"type": "string", "pattern": "^1(/[1-9][0-9]*)?$", "description": "of decisions without a finding"},
        "redaction": {"enum": ["on", "off"]},
        "identities": {"enum": ["plain", "hmac"]},
        "identitiesKeyFile": text(),
    }))
}

/// The schema of a sink: its own settings, and `name`.
fn sink(generator: &mut SchemaGenerator) -> Value {
    let mut sink = Value::from(sink::Settings::json_schema(generator));
    for kind in sink.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        kind["properties"]["name"] = json!({"type": "string", "pattern": "^[a-z0-9-]{1,63}$"});
        if let Some(required) = kind["required"].as_array_mut() {
            required.push(json!("name"));
        }
    }
    sink
}

fn closed(properties: Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

#[cfg(test)]
mod tests {
    use super::super::{compile, policies};
    use super::schema;

    #[test]
    fn has_exactly_the_keys_that_are_read() {
        let schema = schema();
        let keys = |pointer: &str| {
            let properties = schema.pointer(pointer).and_then(serde_json::Value::as_object).expect(pointer);
            let mut keys: Vec<&str> = properties.keys().map(String::as_str).collect();
            keys.sort_unstable();
            keys
        };
        let sorted = |known: &[&'static str]| {
            let mut known = known.to_vec();
            known.sort_unstable();
            known
        };
        assert_eq!(keys("/properties"), sorted(&compile::TOP_KEYS));
        assert_eq!(keys("/properties/namespaces/items/properties"), sorted(&compile::ENTRY_KEYS));
        let matched = "/properties/namespaces/items/properties/match/properties";
        assert_eq!(keys(matched), sorted(&compile::NAMESPACE_MATCH_KEYS));
        assert_eq!(keys("/properties/workloads/items/properties"), sorted(&compile::WORKLOAD_KEYS));
        let exceptions = "/properties/exceptions/anyOf";
        assert_eq!(keys(&format!("{exceptions}/1/properties")), sorted(&compile::EXCEPTIONS_KEYS));
        let entry = format!("{exceptions}/0/items/properties");
        assert_eq!(keys(&entry), sorted(&compile::EXCEPTION_KEYS));
        assert_eq!(keys(&format!("{entry}/match/properties")), sorted(&compile::MATCH_KEYS));
        assert_eq!(keys("/properties/existing/properties"), sorted(&compile::EXISTING_KEYS));
        assert_eq!(keys("/properties/generate/properties"), sorted(&compile::GENERATE_KEYS));
        let generate = "/properties/generate/properties";
        assert_eq!(keys(&format!("{generate}/allowIngress/properties")), sorted(&compile::ALLOW_INGRESS_KEYS));
        assert_eq!(keys(&format!("{generate}/defaultDeny/properties")), sorted(&compile::DEFAULT_DENY_KEYS));
        assert_eq!(keys("/properties/trail/properties"), sorted(&compile::TRAIL_KEYS));
        assert_eq!(keys("/properties/policies/properties/root-users/properties"), sorted(&policies::POLICY_KEYS));
        let judges_deletions = "/properties/policies/properties/unisolated-pods/properties";
        assert_eq!(keys(judges_deletions), sorted(&policies::DELETION_KEYS));
        let mutator = "/properties/policies/properties/default-read-only-root/properties";
        assert_eq!(keys(mutator), sorted(&policies::MUTATOR_KEYS));
    }
}
