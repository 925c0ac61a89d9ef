//! A serving certificate that the server makes for itself, once, in a Secret that all replicas share.
//!
//! Whoever comes first creates the Secret; everyone else reads it, so that several replicas agree. The CA that signs the
//! certificate is trusted by nothing but our own two webhook configurations, and its key is thrown away. Nothing is
//! rotated: the certificate lasts ten years, and deleting the Secret and restarting the replicas makes another.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

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
/// How long to wait before a refused patch is tried again.
const RETRY: Duration = Duration::from_secs(1);

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
    /// What to serve.
    pub source: Source,
    /// PEM.
    pub ca: Vec<u8>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// The API server refused.
    #[error("the Secret {0}: {1}")]
    Api(String, Box<kube::Error>),
    /// The Secret holds something else.
    #[error("the Secret {0} has no {1}; delete it, and the next start makes another")]
    Incomplete(String, &'static str),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl Managed {
    /// Reads the certificate, or makes it where there is none.
    ///
    /// # Errors
    /// [`ManagedError`]
    pub async fn issue(&self, client: &Client) -> Result<Issued, ManagedError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let shown = format!("{}/{}", self.namespace, self.secret);
        let failed = |error: kube::Error| ManagedError::Api(shown.clone(), Box::new(error));
        let found = match api.get_opt(&self.secret).await.map_err(failed)? {
            Some(found) => found,
            None => match api.create(&PostParams::default(), &self.make()?).await {
                Ok(made) => {
                    tracing::info!(secret = shown, "the serving certificate was made");
                    made
                }
                // Another replica came first.
                Err(kube::Error::Api(status)) if status.code == 409 => api.get(&self.secret).await.map_err(failed)?,
                Err(error) => return Err(failed(error)),
            },
        };
        let mut data = found.data.unwrap_or_default();
        let mut take = |key: &'static str| {
            let value = data.remove(key).map(|bytes| bytes.0).and_then(|bytes| String::from_utf8(bytes).ok());
            value.ok_or_else(|| ManagedError::Incomplete(shown.clone(), key))
        };
        let (certificate, key, ca) = (take(CERTIFICATE)?, take(KEY)?, take(CA)?);
        Ok(Issued { source: Source::Memory { certificate, key }, ca: ca.into_bytes() })
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

/// Keeps `caBundle` of both webhook configurations at `ca`, from the moment they are installed. Never returns.
pub async fn trust(client: Client, ca: Vec<u8>) {
    futures::join!(
        keep::<ValidatingWebhookConfiguration>(client.clone(), &ca, |configuration| {
            let webhooks = configuration.webhooks.iter().flatten();
            webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
        }),
        keep::<MutatingWebhookConfiguration>(client, &ca, |configuration| {
            let webhooks = configuration.webhooks.iter().flatten();
            webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
        }),
    );
}

async fn keep<K>(client: Client, ca: &[u8], webhooks: fn(&K) -> Vec<(String, WebhookClientConfig)>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api: Api<K> = Api::all(client);
    let mut states = std::pin::pin!(watcher::watch_object(api.clone(), NAME).default_backoff());
    while let Some(state) = states.next().await {
        let configuration = match state {
            Ok(Some(configuration)) => configuration,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%error, kind = %K::kind(&()), "our webhook configuration cannot be watched");
                continue;
            }
        };
        let all = webhooks(&configuration);
        let is_trusted = |config: &WebhookClientConfig| config.ca_bundle.as_ref().is_some_and(|have| have.0 == ca);
        if all.iter().all(|(_, config)| is_trusted(config)) {
            continue;
        }
        // A strategic merge joins webhooks by name and leaves everything else as it is.
        let bundle = ByteString(ca.to_vec());
        let patches: Vec<_> = all
            .iter()
            .map(|(name, _)| serde_json::json!({"name": name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        let patch = Patch::Strategic(serde_json::json!({"webhooks": patches}));
        loop {
            match api.patch(NAME, &PatchParams::default(), &patch).await {
                Ok(_) => tracing::info!(kind = %K::kind(&()), "our webhook configuration trusts our certificate"),
                // It was deleted; the watch tells when it is back.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    tracing::warn!(%error, kind = %K::kind(&()), "caBundle could not be set");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            break;
        }
    }
}
