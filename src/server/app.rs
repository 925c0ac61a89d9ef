//! State that all requests share.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::Budget;
use super::certs::Served;
use super::crowding::Crowding;
use super::deciding::Deciding;
use super::discovery::Discovery;
use super::drain::Drain;
use super::installed::Installed;
use super::offenders::Checks;
use super::readiness::{NotReady, Readiness};
use super::strangers::Strangers;
use super::tokens::Tokens;
use crate::cluster::{Cluster, NoCluster};
use crate::facts::World;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::trail::{Couriers, Redaction, Sampler, Trail};

/// Bytes of the largest review that is read without asking for room.
const READ_FREELY: usize = 16 << 10;
/// Kibibytes of all larger reviews that are read at once, which is more than the largest one. Their objects take up to eight
/// times as much ([`crate::object::memory`]), 80 MiB.
const READ: usize = 10 << 10;

/// Everything that requests share.
pub struct App {
    /// The configuration in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Facts about other objects of the cluster.
    pub world: Arc<dyn World>,
    /// The connected cluster, if there is one.
    pub cluster: Option<Arc<Cluster>>,
    /// Name of the cluster in every event.
    pub cluster_name: String,
    /// Audit trail.
    pub trail: Trail,
    /// Couriers, which deliver the trail to its sinks.
    pub couriers: Couriers,
    /// Decides which decisions are counted rather than written.
    pub sampler: Sampler,
    /// Removes secrets and identities from records.
    pub redaction: Redaction,
    /// Tokens of callers without a certificate.
    pub tokens: Option<Tokens>,
    /// Set when callers must be known, by a certificate or by a token.
    pub(super) demands_identity: bool,
    /// Callers that were turned away.
    pub strangers: Strangers,
    /// Set when callers may be known by a certificate.
    pub(super) knows_certificates: bool,
    /// Metrics.
    pub metrics: Metrics,
    /// Validity of the certificate that is served.
    pub certificate: Served,
    /// The webhook configurations, as they were last seen.
    pub installed: Installed,
    /// Errors in the configuration file, while another configuration is in force.
    pub(super) refused: Mutex<Option<String>>,
    /// Kinds of the configuration that the API server does not serve.
    pub discovery: Discovery,
    /// Phase of the shutdown.
    pub drain: Drain,
    pub(super) readiness: Readiness,
    pub(super) bodies: Budget,
    pub(super) crowding: Crowding,
    pub(super) deciding: Deciding,
    pub(super) checks: Checks,
    reading: Semaphore,
}

/// Parts that record decisions.
pub struct TrailParts {
    /// Name of the cluster in every event.
    pub cluster: String,
    /// Audit trail.
    pub trail: Trail,
    /// Couriers, which deliver the trail to its sinks.
    pub couriers: Couriers,
    /// Decides which decisions are counted rather than written.
    pub sampler: Sampler,
    /// Removes secrets and identities from records.
    pub redaction: Redaction,
}

/// Ways in which callers are known.
#[derive(Default)]
pub struct Callers {
    /// By client certificates.
    pub certificates: bool,
    /// By secrets in the path.
    pub tokens: Option<Tokens>,
}

impl App {
    /// Creates the state that requests share. Until the cluster's stores are complete, reviews are answered with 503. Needs
    /// a runtime.
    ///
    /// # Errors
    /// When the deciding threads cannot be started.
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        cluster: Result<Arc<Cluster>, NoCluster>,
        TrailParts { cluster: cluster_name, trail, couriers, sampler, redaction }: TrailParts,
        callers: Callers,
        installed: Installed,
        drain: Drain,
    ) -> io::Result<Arc<Self>> {
        let world: Arc<dyn World> = match &cluster {
            Ok(cluster) => Arc::<Cluster>::clone(cluster),
            Err(no_cluster) => Arc::new(*no_cluster),
        };
        let cluster = cluster.ok();
        let (readiness, stores) = Readiness::new();
        wait_for_stores(cluster.clone(), stores);
        let metrics = Metrics::new();
        metrics.configured(snapshot.load().digest());
        Ok(Arc::new(Self {
            snapshot,
            world,
            cluster_name,
            readiness,
            cluster,
            trail,
            couriers,
            sampler,
            redaction,
            knows_certificates: callers.certificates,
            demands_identity: callers.certificates || callers.tokens.is_some(),
            tokens: callers.tokens,
            strangers: Strangers::default(),
            crowding: Crowding::new(&metrics),
            metrics,
            certificate: Served::default(),
            installed,
            refused: Mutex::default(),
            discovery: Discovery::default(),
            drain,
            bodies: Budget::new(),
            deciding: Deciding::start()?,
            checks: Checks::default(),
            reading: Semaphore::new(READ),
        }))
    }

    /// Waits until there is room to read a review of so many bytes; `None` when there was none in time.
    pub(super) async fn room_to_read(&self, bytes: usize, deadline: Instant) -> Option<Option<SemaphorePermit<'_>>> {
        if bytes <= READ_FREELY {
            return Some(None);
        }
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).ok()?;
        let room = tokio::time::timeout_at(deadline.into(), self.reading.acquire_many(kibibytes)).await;
        room.ok()?.ok().map(Some)
    }
}

/// Holds `stores` until the cluster's stores are complete; without a cluster there is nothing to wait for.
fn wait_for_stores(cluster: Option<Arc<Cluster>>, stores: NotReady) {
    let Some(cluster) = cluster else { return };
    tokio::spawn(async move {
        cluster.ready().await;
        drop(stores);
        tracing::info!("the stores are complete");
    });
}
