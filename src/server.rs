//! The server: connections in, answers out, and an end in order.

mod activity;
mod addresses;
mod admin;
mod answer;
mod body;
pub mod certs;
mod check;
mod clock;
mod connection;
mod crowding;
mod deciding;
pub mod discovery;
mod drain;
mod frames;
mod headers;
mod http;
pub mod installed;
pub mod limits;
pub mod managed;
mod places;
mod remembered;
mod serving;
pub mod strangers;
pub mod tokens;
mod watched;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::certs::Served;
use self::check::Check;
use self::deciding::Deciding;
use self::discovery::Discovery;
use self::installed::Installed;
use self::limits::Limits;
use self::strangers::Strangers;
use self::tokens::Tokens;
use crate::cluster::{Cluster, Nowhere};
use crate::config::Snapshot;
use crate::facts::World;
use crate::metrics::Metrics;
use crate::trail::{Couriers, Redaction, Sampler, Trail};

pub use drain::{Drain, Phase};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;
/// Bytes that the system keeps of a connection, of what is sent and not read by either side. Its own bounds are several MiB,
/// for distances that no cluster has.
const BUFFERED: usize = 128 << 10;
/// Bytes of the largest review that is read without asking for room.
const READ_FREELY: usize = 16 << 10;
/// Kibibytes of all larger reviews that are read at once, which is more than the largest one. Their objects take up to eight
/// times as much ([`crate::object::memory`]), 80 MiB.
const READ: usize = 10 << 10;

/// Everything that requests share.
pub struct App {
    /// The configuration in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What the cluster says.
    pub world: Arc<dyn World>,
    /// The same, where there is a cluster.
    pub cluster: Option<Arc<Cluster>>,
    /// What is remembered.
    pub trail: Trail,
    /// What takes it to its sinks.
    pub couriers: Couriers,
    /// What is counted there rather than written.
    pub sampler: Sampler,
    /// What is taken out of it.
    pub redaction: Redaction,
    /// What callers without a certificate show.
    pub tokens: Option<Tokens>,
    /// Whether callers must be known, by a certificate or by a token.
    demands_identity: bool,
    /// Callers that were turned away.
    pub strangers: Strangers,
    /// Whether they may be known by a certificate.
    knows_certificates: bool,
    /// What is counted.
    pub metrics: Metrics,
    /// When the certificate that is served is valid.
    pub certificate: Served,
    /// The webhook configurations, as they were last seen.
    pub installed: Installed,
    /// What the API server serves of the kinds that the configuration adds.
    pub discovery: Discovery,
    /// How far the end has come.
    pub drain: Drain,
    stores_complete: AtomicBool,
    bodies: body::Budget,
    crowding: crowding::Crowding,
    deciding: Deciding,
    reading: Semaphore,
}

/// How decisions are remembered.
pub struct Remembering {
    /// Where they go.
    pub trail: Trail,
    /// What takes them further.
    pub couriers: Couriers,
    /// Which of them are counted only.
    pub sampler: Sampler,
    /// What is taken out of them.
    pub redaction: Redaction,
}

/// By what callers are known.
#[derive(Default)]
pub struct Callers {
    /// By client certificates.
    pub certificates: bool,
    /// By secrets in the path.
    pub tokens: Option<Tokens>,
}

/// The two sockets of a server.
pub struct Listeners {
    /// TLS.
    pub reviews: TcpListener,
    /// Plain HTTP.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds both. `[::]` takes IPv4 as well, and is 0.0.0.0 where the system has no IPv6.
    ///
    /// # Errors
    /// When an address is taken or not ours.
    pub fn bind(reviews: SocketAddr, admin: SocketAddr) -> io::Result<Self> {
        Ok(Self { reviews: with_fallback(reviews, bind)?, admin: with_fallback(admin, bind)? })
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(named)?;
    let options = socket2::SockRef::from(&socket);
    // Connections inherit both.
    options.set_send_buffer_size(BUFFERED)?;
    options.set_recv_buffer_size(BUFFERED)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // The system's default (net.ipv6.bindv6only) may be another.
        options.set_only_v6(false).map_err(named)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address).map_err(named)?;
    socket.listen(BACKLOG)
}

/// Opens `address`; where that is every IPv6 address and there is none, every IPv4 address instead.
fn with_fallback<T>(address: SocketAddr, open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    open(address).or_else(|error| {
        let is_missed = !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied);
        if address.is_ipv6() && address.ip().is_unspecified() && is_missed {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        } else {
            Err(error)
        }
    })
}

impl App {
    /// What requests share. Until the cluster's stores are complete, reviews are answered with 503. Needs a runtime.
    ///
    /// # Errors
    /// When the threads that decide cannot be had.
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        cluster: Result<Arc<Cluster>, Nowhere>,
        Remembering { trail, couriers, sampler, redaction }: Remembering,
        callers: Callers,
        installed: Installed,
        drain: Drain,
    ) -> io::Result<Arc<Self>> {
        let world: Arc<dyn World> = match &cluster {
            Ok(cluster) => Arc::<Cluster>::clone(cluster),
            Err(nowhere) => Arc::new(*nowhere),
        };
        let cluster = cluster.ok();
        let metrics = Metrics::new();
        metrics.configured(snapshot.load().digest());
        let app = Arc::new(Self {
            snapshot,
            world,
            stores_complete: AtomicBool::new(cluster.is_none()),
            cluster,
            trail,
            couriers,
            sampler,
            redaction,
            knows_certificates: callers.certificates,
            demands_identity: callers.certificates || callers.tokens.is_some(),
            tokens: callers.tokens,
            strangers: Strangers::default(),
            crowding: crowding::Crowding::new(&metrics),
            metrics,
            certificate: Served::default(),
            installed,
            discovery: Discovery::default(),
            drain,
            bodies: body::Budget::new(),
            deciding: Deciding::start()?,
            reading: Semaphore::new(READ),
        });
        if let Some(cluster) = app.cluster.clone() {
            let app = Arc::clone(&app);
            tokio::spawn(async move {
                cluster.ready().await;
                app.stores_complete.store(true, Ordering::Release);
                tracing::info!("the stores are complete");
            });
        }
        Ok(app)
    }

    /// Waits until there is room to read a review of so many bytes; `None` when there was none in time.
    async fn room_to_read(&self, bytes: usize, deadline: Instant) -> Option<Option<SemaphorePermit<'_>>> {
        if bytes <= READ_FREELY {
            return Some(None);
        }
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).ok()?;
        let room = tokio::time::timeout_at(deadline.into(), self.reading.acquire_many(kibibytes)).await;
        room.ok()?.ok().map(Some)
    }

    fn is_complete(&self) -> bool {
        self.stores_complete.load(Ordering::Acquire)
    }

    fn checks(&self) -> Vec<Check> {
        let stores = match &self.cluster {
            None => "no cluster is connected".to_owned(),
            Some(_) if !self.is_complete() => "not complete yet".to_owned(),
            Some(cluster) => format!("out of touch for {} s", cluster.staleness().as_secs()),
        };
        let expiry = self.metrics.certificate_expiry.get();
        let invalid = self.certificate.invalid().map(|invalid| invalid.to_string());
        let is_serving = self.drain.phase() == Phase::Serving;
        vec![
            Check::required("configuration", true, format!("digest {}", self.snapshot.load().digest())),
            Check::required("stores", self.is_complete(), stores),
            Check::shown("certificate", invalid, format!("ends at {expiry} s since 1970")),
            Check::shown("trail", None, self.trail_state()),
            Check::shown("retention", self.early(), "nothing was removed before its time".to_owned()),
            Check::shown("set-aside", self.set_aside(), "no sink refuses a record for good".to_owned()),
            Check::shown("clock", self.clock(), "believed".to_owned()),
            Check::shown("webhooks", self.webhooks(), "as configured, or not seen".to_owned()),
            Check::shown("workloads", self.workloads(), "as served, or not seen".to_owned()),
            Check::shown("connections", self.crowding.amiss(), format!("{} open", self.metrics.connections.get())),
            Check::required("drain", is_serving, if is_serving { "serving" } else { "ending" }.to_owned()),
        ]
    }

    /// Whether what is installed belongs to the configuration in force. It is said, and keeps nobody from being ready:
    /// the objects may be applied after the server.
    fn webhooks(&self) -> Option<String> {
        let lag = self.installed.lag(&self.snapshot.load());
        (!lag.is_empty()).then(|| format!("lag behind: {}", lag.join("; ")))
    }

    /// Rows of `workloads` that match nothing. Their kinds may come later.
    fn workloads(&self) -> Option<String> {
        let missing = self.discovery.missing();
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    /// How the trail is. A sink that is behind keeps nobody from being ready: its records wait in the spool.
    fn trail_state(&self) -> String {
        let mut state = format!("{} events wait", self.trail.waiting());
        self.metrics.unrecorded.inc_by(self.trail.take_unheard());
        let unrecorded = self.metrics.unrecorded.get();
        if unrecorded > 0 {
            state += &format!("; {unrecorded} decisions were not recorded");
        }
        for (sink, behind) in self.couriers.behind() {
            state += &format!("; {sink} is {behind} records behind");
        }
        state
    }

    fn refresh_gauges(&self) {
        self.metrics.certificate_invalid.set(i64::from(self.certificate.invalid().is_some()));
        self.metrics.crowding.set(i64::from(self.crowding.amiss().is_some()));
        self.metrics.held_bytes.set(self.bodies.held().try_into().unwrap_or(i64::MAX));
        let seconds = self.cluster.as_ref().map_or(0, |cluster| cluster.staleness().as_secs());
        self.metrics.store_staleness.set(seconds.try_into().unwrap_or(i64::MAX));
        self.metrics.reviews_waiting.set(self.deciding.waiting().try_into().unwrap_or(i64::MAX));
        self.metrics.trail_waiting.set(self.trail.waiting().try_into().unwrap_or(i64::MAX));
        self.metrics.unrecorded.inc_by(self.trail.take_unheard());
        let bytes = self.trail.index().map_or(0, |index| index.bytes());
        self.metrics.spool_bytes.set(bytes.try_into().unwrap_or(i64::MAX));
        self.metrics.spool_lost.set(self.trail.lost().try_into().unwrap_or(i64::MAX));
        self.refresh_trail();
    }
}

/// Serves until [`Drain`] reaches its last phase and connections have ended, or `grace` has passed since.
///
/// # Errors
/// When the admin port's thread cannot be had.
pub async fn serve(
    app: Arc<App>,
    listeners: Listeners,
    tls: Arc<ArcSwap<ServerConfig>>,
    client_names: Vec<String>,
    grace: Duration,
) -> io::Result<()> {
    let limits = Limits::now();
    // Until the end: probes and scrapers are answered as long as anybody is.
    let router = admin::router(Arc::clone(&app));
    let _admin = admin::start(listeners.admin, router, limits.probes, app.crowding.clone())?;
    let gate = connection::Gate { tls, client_names: client_names.into() };
    let router = http::router(Arc::clone(&app));
    let reviews = connection::accept_tls(listeners.reviews, router, Arc::clone(&app), gate, limits.reviews);
    let left = async {
        app.drain.reached(Phase::Closing).await;
        tokio::time::sleep(grace * 3 / 4).await;
    };
    tokio::select! {
        () = reviews => {}
        () = left => tracing::warn!("some connections did not end within the grace, and are cut"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::net::SocketAddr;

    use super::with_fallback;

    #[test]
    fn every_ipv4_address_stands_in_where_there_is_no_ipv6() {
        let without_ipv6 = |address: SocketAddr| {
            // EAFNOSUPPORT, as a kernel with ipv6.disable=1 answers.
            if address.is_ipv6() { Err(Error::from_raw_os_error(97)) } else { Ok(address) }
        };
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(with_fallback(address("[::]:8443"), without_ipv6).ok(), Some(address("0.0.0.0:8443")));
        assert!(with_fallback(address("[::1]:8443"), without_ipv6).is_err(), "another address than was asked for");
        let taken = |_| Err::<SocketAddr, _>(Error::from(ErrorKind::AddrInUse));
        assert!(with_fallback(address("[::]:8443"), taken).is_err_and(|error| error.kind() == ErrorKind::AddrInUse));
    }

    #[tokio::test]
    async fn the_ipv6_socket_of_every_address_takes_ipv4() {
        let listener = with_fallback("[::]:0".parse().expect("an address"), super::bind).expect("a socket");
        let port = listener.local_addr().expect("its address").port();
        let (met, accepted) = tokio::join!(tokio::net::TcpStream::connect(("127.0.0.1", port)), listener.accept());
        assert!(met.is_ok() && accepted.is_ok());
    }
}
