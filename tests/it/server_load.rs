//! Many requests at once: each gets its own answer, or is told to come again.

use std::time::Duration;

use futures::future::join_all;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;

use crate::bad::is_sound;
use crate::serve::client::{Protocol, block, pieces};
use crate::serve::{AUDIT, HARDENED, Serve, bad_pod, good_pod, review, until};

/// Sends a review and asserts that the answer belongs to it.
async fn exchange(connection: &mut crate::serve::client::Connection, uid: &str, is_good: bool) {
    let pod = if is_good { good_pod() } else { bad_pod() };
    let answer = connection.review("/validate", &review(uid, "default", &pod)).await.expect("an answer").response();
    assert_eq!((&answer["uid"], &answer["allowed"]), (&json!(uid), &json!(is_good)));
}

#[test]
fn two_hundred_requests_at_once_on_one_connection_each_get_their_own_answer() {
    let mut server = Serve::new(HARDENED).start();
    block(async {
        let connection = server.client().connect(Protocol::Http2).await.expect("a connection");
        let asking = (0..200).map(|number| {
            let mut connection = connection.another().expect("HTTP/2");
            async move { exchange(&mut connection, &format!("uid-{number}"), number % 2 == 0).await }
        });
        join_all(asking).await;
    });
    assert_eq!(server.events().iter().filter(|event| event["decision"] == "deny").count(), 100);
    assert_eq!(server.events().iter().filter(|event| event["decision"] == "allow").count(), 100);
    is_sound(&mut server);
}

#[test]
fn fifty_connections_at_once_each_get_their_own_answers() {
    let mut server = Serve::new(HARDENED).start();
    block(async {
        let client = server.client();
        let asking = (0..50).map(|number| {
            let client = client.clone();
            async move {
                let mut connection = client.connect(Protocol::Http1).await.expect("a connection");
                for turn in 0..4 {
                    exchange(&mut connection, &format!("uid-{number}-{turn}"), (number + turn) % 2 == 0).await;
                }
            }
        });
        join_all(asking).await;
    });
    let decisions = server.events().iter().filter(|event| event["uid"].is_string()).count();
    assert_eq!(decisions, 200);
    is_sound(&mut server);
}

/// Forty bodies of almost seven MiB whose last piece is long in coming are more than all bodies may hold.
#[test]
fn what_has_no_room_is_told_to_come_again_and_room_comes_back() {
    const BODIES: usize = 40;
    const BYTES: usize = 7 << 20;
    for (config, refused) in [(HARDENED, true), (AUDIT, false)] {
        let mut server = Serve::new(config).start();
        // A busy machine may need more than one try to have them all there at once.
        let mut shed = 0;
        for _ in 0..10 {
            shed += block(async {
                let client = server.client();
                let padding = Bytes::from(vec![b' '; BYTES]);
                let asking = (0..BODIES).map(|number| {
                    let (client, padding) = (client.clone(), padding.clone());
                    async move {
                        let uid = format!("uid-{number}");
                        let text = crate::bad::in_order(&uid, &bad_pod());
                        let (front, back) = text.split_at(text.len() - 1);
                        let parts = vec![Bytes::from(front.to_owned()), padding, Bytes::from(back.to_owned())];
                        let mut connection = client.connect(Protocol::Http1).await.expect("a connection");
                        let body = pieces(parts, Duration::from_millis(700));
                        // A body that is still under way at its deadline may be cut off.
                        let Ok(answer) = connection.send(Method::POST, "/validate", body).await else { return 0 };
                        let answer = answer.response();
                        assert_eq!(answer["uid"], uid.as_str());
                        assert_eq!(answer["allowed"], !refused, "{answer}");
                        let status = &answer["status"];
                        let busy = "the server has more to do than it takes on; try again";
                        if status["code"] == 429 {
                            assert_eq!(
                                (&status["reason"], &status["message"]),
                                (&json!("TooManyRequests"), &json!(busy))
                            );
                            assert_eq!(status["details"]["retryAfterSeconds"], 1);
                        }
                        let warned = &answer["warnings"][0];
                        usize::from(status["code"] == 429 || *warned == json!(format!("not judged: {busy}")))
                    }
                });
                join_all(asking).await.into_iter().sum::<usize>()
            });
            if shed > 0 {
                break;
            }
        }
        assert!(shed > 0, "all {BODIES} had room");
        let counted = server.metric("portcullis_reviews_shed_total").expect("a metric");
        // Those too that were cut off before they could read their answer are counted.
        assert!(counted > f64::from(u32::try_from(shed).expect("few")) - 0.1, "{counted} and {shed}");
        until("room", || {
            let answer = server.post("/validate", review("later", "default", &good_pod()).to_string()).response();
            (answer["allowed"] == true && answer["warnings"].is_null()).then_some(())
        });
        is_sound(&mut server);
    }
}
