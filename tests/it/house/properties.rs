//! Paths in objects of any shape against a second implementation, and instances that do not know of each other.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{create, house, object, said};

/// Names of few letters, so that paths lead somewhere.
const NAMES: [&str; 4] = ["a", "b", "c", "x.y/z"];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 4, |inner| {
        let map = prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner.clone(), 0..4);
        let map =
            map.prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>());
        prop_oneof![prop::collection::vec(inner, 0..4).prop_map(Value::from), map.prop_map(Value::from)]
    })
}

/// Steps of a path below `spec`; `None` is `[*]`.
fn steps() -> impl Strategy<Value = Vec<Option<&'static str>>> {
    prop::collection::vec(prop::option::of(prop::sample::select(&NAMES[..])), 0..5)
}

fn written(steps: &[Option<&str>]) -> String {
    let step = |step: Option<&str>| step.map_or("[*]".to_owned(), |name| format!("[{name}]"));
    "spec".to_owned() + &steps.iter().copied().map(step).collect::<String>()
}

/// What an instance finds that allows `a` and `1`, written without regard to how the program does it.
fn oracle(value: &Value, place: String, steps: &[Option<&str>], refuses: bool, found: &mut Vec<String>) {
    let absent = |found: &mut Vec<String>, place: String, rest: &[Option<&str>]| {
        if refuses && !rest.contains(&None) {
            found.push(format!("{place}: absent"));
        }
    };
    match (value, steps) {
        (Value::Null, rest) => absent(found, place, rest),
        (value, []) => match value {
            Value::String(text) if text == "a" || text == "1" => {}
            Value::Number(number) if number.as_i64() == Some(1) => {}
            Value::Array(_) | Value::Object(_) => found.push(format!("{place}: parts")),
            _ => found.push(format!("{place}: other")),
        },
        (Value::Array(items), [None, rest @ ..]) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, item)| oracle(item, format!("{place}[{at}]"), rest, refuses, found));
        }
        (Value::Object(map), [None, rest @ ..]) => {
            map.iter().for_each(|(key, item)| oracle(item, format!("{place}[{key}]"), rest, refuses, found));
        }
        (Value::Object(map), [Some(name), rest @ ..]) => {
            let place = format!("{place}[{name}]");
            match map.get(*name) {
                Some(item) => oracle(item, place, rest, refuses, found),
                None => absent(found, place, rest),
            }
        }
        _ => found.push(format!("{place}: type")),
    }
}

fn rule(name: &str, path: &str, refuses: bool) -> Value {
    let absent = if refuses { "refuse" } else { "allow" };
    json!({"name": name, "kinds": [{"kind": "ConfigMap"}], "path": path, "values": ["a", 1], "absent": absent})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_path_finds_what_a_second_implementation_finds(value in value(), steps in steps(), refuses in any::<bool>()) {
        let snapshot = house("enforce", Value::Null, json!([rule("r", &written(&steps), refuses)]));
        let decision = create(&snapshot, &object("ConfigMap", json!({}), json!({"spec": value})));
        let mut expected = Vec::new();
        oracle(&value, "spec".to_owned(), &steps, refuses, &mut expected);
        let kind = |message: &str| {
            if message.starts_with("must be set") { "absent" }
            else if message.starts_with("must hold") { "type" }
            else if message.ends_with("not a list or an object") { "parts" }
            else { "other" }
        };
        let mut found: Vec<String> = decision.findings.iter()
            .map(|finding| format!("{}: {}", finding.place.shown(), kind(&finding.message)))
            .collect();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected, "{} in {}: {:?}", written(&steps), value, said(&decision));
    }

    #[test]
    fn instances_find_together_what_each_finds_alone(
        value in value(),
        paths in prop::collection::vec((steps(), any::<bool>()), 1..5),
        labels in prop::collection::btree_map("[ab]", "[a-c]{0,2}", 0..3),
    ) {
        let rules: Vec<Value> = paths.iter().enumerate()
            .map(|(at, (steps, refuses))| rule(&format!("r-{at}"), &written(steps), *refuses))
            .collect();
        let required: Vec<Value> = ["a", "b"].iter()
            .map(|key| json!({"name": key, "kinds": [{"kind": "ConfigMap"}], "labels": {*key: "a+"}}))
            .collect();
        let object = object("ConfigMap", json!({"labels": labels}), json!({"spec": value}));
        let alone = required.iter().map(|rule| house("enforce", json!([rule]), Value::Null))
            .chain(rules.iter().map(|rule| house("enforce", Value::Null, json!([rule]))));
        let alone: Vec<String> = alone.flat_map(|snapshot| said(&create(&snapshot, &object))).collect();
        prop_assert_eq!(said(&create(&house("enforce", json!(required), json!(rules)), &object)), alone);
    }

    #[test]
    fn no_text_of_a_path_or_a_pattern_panics(path in "[a-c\\[\\]*.\"'/$0 ]{0,12}", pattern in "[a-c()|*+?\\\\\\[\\]{}^$#:!.,0-9]{0,12}") {
        let lines = |field: &str, value: &str| {
            let rule = json!({"name": "r", "kinds": [{"kind": "ConfigMap"}], "path": if field == "path" { value } else { "a" },
                "pattern": if field == "path" { "a" } else { value }});
            let settings = json!({"instances": [rule]});
            format!("{}policies: {{allowed-values: {{mode: enforce, settings: {settings}}}}}\n", crate::judging::HEAD)
        };
        for lines in [lines("path", &path), lines("pattern", &pattern)] {
            match portcullis::config::compile("c", &lines, None) {
                Ok(configuration) => {
                    create(&configuration.snapshot, &object("ConfigMap", json!({}), json!({"a": {"b": [pattern]}})));
                }
                Err(error) => prop_assert!(error.to_string().contains("policies.allowed-values.settings"), "{}", error),
            }
        }
    }
}
