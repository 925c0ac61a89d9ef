//! `portcullis serve`: answers an API server's admission reviews.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::connect;
use crate::cluster::{Cluster, NoCluster};
use crate::config::{Configuration, Contents};
use crate::server::certs::{Source, TlsSettings};
use crate::server::counting;
use crate::server::exceptions;
use crate::server::installed::{self, Installed, Reached};
use crate::server::last_good::LastGood;
use crate::server::limits;
use crate::server::managed::{self, Issued, Lifetimes, Managed};
use crate::server::peers::Peers;
use crate::server::reload;
use crate::server::strangers;
use crate::server::tokens::{self, Tokens};
use crate::server::unconfigured::{self, First};
use crate::server::{App, Callers, Drain, Listeners, TrailParts, listen};
use crate::server::{discovery, gaps};
use crate::telemetry;
use crate::trail::{self, Beginning, Redaction, Sampler, Settings};
use crate::webhooks::{NAME, Target};

/// Configuration of `--dev`.
const DEV: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\ndefaults: all\n";

/// Default address of `--dev`, which authenticates nobody.
const DEV_LISTEN: &str = "127.0.0.1:8443";

/// The file of the last good configuration: beside the spool, on the volume that a replica keeps.
const LAST_GOOD: &str = "/var/lib/portcullis/last-good.yaml";

/// The file in which a Pod finds its namespace.
pub(super) const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Maximum time for the trail to end.
const STOPPING: Duration = Duration::from_secs(1);
/// Maximum time for the sinks to take the rest; records that they do not take stay in the spool.
const FLUSHING: Duration = Duration::from_secs(3);

/// Lifetimes of a certificate of our own, and of its CA: 90 days and a year, in seconds.
const LEAF: u32 = 90 * 86_400;
const AUTHORITY: u32 = 365 * 86_400;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Configuration file; it is read again when it changes
    #[arg(long, value_name = "FILE", required_unless_present = "dev")]
    config: Option<PathBuf>,
    /// Address for admission reviews (TLS); [::] takes IPv4 too, and is 0.0.0.0 where there is no IPv6
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8443", default_value_if("dev", "true", DEV_LISTEN))]
    listen: SocketAddr,
    /// Address for /livez, /readyz and /metrics (plain HTTP)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    admin_listen: SocketAddr,
    /// Cluster to connect to; inside a cluster, that cluster without this
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Offer HTTP/1.1 only
    #[arg(long)]
    http1: bool,
    /// Serving certificate, PEM; it is read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", required_unless_present_any = ["dev", "self_managed_certificate"])]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Keep a certificate of our own in this Secret, and the webhook configurations trusting it
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "tls_cert")]
    self_managed_certificate: Option<String>,
    /// The Service that this certificate is for, in the same namespace
    #[arg(long, value_name = "NAME", default_value = "portcullis")]
    service: String,
    /// No cluster, no files: profile hardened, a certificate made in memory, events on standard output; it listens on
    /// 127.0.0.1:8443 unless --listen says otherwise
    #[arg(long, conflicts_with_all = ["config", "kubeconfig", "tls_cert", "self_managed_certificate", "client_ca"])]
    dev: bool,
    /// Demand a client certificate that one of these PEM certificates signed
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Demand that it carry one of these names
    #[arg(long, value_name = "NAME", num_args = 1.., requires = "client_ca")]
    client_name: Vec<String>,
    /// Take reviews at /validate/TOKEN and /mutate/TOKEN too, for a token in this file (two, one a line, while they change),
    /// and none from callers that are not known. The token leaks: while this server does not answer, the API server shows it
    /// to everybody who creates a Pod, and writes it into its log and its audit log. Prefer client certificates
    /// (--client-ca), then a token of the API server's own where it can send one, then a NetworkPolicy by source addresses;
    /// this comes last
    #[arg(long, value_name = "FILE")]
    path_token_file: Option<PathBuf>,
    /// Seconds from SIGTERM until connections are cut; at least five shorter than the Pod's terminationGracePeriodSeconds,
    /// as the trail takes up to four more
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    grace: u64,
    /// Keep the last good configuration in this file, and start on it when the configuration file has errors, unless a ready
    /// replica holds another; without this, such a server waits, unready, for the file to change
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = LAST_GOOD,
        requires = "config"
    )]
    fallback_to_last_good: Option<PathBuf>,
    /// Seconds for which a certificate of our own is valid; it is renewed when two thirds of them are over
    #[arg(long, value_name = "SECONDS", default_value_t = LEAF, value_parser = clap::value_parser!(u32).range(10..=10 * 365 * 86_400), hide = true)]
    certificate_lifetime: u32,
    /// The same of its CA; at least as many
    #[arg(long, value_name = "SECONDS", default_value_t = AUTHORITY, value_parser = clap::value_parser!(u32).range(10..=10 * 365 * 86_400), hide = true)]
    authority_lifetime: u32,
    /// Seconds between two records of the exceptions, counted from 1970
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, hide = true)]
    record_exceptions_every: u32,
}

pub(super) fn run(args: Args) -> Result<ExitCode, String> {
    telemetry::start();
    // Before anything is opened that may be many.
    limits::raise();
    // One provider everywhere; kube's client takes the process's default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    let served = runtime.block_on(serve(args));
    // Watches and connections that would not end are left behind.
    runtime.shutdown_timeout(Duration::from_millis(100));
    telemetry::finish();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> Result<(), String> {
    let grace = Duration::from_secs(args.grace.max(1));
    let drain = Drain::default();
    // Before anybody may learn that the server is there.
    end_on_signal(drain.clone(), grace)?;
    let client = client(&args).await?;
    let lifetimes = Lifetimes::new(args.authority_lifetime, args.certificate_lifetime);
    let managed = args.self_managed_certificate.as_deref();
    let managed = managed.map(|secret| named(secret, &args.service, lifetimes)).transpose()?;
    let target = target(managed.as_ref(), args.service.clone(), Path::new(NAMESPACE));
    let admin = listen(args.admin_listen).map_err(|error| error.to_string())?;
    let last_good = last_good(&args, client.as_ref(), &target, &admin)?;
    let found = match &args.config {
        Some(file) => unconfigured::first(file, last_good.as_ref(), &admin, &drain).await,
        None => First::of(Contents::of(DEV.to_owned()), Path::new("--dev"))
            .map(Some)
            .map_err(|(_, error)| io::Error::other(error)),
    };
    let Some(First { contents: read, configuration, text, refused }) = found.map_err(|error| error.to_string())? else {
        // It was told to end before there was a configuration.
        return Ok(());
    };
    let Configuration { snapshot, trail, warnings, .. } = configuration;
    reload::warn(&warnings);
    let issued = match &managed {
        Some(managed) => Some(issue(managed, client.as_ref()).await?),
        None => None,
    };
    let tls = tls(&args, issued.as_ref().map(|issued| issued.source.clone()))?;
    let (loaded, contents) = tls.load().map_err(|error| error.to_string())?;
    let listeners = Listeners::bind(args.listen, admin).map_err(|error| error.to_string())?;
    let cluster = client.clone().map(Cluster::watch);
    if let Some(cluster) = &cluster {
        cluster.follow_pods(snapshot.asks_for_pods());
    }
    let beginning = Beginning { cluster: trail.cluster.clone(), configuration: snapshot.digest().to_string() };
    let remembering = remember(&trail, &beginning).await?;
    let tokens = args.path_token_file.as_deref().map(Tokens::read).transpose().map_err(|error| error.to_string())?;
    if let Some(tokens) = tokens.clone() {
        tracing::warn!("{}", tokens::LEAK);
        tokio::spawn(tokens.watch());
    }
    let callers = Callers { certificates: args.client_ca.is_some(), tokens };

    let address = listeners.reviews.local_addr().map_err(|error| error.to_string())?;
    let admin = listeners.admin.local_addr().map_err(|error| error.to_string())?;
    tracing::info!(%address, %admin, configuration = %snapshot.digest(), "serving");
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    // A server outside the cluster, with a certificate of others, does not know at which address it is asked.
    let reached = match args.self_managed_certificate.is_some() || Path::new(NAMESPACE).exists() {
        false => Reached::Elsewhere,
        true if args.path_token_file.is_some() => Reached::WithToken,
        true => Reached::Directly,
    };
    let installed = Installed::new(target, reached);
    let no_cluster = if args.dev { NoCluster::LeftOut } else { NoCluster::Missed };
    let app = App::new(Arc::clone(&snapshot), cluster.ok_or(no_cluster), remembering, callers, installed, drain)
        .map_err(|error| format!("the threads that decide: {error}"))?;
    let (serving, sources) = watch::channel(tls.source.clone());
    let acceptor = reload::watch_certificates(&app, tls, loaded, contents, managed.is_some().then_some(sources));
    if let (Some(client), Some(managed), Some(issued)) = (&client, managed, issued) {
        tokio::spawn(managed::keep(Arc::clone(&app), client.clone(), managed, issued, serving));
    }
    reload::began(&app, refused.as_ref(), last_good.as_ref(), &text).await;
    if let Some(file) = args.config.clone() {
        reload::watch_configuration(&app, file, read, trail.clone(), last_good);
    }
    let (ended, end) = oneshot::channel();
    let counting = tokio::spawn(counting::record(Arc::clone(&app), end));
    let (turned_away, end) = oneshot::channel();
    let turning_away = tokio::spawn(strangers::record(Arc::clone(&app), end));
    if let Some(key) = trail.key {
        reload::watch_key(&app, key);
    }
    if let Some(client) = client {
        tokio::spawn(discovery::watch(Arc::clone(&app), client.clone()));
        tokio::spawn(gaps::watch(Arc::clone(&app)));
        tokio::spawn(installed::watch(Arc::clone(&app), client));
    }
    let every = SignedDuration::from_secs(args.record_exceptions_every.into());
    tokio::spawn(exceptions::watch(Arc::clone(&app), every));
    if args.dev {
        greet(address);
    }
    crate::server::serve(Arc::clone(&app), listeners, acceptor, args.client_name, grace)
        .await
        .map_err(|error| format!("the admin port: {error}"))?;
    drop((ended, turned_away));
    let _ = futures::join!(counting, turning_away);
    // An output that takes nothing, such as a full pipe that nobody reads, must not hold up the end.
    let stopped = tokio::time::timeout(STOPPING, app.trail.stop()).await;
    // What is there is brought on its way all the same.
    app.couriers.finish(FLUSHING).await;
    match stopped {
        Ok(stopped) => stopped.map_err(|error| error.to_string()),
        Err(_) => Err("the trail has no clean end: its output takes nothing".to_owned()),
    }
}

async fn issue(managed: &Managed, client: Option<&kube::Client>) -> Result<Issued, String> {
    let client = client.ok_or("--self-managed-certificate needs a cluster: name one with --kubeconfig")?;
    managed.issue(client).await.map_err(|error| error.to_string())
}

fn tls(args: &Args, issued: Option<Source>) -> Result<TlsSettings, String> {
    let source = match (&args.tls_cert, &args.tls_key, issued) {
        (Some(certificate), Some(key), _) => Source::Files { certificate: certificate.clone(), key: key.clone() },
        (_, _, Some(source)) => source,
        _ => {
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
            Source::Memory { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
        }
    };
    let admits_without = args.path_token_file.is_some();
    Ok(TlsSettings { source, client_ca: args.client_ca.clone(), admits_without, http1_only: args.http1 })
}

/// The last good configuration, where the command line asks for one.
fn last_good(
    args: &Args,
    client: Option<&kube::Client>,
    target: &Target,
    admin: &TcpListener,
) -> Result<Option<LastGood>, String> {
    let Some(file) = args.fallback_to_last_good.clone() else { return Ok(None) };
    let port = admin.local_addr().map_err(|error| error.to_string())?.port();
    let Target { namespace, service, .. } = target.clone();
    let peers = client.map(|client| Peers { client: client.clone(), namespace, service, port });
    Ok(Some(LastGood::new(file, peers)))
}

/// The Service that the webhooks lead to: that of the certificate, or the one in our own namespace, which `file` holds.
fn target(managed: Option<&Managed>, service: String, file: &Path) -> Target {
    match managed {
        Some(Managed { namespace, service, .. }) => {
            Target { namespace: namespace.clone(), service: service.clone(), ..Target::service() }
        }
        None => {
            let own = std::fs::read_to_string(file).map(|text| text.trim().to_owned());
            let namespace = own.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| NAME.to_owned());
            Target { namespace, service, ..Target::service() }
        }
    }
}

fn named(secret: &str, service: &str, lifetimes: Lifetimes) -> Result<Managed, String> {
    let is_name = |name: &str| !name.is_empty() && !name.contains('/');
    let (namespace, name) = secret
        .split_once('/')
        .filter(|(namespace, name)| is_name(namespace) && is_name(name))
        .ok_or_else(|| format!("--self-managed-certificate {secret}: must be NAMESPACE/NAME"))?;
    Ok(Managed { namespace: namespace.to_owned(), secret: name.to_owned(), service: service.to_owned(), lifetimes })
}

async fn client(args: &Args) -> Result<Option<kube::Client>, String> {
    let config = if args.dev { None } else { connect::config(args.kubeconfig.as_deref()).await? };
    let Some(config) = config else {
        tracing::warn!("no cluster is connected: what a policy asks of one is answered with 'unknown'");
        return Ok(None);
    };
    kube::Client::try_from(config).map(Some).map_err(|error| format!("the cluster: {error}"))
}

async fn remember(settings: &Settings, beginning: &Beginning) -> Result<TrailParts, String> {
    let redaction = Redaction::new(settings.is_unredacted, settings.identities_key.as_deref())
        .map_err(|error| format!("trail.identitiesKeyFile: {error}"))?;
    if settings.is_unredacted {
        tracing::warn!(
            "trail.redaction is off: secrets in what is quoted are recorded, answered and logged as they are"
        );
    }
    let (trail, couriers) = trail::open(settings, beginning).await.map_err(|error| error.to_string())?;
    let sampler = Sampler::new(settings.sample);
    Ok(TrailParts { cluster: settings.cluster.clone(), trail, couriers, sampler, redaction })
}

/// The first SIGTERM or SIGINT drains; the second ends at once.
fn end_on_signal(drain: Drain, grace: Duration) -> Result<(), String> {
    let stream = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut term, mut int) = (stream(SignalKind::terminate())?, stream(SignalKind::interrupt())?);
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            if !is_first {
                std::process::exit(1);
            }
            drain.begin();
            tracing::info!(grace_seconds = grace.as_secs(), "draining");
            let drain = drain.clone();
            tokio::spawn(async move { drain.close(grace).await });
        }
    });
    Ok(())
}

/// The first screen of `--dev`.
fn greet(address: SocketAddr) {
    let reached = if address.ip().is_unspecified() { ([127, 0, 0, 1], address.port()).into() } else { address };
    let review = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"try-1","operation":"CREATE","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"namespace":"default","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"nginx:latest"}]}}}}"#;
    eprintln!(
        "\nPortcullis serves the profile hardened on https://{reached}, with a certificate made just now.\n\
         What a policy asks of a cluster (NetworkPolicies, ServiceAccounts) is left out: there is none.\n\
         Events go to standard output. Try it:\n\n\
         curl -sk https://{reached}/validate -H 'content-type: application/json' -d '{review}'\n"
    );
}

#[cfg(test)]
mod tests;
