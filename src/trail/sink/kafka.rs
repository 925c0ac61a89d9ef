//! Kafka: one message a record, the streams each in a partition of its own by their ids.
//!
//! Consecutive records go out together, and nothing after them before all of them are acknowledged by every replica in
//! sync: whatever fails, what is in the topic is in order. What was sent and not yet acknowledged is never sent anew
//! while this producer lives. It asks again under the same sequence numbers, by which the brokers tell what they have
//! already; so records come twice only after this program was ended, or after an error that no repetition can mend.

mod error;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use krafka::auth::{AuthConfig, TlsConfig};
use krafka::error::KrafkaError;
use krafka::producer::{Acks, DeliveryHandle, Producer};
use krafka::{CloseOptions, Record};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;

use super::unusable_setting::{Requirement, UnusableSetting};
use super::{Batch, Delivery, Refused, Sink, SinkError, http};
use crate::trail::connect::tls;
use error::{Failure, FilesError, is_invalid, is_too_large};

pub(super) use error::KafkaError;

/// Bytes of the records that go out together, well below the 1 MiB that a topic takes unless told otherwise.
const TOGETHER: usize = 256 << 10;
/// Bytes that a record takes beside its line, its key and its headers, at most.
const FRAMING: usize = 64;
/// Maximum time that a delivery waits for acknowledgements. Sent records stay sent: the next one waits for the same.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum time to find out why they do not come.
const LOOK: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(15);
/// Maximum time to look for a topic.
const TOPIC: Duration = Duration::from_secs(5);
/// Time for which the brokers are asked again about sent records.
const REPEAT: Duration = Duration::from_hours(24);
/// Nothing goes out until it is told to: what goes out together is ours to say.
const LINGER: Duration = Duration::from_hours(1);
/// Maximum time for an abandoned producer to close.
const CLOSE: Duration = Duration::from_secs(5);
/// Letters of a topic's name.
const NAME: usize = 249;

/// Settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Brokers to ask for the others, each as host:port.
    brokers: Vec<String>,
    /// The topic. It is not made if it is missing.
    topic: String,
    /// The user that logs in.
    user: Option<String>,
    /// The file that our password is in.
    password_file: Option<PathBuf>,
    /// SASL mechanism that proves the password.
    #[serde(default)]
    mechanism: Mechanism,
    /// The certificates that sign the brokers' (PEM), where the system's do not.
    ca_file: Option<PathBuf>,
    /// Without TLS, and without a user where none is named. What goes over the wire can be read and altered there.
    #[serde(default)]
    insecure: bool,
}

/// SASL mechanism that proves a password without sending it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum Mechanism {
    /// SCRAM with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
    /// SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
}

/// The sink.
pub(super) struct Kafka {
    settings: Settings,
    producer: Option<Producer>,
    /// Size of a group of records that is sent together.
    room: http::Room,
    /// Up to where a stream was acknowledged: its id, and the next record.
    taken: (String, u64),
    sent: Sent,
}

/// Records that were handed to the producer and are not acknowledged yet.
#[derive(Default)]
struct Sent {
    stream: String,
    /// Sequence number of the first handle's record.
    next: u64,
    handles: VecDeque<DeliveryHandle>,
    /// Number of records that were sent together, and their bytes.
    count: usize,
    bytes: usize,
}

impl Kafka {
    pub(super) fn open(settings: &Settings) -> Result<Self, KafkaError> {
        settings.check()?;
        settings.security()?;
        let (settings, sent) = (settings.clone(), Sent::default());
        let room = http::Room::of(TOGETHER);
        Ok(Self { settings, producer: None, room, taken: (String::new(), 0), sent })
    }

    /// Sends what of a batch was not acknowledged before. May be dropped at any point, and begun again.
    async fn send(&mut self, batch: &Batch<'_>) -> Result<(), Failure> {
        self.settle().await?;
        let known = if self.taken.0 == batch.stream { self.taken.1 } else { 0 };
        let records: Vec<(u64, &[u8])> = batch.records().filter(|(seq, _)| *seq >= known).collect();
        let mut rest = records.as_slice();
        while let Some((first, _)) = rest.first() {
            let producer = match &self.producer {
                Some(producer) => producer,
                None => self.producer.insert(self.settings.produce().await?),
            };
            let (together, later) = rest.split_at(fitting(rest, self.room.bytes));
            let bytes = together.iter().map(|(_, line)| line.len() + FRAMING).sum();
            let (stream, handles, count) = (batch.stream.to_owned(), VecDeque::new(), together.len());
            self.sent = Sent { stream, next: *first, handles, count, bytes };
            for (seq, line) in together {
                self.sent.handles.push_back(producer.enqueue(self.settings.record(batch, *seq, line)).await?);
            }
            self.settle().await?;
            self.room.taken();
            rest = later;
        }
        Ok(())
    }

    /// Waits until all that was sent is acknowledged. May be dropped at any point, and begun again.
    async fn settle(&mut self) -> Result<(), KrafkaError> {
        let Some(producer) = self.producer.as_ref().filter(|_| !self.sent.handles.is_empty()) else { return Ok(()) };
        producer.flush().await?;
        while let Some(handle) = self.sent.handles.front_mut() {
            let outcome = handle.await;
            self.sent.handles.pop_front();
            if let Err(error) = outcome {
                // Each has its outcome by now. What came after a failure is sent again with it, or it would be out of order.
                self.sent.handles.clear();
                return Err(error);
            }
            self.sent.next += 1;
            self.taken = (self.sent.stream.clone(), self.sent.next);
        }
        Ok(())
    }

    /// Begins anew after an error, with the password and the certificates that the files hold by then. Returns what the
    /// brokers refuse.
    fn give_up(&mut self, error: &Failure) -> Option<Refused> {
        let refused = match error {
            Failure::Kafka(error) if is_too_large(error) || is_invalid(error) => Some(if self.sent.count > 1 {
                self.room.shrink(self.sent.bytes);
                Refused::default()
            } else {
                Refused::one(self.sent.next, is_too_large(error))
            }),
            _ => None,
        };
        // What is queued has no outcome yet: the next delivery waits for it.
        if self.sent.handles.is_empty()
            && let Some(producer) = self.producer.take()
        {
            tokio::spawn(async move { producer.close_with(CloseOptions::new().timeout(CLOSE)).await });
        }
        refused
    }
}

impl Sink for Kafka {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(async move {
            match timeout(PATIENCE, self.send(batch)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    let refused = self.give_up(&error);
                    Err(SinkError { refused, ..SinkError::of(self.settings.explain(error)) })
                }
                Err(_) => Err(SinkError::of(match timeout(LOOK, self.settings.look()).await {
                    Ok(Err(error)) => self.settings.explain(error),
                    Ok(Ok(())) => KafkaError::Unacknowledged,
                    Err(_) => KafkaError::Silent,
                })),
            }
        })
    }
}

impl Settings {
    /// Refuses settings that cannot work, whatever the files hold.
    pub(super) fn check(&self) -> Result<(), UnusableSetting> {
        let is_address = |text: &String| {
            let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            let has_port = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
            has_port && !text.contains([',', '@', '/', '?'])
        };
        if self.brokers.is_empty() {
            return Err(UnusableSetting::at("brokers", Requirement::NoBroker));
        }
        if !self.brokers.iter().all(is_address) {
            return Err(UnusableSetting::at("brokers", Requirement::Broker));
        }
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_name = (1..=NAME).contains(&self.topic.len()) && self.topic.bytes().all(is_letter);
        if !is_name || matches!(self.topic.as_str(), "." | "..") {
            return Err(UnusableSetting::at("topic", Requirement::Topic { bytes: NAME }));
        }
        match (&self.user, &self.password_file) {
            (None, Some(_)) => Err(UnusableSetting::at("passwordFile", Requirement::HalfLogin)),
            (Some(_), None) => Err(UnusableSetting::at("user", Requirement::HalfLogin)),
            (None, None) if !self.insecure => Err(UnusableSetting::at("user", Requirement::NoLogin)),
            _ if self.insecure && self.ca_file.is_some() => {
                Err(UnusableSetting::at("caFile", Requirement::UselessTrust))
            }
            _ => Ok(()),
        }
    }

    /// Credentials and trusted certificates, as the files hold them now.
    fn security(&self) -> Result<AuthConfig, FilesError> {
        let sasl = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Some((user, tls::secret(file)?)),
            _ => None,
        };
        let auth = match (sasl, self.mechanism) {
            (None, _) => AuthConfig::plaintext(),
            (Some((user, password)), Mechanism::Sha512) => AuthConfig::sasl_scram_sha512(user, password),
            (Some((user, password)), Mechanism::Sha256) => AuthConfig::sasl_scram_sha256(user, password),
        };
        if self.insecure {
            return Ok(auth);
        }
        // Says what is wrong with the trust in the words of every other sink.
        tls::client(self.ca_file.as_deref())?;
        Ok(auth.with_tls(match &self.ca_file {
            Some(file) => TlsConfig::new().with_ca_cert(file.display().to_string()),
            None => TlsConfig::new().with_native_roots(),
        }))
    }

    async fn connect(&self) -> Result<krafka::Kafka, Failure> {
        let security = self.security()?;
        let builder = krafka::Kafka::builder(self.brokers.join(",")).client_id("portcullis").security(security);
        Ok(builder.connect_timeout(CONNECT).request_timeout(REQUEST).connect().await?)
    }

    async fn produce(&self) -> Result<Producer, Failure> {
        let builder = self.connect().await?.producer().acks(Acks::All).idempotent(true).metrics_push(false);
        // Room for all that goes out together, as one: a topic keeps it, or refuses it, whole.
        let builder = builder.batch_size(2 * TOGETHER).linger(LINGER);
        Ok(builder.delivery_timeout(REPEAT).max_block(TOPIC).build().await?)
    }

    /// Tries a new connection and looks up the topic.
    async fn look(&self) -> Result<(), Failure> {
        let builder = self.connect().await?.producer().idempotent(false).metrics_push(false).max_block(TOPIC);
        let producer = builder.build().await?;
        let found = producer.partitions_for(&self.topic).await;
        producer.close_with(CloseOptions::new().timeout(CLOSE)).await?;
        found?;
        Ok(())
    }

    fn record(&self, batch: &Batch<'_>, seq: u64, line: &[u8]) -> Record {
        Record::new(self.topic.as_str(), Bytes::copy_from_slice(line))
            .key(batch.stream.to_owned())
            .header("stream", batch.stream.to_owned())
            .header("seq", seq.to_string())
            .header("class", batch.class.as_str())
    }

    /// The error with the topic and a way out.
    fn explain(&self, failure: Failure) -> KafkaError {
        KafkaError::of(failure, &self.topic, self.insecure)
    }
}

/// Number of records that are sent together: one at least.
fn fitting(records: &[(u64, &[u8])], most: usize) -> usize {
    let mut bytes = 0;
    let sizes = records.iter().map(|(_, line)| line.len() + FRAMING);
    sizes.take_while(|size| (bytes += size, bytes <= most).1).count().max(1)
}
