//! A real server over HTTP or HTTPS that keeps what it is sent, and answers as a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::serve::pki::Authority;

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Reaction to a request.
pub(crate) enum Reply {
    /// Takes it.
    Take(Vec<u8>),
    /// Answers with a status, headers and a body, and keeps nothing.
    Refuse(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Keeps it, and breaks the connection.
    LoseAnswer,
    /// Never answers.
    Hang,
}

/// The server. It ends with its runtime.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Vec<Got>>>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Receiver {
    /// Listens; `reply` is told the request's number, from 0, and the request.
    pub(crate) async fn start(
        authority: Option<&Authority>,
        reply: impl Fn(usize, &Got) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let tls = authority.map(acceptor);
        let (taken, count, reply) = (Arc::default(), Arc::new(Mutex::new(0)), Arc::new(reply));
        let kept = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (taken, count, reply, tls) =
                    (Arc::clone(&kept), Arc::clone(&count), Arc::clone(&reply), tls.clone());
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&taken), Arc::clone(&count), Arc::clone(&reply))
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    match tls {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            drop(server.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                });
            }
        });
        Self { address, taken }
    }

    /// Requests that it took so far.
    pub(crate) fn taken(&self) -> Vec<Got> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    taken: Arc<Mutex<Vec<Got>>>,
    count: Arc<Mutex<usize>>,
    reply: Arc<impl Fn(usize, &Got) -> Reply>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let got = Got { path: parts.uri.path().to_owned(), headers: parts.headers, body };
    let number = {
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        *count - 1
    };
    let keep = |got| taken.lock().unwrap_or_else(PoisonError::into_inner).push(got);
    match reply(number, &got) {
        Reply::Take(body) => {
            keep(got);
            Ok(Response::new(Full::new(body.into())))
        }
        Reply::Refuse(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(body.into()))?)
        }
        Reply::LoseAnswer => {
            keep(got);
            Err("broken".into())
        }
        Reply::Hang => Ok(std::future::pending::<Result<_, Infallible>>().await?),
    }
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let pair = authority.issue(&["localhost"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![pair.der()], pair.key_der())
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}
