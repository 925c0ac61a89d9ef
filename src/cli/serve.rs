//! `portcullis serve`: answers an API server's admission reviews.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::cluster::{Cluster, Nowhere};
use crate::config::{self, KeySettings, Reload, TrailSettings, Weaker};
use crate::files::{self, FileWatch};
use crate::server::certs::{self, Source, Validity};
use crate::server::discovery;
use crate::server::installed::{self, Installed};
use crate::server::limits;
use crate::server::managed::{Issued, Managed, trust};
use crate::server::strangers;
use crate::server::tokens::{self, Tokens};
use crate::server::{App, Callers, Drain, Listeners, Remembering};
use crate::telemetry;
use crate::trail::{self, Beginning, Class, Omitted, Record, Redaction, Sampler, Signer};
use crate::webhooks::Target;

/// What `--dev` serves.
const DEV: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\ndefaults: all\n";

/// Where `--dev` listens unless it is told otherwise: it asks nobody who they are.
const DEV_LISTEN: &str = "127.0.0.1:8443";

/// How often counts are written down.
const COUNTING: Duration = Duration::from_secs(1);
/// How long the trail may take to end.
const STOPPING: Duration = Duration::from_secs(1);
/// How long its sinks may take to take the rest; what they do not take stays in the spool.
const FLUSHING: Duration = Duration::from_secs(3);

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
    /// to everybody who creates a Pod, and writes it into its log and its audit log. Prefer client certificates (--client-ca),
    /// then a token of the API server's own where it can send one, then a NetworkPolicy by source addresses; this comes last
    #[arg(long, value_name = "FILE")]
    path_token_file: Option<PathBuf>,
    /// Seconds from SIGTERM until connections are cut; at least five shorter than the Pod's terminationGracePeriodSeconds, as
    /// the trail takes up to four more
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    grace: u64,
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
    let text = match &args.config {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?,
        None => DEV.to_owned(),
    };
    let name = args.config.as_ref().map_or_else(|| "--dev".to_owned(), |file| file.display().to_string());
    let snapshot = config::compile(&name, &text, None).map_err(|error| error.to_string())?;
    let client = client(&args).await?;
    let managed = args.self_managed_certificate.as_deref().map(|secret| managed(secret, &args.service)).transpose()?;
    let issued = match &managed {
        Some(managed) => Some(issue(managed, client.as_ref()).await?),
        None => None,
    };
    let tls = tls(&args, issued.as_ref().map(|issued| issued.source.clone()))?;
    let (loaded, contents) = tls.load().map_err(|error| error.to_string())?;
    // Not before it is known that the certificate can be served.
    if let (Some(client), Some(managed), Some(issued)) = (&client, &managed, issued) {
        tokio::spawn(trust(client.clone(), managed.clone(), issued.ca));
    }
    let listeners = Listeners::bind(args.listen, args.admin_listen).map_err(|error| error.to_string())?;
    let cluster = client.clone().map(Cluster::watch);
    let beginning =
        Beginning { cluster: snapshot.trail().cluster.clone(), configuration: snapshot.digest().to_string() };
    let remembering = remember(snapshot.trail(), &beginning).await?;
    let tokens = args.path_token_file.as_deref().map(Tokens::read).transpose()?;
    if let Some(tokens) = tokens.clone() {
        tracing::warn!("{}", tokens::LEAK);
        tokio::spawn(tokens.watch());
    }
    let callers = Callers { certificates: args.client_ca.is_some(), tokens };

    let grace = Duration::from_secs(args.grace.max(1));
    let drain = Drain::default();
    // Before anybody may learn that the server is there.
    end_on_signal(drain.clone(), grace)?;
    let address = listeners.reviews.local_addr().map_err(|error| error.to_string())?;
    let admin = listeners.admin.local_addr().map_err(|error| error.to_string())?;
    tracing::info!(%address, %admin, configuration = %snapshot.digest(), "serving");
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let installed = Installed::new(managed.map_or_else(Target::service, |managed| Target {
        namespace: managed.namespace,
        service: managed.service,
        ..Target::service()
    }));
    let nowhere = if args.dev { Nowhere::LeftOut } else { Nowhere::Missed };
    let app = App::new(Arc::clone(&snapshot), cluster.ok_or(nowhere), remembering, callers, installed, drain)
        .map_err(|error| format!("the threads that decide: {error}"))?;
    serve_certificate(&app, loaded.validity);
    tokio::spawn(certs::watch_validity(Arc::clone(&app)));
    let acceptor = Arc::new(ArcSwap::new(loaded.config));
    watch_certificates(&app, tls, contents, &acceptor);
    if let Some(file) = args.config.clone() {
        watch_configuration(&app, file, text);
    }
    let (ended, end) = oneshot::channel();
    let counting = tokio::spawn(count(Arc::clone(&app), end));
    let (turned_away, end) = oneshot::channel();
    let turning_away = tokio::spawn(strangers::record(Arc::clone(&app), end));
    if let Some(key) = app.snapshot.load().trail().key.clone() {
        watch_key(&app, key);
    }
    if let Some(client) = client {
        tokio::spawn(discovery::watch(Arc::clone(&app), client.clone()));
        tokio::spawn(installed::watch(Arc::clone(&app), client));
    }
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

fn tls(args: &Args, issued: Option<Source>) -> Result<certs::Settings, String> {
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
    Ok(certs::Settings { source, client_ca: args.client_ca.clone(), admits_without, http1_only: args.http1 })
}

fn managed(secret: &str, service: &str) -> Result<Managed, String> {
    let is_name = |name: &str| !name.is_empty() && !name.contains('/');
    let (namespace, name) = secret
        .split_once('/')
        .filter(|(namespace, name)| is_name(namespace) && is_name(name))
        .ok_or_else(|| format!("--self-managed-certificate {secret}: must be NAMESPACE/NAME"))?;
    Ok(Managed { namespace: namespace.to_owned(), secret: name.to_owned(), service: service.to_owned() })
}

async fn client(args: &Args) -> Result<Option<kube::Client>, String> {
    let config = match &args.kubeconfig {
        Some(file) => {
            let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let read = Kubeconfig::read_from(file).map_err(|error| named(&error))?;
            let options = KubeConfigOptions::default();
            kube::Config::from_custom_kubeconfig(read, &options).await.map_err(|error| named(&error))?
        }
        None if args.dev || std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => {
            tracing::warn!("no cluster is connected: what a policy asks of one is answered with 'unknown'");
            return Ok(None);
        }
        None => kube::Config::incluster().map_err(|error| format!("the cluster this runs in: {error}"))?,
    };
    kube::Client::try_from(config).map(Some).map_err(|error| format!("the cluster: {error}"))
}

fn watch_certificates(
    app: &Arc<App>,
    settings: certs::Settings,
    contents: certs::Contents,
    current: &Arc<ArcSwap<rustls::ServerConfig>>,
) {
    let app = Arc::clone(app);
    tokio::spawn(certs::watch(settings, contents, Arc::clone(current), move |loaded| match loaded {
        Ok(validity) => {
            tracing::info!(expires = validity.ends(), "the serving certificate was replaced");
            serve_certificate(&app, validity);
        }
        Err(error) => tracing::warn!(%error, "the changed certificate cannot be served; the last good one stays"),
    }));
}

/// What is said of the certificate is said of this one from now on.
fn serve_certificate(app: &App, validity: Validity) {
    app.metrics.certificate_expiry.set(validity.ends());
    app.certificate.replace(validity);
}

async fn remember(settings: &TrailSettings, beginning: &Beginning) -> Result<Remembering, String> {
    let redaction = Redaction::new(settings.is_unredacted, settings.identities_key.as_deref())
        .map_err(|error| format!("trail.identitiesKeyFile: {error}"))?;
    if settings.is_unredacted {
        tracing::warn!(
            "trail.redaction is off: secrets in what is quoted are recorded, answered and logged as they are"
        );
    }
    let (trail, couriers) = trail::open(settings, beginning).await?;
    Ok(Remembering { trail, couriers, sampler: Sampler::new(settings.sample), redaction })
}

/// Writes counts down, the last ones at the end: no one is on its way when the trail stops.
async fn count(app: Arc<App>, mut end: oneshot::Receiver<()>) {
    if app.sampler.every() == 1 {
        return;
    }
    loop {
        let is_over = tokio::time::timeout(COUNTING, &mut end).await.is_ok();
        record_omitted(&app).await;
        if is_over {
            break;
        }
    }
}

/// What was counted instead of written is written down as a number.
async fn record_omitted(app: &App) {
    let write = |omitted: &[Omitted]| {
        let body = Record::Counters { time: Timestamp::now(), sample: app.sampler.every(), omitted }.to_bytes();
        async { app.trail.record(Class::Allow, None, body).await.map(drop) }
    };
    if let Err(error) = app.sampler.write_down(write).await {
        tracing::error!(%error, "counts of decisions could not be recorded; they are kept");
    }
}

/// A key that was replaced signs from then on; the next checkpoints carry both signatures.
fn watch_key(app: &Arc<App>, key: KeySettings) {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let watch = FileWatch::new([key.file.as_path()]);
        let mut current = Signer::read(&key.file, &key.name).map(|signer| signer.verifier()).ok();
        loop {
            watch.changed().await;
            let Some(read) = files::read(&key.file) else { continue };
            match Signer::of(read, &key.file, &key.name) {
                Ok(signer) if Some(signer.verifier()) != current => {
                    tracing::info!(key = %signer.verifier(), "another key signs checkpoints; this key verifies them");
                    current = Some(signer.verifier());
                    app.trail.sign_with(signer).await;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the changed key cannot be used; the last good one signs"),
            }
        }
    });
}

fn watch_configuration(app: &Arc<App>, file: PathBuf, text: String) {
    let app = Arc::clone(app);
    let trail = app.snapshot.load().trail().clone();
    tokio::spawn(config::watch(file, text, Arc::clone(&app.snapshot), move |reload| {
        if matches!(&reload, Reload::Taken { new, .. } if *new.trail() != trail) {
            tracing::warn!("a change of trail takes effect at the next start; until then it stays as it is");
        }
        let app = Arc::clone(&app);
        async move { record_reload(&app, reload).await }
    }));
}

async fn record_reload(app: &App, reload: Reload) {
    let time = Timestamp::now();
    let body = match &reload {
        Reload::Taken { old, new, weaker } => {
            app.metrics.configured(new.digest());
            tracing::info!(
                old = &**old,
                new = &**new.digest(),
                weaker = weaker.len(),
                "the configuration was replaced"
            );
            let weaker: Vec<Weaker> = weaker.iter().map(|weaker| app.redaction.weaker(weaker)).collect();
            Record::Configuration { time, old, configuration: new.digest(), weaker: &weaker }.to_bytes()
        }
        Reload::Refused(error) => {
            tracing::error!(%error, "the changed configuration is refused; the last good one stays");
            let current = app.snapshot.load();
            let errors: Vec<String> = error.0.iter().map(|problem| app.redaction.problem(problem)).collect();
            Record::Refused { time, configuration: current.digest(), errors: &errors }.to_bytes()
        }
    };
    app.metrics.reloaded(matches!(reload, Reload::Taken { .. }));
    if let Err(error) = app.trail.record(Class::Refused, None, body).await {
        tracing::error!(%error, "a change of the configuration could not be recorded");
    }
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
