//! A collector of OpenTelemetry logs, over OTLP/HTTP with protobuf: each line is the body of a log record.

mod error;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};
use schemars::JsonSchema;
use serde::Deserialize;

use super::address::Address;
use super::unusable_setting::UnusableSetting;
use super::{Batch, BatchLimits, Delivery, Refused, Sink, SinkError, fitting, http};
use error::{LineError, RejectedRecords, Rejection};

pub(super) use error::OtlpError;

/// Bytes that a record takes in a message beside its own bytes, at most.
const FRAMING: usize = 8;
/// Records that a collector may call wrong one by one in a delivery, before it is taken to call everything so.
const WRONG: usize = 8;

/// Settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The collector: `/v1/logs` is added. It holds no secret.
    endpoint: Option<String>,
    /// A file with the whole endpoint, instead, where it holds a secret.
    endpoint_file: Option<PathBuf>,
    /// Certificates (PEM) that vouch for the collector; without them, those that the system trusts.
    ca_file: Option<PathBuf>,
    /// Permits an http:// endpoint.
    #[serde(default)]
    insecure: bool,
    /// Further headers: the name, and the file that holds the value.
    #[serde(default)]
    headers: BTreeMap<String, PathBuf>,
}

impl Settings {
    fn address(&self) -> Result<Address, UnusableSetting> {
        Address::of(
            self.endpoint.as_deref(),
            self.endpoint_file.as_deref(),
            self.insecure,
            ["endpoint", "endpointFile"],
        )
    }

    /// Refuses settings that cannot work, whatever the files hold.
    pub(super) fn check(&self) -> Result<(), UnusableSetting> {
        self.address()?;
        http::names(&self.headers)
    }
}

/// The sink.
pub(super) struct Otlp {
    settings: Settings,
    address: Address,
    client: reqwest::Client,
    resource: Resource,
    room: http::Room,
    left: Left,
}

/// The rest of a batch that was not taken whole. Records are told by their places in it.
#[derive(Default)]
struct Left {
    stream: String,
    first: u64,
    count: usize,
    /// Groups that go out next, in order: each a request, or several where it is too large.
    groups: VecDeque<Vec<usize>>,
    /// Records that were rejected, and why the last of them was.
    rejected: Vec<usize>,
    why: Rejection,
    /// Number of them that the collector called wrong, each alone in its request.
    wrong: usize,
}

/// Outcome of a request.
enum Answer {
    Taken,
    /// So many of its records were rejected; which ones is not said.
    Rejected(usize, String),
    TooLarge,
    /// The request is called wrong.
    Wrong(StatusCode),
}

/// Fields of a record that become attributes beside its line.
#[derive(Deserialize, Default)]
#[serde(default)]
struct View {
    time: Option<Timestamp>,
    record: Option<String>,
    decision: Option<String>,
    endpoint: Option<String>,
    operation: Option<String>,
    kind: Option<KindView>,
    namespace: Option<String>,
    name: Option<String>,
    user: Option<UserView>,
}

#[derive(Deserialize)]
struct KindView {
    kind: String,
}

#[derive(Deserialize)]
struct UserView {
    name: String,
}

impl Otlp {
    pub(super) fn open(settings: &Settings, cluster: &str) -> Result<Self, OtlpError> {
        let address = settings.address()?;
        let client = http::client(&logs(address.url()?)?, settings.ca_file.as_deref())?;
        http::headers(&settings.headers)?;
        let mut attributes =
            vec![text("service.name", "portcullis"), text("service.version", env!("CARGO_PKG_VERSION"))];
        if !cluster.is_empty() {
            attributes.push(text("k8s.cluster.name", cluster));
        }
        let resource = Resource { attributes, ..Resource::default() };
        let (settings, room) = (settings.clone(), http::Room::new());
        Ok(Self { settings, address, client, resource, room, left: Left::default() })
    }

    /// Posts what is left of a batch; halves what is rejected in part, until what is rejected stands alone. May be dropped
    /// at any point, and begun again.
    async fn post(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        let mut records = Vec::new();
        for (seq, line) in batch.records() {
            // One that was altered in the spool is taken by nobody. Those before it go out first.
            match log_record(batch, seq, line) {
                Ok(record) => records.push(record),
                Err(error) if records.is_empty() => {
                    return Err(SinkError::refusing(Refused::one(seq, true), error));
                }
                Err(_) => break,
            }
        }
        if !self.left.is_of(batch, records.len()) {
            self.left = Left::new(batch, records.len());
        }
        while let Some(mut group) = self.left.groups.pop_front() {
            let sizes = group.iter().map(|place| records[*place].encoded_len() + FRAMING);
            let (count, bytes) = fitting(sizes, self.room.bytes);
            if count < group.len() {
                self.left.groups.push_front(group.split_off(count));
            }
            self.left.groups.push_front(group.clone());
            let answer = self.send(group.iter().map(|place| records[*place].clone()).collect()).await?;
            self.left.groups.pop_front();
            match answer {
                Answer::Taken => self.room.taken(),
                Answer::TooLarge if group.len() == 1 => {
                    let (stream, seq) = (batch.stream.to_owned(), batch.first + group[0] as u64);
                    self.left.why = Rejection::TooLarge(http::RecordTooLarge { stream, seq, bytes });
                    self.left.rejected.extend(group);
                }
                Answer::Wrong(status) if group.len() == 1 => {
                    self.left.wrong += 1;
                    self.left.why = Rejection::Refusal(http::Refusal(status));
                    self.left.rejected.extend(group);
                    if self.left.wrong > WRONG {
                        let rejected = std::mem::take(&mut self.left.rejected);
                        self.left.groups.push_front(rejected);
                        self.left.wrong = 0;
                        return Err(SinkError::of(http::Refusal(status)));
                    }
                }
                Answer::Rejected(rejected, said) if rejected >= group.len() => {
                    self.left.rejected.extend(group);
                    self.left.why = Rejection::Said(said);
                }
                Answer::Rejected(..) | Answer::Wrong(_) => self.left.halve(group),
                Answer::TooLarge => {
                    self.room.shrink(bytes);
                    self.left.groups.push_front(group);
                }
            }
        }
        let (wrong, count) = (std::mem::take(&mut self.left.wrong), self.left.count);
        let numbers = self.left.rejected.iter().map(|place| batch.first + *place as u64).collect();
        let is_certain = wrong == 0 || self.left.rejected.len() < count;
        let refused = Refused { records: numbers, next: batch.first + count as u64, is_certain };
        self.left.outcome().map_err(|error| SinkError::refusing(refused, error))?;
        let altered = batch.records().nth(records.len()).map(|(seq, line)| (seq, log_record(batch, seq, line)));
        match altered {
            Some((seq, Err(error))) => Err(SinkError::refusing(Refused::one(seq, true), error)),
            _ => Ok(()),
        }
    }

    async fn send(&self, records: Vec<LogRecord>) -> Result<Answer, SinkError> {
        let headers = http::headers(&self.settings.headers).map_err(SinkError::of)?;
        let url = self.address.url().map_err(SinkError::of)?;
        let request = self
            .client
            .post(logs(url).map_err(SinkError::of)?)
            .headers(headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(self.message(records).encode_to_vec());
        let response = request.send().await.map_err(|error| SinkError::of(http::cause(error)))?;
        let status = response.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Ok(Answer::TooLarge);
        }
        if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) {
            return Ok(Answer::Wrong(status));
        }
        if !status.is_success() {
            let retry_after = http::retry_after(response.headers(), Timestamp::now());
            return Err(SinkError { retry_after, ..SinkError::of(http::Refusal(status)) });
        }
        let body = http::body(response).await.map_err(SinkError::of)?;
        let answer = ExportLogsServiceResponse::decode(body.as_slice())
            .map_err(|error| SinkError::of(OtlpError::Answer(error)))?;
        let partial = answer.partial_success.unwrap_or_default();
        Ok(match partial.rejected_log_records {
            0 => Answer::Taken,
            // A number that is none may mean all of them.
            rejected => Answer::Rejected(
                usize::try_from(rejected).unwrap_or(usize::MAX),
                http::said(&partial.error_message, &headers),
            ),
        })
    }

    fn message(&self, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
        let scope = InstrumentationScope { name: "portcullis.trail".to_owned(), ..InstrumentationScope::default() };
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() }];
        let resource = Some(self.resource.clone());
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }],
        }
    }
}

impl Left {
    fn new(batch: &Batch<'_>, count: usize) -> Self {
        let groups = VecDeque::from([(0..count).collect()]);
        Self { stream: batch.stream.to_owned(), first: batch.first, count, groups, ..Self::default() }
    }

    /// Returns true if it is the rest of that batch, and not the end of one that was taken.
    fn is_of(&self, batch: &Batch<'_>, count: usize) -> bool {
        let is_same = self.stream == batch.stream && self.first == batch.first && self.count == count;
        is_same && !self.groups.is_empty()
    }

    fn halve(&mut self, mut group: Vec<usize>) {
        self.groups.push_front(group.split_off(group.len() / 2));
        self.groups.push_front(group);
    }

    /// Once every group went out. What was rejected goes out again the next time, together, and nothing else.
    fn outcome(&mut self) -> Result<(), RejectedRecords> {
        let rejected = std::mem::take(&mut self.rejected);
        let Some(place) = rejected.first() else { return Ok(()) };
        let (stream, seq) = (self.stream.clone(), self.first + *place as u64);
        let error = RejectedRecords { stream, seq, others: rejected.len() - 1, why: self.why.clone() };
        self.groups = VecDeque::from([rejected]);
        Err(error)
    }
}

impl Sink for Otlp {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(self.post(batch))
    }

    fn limits(&self) -> BatchLimits {
        http::APPETITE
    }
}

/// URL at which a collector takes logs.
fn logs(mut endpoint: Url) -> Result<Url, OtlpError> {
    endpoint.path_segments_mut().map_err(|()| OtlpError::Endpoint)?.pop_if_empty().extend(["v1", "logs"]);
    Ok(endpoint)
}

fn log_record(batch: &Batch<'_>, seq: u64, line: &[u8]) -> Result<LogRecord, LineError> {
    let stream = || batch.stream.to_owned();
    let body = std::str::from_utf8(line).map_err(|_| LineError::NotText { stream: stream(), seq })?;
    let view: View = serde_json::from_str(body).map_err(|_| LineError::NotRecord { stream: stream(), seq })?;
    let severity = view.severity();
    let time = view.time.and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or_default();
    let event = view.record.as_deref().unwrap_or("decision");
    let mut attributes = vec![
        text("portcullis.stream", batch.stream),
        attribute("portcullis.seq", Value::IntValue(i64::try_from(seq).unwrap_or(i64::MAX))),
        text("portcullis.class", batch.class.as_str()),
    ];
    let named = [
        ("portcullis.decision", view.decision.as_deref()),
        ("portcullis.endpoint", view.endpoint.as_deref()),
        ("portcullis.operation", view.operation.as_deref()),
        ("portcullis.kind", view.kind.as_ref().map(|kind| kind.kind.as_str())),
        ("portcullis.name", view.name.as_deref()),
        ("k8s.namespace.name", view.namespace.as_deref()),
        ("user.name", view.user.as_ref().map(|user| user.name.as_str())),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    attributes.extend(named.map(|(name, value)| text(name, value)));
    Ok(LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity.into(),
        severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(body.to_owned())) }),
        attributes,
        event_name: format!("portcullis.{event}"),
        ..LogRecord::default()
    })
}

impl View {
    /// Severity of the log record.
    fn severity(&self) -> SeverityNumber {
        match self.decision.as_deref().or(self.record.as_deref()) {
            Some("error" | "configuration-refused" | "configuration-fallback") => SeverityNumber::Error,
            Some("deny" | "exempt" | "warn" | "would-deny") => SeverityNumber::Warn,
            _ => SeverityNumber::Info,
        }
    }
}

fn text(name: &str, value: &str) -> KeyValue {
    attribute(name, Value::StringValue(value.to_owned()))
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
