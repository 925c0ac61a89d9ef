//! Reloads of the configuration, of certificates and of the key that signs checkpoints, and the records of them.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::watch::Receiver;

use super::App;
use super::certs::{self, Contents, Loaded, Source, TlsSettings, Validity};
use super::last_good::LastGood;
use crate::config::{self, ConfigError, Reload, Warning, watch};
use crate::files::{self, FileWatch};
use crate::lock::lock;
use crate::snapshot::Weaker;
use crate::trail::{Class, KeySettings, Record, Redaction, Settings, Signer};

/// Watches the key that signs checkpoints: a key that replaces it signs from then on, and the next checkpoints carry both
/// signatures.
pub fn watch_key(app: &Arc<App>, key: KeySettings) {
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

/// Serves the certificate that was loaded, follows its validity, and watches its files, or those that come from `sources`: a
/// good pair replaces the one in force. Returns the TLS configuration in force. `contents` is what the files held when it was
/// loaded.
pub fn watch_certificates(
    app: &Arc<App>,
    settings: TlsSettings,
    loaded: Loaded,
    contents: Contents,
    sources: Option<Receiver<Source>>,
) -> Arc<ArcSwap<ServerConfig>> {
    serve_certificate(app, loaded.validity);
    tokio::spawn(certs::watch_validity(Arc::clone(app)));
    let current = Arc::new(ArcSwap::new(loaded.config));
    let app = Arc::clone(app);
    tokio::spawn(certs::watch(settings, contents, sources, Arc::clone(&current), move |loaded| match loaded {
        Ok(validity) => {
            tracing::info!(expires = validity.ends(), "the serving certificate was replaced");
            serve_certificate(&app, validity);
        }
        Err(error) => tracing::warn!(%error, "the changed certificate cannot be served; the last good one stays"),
    }));
    current
}

/// From now on metrics, readiness and the log are about this certificate.
fn serve_certificate(app: &App, validity: Validity) {
    app.metrics.certificate_expiry.set(validity.ends());
    app.certificate.replace(validity);
}

/// Keeps the configuration that the server starts with as the last good one. Where it is the last good one of an earlier
/// start, because the file has errors, this is logged, recorded and shown.
pub async fn began(app: &App, refused: Option<&ConfigError>, last_good: Option<&LastGood>, text: &str) {
    let Some(error) = refused else { return keep(last_good, text) };
    let digest = Arc::clone(app.snapshot.load().digest());
    tracing::error!(%error, %digest, "the configuration cannot be used: the server starts on the last good one");
    app.metrics.configuration_fallback.set(1);
    app.metrics.configuration_refused.set(1);
    *lock(&app.refused) = Some(error.summary());
    let record = Record::Fallback { time: Timestamp::now(), configuration: &digest, errors: &redacted(app, error) };
    if let Err(error) = app.trail.record(Class::Refused, None, record.to_bytes()).await {
        tracing::error!(%error, "the start on the last good configuration could not be recorded");
    }
}

/// Watches the configuration file: a good one replaces the one in force and becomes the last good one, and every reload is
/// recorded. `opened` are the settings that the trail was opened with.
pub fn watch_configuration(
    app: &Arc<App>,
    file: PathBuf,
    read: config::Contents,
    opened: Settings,
    last_good: Option<LastGood>,
) {
    let app = Arc::clone(app);
    tokio::spawn(watch(file, read, Arc::clone(&app.snapshot), move |reload| {
        if let Reload::Taken { text, .. } = &reload {
            keep(last_good.as_ref(), text);
        }
        if matches!(&reload, Reload::Taken { trail, .. } if **trail != opened) {
            tracing::warn!("a change of trail takes effect at the next start; until then it stays as it is");
        }
        let app = Arc::clone(&app);
        async move { record_reload(&app, reload).await }
    }));
}

/// Logs what is valid in a configuration and likely not meant.
pub fn warn(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

async fn record_reload(app: &App, reload: Reload) {
    let time = Timestamp::now();
    let body = match &reload {
        Reload::Taken { old, new, weaker, warnings, .. } => {
            warn(warnings);
            if let Some(cluster) = &app.cluster {
                cluster.follow_pods(app.snapshot.load().asks_for_pods());
            }
            app.metrics.configured(new.digest());
            app.metrics.configuration_fallback.set(0);
            app.metrics.configuration_refused.set(0);
            *lock(&app.refused) = None;
            tracing::info!(
                old = &**old,
                new = &**new.digest(),
                weaker = weaker.len(),
                "the configuration was replaced"
            );
            let weaker: Vec<Weaker> = weaker.iter().map(|weaker| cleaned(weaker, &app.redaction)).collect();
            Record::Configuration { time, old, configuration: new.digest(), weaker: &weaker }.to_bytes()
        }
        Reload::Refused(error) => {
            tracing::error!(%error, "the changed configuration is refused; the last good one stays");
            app.metrics.configuration_refused.set(1);
            *lock(&app.refused) = Some(error.summary());
            let current = app.snapshot.load();
            Record::Refused { time, configuration: current.digest(), errors: &redacted(app, error) }.to_bytes()
        }
    };
    app.metrics.reloaded(matches!(reload, Reload::Taken { .. }));
    if let Err(error) = app.trail.record(Class::Refused, None, body).await {
        tracing::error!(%error, "a change of the configuration could not be recorded");
    }
}

/// The errors without secrets, one line each.
fn redacted(app: &App, error: &ConfigError) -> Vec<String> {
    error.0.iter().map(|problem| problem.cleaned(|text| app.redaction.text(text))).collect()
}

fn keep(last_good: Option<&LastGood>, text: &str) {
    if let Some(Err(error)) = last_good.map(|last_good| last_good.keep(text)) {
        tracing::error!(%error, "the last good configuration could not be kept");
    }
}

/// The same without secrets and, where identities become pseudonyms, without the name of the namespace: it quotes settings,
/// whatever they hold.
fn cleaned(weaker: &Weaker, redaction: &Redaction) -> Weaker {
    let namespace = if weaker.namespace == "*" { "*".into() } else { redaction.identity(&weaker.namespace) };
    Weaker {
        namespace: namespace.into_owned(),
        from: redaction.text(&weaker.from).into_owned(),
        to: redaction.text(&weaker.to).into_owned(),
        ..weaker.clone()
    }
}
