//! `exposed-services`: a Service that is reached from outside the cluster says from which addresses.
//!
//! A load balancer is open to everyone unless it has source ranges: those of the field count, and where the field is empty those
//! of the old annotation, which is how cloud providers read them (`K/staging/src/k8s.io/cloud-provider/service/helpers`). An
//! annotation for an internal load balancer counts only if the settings name its provider: elsewhere it means nothing, and the
//! load balancer is a public one. Blocks together count as what they hold together.
//!
//! An external IP takes traffic that is meant for that address away from others (CVE-2020-8554), so that it is refused for every
//! type. The addresses in `status.loadBalancer` do the same and are not judged: nobody but the cloud's controller should have the
//! right to write `services/status`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::addresses::{Addresses, IpAddr, Widest, address};
use crate::facts::{Facts, Pending};
use crate::object::resource::{SERVICES, Service};
use crate::object::{Object, Path, Place};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;
use crate::steps::counted;

/// The older form of `spec.loadBalancerSourceRanges`: blocks, separated by commas.
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ExposedServices {
    /// Providers of this cluster: load balancers that are internal by all their annotations of this kind need no source ranges.
    internal: Vec<Provider>,
    /// True if a load balancer may also open a port on every node.
    balancer_node_ports: bool,
    /// Addresses that externalIPs may name.
    #[serde(rename = "externalIPs")]
    external_ips: Vec<IpAddr>,
    /// Smallest public blocks that count as everything.
    widest: Widest,
}

/// A provider of load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Provider {
    Alibaba,
    Aws,
    Azure,
    Google,
    Ibm,
    Openstack,
    Oracle,
}

/// Annotations, and the values with which the provider's load balancer is an internal one. Providers compare them exactly.
const INTERNAL: [(Provider, &str, &[&str]); 10] = [
    (Provider::Alibaba, "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", &["intranet"]),
    (Provider::Aws, "service.beta.kubernetes.io/aws-load-balancer-internal", &["true"]),
    (Provider::Aws, "service.beta.kubernetes.io/aws-load-balancer-scheme", &["internal"]),
    (Provider::Azure, "service.beta.kubernetes.io/azure-load-balancer-internal", &["true"]),
    (Provider::Google, "networking.gke.io/load-balancer-type", &["Internal", "internal"]),
    (Provider::Google, "cloud.google.com/load-balancer-type", &["Internal", "internal"]),
    (Provider::Ibm, "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", &["private"]),
    (Provider::Openstack, "service.beta.kubernetes.io/openstack-internal-load-balancer", &["true"]),
    (Provider::Oracle, "service.beta.kubernetes.io/oci-load-balancer-internal", &["true"]),
    (Provider::Oracle, "oci-network-load-balancer.oraclecloud.com/internal", &["true"]),
];

impl Default for ExposedServices {
    fn default() -> Self {
        Self { internal: vec![], balancer_node_ports: true, external_ips: vec![], widest: Widest::default() }
    }
}

impl Policy for ExposedServices {
    const META: &'static Meta = &Meta {
        id: "exposed-services",
        title: "a Service that is open to everyone outside the cluster, or that takes the traffic of an external address",
        severity: Severity::High,
        since: "0.1.0",
        why: "A node port is open on every node, and a load balancer without source ranges to the whole Internet: what \
              listens behind it is one mistake away from everyone. An external IP lets whoever may write a Service receive \
              what others send to that address (CVE-2020-8554).",
        fix: "use type ClusterIP behind an Ingress or a Gateway, or a LoadBalancer whose loadBalancerSourceRanges list the networks \
              that may connect, and leave externalIPs out",
        kinds: &[Kinds::Resource(SERVICES)],
        fields: &[
            Fields::of(&["spec.type"]).allow(&[
                Allowed::Absent,
                Allowed::Value("ClusterIP"),
                Allowed::Value("ExternalName"),
                Allowed::Words("`LoadBalancer` with source ranges"),
            ]),
            Fields::of(&[
                "spec.loadBalancerSourceRanges[*]",
                "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]",
            ])
            .allow(&[Allowed::Words(
                "blocks that together hold no public block as wide as the settings say (/8, IPv6 /16)",
            )]),
            Fields::of(&["spec.externalIPs[*]"]).allow(&[Allowed::Words("addresses that the settings list")]),
            Fields::of(&["spec.allocateLoadBalancerNodePorts"])
                .allow(&[Allowed::Words("`false` where the settings say so")]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for ExposedServices {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(service) = request.object_as::<Service<'_>>() else { return Ok(()) };
        let spec = |field: &str| Path::root().fields("spec").fields(field);
        for (position, written) in service.external_ips().enumerate() {
            if !address(written).is_some_and(|address| self.external_ips.contains(&address)) {
                report.add(
                    Place::field(spec("externalIPs").index(position)),
                    format_args!(
                        "must not name {}: the Service would take the traffic for that address",
                        quoted(written)
                    ),
                );
            }
        }
        match service.kind() {
            "NodePort" => {
                report.add(Place::field(spec("type")), "must not be NodePort: its ports are open on every node");
            }
            "LoadBalancer" => {
                self.judge_ranges(request, service, report);
                if !self.balancer_node_ports && service.allocates_node_ports() {
                    report.add(
                        Place::field(spec("allocateLoadBalancerNodePorts")),
                        "must be false: its ports are open on every node, too",
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl ExposedServices {
    fn judge_ranges(&self, request: &Request<'_>, service: &Service<'_>, report: &mut Report) {
        let metadata = request.object.as_ref().map(Object::metadata);
        let annotation = |key: &str| metadata.and_then(|metadata| metadata.annotation(key));
        // Of several annotations of a provider one wins, so that all of them have to say it.
        let is_internal = |provider: &Provider| {
            let mut said = INTERNAL
                .iter()
                .filter(|(of, ..)| of == provider)
                .filter_map(|(_, key, values)| annotation(key).map(|found| values.contains(&found)))
                .peekable();
            said.peek().is_some() && said.all(|is_internal| is_internal)
        };
        if self.internal.iter().any(is_internal) {
            return;
        }
        let field = Path::root().fields("spec.loadBalancerSourceRanges");
        let mut blocks = Addresses::default();
        let mut listed: Vec<&str> = Vec::new();
        let place = if service.source_ranges().next().is_some() {
            for (position, range) in service.source_ranges().enumerate() {
                let place = || field.clone().index(position);
                add(&mut blocks, range, place, report);
                listed.push(range);
            }
            field
        } else {
            let written = annotation(SOURCE_RANGES).unwrap_or_default().trim();
            if written.is_empty() {
                report.add(
                    Place::field(field),
                    "must list the addresses that may connect: a LoadBalancer without them is open to everyone",
                );
                return;
            }
            let place = Path::root().fields("metadata.annotations").key(SOURCE_RANGES);
            for range in counted(written.split(',')) {
                add(&mut blocks, range, || place.clone(), report);
                listed.push(range.trim());
            }
            place
        };
        if blocks.are_everywhere(self.widest) {
            listed.sort_unstable();
            report.add(
                Place::field(place).holding(listed.iter().copied()),
                format_args!(
                    "must not hold a public block of {} or wider, as these do together: {}",
                    self.widest,
                    quoted(&listed.join(", "))
                ),
            );
        }
    }
}

/// Adds a block, or the finding that it is not one.
fn add(blocks: &mut Addresses, range: &str, place: impl Fn() -> Path, report: &mut Report) {
    if !blocks.add(range.trim(), std::iter::empty()) {
        let message = format!("must be a block of addresses such as 192.0.2.0/24: {} is not one", quoted(range.trim()));
        report.add(Place::field(place()), message);
    }
}
