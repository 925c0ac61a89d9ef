//! Sinks in a configuration: no secret in an address, and every command refuses what the server refuses.

use serde_json::json;

use crate::serve::{HARDENED, Serve, good_pod, review, run, until};
use crate::server_start;
use crate::sinks::receiver::{Receiver, Reply};
use crate::sinks::{CLUSTER, Spooled, block_on, caught_up, settings};

/// Sinks that can never work, and the error for each; the secret is `hunter2`.
const WRONG: [(&str, &str); 17] = [
    ("type: webhook, url: 'https://siem/x?token=hunter2', secretFile: s", "trail.sinks[0].url: its query holds"),
    ("type: webhook, url: 'https://me:hunter2@siem/x', secretFile: s", "trail.sinks[0].url: must not contain a user"),
    ("type: webhook, url: 'https://siem/token/hunter2', secretFile: s", "trail.sinks[0].url: its path holds"),
    ("type: webhook, url: 'http://siem/hunter2', secretFile: s", "trail.sinks[0].url: must begin with https://"),
    ("type: webhook, url: 'hunter2', secretFile: s", "trail.sinks[0].url: is not a URL"),
    ("type: webhook, secretFile: s", "trail.sinks[0].url: is missing"),
    (
        "type: webhook, url: 'https://siem', urlFile: u, secretFile: s",
        "trail.sinks[0].urlFile: cannot be set together with url",
    ),
    ("type: webhook, url: 'https://siem', secretFile: s, headers: {'a b': f}", "trail.sinks[0].headers: "),
    ("type: otlp, endpoint: 'https://otel?api_key=hunter2'", "trail.sinks[0].endpoint: its query holds"),
    ("type: otlp, endpoint: 'https://hunter2@otel'", "trail.sinks[0].endpoint: must not contain a user"),
    (
        "type: s3, bucket: trail, endpoint: 'https://s3.example.com?sig=hunter2'",
        "trail.sinks[0].endpoint: its query holds",
    ),
    ("type: s3, bucket: trail, flushSize: 1Ki", "trail.sinks[0].flushSize: must be a size from 64Ki to 64Mi"),
    (
        "type: s3, bucket: trail, accessKeyIdFile: id",
        "trail.sinks[0].accessKeyIdFile: accessKeyIdFile and secretAccessKeyFile belong together",
    ),
    (
        "type: kafka, brokers: ['me:hunter2@bus:9093'], topic: t, user: u, passwordFile: p",
        "trail.sinks[0].brokers: each must be",
    ),
    ("type: kafka, brokers: ['bus:9093'], topic: t", "trail.sinks[0].user: is missing, and passwordFile too"),
    ("type: postgres, host: 'postgres://me:hunter2@db', database: d, user: u", "trail.sinks[0].host: must be a name"),
    ("type: postgres, host: db, database: d, user: u, tls: disable", "trail.sinks[0].tls: `disable` sends everything"),
];

#[test]
fn every_command_refuses_what_the_server_refuses_about_sinks() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("pod.yaml"), good_pod().to_string()).expect("written");
    std::fs::write(path("review.json"), review("uid", "default", &good_pod()).to_string()).expect("written");
    for (sink, wanted) in WRONG {
        let config = format!("{HARDENED}trail:\n  spool: {{directory: s}}\n  sinks:\n  - {{name: it, {sink}}}\n");
        let file = path("config.yaml");
        std::fs::write(&file, &config).expect("written");
        let check = ["check", "--config", &file, &path("pod.yaml")];
        let answer = ["review", "--config", &file, &path("review.json")];
        for args in [&check[..], &answer[..], &["webhooks", "--config", &file][..]] {
            let (code, stdout, stderr) = run(args, "");
            assert_eq!(code, Some(2), "{args:?} {sink}: {stderr}");
            assert!(stderr.contains(wanted) && stderr.contains("config.yaml:9:"), "{args:?} {sink}: {stderr}");
            assert!(!stderr.contains("hunter2") && stdout.is_empty(), "{args:?} {sink}: {stderr}");
        }
        for said in server_start::start(Serve::new(&config)).said() {
            assert!(said.contains(wanted) && said.contains("config.yaml:9:"), "{sink}: {said}");
            assert!(!said.contains("hunter2"), "{sink}: {said}");
        }
    }
}

#[test]
fn what_names_files_that_are_elsewhere_is_no_error_where_nothing_is_served() {
    let config = format!(
        "{HARDENED}trail:\n  spool: {{directory: s}}\n  sinks:\n  \
         - {{name: hook, type: webhook, urlFile: /no/where/url, secretFile: /no/where/secret}}\n  \
         - {{name: db, type: postgres, host: db, database: d, user: u, passwordFile: /no/where/password}}\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.yaml").display().to_string();
    std::fs::write(&file, config).expect("written");
    let (code, _, stderr) = run(&["webhooks", "--config", &file], "");
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn an_address_out_of_a_file_is_posted_to_and_never_said() {
    block_on(async {
        let receiver = Receiver::start(None, |_, _| Reply::Take(Vec::new())).await;
        let spooled = Spooled::new(1 << 20);
        let address = receiver.address;
        let hook = spooled.file("hook", &format!("http://{address}/services/hunter2?token=hunter2\n"));
        let endpoint = spooled.file("endpoint", &format!("http://{address}/otlp/hunter2\n"));
        let secret = spooled.file("secret", "a-secret-of-some-length");
        let sinks = [
            json!({"type": "webhook", "urlFile": hook, "insecure": true, "secretFile": secret}),
            json!({"type": "otlp", "endpointFile": endpoint, "insecure": true}),
        ];
        let [hook, logs] = sinks.each_ref().map(settings);
        let couriers = spooled.carry(&[("hook", &hook), ("logs", &logs)]).await;
        spooled.decide(0, 10).await;
        for sink in ["hook", "logs"] {
            caught_up(&couriers, sink).await;
        }
        let paths: Vec<String> = receiver.taken().iter().map(|got| got.path.clone()).collect();
        for path in ["/services/hunter2", "/otlp/hunter2/v1/logs"] {
            assert!(paths.iter().any(|found| found == path), "{paths:?}");
        }
        // Nobody is there any more: what is said of it does not quote it.
        let gone = spooled.file("hook", "http://127.0.0.1:9/services/hunter2?token=hunter2");
        let mut sink = settings(&json!({"type": "webhook", "urlFile": gone, "insecure": true, "secretFile": secret}))
            .open(CLUSTER)
            .await
            .expect("opened");
        let batch = portcullis::trail::sink::Batch {
            stream: "a1",
            class: portcullis::trail::Class::Allow,
            first: 0,
            bytes: b"{}\n",
        };
        let error = sink.deliver(&batch).await.expect_err("nobody is there").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    });
}

#[test]
fn a_server_whose_address_is_in_a_file_delivers_and_logs_no_part_of_it() {
    block_on(async {
        let receiver = Receiver::start(None, |_, _| Reply::Take(Vec::new())).await;
        let serve = Serve::new(&format!(
            "{HARDENED}trail:\n  spool: {{directory: spool}}\n  sinks:\n  \
             - {{name: hook, type: webhook, urlFile: url, insecure: true, secretFile: secret}}\n"
        ));
        std::fs::write(serve.path("url"), format!("http://{}/hooks/hunter2", receiver.address)).expect("written");
        std::fs::write(serve.path("secret"), "a-secret-of-some-length").expect("written");
        let served = tokio::task::spawn_blocking(move || {
            let server = serve.start();
            server.post("/validate", review("uid-1", "default", &good_pod()).to_string());
            until("the sink", || {
                (server.metric("portcullis_sink_records_behind{sink=\"hook\"}") == Some(0.0)).then_some(())
            });
            server.stop()
        });
        let (status, _, stderr, ..) = served.await.expect("served");
        assert!(status.success() && !stderr.contains("hunter2"), "{stderr}");
        assert!(receiver.taken().iter().any(|got| got.path == "/hooks/hunter2"));
    });
}
