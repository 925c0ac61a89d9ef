//! The world as manifests describe it: whole, so everything is answered at once.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::document::{Node, Value};
use crate::facts::{Answer, Question, ServiceAccount, World};

/// Objects among the inputs that policies may ask for.
#[derive(Default)]
pub struct Manifests {
    service_accounts: HashMap<(String, String), Arc<ServiceAccount>>,
}

impl Manifests {
    /// Takes an object in; kinds that no policy asks for are passed over. `namespace` is where objects without one go.
    pub fn add(&mut self, object: &Node, namespace: &str) {
        let text = |path: &[&str]| {
            let node = path.iter().try_fold(object, |node, field| node.get(field));
            node.and_then(Node::as_text).filter(|text| !text.is_empty())
        };
        if (text(&["apiVersion"]), text(&["kind"])) != (Some("v1"), Some("ServiceAccount")) {
            return;
        }
        let Some(name) = text(&["metadata", "name"]) else { return };
        let automount_token = match object.get("automountServiceAccountToken").map(|node| &node.value) {
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        };
        let namespace = text(&["metadata", "namespace"]).unwrap_or(namespace);
        let key = (namespace.to_owned(), name.to_owned());
        self.service_accounts.insert(key, Arc::new(ServiceAccount { automount_token }));
    }
}

impl World for Manifests {
    fn known(&self, question: &Question) -> Option<Answer> {
        let Question::ServiceAccount { namespace, name } = question;
        let found = self.service_accounts.get(&(namespace.clone(), name.clone()));
        Some(found.map_or(Answer::NotFound, |account| Answer::ServiceAccount(Arc::clone(account))))
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(self.known(question).unwrap_or(Answer::NotFound)))
    }
}
