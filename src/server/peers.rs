//! The ready replicas behind our Service, and the configuration that each of them holds.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::metrics::digest_in;

/// Label of an EndpointSlice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// EndpointSlices that are read; each has at most 1,000 endpoints.
const SLICES: u32 = 16;
/// Replicas that are asked, at most.
const ASKED: usize = 64;
/// Replicas that are asked at once.
const AT_ONCE: usize = 8;
/// Maximum time for the API server, and for each replica.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the metrics of a replica that are read.
const METRICS: usize = 1 << 20;

/// The Service whose replicas are asked, and the port at which they show their metrics.
pub struct Peers {
    /// Connection to the API server.
    pub client: Client,
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Admin port of each replica, which is our own.
    pub port: u16,
}

/// Reason why the replicas do not agree with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The API server refused, or could not be reached.
    #[error("the ready replicas are not known: EndpointSlices of {namespace}: {error}")]
    Api {
        /// Namespace of the Service.
        namespace: String,
        /// The API server's answer.
        error: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("the ready replicas are not known: the API server did not answer within {PATIENCE:?}")]
    Silence,
    /// There are more replicas than are asked.
    #[error("there are more than {ASKED} ready replicas")]
    TooMany,
    /// A replica did not answer.
    #[error("the ready replica {0} does not say which configuration it holds: {1}")]
    Unknown(SocketAddr, String),
    /// A replica holds another configuration.
    #[error("the ready replica {0} holds another configuration, digest {1}")]
    Other(SocketAddr, String),
}

impl Peers {
    /// Makes sure that every ready replica holds the configuration `digest`, or that there is none.
    ///
    /// # Errors
    /// [`PeersError`]
    pub(super) async fn agree(&self, digest: &str) -> Result<(), PeersError> {
        let addresses = self.ready().await?;
        let mut answers = stream::iter(addresses.into_iter().map(held)).buffer_unordered(AT_ONCE);
        while let Some((address, answer)) = answers.next().await {
            match answer {
                Ok(Some(other)) if other != digest => return Err(PeersError::Other(address, other)),
                // One without a configuration is not ready, whatever the EndpointSlice still says; it may be this one.
                Ok(_) => {}
                Err(error) => return Err(PeersError::Unknown(address, error)),
            }
        }
        Ok(())
    }

    /// Addresses of the ready replicas' admin ports.
    async fn ready(&self) -> Result<Vec<SocketAddr>, PeersError> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let ours = ListParams::default().labels(&format!("{SERVICE}={}", self.service)).limit(SLICES);
        let failed = |error| PeersError::Api { namespace: self.namespace.clone(), error: Box::new(error) };
        let listed = tokio::time::timeout(PATIENCE, api.list(&ours)).await.map_err(|_| PeersError::Silence)?;
        let listed = listed.map_err(failed)?;
        let endpoints = listed.items.into_iter().filter_map(|slice| slice.endpoints).flatten();
        // The field is absent where readiness is not known, which counts as ready (discovery/v1).
        let ready = endpoints
            .filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true));
        let addresses = ready.filter_map(|endpoint| endpoint.addresses.first()?.parse::<IpAddr>().ok());
        let mut addresses: Vec<SocketAddr> = addresses.map(|address| (address, self.port).into()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.len() > ASKED || listed.metadata.continue_.is_some_and(|more| !more.is_empty()) {
            return Err(PeersError::TooMany);
        }
        Ok(addresses)
    }
}

/// Digest of the configuration that a replica holds; `None` if it holds none.
async fn held(address: SocketAddr) -> (SocketAddr, Result<Option<String>, String>) {
    let answer = tokio::time::timeout(PATIENCE, metrics(address)).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
    (address, answer.map(|text| digest_in(&text).map(str::to_owned)))
}

async fn metrics(address: SocketAddr) -> Result<String, String> {
    let said = |error: reqwest::Error| error.without_url().to_string();
    // Plain HTTP: nothing is trusted.
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.build().map_err(said)?;
    let mut answer = client.get(format!("http://{address}/metrics")).send().await.map_err(said)?;
    if !answer.status().is_success() {
        return Err(format!("status {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(said)? {
        if body.len() + part.len() > METRICS {
            return Err(format!("its metrics are longer than {METRICS} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}
