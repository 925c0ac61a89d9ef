//! Election of the replica that writes, by a Lease, as client-go's components elect theirs.
//!
//! A replica that does not lead measures by its own clock for how long the Lease has stayed the same: clocks of two nodes are never
//! compared. Two replicas that write at the same time, because one of them is suspended, do no harm: each write names the state that it
//! replaces.

use std::time::Duration;

use aws_lc_rs::rand;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

use super::{LEASE, MANAGER};
use crate::digest::hex;

/// Longest time for which a Lease of another replica is believed, in seconds.
const LONGEST: i32 = 600;

/// Times of an election.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Time after which a silent holder has lost the Lease.
    pub duration: Duration,
    /// Time after which a holder that cannot renew it gives up; less than the duration.
    renew: Duration,
    /// Time between two attempts.
    retry: Duration,
}

impl Timing {
    /// client-go's proportions: 15, 10 and 2 seconds.
    pub fn of(duration: Duration) -> Self {
        Self { duration, renew: duration * 2 / 3, retry: duration * 2 / 15 }
    }
}

/// One candidate.
pub(super) struct Election {
    api: Api<Lease>,
    identity: String,
    timing: Timing,
    /// The Lease as it was last seen, and since when it has been so.
    seen: Option<(Option<LeaseSpec>, Instant)>,
}

impl Election {
    /// A candidate for the Lease in that namespace. Nothing is asked yet.
    pub(super) fn new(client: Client, namespace: &str, timing: Timing) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| MANAGER.to_owned());
        let mut random = [0; 8];
        // Without randomness two processes of one name could both lead.
        let _ = rand::fill(&mut random);
        let identity = format!("{host}_{}", hex(&random));
        Self { api: Api::namespaced(client, namespace), identity, timing, seen: None }
    }

    /// The name of this candidate.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this candidate leads.
    pub(super) async fn won(&mut self) {
        loop {
            match timeout(self.timing.renew, self.attempt()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(%error, lease = LEASE, "the Lease cannot be taken"),
                Err(_) => tracing::warn!(lease = LEASE, "the API server does not answer about the Lease"),
            }
            sleep(self.jittered()).await;
        }
    }

    /// Renews the Lease for as long as this candidate leads.
    pub(super) async fn lost(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(self.timing.retry).await;
            let began = Instant::now();
            let left = (renewed + self.timing.renew).saturating_duration_since(began);
            match timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = began,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => tracing::warn!(%error, lease = LEASE, "the Lease cannot be renewed"),
            }
        }
    }

    /// Gives the Lease up, so that another candidate need not wait for its end.
    pub(super) async fn release(&mut self) {
        if let Err(error) = timeout(self.timing.renew, self.released()).await.unwrap_or(Ok(())) {
            tracing::warn!(%error, lease = LEASE, "the Lease could not be given up; another replica waits for its end");
        }
    }

    async fn released(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(LEASE).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        (spec.holder_identity, spec.lease_duration_seconds) = (None, Some(1));
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        self.api.replace(LEASE, &by(), &lease).await.map(drop)
    }

    /// Takes or renews the Lease; true if this candidate has it then.
    async fn attempt(&mut self) -> kube::Result<bool> {
        let found = self.api.get_opt(LEASE).await?;
        let spec = found.as_ref().map(|lease| lease.spec.clone());
        let now = Instant::now();
        if self.seen.as_ref().is_none_or(|(seen, _)| Some(seen) != spec.as_ref()) {
            self.seen = spec.clone().map(|spec| (spec, now));
        }
        let since = self.seen.as_ref().map_or(now, |(_, since)| *since);
        let Some(taken) = taken(spec.flatten(), &self.identity, self.timing.duration, now.duration_since(since)) else {
            return Ok(false);
        };
        let written = match found {
            Some(lease) => {
                // Its resourceVersion goes along.
                let lease = Lease { spec: Some(taken), ..lease };
                self.api.replace(LEASE, &by(), &lease).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
                self.api.create(&by(), &Lease { metadata, spec: Some(taken) }).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            // Another candidate was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The time until the next attempt, up to a fifth longer for one candidate than for another.
    fn jittered(&self) -> Duration {
        let mut random = [0];
        let _ = rand::fill(&mut random);
        self.timing.retry + self.timing.retry * u32::from(random[0]) / (5 * 255)
    }
}

/// The Lease as `identity` takes it, after it has stayed the same for `unchanged`; `None` while another candidate has it.
fn taken(found: Option<LeaseSpec>, identity: &str, duration: Duration, unchanged: Duration) -> Option<LeaseSpec> {
    let spec = found.unwrap_or_default();
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let is_ours = holder == identity;
    let valid = spec.lease_duration_seconds.unwrap_or_default().clamp(0, LONGEST).try_into().unwrap_or_default();
    if !is_ours && !holder.is_empty() && unchanged < Duration::from_secs(valid) {
        return None;
    }
    let now = MicroTime(Timestamp::now());
    let seconds = i32::try_from(duration.as_secs()).unwrap_or(LONGEST);
    Some(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(seconds.max(1)),
        acquire_time: if is_ours { spec.acquire_time } else { Some(now.clone()) },
        renew_time: Some(now),
        lease_transitions: Some(spec.lease_transitions.unwrap_or_default().saturating_add(i32::from(!is_ours))),
        ..spec
    })
}

fn by() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, LeaseSpec, taken};

    const TERM: Duration = Duration::from_secs(15);

    fn after(found: Option<LeaseSpec>, identity: &str, seconds: u64) -> Option<LeaseSpec> {
        taken(found, identity, TERM, Duration::from_secs(seconds))
    }

    #[test]
    fn a_holder_has_it_until_it_has_been_silent_for_its_duration() {
        let held = after(None, "a", 0).expect("nobody has it");
        assert_eq!((held.holder_identity.as_deref(), held.lease_duration_seconds), (Some("a"), Some(15)));
        assert_eq!(after(Some(held.clone()), "b", 14), None);
        let renewed = after(Some(held.clone()), "a", 0).expect("its own");
        assert_eq!((&renewed.acquire_time, renewed.lease_transitions), (&held.acquire_time, Some(1)));
        let other = after(Some(held), "b", 15).expect("its time is over");
        assert_eq!((other.holder_identity.as_deref(), other.lease_transitions), (Some("b"), Some(2)));
    }

    #[test]
    fn a_lease_without_a_holder_is_free_and_none_lasts_for_ever() {
        let held = after(None, "a", 0).expect("nobody has it");
        for holder in [None, Some(String::new())] {
            assert!(after(Some(LeaseSpec { holder_identity: holder, ..held.clone() }), "b", 0).is_some());
        }
        for seconds in [i32::MAX, LONGEST] {
            let found = LeaseSpec { lease_duration_seconds: Some(seconds), ..held.clone() };
            assert_eq!(after(Some(found.clone()), "b", 599), None);
            assert!(after(Some(found), "b", 600).is_some());
        }
        let found = LeaseSpec { lease_duration_seconds: Some(-1), ..held };
        assert!(after(Some(found), "b", 0).is_some());
    }
}
