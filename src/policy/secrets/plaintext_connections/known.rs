//! Variables of the container that a text belongs to: what its references stand for, and the defaults of clients.

use crate::object::Container;

/// The variables whose values are written in a container; none for other texts.
pub(super) struct Known<'t> {
    container: Option<Container<'t, 't>>,
}

impl<'t> Known<'t> {
    pub(super) fn new(container: Option<Container<'t, 't>>) -> Self {
        Self { container }
    }

    /// The value of a variable; the last one of a name counts.
    pub(super) fn variable(&self, name: &str) -> Option<&'t str> {
        self.find(|other| other == name)
    }

    /// The value of the last variable whose name, in small letters and without separators, is made of those parts.
    pub(super) fn alike(&self, parts: &[&str]) -> Option<&'t str> {
        let wanted = || parts.iter().flat_map(|part| part.bytes());
        self.find(|other| letters(other).eq(wanted()))
    }

    fn find(&self, is_that: impl Fn(&str) -> bool) -> Option<&'t str> {
        self.container?.variables().filter(|(_, name, _)| is_that(name)).last().map(|(_, _, value)| value)
    }

    /// The value that a reference stands for: `$(NAME)`, `${NAME}` or `$NAME`, and nothing around it.
    pub(super) fn resolved<'v>(&self, value: &'v str) -> Option<&'v str>
    where
        't: 'v,
    {
        match reference(value) {
            Some(name) => self.variable(name).filter(|value| !is_partly_unknown(value)),
            None => Some(value).filter(|value| !is_partly_unknown(value)),
        }
    }
}

/// Bytes of the longest name that is compared.
const NAME: usize = 96;

/// A name in small letters, without what separates its words.
pub(super) fn plain(name: &str) -> String {
    letters(name).take(NAME).map(char::from).collect()
}

fn letters(name: &str) -> impl DoubleEndedIterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

/// The beginning of a name that ends with `end`, without regard to capitals and separators.
pub(super) fn without_end(name: &str, end: &str) -> Option<String> {
    let is_end = letters(name).rev().zip(end.bytes().rev()).filter(|(one, other)| one == other).count() == end.len();
    is_end.then(|| plain(name)).and_then(|name| name.strip_suffix(end).map(str::to_owned))
}

/// The name in a reference that is the whole value.
pub(super) fn reference(value: &str) -> Option<&str> {
    let rest = value.strip_prefix('$')?;
    let name = match rest.as_bytes().first() {
        Some(b'(') => rest.strip_prefix('(')?.strip_suffix(')')?,
        Some(b'{') => rest.strip_prefix('{')?.strip_suffix('}')?,
        _ => rest,
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_name)).then_some(name)
}

/// True if a value is a reference, or a placeholder of a template, and nothing more.
pub(super) fn is_wholly_unknown(value: &str) -> bool {
    let holds_one = |open: &str, close: &str| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.find(close))
            .is_some_and(|at| at + open.len() + close.len() == value.len())
    };
    reference(value).is_some()
        || [("${", "}"), ("{{", "}}"), ("{", "}"), ("<", ">"), ("%(", ")s"), ("@", "@"), ("%", "%"), ("__", "__")]
            .iter()
            .any(|(open, close)| holds_one(open, close))
        || value == "%s"
        || value == "%v"
}

/// True if a part of a value is not written out.
pub(super) fn is_partly_unknown(value: &str) -> bool {
    value.contains(['$', '{', '<'])
        || value.contains("%s")
        || value.contains("%v")
        || value.contains("%(")
        || is_wholly_unknown(value)
}

#[cfg(test)]
mod tests {
    use super::{is_partly_unknown, is_wholly_unknown, plain, reference};

    #[test]
    fn a_reference_is_known_from_a_value() {
        assert_eq!(plain("KAFKA_CFG_security.Protocol"), "kafkacfgsecurityprotocol");
        for (value, name) in
            [("$(A)", Some("A")), ("${A_B}", Some("A_B")), ("$A", Some("A")), ("$", None), ("$(A)b", None)]
        {
            assert_eq!(reference(value), name, "{value}");
        }
        for value in ["$(A)", "{{ .Values.host }}", "${A:-b}", "%s", "@HOST@", "%(host)s", "{host}"] {
            assert!(is_wholly_unknown(value) && is_partly_unknown(value), "{value}");
        }
        for value in ["shop$(A)", "$(A)$(B)", "{{ a }}{{ b }}"] {
            assert!(!is_wholly_unknown(value) && is_partly_unknown(value), "{value}");
        }
        assert!(!is_partly_unknown("db.example.com"));
    }
}
