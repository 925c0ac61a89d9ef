//! Reloads of the configuration, of certificates and of the key that signs checkpoints, and the records of them.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;

use super::App;
use super::certs::{self, Contents, Loaded, TlsSettings, Validity};
use crate::config::{Reload, Warning, watch};
use crate::files::{self, FileWatch};
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

/// Serves the certificate that was loaded, follows its validity, and watches its files: a good pair replaces the one in
/// force. Returns the TLS configuration in force. `contents` is what the files held when it was loaded.
pub fn watch_certificates(
    app: &Arc<App>,
    settings: TlsSettings,
    loaded: Loaded,
    contents: Contents,
) -> Arc<ArcSwap<ServerConfig>> {
    serve_certificate(app, loaded.validity);
    tokio::spawn(certs::watch_validity(Arc::clone(app)));
    let current = Arc::new(ArcSwap::new(loaded.config));
    let app = Arc::clone(app);
    tokio::spawn(certs::watch(settings, contents, Arc::clone(&current), move |loaded| match loaded {
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

/// Watches the configuration file: a good one replaces the one in force, and every reload is recorded. `opened` are the
/// settings that the trail was opened with.
pub fn watch_configuration(app: &Arc<App>, file: PathBuf, text: String, opened: Settings) {
    let app = Arc::clone(app);
    tokio::spawn(watch(file, text, Arc::clone(&app.snapshot), move |reload| {
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
            app.metrics.configured(new.digest());
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
            let current = app.snapshot.load();
            let errors: Vec<String> =
                error.0.iter().map(|problem| problem.cleaned(|text| app.redaction.text(text))).collect();
            Record::Refused { time, configuration: current.digest(), errors: &errors }.to_bytes()
        }
    };
    app.metrics.reloaded(matches!(reload, Reload::Taken { .. }));
    if let Err(error) = app.trail.record(Class::Refused, None, body).await {
        tracing::error!(%error, "a change of the configuration could not be recorded");
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
