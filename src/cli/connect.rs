//! Connections to a cluster.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};

/// Maximum time for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Runs `work` with a client of the cluster of a kubeconfig, or of the one that this process runs in. `missing` is the error
/// where there is neither.
pub(super) fn with_cluster<T>(
    kubeconfig: Option<&Path>,
    missing: &str,
    work: impl AsyncFnOnce(kube::Client) -> Result<T, String>,
) -> Result<T, String> {
    // kube's client takes the process's default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let done = runtime.block_on(async {
        let mut config = config(kubeconfig).await?.ok_or(missing)?;
        config.connect_timeout = Some(CONNECT);
        let client = kube::Client::try_from(config).map_err(|error| format!("the cluster: {error}"))?;
        work(client).await
    });
    // Connections that would not end are left behind.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// The cluster of a kubeconfig, or without one the cluster that this process runs in; `None` outside of one.
pub(super) async fn config(kubeconfig: Option<&Path>) -> Result<Option<kube::Config>, String> {
    let Some(file) = kubeconfig else {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            return Ok(None);
        }
        return kube::Config::incluster().map(Some).map_err(|error| format!("the cluster this runs in: {error}"));
    };
    let named = |error: &dyn Display| format!("{}: {error}", file.display());
    let read = Kubeconfig::read_from(file).map_err(|error| named(&error))?;
    let options = KubeConfigOptions::default();
    kube::Config::from_custom_kubeconfig(read, &options).await.map(Some).map_err(|error| named(&error))
}
