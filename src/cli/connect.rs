//! Connections to a cluster.

use std::fmt::Display;
use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};

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
