//! `POST /validate` and `POST /mutate`: a review in, an answer out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use jiff::Timestamp;

use super::App;
use super::answer::Reviewed;
use super::body::{Cut, HEAD, Read, Room};
use super::deciding::{self, Refusal};
use super::drain::Phase;
use super::headers::with_headers;
use super::offenders;
use crate::decision::{Endpoint, Trouble};
use crate::request::Request;
use crate::review::{self, Draft, FAILED, Judge, NoUid, Review};
use crate::snapshot::Snapshot;
use crate::trail::{Caller, Class, Event, Guarantee, Origin, Reason, TrailError, cut};

/// The most that a decision may take on `/validate`, and on `/mutate`.
const VALIDATE: Duration = Duration::from_secs(2);
const MUTATE: Duration = Duration::from_millis(700);
/// Part of the API server's own timeout that is reserved for the way back and for the trail.
const MARGIN: Duration = Duration::from_millis(500);
/// The least time that a decision gets, however short the API server's timeout.
const LEAST: Duration = Duration::from_millis(100);
/// Maximum time to record a decision that took all its time.
const RECORDING: Duration = Duration::from_millis(250);
/// The same where records are not guaranteed.
const HANDING_OVER: Duration = Duration::from_millis(50);

/// The TLS port's routes.
pub(super) fn router(app: Arc<App>) -> Router {
    let route = |endpoint| {
        post(move |State(app): State<Arc<App>>, Extension(sender): Extension<Sender>, RawQuery(query), body: Body| {
            serve(app, endpoint, sender, query, body)
        })
    };
    let with_token = |endpoint| {
        post(
            move |State(app): State<Arc<App>>,
                  token: Result<Path<String>, PathRejection>,
                  Extension(sender): Extension<Sender>,
                  RawQuery(query),
                  body: Body| {
                // A token that is not text is not accepted.
                let sender = sender.showing(&app, token.as_deref().map_or("", String::as_str));
                serve(app, endpoint, sender, query, body)
            },
        )
    };
    let router = Router::new()
        .route("/validate", route(Endpoint::Validate))
        .route("/mutate", route(Endpoint::Mutate))
        .route("/validate/{token}", with_token(Endpoint::Validate))
        .route("/mutate/{token}", with_token(Endpoint::Mutate))
        .with_state(app);
    with_headers(router)
}

/// Sender of a request.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    caller: Caller,
    /// Which certificate or token it showed.
    name: Arc<str>,
    address: IpAddr,
    /// Set when it showed a token that is not accepted.
    is_mistaken: bool,
}

impl Sender {
    /// Whoever has made a connection, with the name in its certificate if it is known by one.
    pub(super) fn connected(address: IpAddr, certificate: Option<String>) -> Self {
        let caller = if certificate.is_some() { Caller::Certificate } else { Caller::Unknown };
        Self { caller, name: certificate.unwrap_or_default().into(), address, is_mistaken: false }
    }

    /// The same, showing a token: one that has a certificate is known by that.
    fn showing(mut self, app: &App, token: &str) -> Self {
        if self.caller != Caller::Unknown {
            return self;
        }
        match app.tokens.as_ref().and_then(|tokens| tokens.accept(token)) {
            Some(fingerprint) => (self.caller, self.name) = (Caller::Path, fingerprint),
            None => self.is_mistaken = true,
        }
        self
    }

    /// The address that a caller without a client certificate is charged to. A token in a path may have been read in a log: it
    /// lets a caller in, and lifts no limit.
    pub(super) fn unknown(&self) -> Option<IpAddr> {
        (self.caller != Caller::Certificate).then_some(self.address)
    }
}

/// One request, with its time of arrival.
#[derive(Clone)]
struct Call {
    endpoint: Endpoint,
    sender: Sender,
    arrived: Instant,
    received: Timestamp,
    deadline: Instant,
}

async fn serve(app: Arc<App>, endpoint: Endpoint, sender: Sender, query: Option<String>, body: Body) -> Response {
    let arrived = Instant::now();
    let deadline = arrived + budget(endpoint, query.as_deref());
    let is_turned_away = sender.caller == Caller::Unknown && app.demands_identity;
    let call = Call { endpoint, sender, arrived, received: Timestamp::now(), deadline };
    let mut response = if is_turned_away {
        app.metrics.unauthorized.inc();
        let reason = if call.sender.is_mistaken { Reason::UnknownToken } else { Reason::NothingShown };
        app.strangers.turn_away(call.sender.address, reason);
        // Before the body is read: whoever is nobody takes nothing.
        (StatusCode::UNAUTHORIZED, [(header::CONNECTION, "close")], "the caller is not known\n").into_response()
    } else if app.readiness.is_complete() {
        answer(&app, &call, body).await
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the server is starting: its stores are not complete yet\n").into_response()
    };
    if app.drain.phase() > Phase::Serving {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer(app: &Arc<App>, call: &Call, body: Body) -> Response {
    let snapshot = app.snapshot.load_full();
    let unknown = call.sender.unknown();
    // The room that the body takes is held until the answer is made, wherever that happens, and then by the answer.
    let (bytes, mut room) = match app.bodies.read(body, unknown, call.deadline).await {
        Read::Whole { bytes, room } => (bytes, room),
        Read::Part(head, cut) => {
            let trouble = match cut {
                Cut::NoRoom => Trouble::Busy,
                Cut::TooLarge | Cut::Late => Trouble::Failed,
                Cut::Broken => Trouble::Unreadable,
            };
            let is_late = cut == Cut::Late;
            return answer_undecided(app, call, &snapshot, &head, trouble, &cut.to_string(), is_late).await;
        }
    };
    let caller = app.deciding.caller(call.sender.address, unknown.is_none(), &bytes);
    let deciding = {
        let (app, snapshot, bytes, call) = (Arc::clone(app), Arc::clone(&snapshot), bytes.clone(), call.clone());
        async move {
            let Some(_room) = app.room_to_read(bytes.len(), call.deadline).await else {
                let head = &bytes[..bytes.len().min(HEAD)];
                let message = Cut::NoRoom.to_string();
                return answer_undecided(&app, &call, &snapshot, head, Trouble::Busy, &message, false).await;
            };
            match review::decode(&bytes, snapshot.workloads(), call.received) {
                Ok(review) => {
                    let body = decide_and_record(&app, &call, &snapshot, &review, Ok(caller), &mut room).await;
                    answered(body, room)
                }
                Err(error) => unanswerable(&app, &call, error, StatusCode::BAD_REQUEST),
            }
        }
    };
    match app.deciding.run(caller, &bytes, call.deadline, deciding).await {
        Ok(response) => response,
        Err(refusal) => {
            let (trouble, message) = match refusal {
                Refusal::Busy => (Trouble::Busy, Cut::NoRoom.to_string()),
                Refusal::Failed => (Trouble::Failed, FAILED.to_owned()),
            };
            let head = &bytes[..bytes.len().min(HEAD)];
            answer_undecided(app, call, &snapshot, head, trouble, &message, false).await
        }
    }
}

/// The answer to a review that could not be decided; `head` is the front of it.
async fn answer_undecided(
    app: &App,
    call: &Call,
    snapshot: &Arc<Snapshot>,
    head: &[u8],
    trouble: Trouble,
    message: &str,
    is_late: bool,
) -> Response {
    match review::partial(head, call.received, message) {
        Ok(review) => {
            let mut room = app.bodies.room(call.sender.unknown());
            let body = decide_and_record(app, call, snapshot, &review, Err(trouble), &mut room).await;
            answered(body, room)
        }
        Err(error) => {
            let status = if is_late { StatusCode::REQUEST_TIMEOUT } else { StatusCode::BAD_REQUEST };
            unanswerable(app, call, error, status)
        }
    }
}

/// The answer to a review. Its bytes hold the room that they need until they are sent.
fn answered(body: Vec<u8>, room: Room) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (Extension(Reviewed), headers, room.hold(body)).into_response()
}

fn unanswerable(app: &App, call: &Call, NoUid { message }: NoUid, status: StatusCode) -> Response {
    app.metrics.unanswerable.inc();
    tracing::warn!(endpoint = call.endpoint.as_str(), message, "a request held no uid to answer to");
    // Whoever does not speak to us gets no connection to keep.
    (status, [(header::CONNECTION, "close")], message + "\n").into_response()
}

/// The decision for a caller, or about a review that cannot be decided; its record, and the answer: in this order.
async fn decide_and_record(
    app: &App,
    call: &Call,
    snapshot: &Arc<Snapshot>,
    review: &Review<'_>,
    caller: Result<deciding::Caller, Trouble>,
    room: &mut Room,
) -> Vec<u8> {
    let request = &review.request;
    let judge = Judge { snapshot, world: &*app.world, endpoint: call.endpoint };
    let mut decision = match (caller, &review.unreadable) {
        (Err(trouble), Some(message)) => judge.troubled(request, trouble, message),
        _ => judge.decide(review, call.deadline).await,
    };
    if let Ok(caller) = caller {
        offenders::add(app, call.endpoint, call.deadline, caller, snapshot, request, &mut decision).await;
    }
    // Before it is recorded: an answer that would have to wait for room is a short one.
    let mut draft = Draft::of(&decision);
    let is_crowded = decision.trouble.is_none() && !room.grow(draft.size(review, &decision));
    if is_crowded {
        decision = judge.troubled(request, Trouble::Busy, &Cut::NoRoom.to_string());
        draft = Draft::of(&decision);
    }
    let took = call.arrived.elapsed();
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let class = Class::of(request, call.endpoint, &decision);
    // A reason that was demanded is always written.
    if class == Class::Allow && decision.reason.is_none() && !is_written(app, call, request) {
        app.metrics.decided(call.endpoint, request.operation.as_str(), &decision, took);
        return draft.encode(review, call.endpoint, &decision, None);
    }
    let origin = Origin { cluster: &app.cluster_name, redaction: &app.redaction };
    let event = Event::new(request, call.endpoint, call.sender.caller, origin, &decision, micros);
    let event = event.called_by(&call.sender.name, &app.redaction).to_bytes();
    let id = match record(app, call, class, !decision.findings.is_empty(), event).await {
        Ok(id) => id,
        Err(error) => {
            app.metrics.unrecorded.inc();
            if app.trail.guarantee() == Guarantee::Durable {
                // No decision without its record.
                decision = judge.troubled(request, Trouble::Failed, "the decision could not be recorded; try again");
                draft = Draft::of(&decision);
            } else {
                let uid = cut(&request.uid);
                tracing::error!(uid, %error, "a decision leaves without its record, as the guarantee allows");
            }
            None
        }
    };
    if is_crowded || caller == Err(Trouble::Busy) {
        app.metrics.shed.inc();
    }
    app.metrics.decided(call.endpoint, request.operation.as_str(), &decision, took);
    if let Some(glass) = decision.break_glass() {
        let (group, uid) = (&*app.redaction.identity(cut(&glass.group)), cut(&request.uid));
        tracing::warn!(group, uid, "break-glass: findings do not refuse this object");
    }
    // Where identities become pseudonyms in the trail, they are that here too.
    let (namespace, name) = (cut(&request.namespace), cut(request.display_name()));
    let (namespace, name) = (app.redaction.name(namespace), app.redaction.name(name));
    tracing::info!(
        endpoint = call.endpoint.as_str(),
        decision = decision.verdict.as_str(),
        allowed = decision.allowed,
        id,
        uid = cut(&request.uid),
        operation = request.operation.as_str(),
        kind = cut(&request.kind.kind),
        namespace = &*namespace,
        name = &*name,
        findings = decision.findings.len(),
        trouble = decision.trouble.as_ref().map(|(_, message)| message.as_str()),
        micros,
        "decided"
    );
    draft.encode(review, call.endpoint, &decision, id.as_deref())
}

/// Records an event, and says its id once what is promised of the record holds. Where nothing is, only a decision that has
/// something to tell waits for its id, and that not for long.
async fn record(
    app: &App,
    call: &Call,
    class: Class,
    is_telling: bool,
    event: Vec<u8>,
) -> Result<Option<String>, TrailError> {
    let source = call.sender.unknown();
    let is_durable = app.trail.guarantee() == Guarantee::Durable;
    if !is_durable && !is_telling {
        return app.trail.hand_over(class, source, event).map(|()| None);
    }
    let now = Instant::now();
    let until = if is_durable { call.deadline.max(now) + RECORDING } else { now + HANDING_OVER };
    match tokio::time::timeout_at(until.into(), app.trail.record(class, source, event)).await {
        Ok(recorded) => recorded.map(Some),
        Err(_) if is_durable => Err(TrailError::Late),
        // It is written when its turn comes, or counted then.
        Err(_) => Ok(None),
    }
}

/// True if a decision without a finding is written rather than counted.
fn is_written(app: &App, call: &Call, request: &Request<'_>) -> bool {
    let namespace = app.redaction.name(cut(&request.namespace));
    app.sampler.is_written(call.endpoint.as_str(), request.operation.as_str(), cut(&request.kind.kind), &namespace)
}

/// The smaller of the API server's own timeout, less what the way back takes, and our budget.
fn budget(endpoint: Endpoint, query: Option<&str>) -> Duration {
    let budget = if endpoint == Endpoint::Validate { VALIDATE } else { MUTATE };
    let timeout = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("timeout="));
    let timeout = timeout.and_then(|text| text.strip_suffix('s')?.parse().ok()).filter(|seconds| *seconds <= 60);
    timeout.map_or(budget, |seconds: u64| Duration::from_secs(seconds).saturating_sub(MARGIN).clamp(LEAST, budget))
}

#[cfg(test)]
mod tests {
    use super::{Caller, Duration, Endpoint, IpAddr, Sender, budget};

    #[test]
    fn a_token_in_a_path_lifts_no_limit() {
        let address = IpAddr::from([10, 0, 0, 1]);
        let stranger = Sender::connected(address, None);
        let bearer = Sender { caller: Caller::Path, ..stranger.clone() };
        assert_eq!((stranger.unknown(), bearer.unknown()), (Some(address), Some(address)));
        assert_eq!(Sender::connected(address, Some("api-server".to_owned())).unknown(), None);
    }

    #[test]
    fn the_deadline_is_the_smaller_of_timeout_and_budget() {
        assert_eq!(budget(Endpoint::Validate, None), Duration::from_secs(2));
        assert_eq!(budget(Endpoint::Validate, Some("timeout=10s")), Duration::from_secs(2));
        assert_eq!(budget(Endpoint::Validate, Some("a=b&timeout=1s")), Duration::from_millis(500));
        assert_eq!(budget(Endpoint::Mutate, Some("timeout=1s")), Duration::from_millis(500));
        assert_eq!(budget(Endpoint::Mutate, Some("timeout=nonsense")), Duration::from_millis(700));
        assert_eq!(budget(Endpoint::Validate, Some("timeout=0s")), Duration::from_millis(100));
    }
}
