//! Helpers for tests of bad input: each case is sent where policies refuse, where they only record, and to `/mutate`.

use serde_json::Value;

use crate::serve::client::{Answer, Client, Protocol};
use crate::serve::{AUDIT, HARDENED, Serve, Server, review, until};

/// Stands in values of objects, and must come out nowhere.
pub(crate) const CANARY: &str = "SECRET-CANARY";

/// An answer with its event.
pub(crate) struct Outcome {
    pub(crate) response: Value,
    pub(crate) event: Value,
}

/// A review as an API server writes it: the uid first, the object last.
pub(crate) fn in_order(uid: &str, object: &Value) -> String {
    let review = review(uid, "default", object);
    let fields = review["request"].as_object().expect("a map").iter();
    let fields = fields.filter(|(key, _)| !["uid", "object"].contains(&key.as_str()));
    let fields: String = fields.map(|(key, value)| format!("\"{key}\":{value},")).collect();
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{uid}",{fields}"object":{object}}}}}"#
    )
}

/// Asserts that the server runs, and that it repeated nothing of an object.
pub(crate) fn is_sound(server: &mut Server) {
    assert!(server.is_alive());
    assert_eq!(server.get("/readyz").0, 200);
    assert!(!server.stdout().contains(CANARY), "{}", server.stdout());
    assert!(!server.stderr().contains(CANARY), "{}", server.stderr());
    assert!(!server.stderr().contains("a panic was caught"), "{}", server.stderr());
}

/// The outcome of an answer to `uid`: the answer carries it, and so does one event that says the same.
pub(crate) fn outcome(server: &Server, uid: &str, answer: &Answer) -> Outcome {
    assert!(!answer.text().contains(CANARY), "{}", answer.text());
    let response = answer.response();
    assert_eq!(response["uid"], uid);
    let event = server.event(uid);
    assert_eq!(event["allowed"], response["allowed"]);
    assert_eq!(server.events().iter().filter(|event| event["uid"] == uid).count(), 1);
    Outcome { response, event }
}

/// Sends a body where policies refuse.
pub(crate) fn ask(server: &mut Server, path: &str, uid: &str, body: impl Into<Vec<u8>>) -> Outcome {
    let answer = server.post(path, body);
    let outcome = outcome(server, uid, &answer);
    is_sound(server);
    outcome
}

/// Function that sends a request.
pub(crate) type Send<'s> = dyn Fn(&Client, Protocol, &str, Vec<u8>) -> std::io::Result<Answer> + 's;

/// Asserts that what `body` makes for a uid is refused with `code` where policies refuse, allowed with a warning where
/// they only record, and allowed by `/mutate`, each with an `error` event. Returns the words of the refusal.
pub(crate) fn is_trouble(code: u16, body: impl Fn(&str) -> Vec<u8>) -> String {
    is_trouble_sent(code, &[Protocol::Http2], &|client, protocol, path, body| client.post(protocol, path, body), body)
}

/// The same, over these protocols, sent in a way of its own.
pub(crate) fn is_trouble_sent(
    code: u16,
    protocols: &[Protocol],
    send: &Send<'_>,
    body: impl Fn(&str) -> Vec<u8>,
) -> String {
    let mut message = String::new();
    let places = [
        (HARDENED, "/validate?timeout=1s", false),
        (AUDIT, "/validate?timeout=1s", true),
        (HARDENED, "/mutate?timeout=1s", true),
    ];
    for (config, path, allowed) in places {
        let mut server = Serve::new(config).start();
        for protocol in protocols {
            let uid = format!("uid-{protocol:?}");
            let answer = send(&server.client(), *protocol, path, body(&uid)).expect("an answer");
            let Outcome { response, event } = outcome(&server, &uid, &answer);
            assert_eq!(response["allowed"], allowed, "{path}: {response}");
            assert_eq!(event["decision"], "error", "{path}: {event}");
            if allowed {
                let warning = response["warnings"][0].as_str().expect("a warning");
                assert!(warning.starts_with("not judged: "), "{warning}");
            } else {
                assert_eq!(response["status"]["code"], code, "{response}");
                response["status"]["message"].as_str().expect("a message").clone_into(&mut message);
            }
        }
        is_sound(&mut server);
    }
    message
}

/// Asserts that a body without a readable uid is HTTP 400, and leaves no event.
pub(crate) fn is_unanswerable(body: impl Into<Vec<u8>>) -> String {
    let mut server = Serve::new(HARDENED).start();
    let body = body.into();
    for path in ["/validate", "/mutate"] {
        let answer = server.post(path, body.clone());
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(!answer.text().contains(CANARY));
    }
    until("the start", || (!server.events().is_empty()).then_some(()));
    assert_eq!(server.events().len(), 1, "only the start");
    assert_eq!(server.metric("portcullis_requests_unanswerable_total"), Some(2.0));
    let answer = server.post("/validate", body);
    is_sound(&mut server);
    answer.text()
}
