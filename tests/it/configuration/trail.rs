//! `trail` in the configuration: what each key must be, where it stands, and a way out.

use portcullis::config::compile;
use portcullis::config::schema::schema;
use portcullis::document;
use serde_json::Value;

use super::errors::refused_below_head;
use crate::judging::HEAD;

fn taken(lines: &str) {
    let text = format!("{HEAD}{lines}");
    if let Err(error) = compile("config.yaml", &text, None) {
        panic!("{text}\n{error}");
    }
}

#[test]
fn every_key_says_where_it_is_wrong_and_what_it_must_be() {
    for (trail, wanted) in [
        ("spool: {}", "3:16: trail.spool.directory: is missing: the folder of the spool"),
        ("spool: s", "3:16: trail.spool: must be a mapping"),
        ("spool: {directory: 7}", "3:28: trail.spool.directory: must be a string"),
        ("spool: {directroy: s, directory: s}", "3:17: trail.spool.directroy: unknown key; did you mean directory?"),
        ("spool: {directory: s, guarantee: sure}", "3:42: trail.spool.guarantee: must be durable or buffered"),
        ("spool: {directory: s, maxSize: 1GB}", "3:40: trail.spool.maxSize: must be a size such as 512Mi or 2Gi"),
        (
            "spool: {directory: s, maxSize: 1Ki}",
            "3:16: trail.spool.maxSize: must be at least 1Mi, and four times segmentSize",
        ),
        (
            "spool: {directory: s, maxSize: 8Mi, segmentSize: 4Mi}",
            "3:16: trail.spool.maxSize: must be at least 1Mi, and four times segmentSize",
        ),
        (
            "spool: {directory: s, segmentSize: big}",
            "3:44: trail.spool.segmentSize: must be a size such as 512Mi or 2Gi",
        ),
        (
            "spool: {directory: s, retention: {allow: 1w}}",
            "3:50: trail.spool.retention.allow: must be a time such as 12h or 90d",
        ),
        ("spool: {directory: s, retention: 90d}", "3:42: trail.spool.retention: must be a mapping"),
        (
            "spool: {directory: s, retention: {deny: 1d}}",
            "3:43: trail.spool.retention.deny: unknown key; known keys are allow, refused, access",
        ),
        (
            "spool: {directory: s}, file: f",
            "3:8: trail.file: cannot be combined with trail.spool; make it a sink of type file",
        ),
        ("key: {file: k}", "3:8: trail.key: needs trail.spool: checkpoints stand in a spool"),
        ("sinks: [{name: a, type: stdout}]", "3:8: trail.sinks: needs trail.spool: sinks take from a spool"),
        ("spool: {directory: s}, key: {}", "3:37: trail.key.file: is missing: an Ed25519 private key in PEM"),
        (
            "spool: {directory: s}, key: {file: k, name: a+b}",
            "3:53: trail.key.name: must hold neither spaces nor plus signs",
        ),
        ("spool: {directory: s}, key: {file: k, name: ''}", "3:53: trail.key.name: must not be empty"),
        ("spool: {directory: s}, key: {flie: k, file: k}", "3:38: trail.key.flie: unknown key; did you mean file?"),
        ("cluster: \"a\\tb\"", "3:18: trail.cluster: must hold no control characters"),
        ("sample: 10", "3:17: trail.sample: must be a string"),
        ("sample: 1/0", "3:17: trail.sample: must be 1 (all), or a part such as 1/100"),
        ("sample: 2/3", "3:17: trail.sample: must be 1 (all), or a part such as 1/100"),
        ("sample: half", "3:17: trail.sample: must be 1 (all), or a part such as 1/100"),
        ("redaction: some", "3:20: trail.redaction: must be on or off"),
        ("identities: hash", "3:21: trail.identities: must be plain or hmac"),
        ("identities: hmac", "3:8: trail.identities: hmac and identitiesKeyFile belong together: one needs the other"),
        (
            "identitiesKeyFile: f",
            "3:8: trail.identities: hmac and identitiesKeyFile belong together: one needs the other",
        ),
        ("identites: plain", "3:9: trail.identites: unknown key; did you mean identities?"),
    ] {
        assert_eq!(refused_below_head(&format!("trail: {{{trail}}}\n")), [wanted], "{trail}");
    }
}

#[test]
fn every_key_takes_what_it_must() {
    for trail in [
        "spool: {directory: s}",
        "spool: {directory: s, guarantee: buffered, maxSize: 4Mi, segmentSize: 1Mi, retention: {allow: 1s, refused: 2h, access: 3d}}",
        "spool: {directory: s}, key: {file: k, name: audit.example.com/prod}",
        "spool: {directory: s}, sinks: [{name: a, type: stdout}, {name: b-2, type: file, path: f}]",
        "sample: \"1\"",
        "sample: 1/100",
        "redaction: off",
        "redaction: on",
        "identities: plain",
        "identities: hmac, identitiesKeyFile: k",
    ] {
        taken(&format!("trail: {{{trail}}}\n"));
    }
}

/// The same of each type of sink, at the line of the setting, also of one in a list or below a key of digits.
#[test]
fn a_setting_of_a_sink_is_named_with_its_own_line() {
    for (sink, wanted) in [
        (
            "type: file\n    path: f\n    keep: -1",
            "8:11: trail.sinks[0].keep: must be a whole number from 0 to 4294967295",
        ),
        (
            "type: kafka\n    topic: t\n    brokers:\n    - b:1\n    - [hunter2]",
            "10:7: trail.sinks[0].brokers[1]: must be a string",
        ),
        (
            "type: kafka\n    topic: hunter 2\n    brokers: [b:1]",
            "7:12: trail.sinks[0].topic: must be at most 249 letters, digits, dots, hyphens and underscores",
        ),
        (
            "type: kafka\n    topic: t\n    brokers: [b:1]\n    user: hunter2",
            "9:11: trail.sinks[0].user: user and passwordFile belong together",
        ),
        (
            "type: kafka\n    topic: t\n    brokers: [b:1]\n    insecure: true\n    caFile: f",
            "10:13: trail.sinks[0].caFile: has no effect with `insecure: true`; remove it",
        ),
        ("type: s3\n    bucket: a/b", "7:13: trail.sinks[0].bucket: must be a valid bucket name"),
        ("type: s3\n    bucket: abc\n    region: ''", "8:13: trail.sinks[0].region: must be a valid region name"),
        ("type: s3\n    bucket: abc\n    prefix: a//b", "8:13: trail.sinks[0].prefix: must be names separated by /"),
        (
            "type: s3\n    bucket: abc\n    flushInterval: 2h",
            "8:20: trail.sinks[0].flushInterval: must be a time up to 1h",
        ),
        (
            "type: s3\n    bucket: abc\n    secretAccessKeyFile: hunter2",
            "8:26: trail.sinks[0].secretAccessKeyFile: accessKeyIdFile and secretAccessKeyFile belong together",
        ),
        (
            "type: otlp\n    endpoint: https://o\n    headers:\n      7: [hunter2]",
            "9:10: trail.sinks[0].headers.7: must be the name of a file",
        ),
        (
            "type: webhook\n    secretFile: s\n    url: https://me:hunter2@o",
            "8:10: trail.sinks[0].url: must not contain a user or a password; both belong in files",
        ),
        (
            "type: postgres\n    host: h\n    database: d\n    user: u\n    port: 65536",
            "10:11: trail.sinks[0].port: must be a whole number from 0 to 65535",
        ),
    ] {
        let lines = format!("trail:\n  sinks:\n  - name: a\n    {sink}\n  spool: {{directory: s}}\n");
        assert_eq!(refused_below_head(&lines), [wanted], "{sink}");
    }
}

#[test]
fn a_sink_is_named_with_its_place_and_what_is_wrong_in_it() {
    for (sink, wanted) in [
        ("{type: stdout}", "5:5: trail.sinks[0].name: is missing: what metrics call the sink"),
        ("{name: A b, type: stdout}", "5:12: trail.sinks[0].name: must be lower-case letters, digits and hyphens"),
        ("{name: a}", "5:5: trail.sinks[0]: must have type"),
        ("{name: a, type: file}", "5:5: trail.sinks[0]: must have path"),
        ("text", "5:5: trail.sinks[0]: must be a mapping"),
        (
            "{name: a, type: postgresql}",
            "5:21: trail.sinks[0].type: must be one of stdout, file, postgres, kafka, s3, otlp, webhook",
        ),
        (
            "{name: a, type: [hunter2]}",
            "5:21: trail.sinks[0].type: must be one of stdout, file, postgres, kafka, s3, otlp, webhook",
        ),
        (
            "{name: a, type: file, path: f, maxBytes: hunter2}",
            "5:46: trail.sinks[0].maxBytes: must be a whole number of 0 or more",
        ),
        (
            "{name: a, type: otlp, endpoint: 'https://o', headers: hunter2}",
            "5:59: trail.sinks[0].headers: must be a mapping",
        ),
        (
            "{name: a, type: otlp, endpoint: 'https://o', headers: {authorization: [hunter2]}}",
            "5:75: trail.sinks[0].headers.authorization: must be the name of a file",
        ),
        (
            "{name: a, type: webhook, url: 'https://o', secretFile: s, insecure: hunter2}",
            "5:73: trail.sinks[0].insecure: must be true or false",
        ),
        (
            "{name: a, type: postgres, host: h, database: d, user: u, tls: hunter2}",
            "5:67: trail.sinks[0].tls: must be `verify-full` or `disable`",
        ),
        (
            "{name: a, type: postgres, host: h, database: d, user: u, tls: [hunter2]}",
            "5:67: trail.sinks[0].tls: must be `verify-full` or `disable`",
        ),
        (
            "{name: a, type: webhook, url: 'https://o', secretFile: s, hunter: hunter2}",
            "5:63: trail.sinks[0].hunter: unknown key; known keys are url, urlFile, secretFile, caFile, insecure, headers",
        ),
    ] {
        let lines = format!("trail:\n  sinks:\n  - {sink}\n  spool: {{directory: s}}\n");
        assert_eq!(refused_below_head(&lines), [wanted], "{sink}");
    }
    for (sink, wanted) in [
        ("{name: a, type: file, path: f, pth: g}", "5:36: trail.sinks[0].pth: unknown key; did you mean path?"),
        ("{name: a, type: kafka, tpoic: x}", "5:28: trail.sinks[0].tpoic: unknown key; did you mean topic?"),
        ("{name: a, type: s3, bukcet: x}", "5:25: trail.sinks[0].bukcet: unknown key; did you mean bucket?"),
        ("{name: a, type: webhook, urls: x}", "5:30: trail.sinks[0].urls: unknown key; did you mean url?"),
        ("{name: a, type: stdout, hunter: hunter2}", "5:29: trail.sinks[0].hunter: unknown key; there are no settings"),
        ("{name: a, type: otlp, password: hunter2}", "5:27: trail.sinks[0].password: unknown key; known keys are "),
        ("{name: a, type: postgres, password: hunter2}", "5:31: trail.sinks[0].password: unknown key; did you mean "),
    ] {
        let lines = format!("trail:\n  sinks:\n  - {sink}\n  spool: {{directory: s}}\n");
        let refused = refused_below_head(&lines);
        assert!(refused.len() == 1 && refused[0].starts_with(wanted), "{refused:?}");
        assert!(!refused[0].contains("hunter2"), "{refused:?}");
    }
    let twice = "trail:\n  sinks: [{name: a, type: stdout}, {name: a, type: file, path: f}]\n  spool: {directory: s}\n";
    assert_eq!(refused_below_head(twice), ["4:3: trail.sinks: the name a is here twice"]);
}

/// A trail with every key, and every kind of sink.
const FULL: &str = "\
trail:
  cluster: prod-1
  spool:
    directory: /var/lib/portcullis/spool
    guarantee: durable
    maxSize: 2Gi
    segmentSize: 16Mi
    retention: {allow: 7d, refused: 90d, access: 90d}
  key: {file: /etc/portcullis/key/key.pem, name: portcullis}
  sample: 1/10
  redaction: 'on'
  identities: hmac
  identitiesKeyFile: /etc/portcullis/identities/key
  sinks:
  - {name: out, type: stdout}
  - {name: here, type: file, path: /var/log/trail.jsonl, maxBytes: 1000000, keep: 3}
  - {name: db, type: postgres, host: db.example.com, port: 5432, database: trail, user: writing,
     passwordFile: /etc/db/password, caFile: /etc/db/ca.pem, schema: portcullis, tls: verify-full}
  - {name: bus, type: kafka, brokers: ['bus.example.com:9093'], topic: trail, user: portcullis,
     passwordFile: /etc/bus/password, mechanism: SCRAM-SHA-256, caFile: /etc/bus/ca.pem}
  - {name: store, type: s3, bucket: trail, endpoint: 'https://s3.example.com', region: eu-west-1, prefix: prod/,
     accessKeyIdFile: /etc/s3/id, secretAccessKeyFile: /etc/s3/key, flushSize: 8Mi, flushInterval: 60s, objectLock: required}
  - {name: logs, type: otlp, endpoint: 'https://otel.example.com', headers: {authorization: /etc/otel/authorization}}
  - {name: hook, type: webhook, url: 'https://audit.example.com/trail', secretFile: /etc/hook/secret, insecure: false}
";

/// True if a value matches a schema. Covers only the keywords that our schema uses.
fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(way) = schema["$ref"].as_str() {
        let target = root.pointer(way.trim_start_matches('#')).expect(way);
        if !fits(root, target, value) {
            return false;
        }
    }
    let is = |kind: &Value| match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "null" => value.is_null(),
        other => panic!("{other}: this test does not know the type"),
    };
    let has_type = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is),
        kind => is(kind),
    };
    let is_listed = schema["enum"].as_array().is_none_or(|listed| listed.contains(value));
    let is_constant = schema.get("const").is_none_or(|constant| constant == value);
    let pattern = schema["pattern"].as_str().map(|pattern| regex::Regex::new(pattern).expect(pattern));
    let is_matching = pattern.is_none_or(|pattern| value.as_str().is_some_and(|text| pattern.is_match(text)));
    let one_of = schema["oneOf"].as_array();
    let is_one = one_of.is_none_or(|all| all.iter().filter(|one| fits(root, one, value)).count() == 1);
    let items = value.as_array().filter(|_| schema.get("items").is_some());
    let fit_items = items.is_none_or(|items| items.iter().all(|item| fits(root, &schema["items"], item)));
    let required = schema["required"].as_array().into_iter().flatten();
    let is_whole =
        !value.is_object() || required.into_iter().all(|key| value.get(key.as_str().expect("text")).is_some());
    let fit_fields = value.as_object().into_iter().flatten().all(|(key, field)| {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(known), _) => fits(root, known, field),
            (None, Value::Bool(false)) => false,
            (None, Value::Object(_)) => fits(root, &schema["additionalProperties"], field),
            (None, _) => true,
        }
    });
    has_type && is_listed && is_constant && is_matching && is_one && fit_items && is_whole && fit_fields
}

#[test]
fn the_schema_takes_a_full_example_and_refuses_a_misspelt_key() {
    taken(FULL);
    let schema = schema();
    let read = |text: &str| -> Value {
        let documents = document::read(&format!("{HEAD}{text}")).expect("YAML");
        serde_json::to_value(&documents[0]).expect("JSON")
    };
    assert!(fits(&schema, &schema, &read(FULL)));
    for (right, wrong) in [
        ("cluster:", "clustr:"),
        ("guarantee:", "guarante:"),
        ("guarantee: durable", "guarantee: sure"),
        ("directory:", "folder:"),
        ("refused:", "deny:"),
        ("maxSize: 2Gi", "maxSize: 2GB"),
        ("sample: 1/10", "sample: 2/10"),
        ("identities: hmac", "identities: hash"),
        ("file: /etc/portcullis/key/key.pem", "path: k"),
        ("name: out, ", ""),
        ("type: stdout", "type: out"),
        ("keep: 3", "kept: 3"),
        ("host:", "hots:"),
        ("topic:", "tpoic:"),
        ("bucket:", "bukcet:"),
        ("endpoint: 'https://otel", "endpiont: 'https://otel"),
        ("secretFile:", "secert:"),
        ("insecure: false", "insecure: 'no'"),
    ] {
        let text = FULL.replacen(right, wrong, 1);
        assert_ne!(text, FULL, "{right}");
        assert!(!fits(&schema, &schema, &read(&text)), "{wrong}");
        assert!(compile("config.yaml", &format!("{HEAD}{text}"), None).is_err(), "{wrong}");
    }
}
