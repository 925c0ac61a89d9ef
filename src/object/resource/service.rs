//! The fields of a Service that policies read.

use serde::Deserialize;

use crate::object::list::List;
use crate::object::mapping;
use crate::object::text::Text;
use crate::steps::counted;

/// A Service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    load_balancer_source_ranges: List<Text<'a>>,
    #[serde(borrow, rename = "externalIPs", deserialize_with = "mapping::texts")]
    external_ips: List<Text<'a>>,
    allocate_load_balancer_node_ports: Option<bool>,
}

impl Service<'_> {
    /// `spec.type`; `ClusterIP` if it is absent.
    pub fn kind(&self) -> &str {
        let kind = self.spec.as_ref().and_then(|spec| spec.kind.as_deref());
        kind.filter(|kind| !kind.is_empty()).unwrap_or("ClusterIP")
    }

    /// `spec.loadBalancerSourceRanges`
    pub fn source_ranges(&self) -> impl Iterator<Item = &str> {
        counted(self.spec.iter().flat_map(|spec| spec.load_balancer_source_ranges.iter())).map(Text::as_str)
    }

    /// `spec.externalIPs`
    pub fn external_ips(&self) -> impl Iterator<Item = &str> {
        counted(self.spec.iter().flat_map(|spec| spec.external_ips.iter())).map(Text::as_str)
    }

    /// `spec.allocateLoadBalancerNodePorts`; true if it is absent.
    pub fn allocates_node_ports(&self) -> bool {
        self.spec.as_ref().and_then(|spec| spec.allocate_load_balancer_node_ports) != Some(false)
    }
}
