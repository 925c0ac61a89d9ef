//! The fields of Istio's PeerAuthentication that policies read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::object::list::List;
use crate::object::mapping::{self, Mapping};
use crate::object::text::{Text, TextMap};
use crate::steps::counted;

/// A PeerAuthentication.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PeerAuthentication<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    selector: Option<Selector<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    mtls: Option<MutualTls<'a>>,
    #[serde(borrow, deserialize_with = "ports")]
    port_level_mtls: List<(Text<'a>, Option<MutualTls<'a>>)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector<'a> {
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    match_labels: TextMap<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MutualTls<'a> {
    #[serde(borrow)]
    mode: Option<Text<'a>>,
}

impl MutualTls<'_> {
    fn mode(&self) -> &str {
        self.mode.as_deref().unwrap_or_default()
    }
}

impl PeerAuthentication<'_> {
    /// True if `spec.selector` names labels.
    pub fn has_selector(&self) -> bool {
        let selector = self.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| selector.match_labels.iter().next().is_some())
    }

    /// `spec.mtls.mode`; empty, which is `UNSET`, if it is absent.
    pub fn mode(&self) -> &str {
        self.spec.as_ref().and_then(|spec| spec.mtls.as_ref()).map(MutualTls::mode).unwrap_or_default()
    }

    /// The ports of `spec.portLevelMtls`, each with its `mode`; empty, which is `UNSET`, if it is absent.
    pub fn ports(&self) -> impl Iterator<Item = (&str, &str)> {
        let ports = self.spec.iter().flat_map(|spec| spec.port_level_mtls.iter());
        counted(ports).map(|(port, tls)| (port.as_str(), tls.as_ref().map(MutualTls::mode).unwrap_or_default()))
    }
}

/// A map of ports; empty for `null`.
fn ports<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<List<(Text<'a>, Option<MutualTls<'a>>)>, D::Error> {
    struct Ports;
    impl<'de> Visitor<'de> for Ports {
        type Value = List<(Text<'de>, Option<MutualTls<'de>>)>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a map of ports")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(List::default())
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(List::default())
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_map(self)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut ports = List::default();
            while let Some((port, tls)) = map.next_entry::<Text<'de>, Option<Mapping<MutualTls<'de>>>>()? {
                ports.push((port, tls.map(|Mapping(tls)| tls))).map_err(A::Error::custom)?;
            }
            Ok(ports)
        }
    }
    deserializer.deserialize_option(Ports)
}
