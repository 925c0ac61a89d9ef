//! The fields of a NetworkPolicy that policies read. `null` means absent, and in a list the empty value, as in Go.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::object::list::List;
use crate::object::mapping::{self, Mapping};
use crate::object::text::{Text, TextMap};

/// A NetworkPolicy (`networking.k8s.io/v1`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NetworkPolicy<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(crate) spec: Option<Spec<'a>>,
}

/// `spec`
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spec<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(crate) pod_selector: Option<LabelSelector<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    pub(crate) policy_types: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "items")]
    pub(crate) ingress: List<IngressRule<'a>>,
    #[serde(borrow, deserialize_with = "items")]
    pub(crate) egress: List<EgressRule<'a>>,
}

/// `spec.ingress[*]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressRule<'a> {
    #[serde(borrow, deserialize_with = "items")]
    pub(crate) from: List<Peer<'a>>,
    #[serde(borrow, deserialize_with = "items")]
    pub(crate) ports: List<Port<'a>>,
}

/// `spec.egress[*]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EgressRule<'a> {
    #[serde(borrow, deserialize_with = "items")]
    pub(crate) to: List<Peer<'a>>,
    #[serde(borrow, deserialize_with = "items")]
    pub(crate) ports: List<Port<'a>>,
}

/// A peer of a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Peer<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(crate) pod_selector: Option<LabelSelector<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(crate) namespace_selector: Option<LabelSelector<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    pub(crate) ip_block: Option<IpBlock<'a>>,
}

/// `ipBlock`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IpBlock<'a> {
    #[serde(borrow)]
    pub(crate) cidr: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) except: List<Text<'a>>,
}

/// A port of a rule, or a range of ports.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Port<'a> {
    #[serde(borrow)]
    pub(crate) protocol: Option<Text<'a>>,
    pub(crate) port: Option<PortNumber>,
    pub(crate) end_port: Option<i64>,
}

/// The number of a port, or its name, which is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortNumber {
    Number(i64),
    Named,
}

/// A label selector (`meta/v1`).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LabelSelector<'a> {
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    pub(crate) match_labels: TextMap<'a>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    pub(crate) match_expressions: List<LabelRequirement<'a>>,
}

/// `matchExpressions[*]`
#[derive(Debug, Deserialize)]
pub(crate) struct LabelRequirement<'a> {
    #[serde(borrow)]
    pub(crate) key: Text<'a>,
    #[serde(borrow)]
    pub(crate) operator: Text<'a>,
    #[serde(default, borrow, deserialize_with = "texts")]
    pub(crate) values: List<Text<'a>>,
}

/// A list of objects, of which a `null` is an empty one.
fn items<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<List<T>, D::Error> {
    let mut list = List::default();
    mapping::each(deserializer, |_, item: Option<Mapping<T>>| {
        list.push(item.map_or_else(T::default, |Mapping(item)| item))
    })?;
    Ok(list)
}

/// A list of strings, of which a `null` is an empty one.
fn texts<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<List<Text<'a>>, D::Error> {
    let mut list = List::default();
    mapping::each(deserializer, |_, item: Option<Text<'a>>| list.push(item.unwrap_or_default()))?;
    Ok(list)
}

impl<'de> Deserialize<'de> for PortNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = PortNumber;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number or a string")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<PortNumber, E> {
                Ok(PortNumber::Number(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<PortNumber, E> {
                i64::try_from(number).map(PortNumber::Number).map_err(|_| E::custom("not a number of a port"))
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<PortNumber, E> {
                Ok(PortNumber::Named)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
