//! Calls to the API server as they are on the wire: a test sees the status and the warnings, not a client's view of them.

use std::sync::LazyLock;

use axum::http::{Method, Request};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Runtime of all connections of the tests.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime starts"));

/// Somebody who calls the API server.
#[derive(Clone)]
pub(crate) struct Client(kube::Client);

/// An answer of the API server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// The object, or the `Status` that says why not.
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Client {
    /// A client with the credentials of a kubeconfig.
    pub(crate) fn new(kubeconfig: Kubeconfig) -> Self {
        // Other tests of this process may have chosen the same one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        RUNTIME.block_on(async {
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a usable kubeconfig");
            Self(kube::Client::try_from(config).expect("a client"))
        })
    }

    /// Asks, and waits for the answer; `Err` when there was none.
    pub(crate) fn try_call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, kube::Error> {
        let content =
            if method == Method::PATCH { "application/strategic-merge-patch+json" } else { "application/json" };
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string().into_bytes()));
        let request =
            Request::builder().method(method).uri(path).header("content-type", content).body(body).expect("a request");
        RUNTIME.block_on(async {
            let response = self.0.send(request).await?;
            let code = response.status().as_u16();
            // In UTF-8, as Go writes them.
            let warnings = response.headers().get_all("warning").iter();
            let warnings = warnings.map(|value| text_of_warning(&String::from_utf8_lossy(value.as_bytes()))).collect();
            let bytes = response.into_body().collect_bytes().await?;
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
            Ok(Answer { code, body, warnings })
        })
    }

    /// The same where no answer is the test's failure.
    #[track_caller]
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).expect("the API server answers")
    }
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The object, which must have been admitted.
    #[track_caller]
    pub(crate) fn admitted(self) -> Value {
        assert!(self.is_success(), "should have been admitted: {self:#?}");
        self.body
    }

    /// The message of a refusal by Portcullis, which this must be.
    #[track_caller]
    pub(crate) fn refused(&self) -> &str {
        assert_eq!(self.code, 403, "should have been refused: {self:#?}");
        assert_eq!(self.body["reason"], "Forbidden");
        let message = self.message();
        // Some kinds have a webhook of their own, whose name says more.
        let by_portcullis = message.strip_prefix("admission webhook \"");
        let refusing = by_portcullis.filter(|rest| rest.starts_with("enforce") || rest.starts_with("raise-"));
        let said = refusing.and_then(|rest| rest.split_once(".portcullis.dev\" denied the request: "));
        said.unwrap_or_else(|| panic!("refused by somebody else: {message}")).1
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// True if a warning contains `text`.
    pub(crate) fn warns(&self, text: &str) -> bool {
        self.warnings.iter().any(|warning| warning.contains(text))
    }
}

/// `299 - "text"`, the text with quotes escaped (RFC 7234, section 5.5).
fn text_of_warning(header: &str) -> String {
    let quoted = header.split_once('"').map_or(header, |(_, rest)| rest.strip_suffix('"').unwrap_or(rest));
    quoted.replace("\\\"", "\"").replace("\\\\", "\\")
}
