//! An S3 that enforces Object Lock: moto's server, and what a test asks of it beside the sink.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use super::{Spooled, eventually};
use crate::ports::Port;
use crate::serve::{Output, Running, spawn, text};

/// Signs nothing; moto wants to see who asks, and for which service.
const ANYBODY: &str =
    "AWS4-HMAC-SHA256 Credential=anybody/20260101/us-east-1/SERVICE/aws4_request, SignedHeaders=host, Signature=0";
const RETENTION: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
                         <DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>\
                         </ObjectLockConfiguration>";

/// A server, with one bucket called `trail`.
pub(crate) struct Moto {
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    _process: Running,
    _port: Port,
    log: Output,
}

/// Object Lock settings of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// Object Lock and a default retention.
    Locked,
    /// Object Lock alone.
    NoRetention,
    /// Neither.
    Plain,
}

impl Moto {
    pub(crate) async fn start(bucket: Bucket) -> Self {
        let port = Port::reserve();
        let address = port.address();
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]).stdin(Stdio::null());
        let (process, _, log) = spawn(&mut command);
        // Its requests are plain text.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let moto = Self { address, client: reqwest::Client::new(), _process: process, _port: port, log };
        eventually("moto", async || moto.client.get(moto.url("/moto-api/")).send().await.ok()).await;
        let mut create = moto.client.put(moto.url("/trail")).header("authorization", ANYBODY.replace("SERVICE", "s3"));
        if bucket != Bucket::Plain {
            create = create.header("x-amz-bucket-object-lock-enabled", "true");
        }
        assert!(create.send().await.expect("an answer").status().is_success());
        if bucket == Bucket::Locked {
            moto.lock().await;
        }
        moto
    }

    /// Gives the bucket its default retention.
    pub(crate) async fn lock(&self) {
        assert_eq!(self.s3("PUT", "/trail?object-lock", RETENTION).await.0, 200);
    }

    /// Asks as S3: status and answer.
    pub(crate) async fn s3(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.ask(method, path, body, "s3", "application/xml").await
    }

    /// From now on requests must be signed by the key that this returns: its id, and the key.
    pub(crate) async fn demand_signatures(&self) -> (String, String) {
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        let policy: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut answer = String::new();
        for action in [
            "CreateUser".to_owned(),
            format!("PutUserPolicy&PolicyName=all&PolicyDocument={policy}"),
            "CreateAccessKey".to_owned(),
        ] {
            let body = format!("Action={action}&UserName=trail&Version=2010-05-08");
            let status;
            (status, answer) = self.ask("POST", "/", &body, "iam", "application/x-www-form-urlencoded").await;
            assert_eq!(status, 200, "{answer}");
        }
        let inner = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>")).expect(name);
            rest.split_once('<').expect(name).0.to_owned()
        };
        let keys = (inner("AccessKeyId"), inner("SecretAccessKey"));
        let (status, _) = self.ask("POST", "/moto-api/reset-auth", "0", "s3", "text/plain").await;
        assert_eq!(status, 200);
        keys
    }

    async fn ask(&self, method: &str, path: &str, body: &str, service: &str, kind: &'static str) -> (u16, String) {
        let method = method.parse().expect("a method");
        let request =
            self.client.request(method, self.url(path)).header("authorization", ANYBODY.replace("SERVICE", service));
        let request = request.header("x-amz-sdk-checksum-algorithm", "SHA256");
        let answer = request.header("content-type", kind).body(body.to_owned()).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// The server's log so far, for a test that fails.
    pub(crate) fn log(&self) -> String {
        text(&self.log)
    }

    /// A sink for the bucket, reached at `address`.
    pub(crate) fn sink(spooled: &Spooled, address: SocketAddr, more: &Value) -> Value {
        let mut sink = json!({
            "type": "s3", "endpoint": format!("http://{address}"), "insecure": true, "bucket": "trail", "prefix": "a/b",
            "accessKeyIdFile": spooled.file("id", "key-id\n"), "secretAccessKeyFile": spooled.file("key", "very-secret-key\n"),
            "flushSize": "256Ki", "flushInterval": "0s",
        });
        for (name, value) in more.as_object().expect("settings") {
            sink[name] = value.clone();
        }
        sink
    }

    /// Every object, by its name: read with the library, not by the sink.
    pub(crate) async fn objects(&self, keys: (&str, &str)) -> Vec<(String, Vec<u8>)> {
        let store: AmazonS3 = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", self.address))
            .with_allow_http(true)
            .with_bucket_name("trail")
            .with_access_key_id(keys.0)
            .with_secret_access_key(keys.1)
            .build()
            .expect("a store");
        let mut found: Vec<Path> =
            store.list(None).map_ok(|object| object.location).try_collect().await.expect("the objects");
        found.sort();
        let mut objects = Vec::new();
        for place in found {
            let bytes = store.get(&place).await.expect("an object").bytes().await.expect("its bytes");
            objects.push((place.to_string(), bytes.to_vec()));
        }
        objects
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The program, built once.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let build = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/moto/build");
        let output = Command::new(build).stderr(Stdio::inherit()).output().expect("tools/moto/build runs");
        assert!(output.status.success(), "tools/moto/build failed: {}", output.status);
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}
