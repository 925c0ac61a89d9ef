//! Paths of fields, printed as Kubernetes prints them or as JSON pointers.

use std::fmt;

use jsonptr::PointerBuf;

/// One step into an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

/// A step in memory: a list position, or the end of its name in [`Path::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    Field(usize),
    Index(usize),
    Key(usize),
}

/// The path of a field from the root of the submitted object, such as `spec.template.spec.containers[0].image`
/// (the form of `k8s.io/apimachinery/pkg/util/validation/field`). Every finding holds one, so it takes two allocations
/// and not one for each step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Path {
    /// The names of all fields and keys, concatenated.
    names: String,
    marks: Vec<Mark>,
}

impl Path {
    /// The object itself.
    pub const fn root() -> Self {
        Self { names: String::new(), marks: Vec::new() }
    }

    /// Appends fields, separated by dots: `securityContext.runAsUser`.
    #[must_use]
    pub fn fields(mut self, dotted: &str) -> Self {
        dotted.split('.').filter(|name| !name.is_empty()).for_each(|name| self.push(Step::Field(name)));
        self
    }

    /// Appends a list position.
    #[must_use]
    pub fn index(mut self, position: usize) -> Self {
        self.push(Step::Index(position));
        self
    }

    /// Appends the key of a map, which may hold dots and slashes.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.push(Step::Key(key));
        self
    }

    /// Appends another path.
    #[must_use]
    pub fn join(mut self, below: Self) -> Self {
        below.steps().for_each(|step| self.push(step));
        self
    }

    /// True for the object itself.
    pub fn is_root(&self) -> bool {
        self.marks.is_empty()
    }

    /// True if the path equals `other` or leads into it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.marks.starts_with(&other.marks) && self.names.starts_with(&other.names)
    }

    /// The path itself, and every path that leads to it, down to the object.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        (0..=self.marks.len()).rev().map(|length| {
            let marks = self.marks.get(..length).unwrap_or_default();
            let end = marks.iter().rev().find_map(|mark| match mark {
                Mark::Field(end) | Mark::Key(end) => Some(*end),
                Mark::Index(_) => None,
            });
            Self { names: self.names.get(..end.unwrap_or(0)).unwrap_or_default().to_owned(), marks: marks.to_vec() }
        })
    }

    /// The field at the top of the object, and the position in it of the item that the path leads into.
    pub fn item(&self) -> Option<(&str, usize)> {
        let mut steps = self.steps();
        match (steps.next(), steps.next()) {
            (Some(Step::Field(name)), Some(Step::Index(position))) => Some((name, position)),
            _ => None,
        }
    }

    /// The path without list positions, for comparing objects whose lists were reordered.
    pub fn without_positions(&self) -> String {
        let mut text = String::with_capacity(self.names.len() + 2 * self.marks.len());
        for step in self.steps() {
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
        PointerBuf::from_tokens(self.steps().map(|step| match step {
            Step::Field(name) | Step::Key(name) => jsonptr::Token::new(name),
            Step::Index(position) => jsonptr::Token::from(position),
        }))
    }

    fn push(&mut self, step: Step<'_>) {
        self.marks.push(match step {
            Step::Index(position) => Mark::Index(position),
            Step::Field(name) => {
                self.names.push_str(name);
                Mark::Field(self.names.len())
            }
            Step::Key(key) => {
                self.names.push_str(key);
                Mark::Key(self.names.len())
            }
        });
    }

    fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let mut begin = 0;
        self.marks.iter().map(move |mark| {
            let mut name = |end| self.names.get(std::mem::replace(&mut begin, end)..end).unwrap_or_default();
            match *mark {
                Mark::Field(end) => Step::Field(name(end)),
                Mark::Key(end) => Step::Key(name(end)),
                Mark::Index(position) => Step::Index(position),
            }
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps().enumerate() {
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

    #[test]
    fn a_path_is_within_those_that_lead_to_it() {
        let spec = Path::root().fields("spec");
        let deep = spec.clone().fields("jobs").index(1).fields("template");
        assert!(deep.is_within(&spec) && deep.is_within(&deep) && spec.is_within(&Path::root()));
        assert!(!spec.is_within(&deep) && !Path::root().is_within(&spec));
        for other in ["specs", "spe", "spec.job", "spec.jobs.template"] {
            assert!(!deep.is_within(&Path::root().fields(other)), "{other}");
        }
        assert!(!deep.is_within(&spec.clone().fields("jobs").index(11)));
        assert_eq!(spec.fields("jobs").join(Path::root().index(1).fields("template")), deep);
        let shown: Vec<String> = deep.ancestors().map(|path| path.to_string()).collect();
        assert_eq!(shown, ["spec.jobs[1].template", "spec.jobs[1]", "spec.jobs", "spec", ""]);
        assert!(deep.ancestors().all(|path| deep.is_within(&path)));
    }
}
