//! The Secret in the API server: read with the API server's time, written only as it was read.

use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::client::Body;
use kube::core::Status;
use kube::{Api, Client};

use super::content::{Content, Held};
use super::{Managed, ManagedError};
use crate::webhooks::NAME;

/// Most bytes of an answer: a Secret has at most one MiB, in base64 a third more, and managed fields.
const ANSWER: usize = 4 << 20;

/// The Secret, and when the API server said so.
pub(super) struct Read {
    /// `None` where there is none.
    object: Option<Secret>,
    pub(super) held: Held,
    /// Seconds since 1970, by the clock of the API server: it is the API server that judges when a certificate is valid, and
    /// its clock is the same for all replicas.
    pub(super) now: i64,
}

impl Read {
    /// True if there is no such Secret, not even one without data.
    pub(super) fn is_absent(&self) -> bool {
        self.object.is_none()
    }
}

impl Managed {
    /// Reads the Secret.
    pub(super) async fn read(&self, client: &Client) -> Result<Read, ManagedError> {
        let (object, now) = self.fetch(client).await.map_err(|error| self.failed(error))?;
        let data = object.as_ref().and_then(|object| object.data.as_ref());
        let held = data.map_or(Ok(Held::Nothing), Held::read);
        let held = held.map_err(|error| ManagedError::Content(self.to_string(), error))?;
        Ok(Read { object, held, now })
    }

    /// Writes new content over what was read; false if somebody else came first.
    pub(super) async fn write(&self, client: &Client, over: Read, content: &Content) -> Result<bool, ManagedError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let by = PostParams { field_manager: Some(NAME.to_owned()), ..PostParams::default() };
        let written = match over.object {
            // Its resourceVersion goes along: the Secret must still be as it was read.
            Some(mut object) => {
                object.data.get_or_insert_default().extend(content.data());
                api.replace(&self.secret, &by, &object).await
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(self.secret.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                };
                // As the manifest has it: `kubernetes.io/tls` could not be emptied.
                let type_ = Some("Opaque".to_owned());
                api.create(&by, &Secret { metadata, type_, data: Some(content.data()), ..Secret::default() }).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            // Changed, created or deleted meanwhile.
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn failed(&self, error: kube::Error) -> ManagedError {
        ManagedError::Api(self.to_string(), Box::new(error))
    }

    async fn fetch(&self, client: &Client) -> kube::Result<(Option<Secret>, i64)> {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", self.namespace, self.secret);
        let request = axum::http::Request::get(path).body(Body::empty()).map_err(kube::Error::HttpError)?;
        let response = client.send(request).await?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let now = date.and_then(|date| rfc2822::parse(date).ok()).map_or_else(Timestamp::now, |date| date.timestamp());
        let code = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await.map_err(kube::Error::Service)?.to_bytes();
        if code.as_u16() == 404 {
            return Ok((None, now.as_second()));
        }
        if !code.is_success() {
            let status: Status = serde_json::from_slice(&body)
                .unwrap_or_else(|_| Status::failure(code.as_str(), "not a Status").with_code(code.as_u16()));
            return Err(kube::Error::Api(Box::new(status)));
        }
        let object = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
        Ok((Some(object), now.as_second()))
    }
}
