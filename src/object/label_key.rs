//! Keys and values of labels, as the API server takes them (`K/staging/src/k8s.io/apimachinery/pkg/util/validation`).

use super::is_label;

/// Maximum length of the prefix of a key, in bytes.
const PREFIX: usize = 253;
/// Maximum length of the name in a key, and of a value, in bytes.
pub(crate) const NAME: usize = 63;

/// True for a qualified name, which the key of a label or annotation must be: `team`, `example.com/team`.
pub(crate) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| prefix.len() <= PREFIX && prefix.split('.').all(is_label);
    !name.is_empty() && is_label_value(name) && prefix.is_none_or(is_prefix)
}

/// True for the value of a label, which may be empty.
pub(crate) fn is_label_value(value: &str) -> bool {
    let ends_well = value.starts_with(|first: char| first.is_ascii_alphanumeric())
        && value.ends_with(|last: char| last.is_ascii_alphanumeric());
    value.is_empty()
        || value.len() <= NAME
            && ends_well
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
