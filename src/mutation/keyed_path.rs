//! Paths through lists that identify items by key, not by position: the same path leads to the same value in the new
//! object, the stored object, managed fields and the last applied configuration.

use std::cell::RefCell;
use std::collections::HashMap;

use jsonptr::Pointer;
use serde_json::Value;

/// A path from an object's root to a value.
pub(super) struct KeyedPath<'v>(Vec<Step<'v>>);

/// One step of a path.
pub(super) enum Step<'v> {
    /// Into an object, by the name of the field.
    Field(String),
    /// Into a list: the item, and its key.
    Item(&'v Value, Identity<'v>),
}

/// The key of a list item: a field and its value.
pub(super) type Identity<'v> = (&'static str, &'v str);

impl<'v> KeyedPath<'v> {
    /// The path that a JSON pointer takes through `object`; `None` if a list item on it has no key.
    pub(super) fn of(object: &'v Value, pointer: &Pointer) -> Option<Self> {
        let (mut steps, mut here, mut list) = (Vec::new(), Some(object), String::new());
        for token in pointer.tokens() {
            let token = token.decoded();
            match here {
                Some(Value::Array(items)) => {
                    let item = items.get(token.parse::<usize>().ok()?)?;
                    steps.push(Step::Item(item, identity(&list, item)?));
                    here = Some(item);
                }
                Some(Value::Object(_) | Value::Null) | None => {
                    here = here.and_then(|here| here.get(token.as_ref()));
                    list = token.into_owned();
                    steps.push(Step::Field(list.clone()));
                }
                Some(_) => return None,
            }
        }
        Some(Self(steps))
    }

    /// The steps, from the root on.
    pub(super) fn steps(&self) -> &[Step<'v>] {
        &self.0
    }
}

/// The key of an item of `list`, by Kubernetes' own types (`listMapKey` in `K/…/api/core/v1`).
pub(super) fn identity<'v>(list: &str, item: &'v Value) -> Option<Identity<'v>> {
    let field = match list {
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        _ => "name",
    };
    Some((field, item.get(field)?.as_str()?))
}

/// An object in which many paths are looked up: each list is indexed once.
pub(super) struct Document {
    value: Value,
    /// By address of the list and name of the key field.
    lists: RefCell<HashMap<(usize, &'static str), Index>>,
}

/// Positions of a list's items by key.
type Index = HashMap<String, Position>;

/// The position of a list item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Position {
    /// The list has no such item.
    Missing,
    /// One item has the key.
    At(usize),
    /// Several items have the key.
    Several,
}

impl Position {
    /// The position, if there is one.
    pub(super) fn position(self) -> Option<usize> {
        if let Self::At(position) = self { Some(position) } else { None }
    }
}

/// The result of looking up a path.
pub(super) enum Found<'d> {
    /// There is no value.
    Nothing,
    /// One value.
    One(&'d Value),
    /// Items share a key, or a value on the path has the wrong type.
    Unclear,
}

impl Document {
    pub(super) fn new(value: Value) -> Self {
        Self { value, lists: RefCell::default() }
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Looks up a path.
    pub(super) fn find(&self, keyed: &KeyedPath<'_>) -> Found<'_> {
        let mut here = &self.value;
        for step in keyed.steps() {
            let next = match (step, here) {
                (_, Value::Null) => return Found::Nothing,
                (Step::Field(name), Value::Object(fields)) => fields.get(name),
                (Step::Item(_, identity), Value::Array(items)) => match self.place(items, *identity) {
                    Position::At(position) => items.get(position),
                    Position::Several => return Found::Unclear,
                    Position::Missing => None,
                },
                _ => return Found::Unclear,
            };
            match next {
                Some(next) => here = next,
                None => return Found::Nothing,
            }
        }
        Found::One(here)
    }

    /// The position of the item with a key in a list of this document.
    pub(super) fn place(&self, items: &[Value], (field, value): Identity<'_>) -> Position {
        let mut lists = self.lists.borrow_mut();
        let index = lists.entry((items.as_ptr().addr(), field)).or_insert_with(|| {
            let mut index = Index::new();
            for (position, item) in items.iter().enumerate() {
                if let Some(value) = item.get(field).and_then(Value::as_str) {
                    let slot = index.entry(value.to_owned());
                    slot.and_modify(|slot| *slot = Position::Several).or_insert(Position::At(position));
                }
            }
            index
        });
        index.get(value).copied().unwrap_or(Position::Missing)
    }
}
