//! Questions put to the API server itself, for what a store lacks.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex as Lock};
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore};

use crate::facts::{Answer, Question};
use crate::lock::lock;

/// Questions on their way at once.
const CONCURRENT: usize = 16;
/// Questions that are remembered; beyond it those that nobody waits for are dropped.
const REMEMBERED: usize = 1_024;

/// The last answer to a question, and when it was asked.
type Slot = Arc<Mutex<Option<(Instant, Answer)>>>;

/// Puts each question once for all who wait for it, and never answers with what was asked before the asker came: a
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
        // Whoever came while one question was on its way shares the next.
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
        // One for the first, and one that the twenty shared, who came while it was on its way.
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
