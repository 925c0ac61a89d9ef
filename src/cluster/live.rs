//! Questions to the API server itself, for facts that a store lacks.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex as Lock};
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore};

use crate::facts::{Answer, Question};
use crate::lock::lock;

/// Maximum number of concurrent questions.
const CONCURRENT: usize = 16;

/// The last answer to a question, and when it was asked.
type Slot = Arc<Mutex<Option<(Instant, Answer)>>>;

/// Asks each question once for all callers that wait for it, and never answers with a result older than the call: a
/// NetworkPolicy that was created a moment ago counts. A question that nobody waits for is forgotten with its answer, which may
/// be a large object.
pub(super) struct Live {
    slots: Lock<HashMap<Question, Slot>>,
    room: Semaphore,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { slots: Lock::default(), room: Semaphore::new(CONCURRENT) }
    }

    /// The answer to `question`, asked no earlier than now.
    pub(super) async fn ask(&self, question: &Question, fetch: impl Future<Output = Answer>) -> Answer {
        let came = Instant::now();
        let place = self.place(question);
        // Callers that arrive while a question is in flight share the next one.
        let mut last = place.slot.lock().await;
        if let Some((asked, answer)) = &*last
            && *asked >= came
        {
            return answer.clone();
        }
        let Ok(_permit) = self.room.acquire().await else {
            return Answer::Unavailable("the server is shutting down".to_owned());
        };
        let asked = Instant::now();
        let answer = fetch.await;
        *last = Some((asked, answer.clone()));
        answer
    }

    fn place<'l>(&'l self, question: &'l Question) -> Place<'l> {
        let slot = Arc::clone(lock(&self.slots).entry(question.clone()).or_default());
        Place { live: self, question, slot }
    }
}

/// A caller's hold on a question.
struct Place<'l> {
    live: &'l Live,
    question: &'l Question,
    slot: Slot,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut slots = lock(&self.live.slots);
        // The map and this caller are all that hold it; another caller needs the lock to join them.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(self.question);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::Live;
    use crate::facts::{Answer, Question};

    #[tokio::test]
    async fn askers_share_a_question_but_never_one_older_than_themselves() {
        let live = Arc::new(Live::new());
        let asked = Arc::new(AtomicUsize::new(0));
        let question = Question::NetworkPolicies { namespace: "a".to_owned(), live: true };
        let ask = || {
            let (live, asked, question) = (Arc::clone(&live), Arc::clone(&asked), question.clone());
            tokio::spawn(async move {
                let fetch = async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Answer::NotFound
                };
                live.ask(&question, fetch).await
            })
        };
        let first = ask();
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later: Vec<_> = (0..20).map(|_| ask()).collect();
        for task in later.into_iter().chain([first]) {
            assert_eq!(task.await.expect("asked"), Answer::NotFound);
        }
        // One for the first caller, and one that the twenty callers shared that arrived meanwhile.
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(super::lock(&live.slots).is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn a_caller_that_goes_leaves_nothing_behind() {
        let live = Live::new();
        let question = Question::Namespace { name: "a".to_owned(), keys: Arc::default() };
        let never = live.ask(&question, std::future::pending());
        assert!(futures::FutureExt::now_or_never(never).is_none(), "it waits");
        assert!(super::lock(&live.slots).is_empty());
    }
}
