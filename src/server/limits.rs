//! The limits of connections, derived from the descriptors that the process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that connections leave for everything else: standard streams, the trail's files, its sinks, the watches of
/// the cluster, and the files that are read again.
const REST: usize = 512;
/// Descriptors where the system sets no limit.
const UNLIMITED: usize = 1 << 20;
/// Connections at once on the port for reviews.
const REVIEWS: usize = 4_096;
/// The same from one address: too few for one pod to take every place. An API server opens one a call over HTTP/1.1, and
/// has 600 requests in flight at the most by default; several behind one proxy share its address.
const PER_CALLER: usize = 1_024;
/// Connections at once on the admin port, where probes and scrapers come, and from one address.
const PROBES: usize = 256;
const PER_PROBE: usize = 64;

/// Maximum numbers of connections of both ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// On the port for reviews.
    pub(super) reviews: Most,
    /// On the admin port.
    pub(super) probes: Most,
}

/// Maximum numbers of connections of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Most {
    /// At once.
    pub(super) all: usize,
    /// From one address.
    pub(super) address: usize,
}

/// Raises the soft limit of descriptors to the hard one. Some systems set 1,024, for programs that use `select`.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, soft = limit.current, hard = limit.maximum, "the limit of open files could not be raised");
    }
}

impl Limits {
    /// The limits within what the process may have now.
    pub(super) fn now() -> Self {
        let limit = getrlimit(Resource::Nofile).current.and_then(|soft| usize::try_from(soft).ok());
        let descriptors = limit.unwrap_or(UNLIMITED);
        let limits = Self::within(descriptors);
        let Self { reviews, probes } = limits;
        if reviews.all < REVIEWS {
            tracing::warn!(
                descriptors,
                connections = reviews.all,
                per_address = reviews.address,
                admin_connections = probes.all,
                "the limit of open files allows fewer connections than usual"
            );
        }
        limits
    }

    /// The limits within so many descriptors.
    fn within(descriptors: usize) -> Self {
        // A connection that makes room holds its descriptor until it has ended: an eighth more is left for those.
        let connections = (descriptors - REST.min(descriptors / 4)) / 9 * 8;
        let probes = PROBES.min(connections / 16).max(1);
        let reviews = REVIEWS.min(connections.saturating_sub(probes)).max(1);
        Self {
            reviews: Most { all: reviews, address: PER_CALLER.min(reviews.div_ceil(2)) },
            probes: Most { all: probes, address: PER_PROBE.min(probes.div_ceil(2)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Most, PER_CALLER, PER_PROBE, PROBES, REVIEWS};

    #[test]
    fn connections_stay_below_the_descriptors_with_a_reserve() {
        for descriptors in [16, 64, 256, 1_024, 4_096, 20_000, 1 << 20] {
            let Limits { reviews, probes } = Limits::within(descriptors);
            let leaving = (reviews.all + probes.all) / 8;
            let rest = descriptors - (reviews.all + probes.all + leaving);
            assert!(rest >= (descriptors / 4).min(512), "{descriptors}: {rest} are left");
            assert!(reviews.address <= reviews.all.div_ceil(2) && probes.address <= probes.all.div_ceil(2));
        }
        let usual = Limits::within(20_000);
        assert_eq!(usual.reviews, Most { all: REVIEWS, address: PER_CALLER });
        assert_eq!(usual.probes, Most { all: PROBES, address: PER_PROBE });
        let few = Limits::within(1_024);
        assert!(few.reviews.all > 600, "an API server's requests have room: {few:?}");
    }
}
