//! An HTTPS client that says which protocol it speaks, and gives its connection away to those who want to misbehave.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, SupportedProtocolVersion};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::pki::{Authority, Pair};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A way to a server.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    source: Option<IpAddr>,
    config: ClientConfig,
}

/// An answer of a server.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One connection that takes requests one after the other.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Sending>),
    Http2(http2::SendRequest<Sending>),
}

type Sending = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// Runs what is async on a thread of its own.
pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

impl Client {
    pub(crate) fn new(address: SocketAddr, authority: &Authority) -> Self {
        Self::with(address, authority, &[&rustls::version::TLS13, &rustls::version::TLS12], None)
    }

    /// A client with these versions of TLS, and a certificate.
    pub(crate) fn with(
        address: SocketAddr,
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        pair: Option<&Pair>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(authority.roots());
        let mut config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => builder.with_client_auth_cert(vec![pair.der()], pair.key_der()).expect("a pair"),
        };
        // Each connection is a handshake of its own.
        config.resumption = rustls::client::Resumption::disabled();
        Self { address, source: None, config }
    }

    /// The same client, calling from this address of the machine. It takes little of what it does not read.
    pub(crate) fn from(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let Some(source) = self.source else { return TcpStream::connect(self.address).await };
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source, 0))?;
        socket.set_recv_buffer_size(4 << 10)?;
        socket.connect(self.address).await
    }

    /// A secured connection that was offered these protocols.
    pub(crate) async fn secure(&self, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
        let mut config = self.config.clone();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = self.reach().await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        tokio::time::timeout(PATIENCE, connecting).await?
    }

    /// The certificate that a handshake shows, and the protocol that it agrees on.
    pub(crate) fn handshake(&self, alpn: &[&[u8]]) -> io::Result<(CertificateDer<'static>, Option<Vec<u8>>)> {
        block(async {
            let stream = self.secure(alpn).await?;
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().expect("a certificate")[0].clone();
            Ok((certificate.into_owned(), session.alpn_protocol().map(<[u8]>::to_vec)))
        })
    }

    pub(crate) async fn connect(&self, protocol: Protocol) -> io::Result<Connection> {
        match protocol {
            Protocol::Http1 => {
                let stream = TokioIo::new(self.secure(&[b"http/1.1"]).await?);
                let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
                tokio::spawn(connection);
                Ok(Connection::Http1(sender))
            }
            Protocol::Http2 => {
                let stream = TokioIo::new(self.secure(&[b"h2"]).await?);
                let builder = http2::Builder::new(TokioExecutor::new());
                let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
                tokio::spawn(connection);
                Ok(Connection::Http2(sender))
            }
        }
    }

    /// One request in a connection of its own.
    pub(crate) fn post(&self, protocol: Protocol, path: &str, body: Vec<u8>) -> io::Result<Answer> {
        block(async { self.connect(protocol).await?.send(Method::POST, path, whole(body)).await })
    }

    pub(crate) fn send(&self, protocol: Protocol, method: Method, path: &str, body: Sending) -> io::Result<Answer> {
        block(async { self.connect(protocol).await?.send(method, path, body).await })
    }
}

/// A body of known length.
pub(crate) fn whole(body: impl Into<Bytes>) -> Sending {
    Full::new(body.into()).boxed_unsync()
}

/// A body in pieces, with a pause before each but the first.
pub(crate) fn pieces(pieces: Vec<Bytes>, pause: Duration) -> Sending {
    let stream = futures::stream::unfold((pieces.into_iter(), true), move |(mut rest, is_first)| async move {
        let piece = rest.next()?;
        if !is_first && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Some((Ok(Frame::data(piece)), (rest, false)))
    });
    StreamBody::new(stream).boxed_unsync()
}

/// A body whose second half waits until it is let go.
pub(crate) fn held(text: &str) -> (Sending, oneshot::Sender<()>) {
    let (front, back) = text.split_at(text.len() / 2);
    let [front, back] = [front, back].map(|half| Ok(Frame::data(Bytes::from(half.to_owned()))));
    let (release, released) = oneshot::channel::<()>();
    let waiting = futures::stream::once(async {
        let _ = released.await;
        back
    });
    (StreamBody::new(futures::stream::once(async { front }).chain(waiting)).boxed_unsync(), release)
}

impl Connection {
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Sending) -> io::Result<Answer> {
        let is_http1 = matches!(self, Self::Http1(_));
        let uri = if is_http1 { path.to_owned() } else { format!("https://localhost{path}") };
        let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
        let request = if is_http1 { request.header("host", "localhost") } else { request };
        let request = request.body(body).expect("a request");
        let sending = async {
            let response = match self {
                Self::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Self::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
            };
            let (parts, body) = response.into_parts();
            let body = gather(body).await?;
            Ok::<_, hyper::Error>(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::time::timeout(PATIENCE, sending).await?.map_err(io::Error::other)
    }

    /// Another way into the same connection, where several requests may share one.
    pub(crate) fn another(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    pub(crate) async fn review(&mut self, path: &str, review: &Value) -> io::Result<Answer> {
        self.send(Method::POST, path, whole(review.to_string())).await
    }
}

async fn gather<B: Body<Data = Bytes>>(body: B) -> Result<Bytes, B::Error> {
    Ok(body.collect().await?.to_bytes())
}

impl Answer {
    /// The review that was answered, of HTTP status 200.
    pub(crate) fn response(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        let review: Value = serde_json::from_slice(&self.body).expect("JSON");
        assert_eq!(review["kind"], "AdmissionReview");
        review["response"].clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
