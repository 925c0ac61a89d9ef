//! `portcullis probe`: sends a server a review that no policy is for, and verifies the answer.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use serde_json::{Value, json};

use super::{REFUSED, print};

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Maximum length of an answer, in bytes.
const ANSWER: usize = 64 << 10;

/// Arguments of `probe`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Base URL of the server, such as https://portcullis.portcullis.svc
    #[arg(long, value_name = "URL")]
    url: Url,
    /// PEM certificates that sign the serving certificate
    #[arg(long, value_name = "FILE", required_unless_present = "ca_pem")]
    ca: Option<PathBuf>,
    /// The same, as text
    #[arg(long, value_name = "PEM", conflicts_with = "ca", allow_hyphen_values = true)]
    ca_pem: Option<String>,
    /// Connect to this address, whatever the name of the URL resolves to
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// Seconds in which it must answer; until then it is asked again
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, String> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if args.url.scheme() != "https" {
        return Err(format!("--url {}: must begin with https://", args.url));
    }
    let pem = match (&args.ca, &args.ca_pem) {
        (Some(file), _) => std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        (None, pem) => pem.clone().unwrap_or_default().into_bytes(),
    };
    let client = client(args, &pem)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let begin = Instant::now();
    match runtime.block_on(answered(args, &client, begin + Duration::from_secs(args.timeout))) {
        Ok(()) => print(&format!("{} answers an AdmissionReview ({} ms)\n", args.url, begin.elapsed().as_millis())),
        Err(reason) => {
            eprintln!("{} does not answer an AdmissionReview: {reason}", args.url);
            Ok(ExitCode::from(REFUSED))
        }
    }
}

fn client(args: &Args, pem: &[u8]) -> Result<Client, String> {
    let unusable = |error: reqwest::Error| format!("the certificates of --ca: {}", chain(&error));
    let certificates = Certificate::from_pem_bundle(pem).map_err(unusable)?;
    if certificates.is_empty() {
        return Err("the certificates of --ca: there is none; they must be PEM-encoded".to_owned());
    }
    let mut builder = Client::builder()
        .tls_certs_only(certificates)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(ATTEMPT)
        .user_agent(concat!("portcullis-probe/", env!("CARGO_PKG_VERSION")));
    if let (Some(address), Some(host)) = (args.address, args.url.host_str()) {
        builder = builder.resolve(host, address);
    }
    builder.build().map_err(unusable)
}

/// Asks until the answer is right or `deadline` has passed.
async fn answered(args: &Args, client: &Client, deadline: Instant) -> Result<(), String> {
    loop {
        let reason = match ask(args, client).await {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(reason);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(args: &Args, client: &Client) -> Result<(), String> {
    let url = args.url.join("/validate").map_err(|error| error.to_string())?;
    let uid = format!("portcullis-probe-{}", std::process::id());
    let answer =
        client.post(url).header("content-type", "application/json").body(review(&uid).to_string()).send().await;
    let mut answer = answer.map_err(|error| chain(&error.without_url()))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(format!("{}: it demands to know who asks", answer.status()));
        }
        status => return Err(status.to_string()),
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| chain(&error.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER {
            return Err(format!("the answer is longer than {ANSWER} bytes"));
        }
    }
    let answer: Value = serde_json::from_slice(&body).map_err(|_| "the answer is not JSON".to_owned())?;
    let response = &answer["response"];
    if answer["kind"] != "AdmissionReview" || response["uid"] != uid.as_str() {
        return Err("the answer is not an AdmissionReview with the uid of the request".to_owned());
    }
    if response["allowed"] != true {
        return Err("it refuses a ConfigMap without content".to_owned());
    }
    Ok(())
}

/// The review of a ConfigMap without content. It is a dry run: nothing is stored, whatever the answer.
fn review(uid: &str) -> Value {
    let (kind, resource) = (
        json!({"group": "", "version": "v1", "kind": "ConfigMap"}),
        json!({"group": "", "version": "v1", "resource": "configmaps"}),
    );
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": kind,
            "resource": resource,
            "operation": "CREATE",
            "namespace": "default",
            "name": "portcullis-probe",
            "userInfo": {"username": "portcullis-probe"},
            "dryRun": true,
            "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "portcullis-probe", "namespace": "default"}},
        },
    })
}

/// An error with its causes: the first alone rarely says what to do.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let texts = std::iter::once(error as &dyn Display).map(ToString::to_string).chain(causes.map(ToString::to_string));
    texts.collect::<Vec<_>>().join(": ")
}
