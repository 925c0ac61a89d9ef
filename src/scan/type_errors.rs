//! Fields of the wrong type: each is reported with its position and replaced, so that the rest of the object can be judged.

use jsonptr::PointerBuf;

use super::template::{QUESTION, is_template};
use crate::document::{Map, Node, Position, Value};
use crate::object::Unreadable;

/// Maximum number of type errors per object. The object is read again after each.
const MOST: usize = 32;

/// Type errors of one object, and the object without them.
pub(super) struct TypeErrors<'n> {
    object: &'n Node,
    /// The object with replaced values; `None` before the first error.
    mended: Option<Node>,
    /// Pointer to each error, and the replacements still to try.
    places: Vec<(PointerBuf, Vec<StandIn>)>,
    /// Messages with positions in the file.
    pub(super) found: Vec<(Position, String)>,
}

/// A replacement of a value of the wrong type.
enum StandIn {
    Value(Value),
    /// The field is removed.
    Nothing,
}

impl<'n> TypeErrors<'n> {
    pub(super) fn of(object: &'n Node) -> Self {
        Self { object, mended: None, places: Vec::new(), found: Vec::new() }
    }

    /// The object to judge.
    pub(super) fn object(&self) -> &Node {
        self.mended.as_ref().unwrap_or(self.object)
    }

    /// True if a finding is about a field of the wrong type, which is reported already.
    pub(super) fn covers(&self, pointer: &jsonptr::Pointer) -> bool {
        self.places.iter().any(|(place, _)| pointer.starts_with(place))
    }

    /// Adds an error and applies the next replacement of the field; `false` if there is none left.
    pub(super) fn mend(&mut self, error: &Unreadable) -> bool {
        let pointer = error.path.pointer();
        let (reached, position) = self.object.follow(&pointer);
        let pointer = reached.to_buf();
        let known = self.places.iter().position(|(place, _)| *place == pointer);
        let known = known.unwrap_or_else(|| {
            let node = at(self.object, &pointer);
            self.found.push((position, format!("{error}{}", node.map(|node| hint(node, error)).unwrap_or_default())));
            self.places.push((pointer, node.map(|node| stand_ins(node, error)).unwrap_or_default()));
            self.places.len() - 1
        });
        let (pointer, stand_ins) = &mut self.places[known];
        if known >= MOST || pointer.is_root() {
            return false;
        }
        let Some(stand_in) = stand_ins.pop() else { return false };
        let mended = self.mended.get_or_insert_with(|| self.object.clone());
        replace(mended, pointer, stand_in)
    }
}

/// Advice on a value of the wrong type.
fn hint(node: &Node, error: &Unreadable) -> String {
    match &node.value {
        Value::Text(text) if is_template(text) => format!("; {QUESTION}"),
        Value::Number(_) | Value::Bool(_) if expected(error) == "a string" => "; put it in quotation marks".to_owned(),
        Value::Text(text) if meant(text).is_some() && !is_collection(expected(error)) => {
            "; write it without quotation marks".to_owned()
        }
        _ => String::new(),
    }
}

/// Replacements to try for a value, best last: the probably intended value, an empty value of the expected type, none.
fn stand_ins(node: &Node, error: &Unreadable) -> Vec<StandIn> {
    let mut all = vec![StandIn::Nothing, StandIn::Value(Value::Null)];
    all.extend(match expected(error) {
        "a string" => Some(StandIn::Value(Value::Text(String::new()))),
        "a list" => Some(StandIn::Value(Value::List(Vec::new()))),
        other if is_collection(other) => Some(StandIn::Value(Value::Map(Map::default()))),
        _ => None,
    });
    all.extend(match &node.value {
        Value::Text(text) => meant(text).map(StandIn::Value),
        Value::Number(number) => Some(StandIn::Value(Value::Text(number.to_string()))),
        Value::Bool(value) => Some(StandIn::Value(Value::Text(value.to_string()))),
        _ => None,
    });
    all
}

/// The expected type, from the text of the error.
fn expected(error: &Unreadable) -> &str {
    error.message.rsplit_once("expected ").map_or("", |(_, expected)| expected)
}

fn is_collection(expected: &str) -> bool {
    ["a list", "an object", "a map"].iter().any(|words| expected.starts_with(words))
}

/// The value of a quoted scalar without its quotation marks, if it is a number or a boolean.
fn meant(text: &str) -> Option<Value> {
    let number = || text.parse::<i64>().ok().map(|number| Value::Number(number.into()));
    text.parse::<bool>().ok().map(Value::Bool).or_else(number)
}

fn at<'n>(node: &'n Node, pointer: &jsonptr::Pointer) -> Option<&'n Node> {
    pointer.tokens().try_fold(node, |node, token| match &node.value {
        Value::List(items) => token.decoded().parse::<usize>().ok().and_then(|index| items.get(index)),
        _ => node.get(&token.decoded()),
    })
}

/// Replaces the value at a pointer. List items are never removed, so that positions of the others stay valid.
fn replace(node: &mut Node, pointer: &jsonptr::Pointer, stand_in: StandIn) -> bool {
    let Some((parent, last)) = pointer.split_back() else { return false };
    let mut here = node;
    for token in parent.tokens() {
        let name = token.decoded();
        let next = match &mut here.value {
            Value::List(items) => name.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            Value::Map(map) => map.entries.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        };
        let Some(next) = next else { return false };
        here = next;
    }
    let name = last.decoded();
    match (&mut here.value, stand_in) {
        (Value::Map(map), StandIn::Nothing) => map.entries.retain(|(key, _)| key.name != name),
        (Value::Map(map), StandIn::Value(value)) => {
            let Some((_, node)) = map.entries.iter_mut().find(|(key, _)| key.name == name) else { return false };
            node.value = value;
        }
        (Value::List(items), StandIn::Value(value)) => {
            let Some(item) = name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) else { return false };
            item.value = value;
        }
        _ => return false,
    }
    true
}
