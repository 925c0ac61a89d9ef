//! A server whose configuration file cannot be used when it starts.
//!
//! It is alive and not ready, so that a rolling update stops and the replicas of before go on. It waits for the file to
//! change, and where it may, it starts on the last good configuration instead.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use super::admin::{self, Admin};
use super::crowding::Crowding;
use super::drain::{Drain, Phase};
use super::headers::with_headers;
use super::last_good::LastGood;
use super::limits::Limits;
use super::readiness::Check;
use crate::config::{ConfigError, Configuration, Contents};
use crate::files::FileWatch;
use crate::lock::lock;
use crate::metrics::Metrics;

/// The configuration that a server starts with.
pub struct First {
    /// What the file held.
    pub contents: Contents,
    /// The configuration in force.
    pub configuration: Configuration,
    /// Its text.
    pub text: String,
    /// The errors in the file, where the last good configuration is in force instead.
    pub refused: Option<ConfigError>,
}

impl First {
    /// The configuration that `contents` is, if it can be used.
    ///
    /// # Errors
    /// All errors in the file.
    pub fn of(contents: Contents, file: &Path) -> Result<Self, (Contents, ConfigError)> {
        match contents.compile(file).map(|(configuration, text)| (configuration, text.to_owned())) {
            Ok((configuration, text)) => Ok(Self { contents, configuration, text, refused: None }),
            Err(error) => Err((contents, error)),
        }
    }
}

/// Reads the configuration file. Until it can be used, the admin port says that the server is not ready, and why.
/// `None` when `drain` began first.
///
/// # Errors
/// When the admin port cannot be served.
pub async fn first(
    file: &Path,
    last_good: Option<&LastGood>,
    admin: &TcpListener,
    drain: &Drain,
) -> io::Result<Option<First>> {
    let watch = FileWatch::new([file]);
    let mut waiting: Option<Waiting> = None;
    let mut refused: Option<(Contents, ConfigError)> = None;
    loop {
        let is_new = |contents: &Contents| refused.as_ref().is_none_or(|(last, _)| last != contents);
        if let Some(contents) = Contents::read(file).filter(is_new) {
            match First::of(contents, file) {
                Ok(first) => return Ok(Some(first)),
                Err((contents, error)) => {
                    let address = admin.local_addr()?;
                    tracing::error!(%error, admin = %address, "the configuration cannot be used: this server is not ready until it changes");
                    waiting = Some(Waiting::start(admin, &error)?);
                    refused = Some((contents, error));
                }
            }
        }
        if let (Some(last_good), Some((contents, error))) = (last_good, &refused) {
            match last_good.configuration().await {
                Ok((configuration, text)) => {
                    let (contents, refused) = (contents.clone(), Some(error.clone()));
                    return Ok(Some(First { contents, configuration, text, refused }));
                }
                Err(reason) => waiting.iter().for_each(|waiting| waiting.stay(&reason.to_string())),
            }
        }
        tokio::select! {
            // It looks again every few seconds, whatever happens: the replicas may have changed.
            () = watch.changed() => {}
            () = drain.reached(Phase::Draining) => return Ok(None),
        }
    }
}

/// The admin port of a server that waits.
struct Waiting {
    errors: String,
    /// Reason why the last good configuration is not in force.
    reason: Arc<Mutex<String>>,
    _admin: Admin,
}

impl Waiting {
    fn start(listener: &TcpListener, error: &ConfigError) -> io::Result<Self> {
        let metrics = Metrics::new();
        metrics.configuration_refused.set(1);
        let crowding = Crowding::new(&metrics);
        let errors = error.summary();
        let reason = Arc::new(Mutex::new(String::new()));
        let readyz = {
            let (errors, reason) = (errors.clone(), Arc::clone(&reason));
            move || async move {
                let reason = lock(&reason).clone();
                let check = Check::required("configuration", false, format!("{errors}{reason}"));
                (StatusCode::SERVICE_UNAVAILABLE, format!("{check}\nnot ready\n"))
            }
        };
        let metrics = Arc::new(metrics);
        let metrics = move || async move {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
        };
        let router = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics));
        let admin = admin::start(admin::shared(listener)?, with_headers(router), Limits::now().probes, crowding)?;
        Ok(Self { errors, reason, _admin: admin })
    }

    /// Says once why the last good configuration is not in force.
    fn stay(&self, reason: &str) {
        let text = format!("; not started on the last good one: {reason}");
        let mut said = lock(&self.reason);
        if *said != text {
            tracing::error!(errors = self.errors, reason, "this server does not start on the last good configuration");
            *said = text;
        }
    }
}
