//! JSON without positions, as an API server sends it.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Key, Map, Node, Position, Value};

/// Every position is that of the [default](Position::default). A repeated key's last value counts.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

fn node(value: Value) -> Node {
    Node { position: Position::default(), value }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(node(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(node(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(node(Value::Number(value.into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(node(Value::Number(value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(node(serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(node(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(node(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map = Map::default();
        while let Some((name, node)) = fields.next_entry::<String, Node>()? {
            map.entries.push((Key { position: Position::default(), name }, node));
        }
        keep_last(&mut map);
        Ok(node(Value::Map(map)))
    }
}

/// Drops all entries of a repeated key but the last one.
fn keep_last(map: &mut Map) {
    let mut names = HashSet::with_capacity(map.entries.len());
    let is_last: Vec<bool> = map.entries.iter().rev().map(|(key, _)| names.insert(key.name.as_str())).collect();
    if names.len() < map.entries.len() {
        let mut is_last = is_last.into_iter().rev();
        map.entries.retain(|_| is_last.next().unwrap_or(true));
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn json_is_what_it_was() {
        let text = r#"{"a":[1,-2,1.5,18446744073709551615,null,true,"\u0000x"],"b":{"c":"d"}}"#;
        let node: Node = serde_json::from_str(text).expect("JSON");
        assert_eq!(serde_json::to_string(&node).expect("JSON"), text);
        let node: Node = serde_json::from_str(r#"{"a":1,"b":2,"a":3}"#).expect("JSON");
        assert_eq!(serde_json::to_string(&node).expect("JSON"), r#"{"b":2,"a":3}"#);
    }
}
