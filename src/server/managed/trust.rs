//! `caBundle` of both webhook configurations: kept at the CAs of the Secret, and watched.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};

use super::content::{Held, holds, is_bundle};
use super::{Managed, ManagedError};
use crate::lock::lock;
use crate::webhooks::NAME;

/// Time to wait before a failed call is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps `caBundle` at what the Secret says, and knows what the API server trusts.
pub(super) struct Trust {
    client: Client,
    managed: Managed,
    /// The CAs that the Secret was last seen to hold.
    expected: watch::Sender<Vec<u8>>,
    /// `caBundle` of every webhook of one configuration, as it was last seen; `None` while that is not known.
    seen: [Mutex<Option<Vec<Vec<u8>>>>; 2],
    /// Notified when any of it was seen to change.
    pub(super) changed: Notify,
}

impl Trust {
    pub(super) fn new(client: Client, managed: Managed, expected: Vec<u8>) -> Self {
        let seen = [Mutex::default(), Mutex::default()];
        Self { client, managed, expected: watch::Sender::new(expected), seen, changed: Notify::new() }
    }

    /// From now on `caBundle` is to hold these.
    pub(super) fn expect(&self, bundle: &[u8]) {
        self.expected.send_if_modified(|expected| {
            let is_other = expected != bundle;
            if is_other {
                bundle.clone_into(expected);
            }
            is_other
        });
    }

    /// True if every webhook of both configurations trusts that CA. A configuration that is not there asks nobody.
    pub(super) fn holds(&self, der: &[u8]) -> bool {
        let all = |seen: &Mutex<Option<Vec<Vec<u8>>>>| {
            lock(seen).as_ref().is_some_and(|bundles| bundles.iter().all(|bundle| holds(bundle, der)))
        };
        self.seen.iter().all(all)
    }

    /// Keeps both configurations right from the moment they are installed. Never returns.
    pub(super) async fn keep(&self) {
        let [validating, mutating] = &self.seen;
        futures::join!(
            self.keep_one::<ValidatingWebhookConfiguration>(validating, |configuration| {
                let webhooks = configuration.webhooks.iter().flatten();
                webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
            }),
            self.keep_one::<MutatingWebhookConfiguration>(mutating, |configuration| {
                let webhooks = configuration.webhooks.iter().flatten();
                webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
            }),
        );
    }

    async fn keep_one<K>(
        &self,
        seen: &Mutex<Option<Vec<Vec<u8>>>>,
        webhooks: fn(&K) -> Vec<(String, WebhookClientConfig)>,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let mut states = std::pin::pin!(watcher::watch_object(api.clone(), NAME).default_backoff());
        let ours = ListParams::default().fields(&format!("metadata.name={NAME}"));
        let mut expected = self.expected.subscribe();
        let mut current: Option<K> = None;
        let mut has_failed = false;
        loop {
            let state = tokio::select! {
                state = states.next() => Some(state),
                () = tokio::time::sleep(RETRY), if has_failed => None,
                Ok(()) = expected.changed() => None,
            };
            match state {
                Some(Some(Ok(found))) => {
                    self.note(seen, found.iter().flat_map(webhooks));
                    current = found;
                }
                Some(Some(Err(error))) => {
                    tracing::warn!(%error, kind = %K::kind(&()), "our webhook configuration cannot be watched");
                    // It may change, and nobody would know.
                    *lock(seen) = None;
                    self.changed.notify_one();
                    has_failed = true;
                    continue;
                }
                Some(None) => return,
                // A watch that goes on after an error tells of changes alone.
                None if lock(seen).is_none() => match api.list(&ours).await {
                    Ok(found) => {
                        current = found.items.into_iter().next();
                        self.note(seen, current.iter().flat_map(webhooks));
                    }
                    Err(error) => {
                        tracing::debug!(%error, kind = %K::kind(&()), "our webhook configuration cannot be read");
                        has_failed = true;
                        continue;
                    }
                },
                None => {}
            }
            has_failed = false;
            let Some(configuration) = &current else { continue };
            if let Err(error) = self.set(&api, configuration, webhooks(configuration)).await {
                tracing::warn!(%error, kind = %K::kind(&()), "caBundle could not be set");
                has_failed = true;
            }
        }
    }

    /// Notes what the webhooks of a configuration trust.
    fn note(&self, seen: &Mutex<Option<Vec<Vec<u8>>>>, webhooks: impl Iterator<Item = (String, WebhookClientConfig)>) {
        let bundles = webhooks.map(|(_, config)| config.ca_bundle.map(|bundle| bundle.0).unwrap_or_default());
        *lock(seen) = Some(bundles.collect());
        self.changed.notify_one();
    }

    async fn set<K>(
        &self,
        api: &Api<K>,
        seen: &K,
        webhooks: Vec<(String, WebhookClientConfig)>,
    ) -> Result<(), ManagedError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let all_trust = |ca: &[u8]| {
            webhooks.iter().all(|(_, config)| config.ca_bundle.as_ref().is_some_and(|bundle| bundle.0 == ca))
        };
        let expected = self.expected.borrow().clone();
        if all_trust(&expected) {
            return Ok(());
        }
        // What the Secret says now: another replica may have changed it, and must not be undone.
        let bundle = match self.managed.read(&self.client).await?.held {
            Held::Ours(content) => content.bundle().into_bytes(),
            Held::Foreign(foreign) => foreign.authorities.into_bytes(),
            Held::Nothing => expected,
        };
        if all_trust(&bundle) {
            return Ok(());
        }
        if !std::str::from_utf8(&bundle).is_ok_and(is_bundle) {
            return Err(ManagedError::Bundle(self.managed.to_string()));
        }
        // A strategic merge joins webhooks by name and leaves everything else as it is. The version makes sure that it
        // meets the webhooks that were seen: one that is gone would be added, and be invalid.
        let bundle = ByteString(bundle);
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
            Err(error) => Err(ManagedError::Webhooks(Box::new(error))),
        }
    }
}
