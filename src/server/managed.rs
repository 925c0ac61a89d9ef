//! A serving certificate that the server makes for itself, once, in a Secret that all replicas share.
//!
//! The manifests hold the Secret without data, so that it is deleted with everything else. Whoever comes first writes the
//! certificate into it, or creates the Secret where it is missing; everyone else reads it, so that several replicas agree. The CA that signs the
//! certificate is trusted by nothing but our own two webhook configurations, and its key is thrown away. Nothing is
//! rotated: the certificate lasts ten years, and deleting the Secret and restarting the replicas makes another. What the
//! webhook configurations are to trust is what the Secret says, so that replicas of before and after do not undo each
//! other's work.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::de::DeserializeOwned;

use super::certs::Source;
use crate::webhooks::NAME;

/// Years until the certificate ends.
const YEARS: i32 = 10;
/// Keys of the Secret (type `kubernetes.io/tls`, and the CA beside them).
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const CA: &str = "ca.crt";
/// Time to wait before a failed call is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Maximum time to wait for the API server at the start. A liveness probe, which nobody answers yet, bears longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The Secret that holds the certificate, and the Service that it is for.
#[derive(Debug, Clone)]
pub struct Managed {
    /// Namespace of both.
    pub namespace: String,
    /// Name of the Secret.
    pub secret: String,
    /// Name of the Service.
    pub service: String,
}

/// A certificate, and the CA that the webhook configurations are to trust.
pub struct Issued {
    /// Certificate and key to serve.
    pub source: Source,
    /// PEM.
    pub ca: Vec<u8>,
}

/// Reason why a certificate could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// The API server refused, or could not be reached.
    #[error("the Secret {0}: {1}")]
    Api(String, Box<kube::Error>),
    /// The API server did not answer.
    #[error("the Secret {0}: the API server did not answer within {PATIENCE:?}")]
    Silence(String),
    /// The Secret holds something else.
    #[error("the Secret {0} has no {1}; delete it, and the next start makes another")]
    Incomplete(String, &'static str),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl Managed {
    /// Reads the certificate, or makes it where there is none. An API server that cannot be reached yet, or does not
    /// know our rights yet, is asked again for a while.
    ///
    /// # Errors
    /// [`ManagedError`]
    pub async fn issue(&self, client: &Client) -> Result<Issued, ManagedError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let tried = tokio::time::timeout(left, self.read_or_make(client)).await;
            match tried.unwrap_or_else(|_| Err(ManagedError::Silence(self.to_string()))) {
                Err(error @ ManagedError::Api(..)) if Instant::now() + RETRY < deadline => {
                    tracing::warn!(%error, "there is no certificate yet");
                    tokio::time::sleep(RETRY).await;
                }
                done => return done,
            }
        }
    }

    async fn read_or_make(&self, client: &Client) -> Result<Issued, ManagedError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let failed = |error: kube::Error| ManagedError::Api(self.to_string(), Box::new(error));
        let found = match api.get_opt(&self.secret).await.map_err(failed)? {
            Some(found) if found.data.as_ref().is_some_and(|data| !data.is_empty()) => found,
            absent => match self.write(&api, absent).await? {
                Some(made) => {
                    tracing::info!(secret = %self, "the serving certificate was made");
                    made
                }
                // Another replica came first.
                None => api.get(&self.secret).await.map_err(failed)?,
            },
        };
        let mut data = found.data.unwrap_or_default();
        let mut take = |key: &'static str| {
            let value = data.remove(key).map(|bytes| bytes.0).and_then(|bytes| String::from_utf8(bytes).ok());
            value.ok_or_else(|| ManagedError::Incomplete(self.to_string(), key))
        };
        let (certificate, key, ca) = (take(CERTIFICATE)?, take(KEY)?, take(CA)?);
        Ok(Issued { source: Source::Memory { certificate, key }, ca: ca.into_bytes() })
    }

    /// Writes a new certificate into the Secret `empty`, or into a new one; `None` if another replica came first.
    async fn write(&self, api: &Api<Secret>, empty: Option<Secret>) -> Result<Option<Secret>, ManagedError> {
        let made = self.make()?;
        let by = PostParams { field_manager: Some(NAME.to_owned()), ..PostParams::default() };
        let written = match empty {
            // Its resourceVersion goes along: the Secret must still be the empty one.
            Some(empty) => api.replace(&self.secret, &by, &Secret { data: made.data, ..empty }).await,
            None => api.create(&by, &made).await,
        };
        match written {
            Ok(made) => Ok(Some(made)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(ManagedError::Api(self.to_string(), Box::new(error))),
        }
    }

    /// The CA that the Secret holds now; `None` where it holds none.
    async fn ca(&self, client: &Client) -> kube::Result<Option<Vec<u8>>> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let data = api.get_opt(&self.secret).await?.and_then(|found| found.data);
        Ok(data.and_then(|mut data| data.remove(CA)).map(|bytes| bytes.0))
    }

    fn make(&self) -> Result<Secret, rcgen::Error> {
        let year = i32::from(Timestamp::now().to_zoned(TimeZone::UTC).year());
        let valid = |params: &mut CertificateParams| {
            // A clock that runs behind ours must not find it too young.
            params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
            params.not_after = rcgen::date_time_ymd(year + YEARS, 1, 1);
        };
        let mut ca = CertificateParams::default();
        valid(&mut ca);
        ca.distinguished_name.push(DnType::CommonName, "portcullis-ca");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_key = KeyPair::generate()?;
        let ca_pem = ca.self_signed(&ca_key)?.pem();

        let host = format!("{}.{}.svc", self.service, self.namespace);
        let mut leaf = CertificateParams::new(vec![host.clone(), format!("{host}.cluster.local")])?;
        valid(&mut leaf);
        leaf.distinguished_name.push(DnType::CommonName, host);
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?.pem();
        let data = [(CERTIFICATE, certificate), (KEY, key.serialize_pem()), (CA, ca_pem)];
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(self.secret.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(BTreeMap::from(data.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))))),
            ..Secret::default()
        })
    }
}

impl fmt::Display for Managed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.secret)
    }
}

/// Keeps `caBundle` of both webhook configurations at the Secret's CA, from the moment they are installed. `served` is
/// the CA of the certificate that is served. Never returns.
pub async fn trust(client: Client, managed: Managed, served: Vec<u8>) {
    let trust = Trust { client, managed, served };
    futures::join!(
        trust.keep::<ValidatingWebhookConfiguration>(|configuration| {
            let webhooks = configuration.webhooks.iter().flatten();
            webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
        }),
        trust.keep::<MutatingWebhookConfiguration>(|configuration| {
            let webhooks = configuration.webhooks.iter().flatten();
            webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
        }),
    );
}

struct Trust {
    client: Client,
    managed: Managed,
    served: Vec<u8>,
}

impl Trust {
    async fn keep<K>(&self, webhooks: fn(&K) -> Vec<(String, WebhookClientConfig)>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let mut states = std::pin::pin!(watcher::watch_object(api.clone(), NAME).default_backoff());
        // What was seen last, for as long as it could not be set right.
        let mut failed = None;
        loop {
            let state = tokio::select! {
                state = states.next() => state,
                () = tokio::time::sleep(RETRY), if failed.is_some() => failed.take().map(|seen| Ok(Some(seen))),
            };
            let configuration = match state {
                Some(Ok(Some(configuration))) => configuration,
                Some(Ok(None)) => {
                    failed = None;
                    continue;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, kind = %K::kind(&()), "our webhook configuration cannot be watched");
                    continue;
                }
                None => return,
            };
            failed = None;
            if let Err(error) = self.set(&api, &configuration, webhooks(&configuration)).await {
                tracing::warn!(%error, kind = %K::kind(&()), "caBundle could not be set");
                failed = Some(configuration);
            }
        }
    }

    async fn set<K>(&self, api: &Api<K>, seen: &K, webhooks: Vec<(String, WebhookClientConfig)>) -> kube::Result<()>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let all_trust = |ca: &[u8]| {
            webhooks.iter().all(|(_, config)| config.ca_bundle.as_ref().is_some_and(|bundle| bundle.0 == ca))
        };
        if all_trust(&self.served) {
            return Ok(());
        }
        let ca = self.managed.ca(&self.client).await?.unwrap_or_else(|| self.served.clone());
        if ca != self.served {
            tracing::error!(secret = %self.managed, "the Secret holds another certificate than is served: restart this");
        }
        if all_trust(&ca) {
            return Ok(());
        }
        // A strategic merge joins webhooks by name and leaves everything else as it is. The version makes sure that it
        // meets the webhooks that were seen: one that is gone would be added, and be invalid.
        let bundle = ByteString(ca);
        let patches: Vec<_> = webhooks
            .iter()
            .map(|(name, _)| serde_json::json!({"name": name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        let version = serde_json::json!({"resourceVersion": seen.meta().resource_version});
        let patch = Patch::Strategic(serde_json::json!({"metadata": version, "webhooks": patches}));
        let by = PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() };
        match api.patch(NAME, &by, &patch).await {
            Ok(_) => {
                tracing::info!(kind = %K::kind(&()), "our webhook configuration trusts our certificate");
                Ok(())
            }
            // It was deleted or changed; the watch tells.
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
