//! Where in an object: written as Kubernetes writes field paths, and as a JSON pointer.

use std::fmt;

use jsonptr::PointerBuf;

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Field(String),
    Index(usize),
    Key(String),
}

/// The path of a field from the root of the submitted object, such as `spec.template.spec.containers[0].image`
/// (the form of `k8s.io/apimachinery/pkg/util/validation/field`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// The object itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Down by fields written with dots: `securityContext.runAsUser`.
    #[must_use]
    pub fn fields(mut self, dotted: &str) -> Self {
        self.0.extend(dotted.split('.').filter(|name| !name.is_empty()).map(|name| Step::Field(name.to_owned())));
        self
    }

    /// Into a list.
    #[must_use]
    pub fn index(mut self, position: usize) -> Self {
        self.0.push(Step::Index(position));
        self
    }

    /// Into a map under a key that may hold dots and slashes.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// Down by another path.
    #[must_use]
    pub fn join(mut self, below: Self) -> Self {
        self.0.extend(below.0);
        self
    }

    /// Whether this is the object itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The same path with list positions left out, for comparing objects whose lists were reordered.
    pub fn without_positions(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Index(_) => text.push_str("[]"),
                Step::Field(name) | Step::Key(name) => {
                    text.push('.');
                    text.push_str(name);
                }
            }
        }
        text
    }

    /// The JSON pointer (RFC 6901) of this path.
    pub fn pointer(&self) -> PointerBuf {
        PointerBuf::from_tokens(self.0.iter().map(|step| match step {
            Step::Field(name) | Step::Key(name) => jsonptr::Token::new(name.clone()),
            Step::Index(position) => jsonptr::Token::from(*position),
        }))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if position == 0 => write!(out, "{name}")?,
                Step::Field(name) => write!(out, ".{name}")?,
                Step::Index(index) => write!(out, "[{index}]")?,
                Step::Key(key) => write!(out, "[{key}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn reads_as_kubernetes_writes_it_and_as_a_pointer() {
        let path = Path::root().fields("spec.containers").index(2).fields("securityContext.runAsUser");
        assert_eq!(path.to_string(), "spec.containers[2].securityContext.runAsUser");
        assert_eq!(path.pointer().as_str(), "/spec/containers/2/securityContext/runAsUser");
        let path = Path::root().fields("metadata.annotations").key("a.b/c");
        assert_eq!(path.to_string(), "metadata.annotations[a.b/c]");
        assert_eq!(path.pointer().as_str(), "/metadata/annotations/a.b~1c");
    }
}
