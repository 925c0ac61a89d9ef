//! The API server's description of its own types: the schemas of `/openapi/v3`, walked field by field.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::Value;

use super::client::Client;

/// The schemas of one group and version.
pub(crate) struct Schemas(pub(crate) BTreeMap<String, Value>);

/// A field of a schema: the schema's name without its package, and the field's.
pub(crate) type Field = (String, String);

/// A kind that holds pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    pub(crate) group: String,
    pub(crate) kind: String,
    /// The way to what was reached, such as `spec.template`.
    pub(crate) path: String,
    /// Name of the schema at that path.
    pub(crate) schema: String,
}

/// A page of the API server, which must be there.
pub(crate) fn page(client: &Client, path: &str) -> Value {
    client.call(Method::GET, path, None).admitted()
}

impl Schemas {
    /// Those of every group and version that the API server itself has. Groups of custom resources come and go with other
    /// tests.
    pub(crate) fn all(client: &Client) -> Vec<Self> {
        let index = page(client, "/openapi/v3");
        let paths = index["paths"].as_object().expect("an index");
        let own = paths.iter().filter(|(path, _)| is_built_in(path));
        let urls = own.filter_map(|(_, group)| group["serverRelativeURL"].as_str());
        urls.map(|url| Self::at(client, url)).collect()
    }

    /// Those that stand at a path such as `/openapi/v3/api/v1`.
    pub(crate) fn at(client: &Client, path: &str) -> Self {
        let mut document = page(client, path);
        let schemas = document["components"]["schemas"].as_object_mut().map(std::mem::take).unwrap_or_default();
        Self(schemas.into_iter().collect())
    }

    /// Every field that can be reached from a schema, and the paths at which it stands.
    pub(crate) fn fields_below(&self, root: &str) -> BTreeMap<Field, Vec<String>> {
        let mut found: BTreeMap<Field, Vec<String>> = BTreeMap::new();
        let mut full_names: BTreeMap<&str, &str> = BTreeMap::new();
        self.walk(root, "", &mut Vec::new(), &mut |name, field, path| {
            let full = full_names.entry(short(name)).or_insert(name);
            assert_eq!(*full, name, "two schemas share the short name");
            found.entry((short(name).to_owned(), field.to_owned())).or_default().push(path.to_owned());
            true
        });
        found
    }

    /// The schema of a kind.
    pub(crate) fn of_kind(&self, group: &str, kind: &str) -> Option<String> {
        let is_it = |schema: &Value| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.into_iter().flatten().any(|known| known["group"] == group && known["kind"] == kind)
        };
        self.0.iter().find(|(_, schema)| is_it(schema)).map(|(name, _)| name.clone())
    }

    /// The kinds from which one of the schemas can be reached, lists of them left out.
    pub(crate) fn holders_of(&self, wanted: &[&str]) -> Vec<Holder> {
        let mut holders = Vec::new();
        for (name, schema) in &self.0 {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
            // Options such as DeleteOptions are of every group; they hold nothing.
            for kind in kinds.filter(|_| !name.ends_with("List")) {
                let text = |field: &str| kind[field].as_str().unwrap_or_default().to_owned();
                self.walk(name, "", &mut Vec::new(), &mut |schema, field, path| {
                    let reached = self.0[schema]["properties"][field].pointed_to();
                    let Some(reached) = reached.filter(|name| wanted.contains(&short(name))) else { return true };
                    let (path, schema) = (path.to_owned(), short(reached).to_owned());
                    holders.push(Holder { group: text("group"), kind: text("kind"), path, schema });
                    false
                });
            }
        }
        holders
    }

    /// Calls `each` with every field below a schema: the schema, the field, the path. It says whether to go deeper.
    fn walk<'s>(
        &'s self,
        name: &'s str,
        path: &str,
        above: &mut Vec<&'s str>,
        each: &mut dyn FnMut(&'s str, &'s str, &str) -> bool,
    ) {
        if above.contains(&name) {
            return;
        }
        above.push(name);
        let schema = self.0.get(name).unwrap_or_else(|| panic!("no schema {name}"));
        for (field, value) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            if !each(name, field, &path) {
                continue;
            }
            let many =
                if value.get("items").or_else(|| value.get("additionalProperties")).is_some() { "[*]" } else { "" };
            if let Some(next) = value.pointed_to() {
                self.walk(next, &format!("{path}{many}"), above, each);
            }
        }
        above.pop();
    }
}

/// Values that may reference a schema, directly or for each of their items.
trait Points {
    fn pointed_to(&self) -> Option<&str>;
}

impl Points for Value {
    fn pointed_to(&self) -> Option<&str> {
        let direct = |value: &'_ Value| value["$ref"].as_str().is_some();
        let holder = ["items", "additionalProperties"].into_iter().find_map(|key| self.get(key)).unwrap_or(self);
        let all = holder["allOf"].as_array().into_iter().flatten().chain([holder]);
        let reference = all.filter(|value| direct(value)).find_map(|value| value["$ref"].as_str())?;
        reference.strip_prefix("#/components/schemas/")
    }
}

/// True if a path of the index, such as `apis/apps/v1`, is of a group that comes with the API server: its name has no
/// dot, or ends in `k8s.io`.
fn is_built_in(path: &str) -> bool {
    let group = path.strip_prefix("apis/").and_then(|rest| rest.split('/').next());
    group.is_none_or(|group| !group.contains('.') || group.ends_with(".k8s.io"))
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
