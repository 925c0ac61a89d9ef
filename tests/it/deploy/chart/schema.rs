//! `values.schema.json`: the values of the chart are written by hand; `configuration` is the program's own schema.

use portcullis::config::schema::schema;
use serde_json::{Value, json};

use super::CHART;
use crate::golden::{assert_holds, repository};

#[test]
fn its_configuration_is_that_of_the_program() {
    let path = format!("{CHART}/values.schema.json");
    let held = std::fs::read_to_string(repository(&path)).expect(&path);
    let mut held: Value = serde_json::from_str(&held).expect("JSON");
    let mut configuration = schema();
    let fields = configuration.as_object_mut().expect("an object");
    fields.remove("$schema");
    held["$defs"] = fields.remove("$defs").expect("definitions");
    as_yaml_reads(&mut configuration);
    held["properties"]["configuration"] = configuration;
    let text = serde_json::to_string_pretty(&held).expect("JSON");
    assert_holds(&path, &format!("{text}\n"));
}

#[test]
fn every_object_that_it_describes_is_closed() {
    let held = std::fs::read_to_string(repository(&format!("{CHART}/values.schema.json"))).expect("a schema");
    let mut held: Value = serde_json::from_str(&held).expect("JSON");
    let properties = held["properties"].as_object_mut().expect("properties");
    // Of the program: its own tests say so.
    properties.remove("configuration");
    held["$defs"] = json!({});
    all(&held, &mut |schema| {
        if schema.get("properties").is_some_and(Value::is_object) && schema["type"] == "object" {
            assert_eq!(schema["additionalProperties"], false, "{schema}");
        }
    });
}

/// Helm's YAML reads an unquoted `off` as false and `on` as true, and so must the schema of it.
fn as_yaml_reads(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(words) = fields.get_mut("enum").and_then(Value::as_array_mut) {
                for (word, read) in [("off", false), ("on", true)] {
                    if words.iter().any(|other| other == word) {
                        words.push(read.into());
                    }
                }
            }
            fields.values_mut().for_each(as_yaml_reads);
        }
        Value::Array(items) => items.iter_mut().for_each(as_yaml_reads),
        _ => {}
    }
}

fn all(schema: &Value, each: &mut dyn FnMut(&Value)) {
    each(schema);
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| all(field, each)),
        Value::Array(items) => items.iter().for_each(|item| all(item, each)),
        _ => {}
    }
}
