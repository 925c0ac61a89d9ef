//! One connection: its requests served, its time bounded, and its end.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tower::ServiceExt;

use super::activity::{Activity, Due};
use super::addresses::Addresses;
use super::answer::{Answer, Reviewed};
use super::drain::{Drain, Phase};
use super::headers;
use super::http::Sender;
use super::watched::Watched;

/// From the handshake to the end of the first request's headers, once nothing new is accepted: who was let in just before
/// still gets an answer to what it came for.
const LAST_HEADERS: Duration = Duration::from_secs(1);
/// Maximum time in which a connection without a request must end when it is asked to.
const LEAVING: Duration = Duration::from_secs(1);
/// HTTP/2 pings on a silent connection, and how long their answer may take.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// Requests at once on one HTTP/2 connection, and on that of a caller that nobody knows. An API server opens another
/// connection for more.
const STREAMS: u32 = 250;
const STREAMS_UNKNOWN: u32 = 100;
/// Bytes of one HTTP/2 stream that are taken from an answer before they can be sent.
const SEND_BUFFER: usize = 64 << 10;
/// Bytes of a request's headers. An API server's are less than one KiB.
const HEADERS: u32 = 16 << 10;

/// Requests at once of one address that nobody knows, and of all of them: as many as an API server has in flight, and more.
const REQUESTS: usize = 1_024;
const REQUESTS_ALL: usize = 4_096;

/// Parameters of serving a connection.
pub(super) struct Serving {
    pub(super) router: Router,
    pub(super) drain: Drain,
    pub(super) sender: Sender,
    pub(super) is_http2: bool,
    pub(super) activity: Arc<Activity>,
    pub(super) requests: Option<Requests>,
}

/// The requests of callers that nobody knows: so many at once of each address.
#[derive(Clone)]
pub(super) struct Requests {
    held: Addresses,
    /// Those that were turned away.
    shed: IntCounter,
}

impl Requests {
    /// The requests of one port.
    pub(super) fn new(shed: IntCounter) -> Self {
        Self { held: Addresses::new(REQUESTS, REQUESTS_ALL), shed }
    }
}

/// Serves a connection. Why it was cut, if it was: how a connection ends is the client's affair otherwise, and its errors
/// tell nothing about the server.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    serving: Serving,
) -> Option<Due> {
    let Serving { router, drain, sender, is_http2, activity, requests } = serving;
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&activity), is_http2));
    let noted = Arc::clone(&activity);
    let unknown = sender.unknown();
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let place = requests.as_ref().zip(unknown).map(|(requests, address)| requests.held.enter(address));
        let has_room = !matches!(place, Some(None));
        let ticket = noted.begin(place.flatten());
        if !has_room && let Some(requests) = &requests {
            requests.shed.inc();
        }
        let (router, sender) = (router.clone(), sender.clone());
        async move {
            let response = if has_room {
                let mut request = request.map(Body::new);
                // Nothing reads them, and a request may be long.
                *request.headers_mut() = HeaderMap::new();
                request.extensions_mut().insert(sender);
                router.oneshot(request).await?
            } else {
                // Without a body: that would have to be kept until the client lets it be sent.
                headers::added(StatusCode::SERVICE_UNAVAILABLE.into_response())
            };
            ticket.answered(response.extensions().get::<Reviewed>().is_some());
            Ok::<_, Infallible>(response.map(|body| Answer::new(body, ticket)))
        }
    });
    // Whoever comes while the server drains found no other: it may stay until nothing new is accepted.
    let moves_on = if is_http2 && drain.phase() == Phase::Serving { Phase::Draining } else { Phase::Closing };
    let ending = async {
        drain.reached(moves_on).await;
        let _ = tokio::time::timeout(LAST_HEADERS, activity.began()).await;
    };
    if is_http2 {
        let streams = if unknown.is_some() { STREAMS_UNKNOWN } else { STREAMS };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(streams).max_header_list_size(HEADERS);
        builder.keep_alive_interval(PING).keep_alive_timeout(PONG).max_send_buf_size(SEND_BUFFER);
        // Streams that are open finish; the client takes new ones elsewhere.
        let connection = builder.serve_connection(stream, service);
        attend(connection, http2::Connection::graceful_shutdown, &activity, ending).await
    } else {
        let mut builder = http1::Builder::new();
        // The activity knows better when headers began.
        builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEADERS as usize);
        // `Connection: close` ends each connection after its next answer; until nothing new is accepted, that is enough.
        let connection = builder.serve_connection(stream, service);
        attend(connection, http1::Connection::graceful_shutdown, &activity, ending).await
    }
}

/// Runs a connection until it ends, or has to. `end` lets it finish what runs.
async fn attend<C: Future>(
    connection: C,
    end: impl Fn(Pin<&mut C>),
    activity: &Activity,
    ending: impl Future<Output = ()>,
) -> Option<Due> {
    let (mut connection, mut ending) = (pin!(connection), pin!(ending));
    let (mut is_ending, mut leaves) = (false, None);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return None,
            due = activity.due() => match due {
                Due::Leave => {
                    end(connection.as_mut());
                    leaves = Some(Instant::now() + LEAVING);
                }
                due => return Some(due),
            },
            () = ending.as_mut(), if !is_ending => {
                is_ending = true;
                end(connection.as_mut());
            }
            () = tokio::time::sleep_until(leaves.unwrap_or_else(Instant::now)), if leaves.is_some() => {
                // A request that came meanwhile is answered.
                if activity.is_idle() {
                    return None;
                }
                leaves = Some(Instant::now() + LEAVING);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::clock::advance;
    use super::{Activity, Arc, Drain, Duration, Router, Sender, Serving, serve};

    /// A client as Go's: it keeps a connection for 90 seconds, and posts at any time within them.
    #[tokio::test]
    async fn a_post_at_any_time_at_which_an_api_server_sends_one_is_answered() {
        for wait in [9_990, 10_000, 10_010, 30_000, 89_990] {
            let (mut client, stream) = tokio::io::duplex(4_096);
            let router = Router::new().fallback(|| async { "answered" });
            let sender = Sender::connected(Ipv4Addr::LOCALHOST.into(), None);
            let (drain, activity) = (Drain::default(), Activity::new());
            let looking = Arc::clone(&activity);
            let serving = Serving { router, drain, sender, is_http2: false, activity, requests: None };
            let served = tokio::spawn(serve(stream, serving));
            for turn in 0..3 {
                tokio::task::yield_now().await;
                advance(Duration::from_millis(wait));
                looking.look();
                tokio::task::yield_now().await;
                client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}").await.expect("sent");
                let mut answer = [0; 1_024];
                let length = client.read(&mut answer).await.expect("an answer");
                let answer = String::from_utf8_lossy(&answer[..length]);
                assert!(answer.ends_with("answered"), "turn {turn} after {wait} ms: {answer}");
            }
            drop(client);
            assert_eq!(served.await.expect("its end"), None);
        }
    }
}
