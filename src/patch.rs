//! A JSON Patch (RFC 6902), recorded while the object is edited.
//!
//! Only `add` operations are made, only where nothing was written: a value that is there is never changed. Parents that
//! are absent or `null` are added with what goes into them, so that every operation applies to the bytes that came.

use jsonptr::{Assign, Pointer, PointerBuf};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::object::Path;

/// The largest object that is edited, in bytes: an API server takes requests of 3 MiB
/// (`K/staging/src/k8s.io/apiserver/pkg/server/config.go`, `MaxRequestBodyBytes`).
const OBJECT: usize = 3 << 20;

/// A change that a mutator asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Sets a field, where it is absent or `null`.
    Set(Path, Value),
    /// Appends to a list, which may be absent or `null`.
    Append(Path, Value),
}

/// An object while it is edited, and what was done to it.
pub struct Editor {
    object: Value,
    operations: Vec<Operation>,
}

/// One operation of a JSON Patch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation {
    op: &'static str,
    path: PointerBuf,
    value: Value,
    /// Id of the policy that asked for it; not part of the patch.
    #[serde(skip)]
    policy: &'static str,
}

impl Editor {
    /// Starts from the bytes that came; `None` when they are no JSON, nested too deeply, or more than any API server
    /// would take.
    pub fn new(raw: &str) -> Option<Self> {
        let object = if raw.len() <= OBJECT { serde_json::from_str(raw).ok()? } else { return None };
        Some(Self { object, operations: Vec::new() })
    }

    /// Makes a change that `policy` asks for; returns whether there was one to make.
    pub fn apply(&mut self, policy: &'static str, edit: &Edit) -> bool {
        let before = self.operations.len();
        let is_done = match edit {
            Edit::Set(path, value) => self.add(&path.pointer(), value.clone()),
            Edit::Append(path, value) => {
                let list = path.pointer();
                match list.resolve(&self.object) {
                    Ok(Value::Array(_)) => self.append(&list, value.clone()),
                    _ => self.add(&list, Value::Array(vec![value.clone()])),
                }
            }
        };
        for operation in &mut self.operations[before..] {
            operation.policy = policy;
        }
        is_done
    }

    /// The object as it is now.
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// The object as it is now, by value.
    pub fn into_object(self) -> Value {
        self.object
    }

    /// What was done, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Adds a member where nothing is, with the parents that are missing.
    fn add(&mut self, pointer: &Pointer, value: Value) -> bool {
        // The shallowest part of the way that is not there, and what is to be put there.
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
                    return self.record(path, value);
                }
                Some(next) => here = next,
            }
        }
        false
    }

    fn append(&mut self, list: &Pointer, value: Value) -> bool {
        self.record(list.with_trailing_token("-"), value)
    }

    fn record(&mut self, path: PointerBuf, value: Value) -> bool {
        if self.object.assign(&path, value.clone()).is_err() {
            return false;
        }
        self.operations.push(Operation { op: "add", path, value, policy: "" });
        true
    }
}

impl Operation {
    /// Where it adds.
    pub fn path(&self) -> &Pointer {
        &self.path
    }

    /// Id of the policy that asked for it.
    pub fn policy(&self) -> &'static str {
        self.policy
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Edit, Editor};
    use crate::object::Path;

    fn edited(raw: &str, edits: &[Edit]) -> (serde_json::Value, serde_json::Value) {
        let mut editor = Editor::new(raw).expect("JSON");
        for edit in edits {
            editor.apply("a-policy", edit);
            assert!(editor.operations().iter().all(|operation| operation.policy() == "a-policy"));
        }
        (editor.object().clone(), serde_json::to_value(editor.operations()).expect("JSON"))
    }

    #[test]
    fn absent_and_null_parents_are_added_whole() {
        let set = Edit::Set(Path::root().fields("spec.securityContext.seccompProfile.type"), json!("RuntimeDefault"));
        for raw in [r#"{"spec":{}}"#, r#"{"spec":{"securityContext":null}}"#] {
            let (object, patch) = edited(raw, std::slice::from_ref(&set));
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
        let set = Edit::Set(Path::root().fields("spec.a"), json!(true));
        assert_eq!(edited(r#"{"spec":{"a":false}}"#, std::slice::from_ref(&set)).1, json!([]));
        assert_eq!(edited(r#"{"spec":"a"}"#, &[set]).1, json!([]));
    }

    #[test]
    fn lists_are_made_and_appended_to() {
        let append = |name: &str| Edit::Append(Path::root().fields("spec.volumes"), json!({"name": name}));
        let (object, patch) = edited(r#"{"spec":{"volumes":null}}"#, &[append("a"), append("b")]);
        assert_eq!(object, json!({"spec": {"volumes": [{"name": "a"}, {"name": "b"}]}}));
        assert_eq!(
            patch,
            json!([{"op": "add", "path": "/spec/volumes", "value": [{"name": "a"}]},
                   {"op": "add", "path": "/spec/volumes/-", "value": {"name": "b"}}])
        );
    }
}
