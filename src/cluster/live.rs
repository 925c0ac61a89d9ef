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
/// Maximum number of remembered questions; beyond it those without waiters are dropped.
const REMEMBERED: usize = 1_024;

/// The last answer to a question, and when it was asked.
type Slot = Arc<Mutex<Option<(Instant, Answer)>>>;

/// Asks each question once for all callers that wait for it, and never answers with a result older than the call: a
/// NetworkPolicy that was created a moment ago counts.
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
        let slot = self.slot(question);
        // Callers that arrive while a question is in flight share the next one.
        let mut last = slot.lock().await;
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

    fn slot(&self, question: &Question) -> Slot {
        let mut slots = lock(&self.slots);
        if slots.len() > REMEMBERED {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(question.clone()).or_default())
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
    }
}
