//! The way to a value through lists whose items are told apart by name, not by position: the same way leads to the same
//! value in the stored object, in managed fields and in what was last applied.

use std::cell::RefCell;
use std::collections::HashMap;

use jsonptr::Pointer;
use serde_json::Value;

/// The steps from an object's root to a value.
pub(super) struct Way<'v>(Vec<Step<'v>>);

/// One step of a way.
pub(super) enum Step<'v> {
    /// Into an object, by the name of the field.
    Field(String),
    /// Into a list: the item, and the field of it that tells it from the others.
    Item(&'v Value, Identity<'v>),
}

/// A field and its value that no other item of the list has.
pub(super) type Identity<'v> = (&'static str, &'v str);

impl<'v> Way<'v> {
    /// The way that a pointer takes through `object`; `None` where an item has nothing that tells it apart.
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

/// What tells an item of a list from the others, as Kubernetes' own types say (`listMapKey` in `K/…/api/core/v1`).
pub(super) fn identity<'v>(list: &str, item: &'v Value) -> Option<Identity<'v>> {
    let field = match list {
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        _ => "name",
    };
    Some((field, item.get(field)?.as_str()?))
}

/// An object in which many ways are followed: an index of each list is made once.
pub(super) struct Document {
    value: Value,
    /// By the address of the list and the field that tells its items apart.
    lists: RefCell<HashMap<(usize, &'static str), Index>>,
}

/// Where the items of a list are.
type Index = HashMap<String, Place>;

/// Where an item of a list is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// Nowhere.
    Nowhere,
    /// At a position.
    At(usize),
    /// At several.
    Several,
}

impl Place {
    /// The position, if there is one.
    pub(super) fn position(self) -> Option<usize> {
        if let Self::At(position) = self { Some(position) } else { None }
    }
}

/// What a way leads to.
pub(super) enum Found<'d> {
    /// Nothing.
    Nothing,
    /// One value.
    One(&'d Value),
    /// Items that cannot be told apart, or something that is no object where one should be.
    Unclear,
}

impl Document {
    pub(super) fn new(value: Value) -> Self {
        Self { value, lists: RefCell::default() }
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Follows a way.
    pub(super) fn find(&self, way: &Way<'_>) -> Found<'_> {
        let mut here = &self.value;
        for step in way.steps() {
            let next = match (step, here) {
                (_, Value::Null) => return Found::Nothing,
                (Step::Field(name), Value::Object(fields)) => fields.get(name),
                (Step::Item(_, identity), Value::Array(items)) => match self.place(items, *identity) {
                    Place::At(position) => items.get(position),
                    Place::Several => return Found::Unclear,
                    Place::Nowhere => None,
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

    /// Where the item of a list of this document is.
    pub(super) fn place(&self, items: &[Value], (field, value): Identity<'_>) -> Place {
        let mut lists = self.lists.borrow_mut();
        let index = lists.entry((items.as_ptr().addr(), field)).or_insert_with(|| {
            let mut index = Index::new();
            for (position, item) in items.iter().enumerate() {
                if let Some(value) = item.get(field).and_then(Value::as_str) {
                    let slot = index.entry(value.to_owned());
                    slot.and_modify(|slot| *slot = Place::Several).or_insert(Place::At(position));
                }
            }
            index
        });
        index.get(value).copied().unwrap_or(Place::Nowhere)
    }
}
