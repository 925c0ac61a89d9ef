//! The loop of every replica: follow the Secret, and take the next step of a renewal when one is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use super::content::{Content, Held};
use super::plan::{self, Step};
use super::trust::Trust;
use super::{Issued, Managed, ManagedError, RETRY};
use crate::server::App;
use crate::server::certs::Source;

/// Most time between two looks: a watch may break, and clocks are set.
const CHECK: Duration = Duration::from_mins(10);
/// Most time before a failed look is repeated.
const BACKOFF: Duration = Duration::from_mins(1);

/// Follows the Secret, renews what it holds, and keeps both webhook configurations trusting it. Certificates to serve go to
/// `serving`. Never returns.
pub async fn keep(app: Arc<App>, client: Client, managed: Managed, issued: Issued, serving: watch::Sender<Source>) {
    if matches!(issued.held, Held::Foreign(_)) {
        managed.say_foreign();
    }
    let trust = Trust::new(client.clone(), managed.clone(), issued.held.bundle());
    let keeper = Keeper { app, client, managed, served: issued.held, trusted: None, absent: None, serving };
    futures::join!(trust.keep(), keeper.run(&trust));
}

struct Keeper {
    app: Arc<App>,
    client: Client,
    managed: Managed,
    /// What this replica serves.
    served: Held,
    /// The CA that both configurations trust, and since when.
    trusted: Option<(Vec<u8>, Instant)>,
    /// Since when there has been no Secret.
    absent: Option<Instant>,
    serving: watch::Sender<Source>,
}

/// When to look again, unless something changes before.
enum Look {
    Now,
    In(Duration),
}

impl Keeper {
    async fn run(mut self, trust: &Trust) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.managed.namespace);
        let mut states = std::pin::pin!(watcher::watch_object(api, &self.managed.secret).default_backoff());
        let mut failures = 0;
        loop {
            let wait = match self.look(trust).await {
                Ok(Look::Now) => continue,
                Ok(Look::In(wait)) => {
                    failures = 0;
                    wait
                }
                Err(error) => {
                    tracing::warn!(%error, "the serving certificate could not be looked after");
                    self.report(Some(error.to_string()));
                    failures += 1;
                    RETRY.saturating_mul(1 << failures.min(6)).min(BACKOFF)
                }
            };
            let again = tokio::time::sleep(wait);
            let mut again = std::pin::pin!(again);
            loop {
                tokio::select! {
                    () = again.as_mut() => break,
                    () = trust.changed.notified() => break,
                    Some(state) = states.next() => match state {
                        Ok(_) => break,
                        Err(error) => tracing::warn!(%error, secret = %self.managed, "the Secret cannot be watched"),
                    },
                }
            }
        }
    }

    /// Reads the Secret, serves what it holds, and takes one step.
    async fn look(&mut self, trust: &Trust) -> Result<Look, ManagedError> {
        let read = tokio::time::timeout(BACKOFF, self.managed.read(&self.client));
        let read = read.await.unwrap_or_else(|_| Err(ManagedError::Silence(self.managed.to_string())))?;
        let settling = self.managed.lifetimes.settling();
        self.absent = read.is_absent().then(|| self.absent.unwrap_or_else(Instant::now));
        // Whoever uninstalls deletes it too, and a replica that has yet to end must not leave another behind.
        let left = self.absent.map_or(Duration::ZERO, |since| settling.saturating_sub(since.elapsed()));
        if !left.is_zero() {
            return Ok(Look::In(left));
        }
        let served = match &self.served {
            Held::Ours(content) => Some(content.clone()),
            _ => None,
        };
        let content = match &read.held {
            Held::Foreign(foreign) => {
                trust.expect(foreign.authorities.as_bytes());
                if self.served.is_other(&read.held) {
                    self.managed.say_foreign();
                    self.serve(read.held);
                }
                self.report(None);
                return Ok(Look::In(CHECK));
            }
            Held::Ours(content) => {
                // A CA that somebody took out of the Secret does not come back from here.
                if served.as_ref().is_some_and(|served| served.certificate == content.certificate)
                    && content.signer().is_some()
                {
                    self.served = Held::Ours(content.clone());
                }
                Some(content.clone())
            }
            // Emptied, or deleted: a new CA comes, and until it is trusted that of before stays.
            Held::Nothing => served.as_ref().map(Content::without_key),
        };
        // That of somebody else, who may be about to write another. A start would make one.
        let Some(content) = content else { return Ok(Look::In(CHECK)) };
        let now = read.now;
        let left = match content.authorities.first() {
            Some(newest) => settling.saturating_sub(self.trusted_for(trust, &newest.der)),
            None => settling,
        };
        let view = content.view(left.is_zero(), served.as_ref());
        let step = plan::next(&view, now, self.managed.lifetimes);
        // Before the CA of what is served is back, nothing is to trust the others alone.
        if step != Step::Adopt {
            trust.expect(content.bundle().as_bytes());
            if self.may_serve(&content, trust, left.is_zero(), now) {
                self.serve(Held::Ours(content));
            }
        }
        match step {
            Step::Wait(until) => {
                self.report(None);
                let wait = Duration::from_secs(u64::try_from(until - now).unwrap_or_default()).max(RETRY);
                let wait = wait.min(CHECK);
                // Another replica's certificate may wait here for the CA to be trusted.
                Ok(Look::In(if left.is_zero() { wait } else { wait.min(left.max(RETRY / 10)) }))
            }
            Step::AwaitTrust => {
                self.report(Some("our webhook configurations do not trust the new CA".to_owned()));
                Ok(Look::In(if self.trusted.is_some() { left.max(RETRY / 10) } else { CHECK.min(settling) }))
            }
            step => {
                let write = self.managed.take(&self.client, &step, read, served.as_ref());
                let written = tokio::time::timeout(BACKOFF, write).await;
                let written = written.unwrap_or_else(|_| Err(ManagedError::Silence(self.managed.to_string())))?;
                Ok(if written { Look::Now } else { Look::In(CHECK) })
            }
        }
    }

    /// Time for which both configurations have trusted that CA.
    fn trusted_for(&mut self, trust: &Trust, der: &[u8]) -> Duration {
        if !trust.holds(der) {
            self.trusted = None;
            return Duration::ZERO;
        }
        match &self.trusted {
            Some((known, since)) if known == der => since.elapsed(),
            _ => {
                self.trusted = Some((der.to_vec(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// True if the certificate differs from what is served, and its CA is trusted. There is nothing to wait for where what is
    /// served is not trusted any more.
    fn may_serve(&self, content: &Content, trust: &Trust, is_settled: bool, now: i64) -> bool {
        let Some(signer) = content.signer() else { return false };
        let Held::Ours(served) = &self.served else { return true };
        if content.certificate == served.certificate {
            return false;
        }
        let is_newest = content.authorities.first() == Some(signer);
        let is_trusted = if is_newest { is_settled } else { trust.holds(&signer.der) };
        let before = served.signer().filter(|before| served.is_usable(now) && content.authorities.contains(before));
        is_trusted || before.is_none_or(|before| before == signer)
    }

    fn serve(&mut self, held: Held) {
        let source = match &held {
            Held::Ours(content) => content.source(),
            Held::Foreign(foreign) => foreign.source(),
            Held::Nothing => return,
        };
        self.served = held;
        self.serving.send_replace(source);
    }

    /// Shows on readiness what keeps the certificate from being renewed, once its renewal is overdue.
    fn report(&self, trouble: Option<String>) {
        let ends = match &self.served {
            Held::Ours(content) => content.ends(),
            _ => None,
        };
        let renewed_by = ends.map(|ends| self.managed.lifetimes.renewed_by(ends));
        self.app.certificate.expect_renewal(renewed_by, trouble);
    }
}
