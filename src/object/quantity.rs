//! Resource requests and limits: the names of the resources with a quantity above zero.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::list::List;
use super::text::Text;

/// `requests` or `limits`: the resources with a quantity above zero.
#[derive(Debug, Default)]
pub(super) struct Quantities<'a>(List<Text<'a>>);

impl Quantities<'_> {
    /// True if `resource` (`memory`, `cpu`) has a quantity above zero.
    pub(super) fn holds(&self, resource: &str) -> bool {
        self.0.iter().any(|name| name == resource)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Quantities<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Quantities<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of quantities")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Quantities<'de>, A::Error> {
                let mut named = List::default();
                while let Some((resource, quantity)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    if is_some(quantity.get()) {
                        named.push(resource).map_err(A::Error::custom)?;
                    }
                }
                Ok(Quantities(named))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// True if a quantity (`k8s.io/apimachinery/pkg/api/resource`), a string or a number, is above zero. A limit of 0 means
/// that there is no limit.
fn is_some(quantity: &str) -> bool {
    let number = quantity.trim_matches('"').trim_start_matches('+');
    let digits = number.split(|character: char| character.is_ascii_alphabetic()).next().unwrap_or_default();
    digits.contains(|character: char| ('1'..='9').contains(&character))
}

#[cfg(test)]
mod tests {
    use super::Quantities;

    #[test]
    fn nothing_of_a_resource_is_none() {
        let text =
            r#"{"a":"0","b":"0Mi","c":0,"d":"0.0e3","e":null,"f":"","g":"100m","h":2,"i":"0.5","j":"1e3","k":".5"}"#;
        let read: Quantities<'_> = serde_json::from_str(text).expect("quantities");
        let held: String = ('a'..='k').filter(|name| read.holds(&name.to_string())).collect();
        assert_eq!(held, "ghijk");
    }
}
