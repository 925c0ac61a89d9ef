//! The Lease under which webhook objects are repaired: one replica at a time, and no more than a few times an hour.
//!
//! It is taken for one repair, and held until it expires. The times of the repairs are kept in its annotations, so that a restart, or
//! another replica, does not begin to count again.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::digest::hex;
use crate::webhooks::NAME as MANAGER;

/// Name of the Lease, in our namespace.
const NAME: &str = "portcullis-webhooks";
/// Seconds after which a holder that is silent has lost it.
const SECONDS: i32 = 15;
/// Maximum number of repairs of one object, and the time in which they are counted.
pub(super) const REPAIRS: usize = 5;
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// Beginning of the annotations that hold the times of the repairs; the kind of the object follows.
const ANNOTATION: &str = "repairs.portcullis.dev/";

/// The Lease, as this replica takes it.
pub(super) struct Lease {
    api: Api<Object>,
    holder: String,
}

/// The answer to a claim.
#[derive(Debug, PartialEq)]
pub(super) enum Claim {
    /// This replica may repair the object once. It has been counted.
    Granted,
    /// Another replica holds the Lease.
    Held,
    /// The object was repaired too often; the time from which on it may be repaired again.
    Exhausted(Timestamp),
}

impl Lease {
    /// The Lease in that namespace. Nothing is asked yet.
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| MANAGER.to_owned());
        let mut random = [0; 8];
        // Without randomness two processes of one name could both believe to hold it, and still no write would be lost.
        let _ = rand::fill(&mut random);
        Self { api: Api::namespaced(client, namespace), holder: format!("{host}_{}", hex(&random)) }
    }

    /// Claims one repair of the object of this kind.
    pub(super) async fn claim(&self, kind: &str) -> kube::Result<Claim> {
        let by = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let found = self.api.get_opt(NAME).await?;
        let is_new = found.is_none();
        let claimed = match claimed(found.unwrap_or_default(), &self.holder, kind, Timestamp::now()) {
            Ok(claimed) => claimed,
            Err(claim) => return Ok(claim),
        };
        let written = if is_new {
            self.api.create(&by, &claimed).await
        } else {
            // Its resourceVersion goes along.
            self.api.replace(NAME, &by, &claimed).await
        };
        match written {
            Ok(_) => Ok(Claim::Granted),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Claim::Held),
            Err(error) => Err(error),
        }
    }
}

/// The Lease as `holder` writes it to repair an object of this kind at `now`, or the reason why it must not.
fn claimed(found: Object, holder: &str, kind: &str, now: Timestamp) -> Result<Object, Claim> {
    let spec = found.spec.unwrap_or_default();
    let is_ours = spec.holder_identity.as_deref() == Some(holder);
    let seconds = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or_default().into());
    let is_held = spec.renew_time.as_ref().is_some_and(|renewed| now.duration_since(renewed.0) < seconds);
    if is_held && !is_ours {
        return Err(Claim::Held);
    }
    let mut annotations = found.metadata.annotations.unwrap_or_default();
    let key = format!("{ANNOTATION}{kind}");
    let text = annotations.get(&key).map(String::as_str).unwrap_or_default();
    let times = text.split_whitespace().filter_map(|time| time.parse::<Timestamp>().ok());
    let mut times: Vec<Timestamp> = times.filter(|time| now.duration_since(*time) < WINDOW).collect();
    times.sort_unstable();
    if let Some(first) = times.len().checked_sub(REPAIRS).and_then(|first| times.get(first)) {
        return Err(Claim::Exhausted(first.saturating_add(WINDOW).unwrap_or(*first)));
    }
    times.push(now);
    let times: Vec<String> = times.iter().map(ToString::to_string).collect();
    annotations.insert(key, times.join(" "));
    Ok(Object {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            annotations: Some(annotations),
            labels: found.metadata.labels.or_else(|| {
                Some(BTreeMap::from([(crate::webhooks::LABEL.0.to_owned(), crate::webhooks::LABEL.1.to_owned())]))
            }),
            ..found.metadata
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(SECONDS),
            acquire_time: if is_ours { spec.acquire_time } else { Some(MicroTime(now)) },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(spec.lease_transitions.unwrap_or_default().saturating_add(i32::from(!is_ours))),
            ..spec
        }),
    })
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Claim, Object, REPAIRS, claimed};

    const KIND: &str = "ValidatingWebhookConfiguration";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    #[test]
    fn one_replica_holds_it_until_it_is_silent() {
        let lease = claimed(Object::default(), "a", KIND, at(0)).expect("nobody holds it");
        assert_eq!(claimed(lease.clone(), "b", KIND, at(14)).err(), Some(Claim::Held));
        let lease = claimed(lease, "a", KIND, at(14)).expect("its own");
        assert_eq!(claimed(lease.clone(), "b", KIND, at(20)).err(), Some(Claim::Held));
        let taken = claimed(lease, "b", KIND, at(29)).expect("expired").spec.expect("a spec");
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("b"), Some(2)));
    }

    #[test]
    fn an_object_is_repaired_five_times_an_hour_by_all_replicas_together() {
        let mut lease = Object::default();
        for (holder, minute) in ["a", "b"].into_iter().cycle().zip(0..).take(REPAIRS) {
            lease = claimed(lease, holder, KIND, at(60 * minute)).expect("few");
        }
        let free = at(0) + SignedDuration::from_hours(1);
        assert_eq!(claimed(lease.clone(), "b", KIND, at(600)).err(), Some(Claim::Exhausted(free)));
        // The other object has its own five, and an hour later the first repair no longer counts.
        assert!(claimed(lease.clone(), "b", "MutatingWebhookConfiguration", at(600)).is_ok());
        let lease = claimed(lease, "b", KIND, free).expect("an hour later");
        assert!(matches!(claimed(lease, "b", KIND, free), Err(Claim::Exhausted(_))));
    }
}
