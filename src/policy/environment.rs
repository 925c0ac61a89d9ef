//! The environment that a container starts with, as far as its spec tells.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::object::{Container, ValueSource};

/// Bytes of the longest value that is made of others.
const EXPANDED: usize = 4096;

/// A variable: of several entries with one name the last counts.
pub(crate) struct Variable<'r> {
    /// Position in `env`.
    pub(crate) position: usize,
    pub(crate) source: ValueSource<'r>,
    /// Its value, with references replaced; `None` if the request does not tell.
    pub(crate) value: Option<Cow<'r, str>>,
}

/// The variables of `env`, by name.
pub(crate) fn of<'r>(container: &Container<'r, '_>) -> HashMap<&'r str, Variable<'r>> {
    let mut variables: HashMap<&str, Variable<'_>> = HashMap::new();
    for (position, name, source) in container.environment() {
        let value = match source {
            ValueSource::Written(value) => expanded(value, &variables),
            _ => None,
        };
        variables.insert(name, Variable { position, source, value });
    }
    variables
}

/// A value with `$(NAME)` replaced, as a kubelet does it: by a variable before it, and `$$` by `$`. `None` where a reference is
/// not known: a variable may come from `envFrom`, or be one of a Service.
fn expanded<'r>(value: &'r str, variables: &HashMap<&str, Variable<'r>>) -> Option<Cow<'r, str>> {
    if !value.contains('$') {
        return Some(Cow::Borrowed(value));
    }
    let (mut made, mut rest) = (String::new(), value);
    while let Some(at) = rest.find('$') {
        let (before, behind) = rest.split_at_checked(at)?;
        made.push_str(before);
        let behind = behind.get(1..)?;
        rest = if let Some(behind) = behind.strip_prefix('$') {
            made.push('$');
            behind
        } else if let Some((name, behind)) = behind.strip_prefix('(').and_then(|behind| behind.split_once(')')) {
            made.push_str(variables.get(name)?.value.as_deref()?);
            behind
        } else {
            made.push('$');
            behind
        };
        if made.len() > EXPANDED {
            return None;
        }
    }
    made.push_str(rest);
    Some(Cow::Owned(made))
}

/// A value as settings compare it: without spaces around it, and without the quotation marks that a shell would take away.
pub(crate) fn plain(value: &str) -> &str {
    let value = value.trim();
    let inner = |mark| value.strip_prefix(mark).and_then(|value| value.strip_suffix(mark));
    inner('"').or_else(|| inner('\'')).unwrap_or(value).trim()
}
