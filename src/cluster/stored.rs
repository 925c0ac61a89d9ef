//! One object, as the API server has stored it.

use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;

use crate::facts::Answer;

/// Maximum size of an object, in bytes. An API server takes none above about 3 MiB.
pub(super) const OBJECT: usize = 8 << 20;

/// The reason why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("the path: {0}")]
    Path(#[from] axum::http::Error),
    #[error(transparent)]
    Client(#[from] kube::Error),
    #[error("the answer was {0}")]
    Status(StatusCode),
    #[error("the answer: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Reads the object at a path of the API, of at most so many bytes.
pub(super) async fn get(client: &Client, path: &str, most: usize) -> Result<Answer, Unread> {
    let request = Request::get(path).header("accept", "application/json").body(Body::empty())?;
    let response = client.send(request).await?;
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(Answer::NotFound),
        status if !status.is_success() => return Err(Unread::Status(status)),
        _ => {}
    }
    let body = Limited::new(response.into_body(), most).collect().await.map_err(Unread::Body)?;
    let text = std::str::from_utf8(&body.to_bytes()).map_err(|error| Unread::Body(error.into()))?.into();
    Ok(Answer::Object(text))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::pod_page::PageError;
    use super::{OBJECT, Unread, get};
    use crate::facts::Answer;

    /// The result of a read that is answered with this status and a body of that many bytes.
    async fn read(status: u16, length: usize) -> Result<Answer, Unread> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = format!("http://{}", listener.local_addr().expect("an address"));
        let config = kube::Config::new(server.parse().expect("a URL"));
        let answer = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            let head = String::from_utf8(head).expect("UTF-8");
            assert!(head.starts_with("GET /apis/apps/v1/namespaces/shop/deployments/web HTTP/1.1\r\n"), "{head}");
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{}", "7".repeat(length));
            // One who has read enough hangs up.
            let _ = stream.write_all(answer.as_bytes()).await;
        };
        let client = config.try_into().expect("a client");
        let path = "/apis/apps/v1/namespaces/shop/deployments/web";
        tokio::join!(get(&client, path, OBJECT), answer).0
    }

    #[tokio::test]
    async fn an_object_is_read_is_missing_or_could_not_be_read() {
        assert_eq!(read(200, 3).await.expect("read"), Answer::Object("777".into()));
        assert_eq!(read(404, 3).await.expect("read"), Answer::NotFound);
        for status in [401, 403, 500] {
            let error = read(status, 3).await.expect_err("not read").to_string();
            assert!(error.starts_with(&format!("the answer was {status} ")), "{error}");
        }
        assert!(matches!(read(200, OBJECT + 1).await, Err(Unread::Body(_))));
    }

    #[tokio::test]
    async fn a_page_that_is_not_read_says_why() {
        for (status, length, expected) in [
            (403, 3, PageError::Forbidden),
            (401, 3, PageError::Forbidden),
            (410, 3, PageError::Expired),
            (500, 3, PageError::Failed),
            (200, OBJECT + 1, PageError::TooLarge),
        ] {
            let error = read(status, length).await.expect_err("not read");
            assert_eq!(PageError::of(&error), expected, "{status}");
        }
    }
}
