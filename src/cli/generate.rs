//! `portcullis generate`: keeps NetworkPolicies in namespaces that opt in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::signal::unix::{SignalKind, signal};

use super::connect;
use super::serve::NAMESPACE;
use crate::config::{self, Configuration, Contents, Reload};
use crate::generate::{Generator, LEASE, Settings, Timing};
use crate::server::{Check, answer_readiness, limits, listen, reload, serve_probes};
use crate::telemetry;
use crate::webhooks::NAME;

/// Arguments of `generate`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Configuration file; its mapping `generate` is read again when it changes
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Cluster to connect to; inside a cluster, that cluster without this
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of Portcullis, which holds the Lease and has no policies generated [default: that of the Pod, or portcullis]
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
    /// Address for /livez, /readyz and /metrics (plain HTTP)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    admin_listen: SocketAddr,
    /// Seconds after which a replica that is silent has lost the Lease; it is renewed within two thirds of them
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..=300), hide = true)]
    lease_duration: u32,
}

pub(super) fn run(args: Args) -> Result<ExitCode, String> {
    telemetry::start();
    limits::raise();
    // kube's client takes the process's default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let done = runtime.block_on(generate(args));
    // Watches that would not end are left behind.
    runtime.shutdown_timeout(Duration::from_millis(100));
    telemetry::finish();
    done.map(|()| ExitCode::SUCCESS)
}

async fn generate(args: Args) -> Result<(), String> {
    let end = end()?;
    let name = args.config.display().to_string();
    let contents = Contents::read(&args.config).ok_or_else(|| format!("{name}: cannot be read for now"))?;
    let (configuration, _) = contents.compile(&args.config).map_err(|error| error.to_string())?;
    let Configuration { snapshot, generate, warnings, .. } = configuration;
    reload::warn(&warnings);
    let cluster = connect::config(args.kubeconfig.as_deref()).await?;
    let cluster = cluster.ok_or("generate needs a cluster: name one with --kubeconfig")?;
    let client = kube::Client::try_from(cluster).map_err(|error| format!("the cluster: {error}"))?;
    let admin = listen(args.admin_listen).map_err(|error| error.to_string())?;
    let address = admin.local_addr().map_err(|error| error.to_string())?;

    let own = args.namespace.unwrap_or_else(own_namespace);
    tracing::info!(admin = %address, namespace = own, configuration = %snapshot.digest(), "generating");
    let timing = Timing::of(Duration::from_secs(args.lease_duration.into()));
    warn(&generate, &own);
    let generator = Generator::watch(client, own.clone(), generate, timing);
    let _admin =
        serve_probes(admin, router(Arc::clone(&generator))).map_err(|error| format!("the admin port: {error}"))?;
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let configured = Arc::clone(&generator);
    tokio::spawn(config::watch(args.config, contents, snapshot, move |reload| {
        take(&configured, &own, reload);
        std::future::ready(())
    }));
    generator.run(end).await;
    Ok(())
}

/// Takes the settings of a configuration that was changed.
fn take(generator: &Generator, own: &str, reload: Reload) {
    generator.state().refuse_configuration(matches!(reload, Reload::Refused(_)));
    match reload {
        Reload::Taken { new, generate, warnings, .. } => {
            reload::warn(&warnings);
            warn(&generate, own);
            tracing::info!(configuration = %new.digest(), "the configuration was replaced");
            generator.configure(*generate);
        }
        Reload::Refused(error) => {
            tracing::error!(%error, "the configuration has errors: the last valid one stays in force");
        }
    }
}

/// Warns of settings that have no effect.
fn warn(settings: &Settings, own: &str) {
    if settings.allow_ingress.contains(own) || settings.default_deny.contains(own) {
        tracing::warn!(
            namespace = own,
            "nothing is generated in the namespace of Portcullis, which the configuration names"
        );
    }
}

/// The namespace of the Pod.
fn own_namespace() -> String {
    let read = std::fs::read_to_string(NAMESPACE).map(|text| text.trim().to_owned());
    read.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| NAME.to_owned())
}

/// The first SIGTERM or SIGINT.
fn end() -> Result<impl Future<Output = ()>, String> {
    let stream = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut term, mut int) = (stream(SignalKind::terminate())?, stream(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("ending");
    })
}

fn router(generator: Arc<Generator>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(generator)
}

async fn readyz(State(generator): State<Arc<Generator>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let state = generator.state();
    let stores = if state.is_complete() {
        format!("out of touch for {} s", generator.staleness().as_secs())
    } else {
        "not complete yet".to_owned()
    };
    let leader = if state.leads() { "this replica writes" } else { "another replica writes, or none does yet" };
    let failing = state.failing();
    let failing = (failing > 0).then(|| format!("number of namespaces in which writes fail: {failing}; see the log"));
    let checks = [
        Check::required("stores", state.is_complete(), stores),
        Check::shown("lease", None, format!("{LEASE}: {leader}")),
        Check::shown("writes", failing, "none fails".to_owned()),
        Check::shown("policies", state.remarks(), "as asked for, as far as this replica writes".to_owned()),
    ];
    answer_readiness(&checks, query.as_deref())
}

async fn metrics(State(generator): State<Arc<Generator>>) -> impl IntoResponse {
    let text = generator.state().metrics(generator.staleness());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
