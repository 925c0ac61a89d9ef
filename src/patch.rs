//! A JSON Patch (RFC 6902), recorded while the object is edited.
//!
//! An `add` operation is recorded only for a field that is absent or `null`: existing values are never changed. Absent
//! parents are added together with the value, so that the patch applies to the object as received. A `remove` operation
//! deletes an existing value; the caller ensures that no user wrote it.

use jsonptr::{Assign, Delete, Pointer, PointerBuf};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::object::Path;

/// The largest object that is edited, in bytes: an API server takes requests of 3 MiB
/// (`K/staging/src/k8s.io/apiserver/pkg/server/config.go`, `MaxRequestBodyBytes`).
const OBJECT: usize = 3 << 20;
/// The largest patch, in bytes of its JSON: room for the defaults of some 400 containers. The answer holds it in base64,
/// and a caller may leave answers unread.
pub const PATCH: usize = 256 << 10;

/// An object that is being edited, and the operations so far.
#[derive(Clone)]
pub struct Editor {
    object: Value,
    operations: Vec<Operation>,
    /// Bytes of the operations as JSON.
    size: usize,
}

/// One operation of a JSON Patch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation {
    op: &'static str,
    path: PointerBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// Id of the policy that it was recorded for; not part of the patch.
    #[serde(skip)]
    policy: &'static str,
}

impl Editor {
    /// Starts from the object as received; `None` if it is not JSON, is nested too deeply, or is larger than any API
    /// server accepts.
    pub fn new(raw: &str) -> Option<Self> {
        let object = if raw.len() <= OBJECT { serde_json::from_str(raw).ok()? } else { return None };
        // The brackets of the list.
        Some(Self { object, operations: Vec::new(), size: 2 })
    }

    /// Sets a field for `policy` if it is absent or `null`; returns true if it was set.
    pub fn set(&mut self, policy: &'static str, path: &Path, value: &Value) -> bool {
        self.add(policy, &path.pointer(), value.clone())
    }

    /// Inserts an item into a list for `policy`, at a position or at the end; returns true if it was inserted. The list may
    /// be absent or `null`.
    pub fn insert(&mut self, policy: &'static str, list: &Path, position: Option<usize>, item: &Value) -> bool {
        let list = list.pointer();
        match list.resolve(&self.object) {
            Ok(Value::Array(_)) => {
                let last = position.map_or_else(|| "-".to_owned(), |position| position.to_string());
                self.record(policy, list.with_trailing_token(last), item.clone())
            }
            _ => self.add(policy, &list, Value::Array(vec![item.clone()])),
        }
    }

    /// Removes the value at `path` for `policy`; returns true if there was one.
    pub fn remove(&mut self, policy: &'static str, path: &Pointer) -> bool {
        if path.is_root() || self.object.delete(path).is_none() {
            return false;
        }
        self.push(Operation { op: "remove", path: path.to_buf(), value: None, policy });
        true
    }

    /// The object with all operations applied.
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// The object with all operations applied, and the operations in order.
    pub fn into_parts(self) -> (Value, Vec<Operation>) {
        (self.object, self.operations)
    }

    /// The operations so far, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// True if the patch is larger than [`PATCH`].
    pub fn is_over(&self) -> bool {
        self.size > PATCH
    }

    /// Adds a value where there is none, with its missing parents.
    fn add(&mut self, policy: &'static str, pointer: &Pointer, value: Value) -> bool {
        // The topmost missing parent is added, with everything below it as its value.
        let tokens: Vec<_> = pointer.tokens().collect();
        let mut here = &self.object;
        for (depth, token) in tokens.iter().enumerate() {
            let next = match here {
                Value::Object(fields) => fields.get(token.decoded().as_ref()),
                Value::Array(items) => match token.decoded().parse::<usize>().ok().and_then(|index| items.get(index)) {
                    Some(item) => Some(item),
                    None => return false,
                },
                _ => return false,
            };
            match next {
                Some(Value::Null) | None => {
                    let path = PointerBuf::from_tokens(tokens[..=depth].iter().cloned());
                    let value = tokens[depth + 1..].iter().rev().fold(value, |inner, token| {
                        Value::Object(Map::from_iter([(token.decoded().into_owned(), inner)]))
                    });
                    return self.record(policy, path, value);
                }
                Some(next) => here = next,
            }
        }
        false
    }

    fn record(&mut self, policy: &'static str, path: PointerBuf, value: Value) -> bool {
        if !put(&mut self.object, &path, value.clone()) {
            return false;
        }
        self.push(Operation { op: "add", path, value: Some(value), policy });
        true
    }

    fn push(&mut self, operation: Operation) {
        // Each with a comma, or the last bracket's place.
        self.size += serde_json::to_vec(&operation).map_or(PATCH, |json| json.len()) + 1;
        self.operations.push(operation);
    }
}

/// Applies an `add` operation (RFC 6902, 4.1): in a list, before the item at that position.
fn put(object: &mut Value, path: &Pointer, value: Value) -> bool {
    if let Some((list, last)) = path.split_back()
        && let Ok(Value::Array(items)) = list.resolve_mut(object)
    {
        let end = items.len();
        let last = last.decoded();
        let position = if last == "-" { Some(end) } else { last.parse().ok().filter(|position| *position <= end) };
        return position.map(|position| items.insert(position, value)).is_some();
    }
    object.assign(path, value).is_ok()
}

impl Operation {
    /// JSON pointer of the value that it adds or removes.
    pub fn path(&self) -> &Pointer {
        &self.path
    }

    /// Id of the policy that it was recorded for.
    pub fn policy(&self) -> &'static str {
        self.policy
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Editor, PATCH};
    use crate::object::Path;

    fn path(dotted: &str) -> Path {
        Path::root().fields(dotted)
    }

    fn edited(raw: &str, edit: impl FnOnce(&mut Editor)) -> (Value, Value) {
        let mut editor = Editor::new(raw).expect("JSON");
        edit(&mut editor);
        assert!(editor.operations().iter().all(|operation| operation.policy() == "a-policy"));
        let patch = serde_json::to_value(editor.operations()).expect("JSON");
        assert!(editor.size >= patch.to_string().len() && editor.size <= patch.to_string().len() + 1);
        (editor.object().clone(), patch)
    }

    #[test]
    fn absent_and_null_parents_are_added_whole() {
        let field = path("spec.securityContext.seccompProfile.type");
        for raw in [r#"{"spec":{}}"#, r#"{"spec":{"securityContext":null}}"#] {
            let (object, patch) = edited(raw, |editor| {
                assert!(editor.set("a-policy", &field, &json!("RuntimeDefault")));
            });
            assert_eq!(object, json!({"spec": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}}));
            assert_eq!(
                patch,
                json!([{"op": "add", "path": "/spec/securityContext",
                        "value": {"seccompProfile": {"type": "RuntimeDefault"}}}])
            );
        }
    }

    #[test]
    fn what_was_written_stays() {
        for raw in [r#"{"spec":{"a":false}}"#, r#"{"spec":"a"}"#] {
            let (_, patch) = edited(raw, |editor| assert!(!editor.set("a-policy", &path("spec.a"), &json!(true))));
            assert_eq!(patch, json!([]));
        }
    }

    #[test]
    fn lists_are_made_and_inserted_into() {
        let (object, patch) = edited(r#"{"spec":{"volumes":null}}"#, |editor| {
            for (name, position) in [("a", None), ("b", None), ("c", Some(1)), ("d", Some(4))] {
                let is_done = editor.insert("a-policy", &path("spec.volumes"), position, &json!({"name": name}));
                assert_eq!(is_done, name != "d", "{name}: there is no fourth place");
            }
        });
        assert_eq!(object, json!({"spec": {"volumes": [{"name": "a"}, {"name": "c"}, {"name": "b"}]}}));
        assert_eq!(
            patch,
            json!([{"op": "add", "path": "/spec/volumes", "value": [{"name": "a"}]},
                   {"op": "add", "path": "/spec/volumes/-", "value": {"name": "b"}},
                   {"op": "add", "path": "/spec/volumes/1", "value": {"name": "c"}}])
        );
    }

    #[test]
    fn what_is_there_is_removed_once() {
        let (object, patch) = edited(r#"{"spec":{"a":false,"b":[1,2]}}"#, |editor| {
            assert!(editor.remove("a-policy", &path("spec.a").pointer()));
            assert!(!editor.remove("a-policy", &path("spec.a").pointer()));
            assert!(editor.remove("a-policy", &path("spec.b").index(0).pointer()));
            assert!(!editor.remove("a-policy", &path("spec.b").index(1).pointer()));
            assert!(!editor.remove("a-policy", &Path::root().pointer()));
        });
        assert_eq!(object, json!({"spec": {"b": [2]}}));
        assert_eq!(patch, json!([{"op": "remove", "path": "/spec/a"}, {"op": "remove", "path": "/spec/b/0"}]));
    }

    #[test]
    fn the_size_of_the_patch_is_known() {
        let mut editor = Editor::new(r#"{"spec":{}}"#).expect("JSON");
        let text = "x".repeat(PATCH / 2);
        editor.set("a-policy", &path("spec.a"), &json!(text));
        assert!(!editor.is_over());
        editor.set("a-policy", &path("spec.b"), &json!(text));
        assert!(editor.is_over());
    }
}
