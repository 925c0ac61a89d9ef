//! Review → [`Decision`], for the server and for the command line.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt;

use serde_json::value::RawValue;

use super::Review;
use crate::decision::{self, Decision, Endpoint, Trouble};
use crate::facts::World;
use crate::mutation::{Mutation, mutate_in};
use crate::object::Object;
use crate::request::Request;
use crate::snapshot::Snapshot;

/// Message of a decision that panicked.
pub const FAILED: &str = "the server failed on this object; please report it";

/// Decides reviews that were sent to one endpoint.
#[derive(Clone, Copy)]
pub struct Judge<'j> {
    /// Configuration in force.
    pub snapshot: &'j Snapshot,
    /// Facts about other objects.
    pub world: &'j dyn World,
    /// Endpoint that the review was sent to.
    pub endpoint: Endpoint,
}

impl Judge<'_> {
    /// Decides a review. A fact that does not come before `deadline` is unavailable; a panic is the server's own trouble.
    pub async fn decide(&self, review: &Review<'_>, deadline: Instant) -> Decision {
        if let Some(message) = &review.unreadable {
            return self.troubled(&review.request, Trouble::Unreadable, message);
        }
        let deciding = async {
            match self.endpoint {
                Endpoint::Validate => decision::decide(self.snapshot, &review.request, self.world, deadline).await,
                Endpoint::Mutate => {
                    let scope = decision::defaulting(self.snapshot, &review.request, self.world, deadline).await;
                    mutate_in(self.snapshot, &scope.mutators, &review.request).decision
                }
            }
        };
        let decided = AssertUnwindSafe(deciding).catch_unwind().await;
        decided.unwrap_or_else(|_| self.troubled(&review.request, Trouble::Failed, FAILED))
    }

    /// Decides a review with the facts that are known at once: for files, where all are.
    pub fn decide_at_once(&self, review: &Review<'_>) -> Decision {
        if let Some(message) = &review.unreadable {
            return self.troubled(&review.request, Trouble::Unreadable, message);
        }
        let deciding = || match self.endpoint {
            Endpoint::Validate => decision::decide_at_once(self.snapshot, &review.request, self.world),
            Endpoint::Mutate => self.mutate(&review.request).decision,
        };
        let decided = std::panic::catch_unwind(AssertUnwindSafe(deciding));
        decided.unwrap_or_else(|_| self.troubled(&review.request, Trouble::Failed, FAILED))
    }

    /// Decides about an object that would be created now, with the facts that are known at once: mutators in mode enforce come
    /// first, and the validators judge what would be stored.
    pub fn decide_created(&self, request: &Request<'_>) -> Decision {
        let deciding = || match self.mutate(request).object {
            None => decision::decide_at_once(self.snapshot, request, self.world),
            Some(object) => {
                let text = object.to_string();
                match self.read(&text, request) {
                    Ok((sent, object)) => {
                        let stored = Request { object: Some(object), sent: Some(sent), ..request.again() };
                        decision::decide_at_once(self.snapshot, &stored, self.world)
                    }
                    Err(message) => self.troubled(request, Trouble::Unreadable, &message),
                }
            }
        };
        let decided = std::panic::catch_unwind(AssertUnwindSafe(deciding));
        decided.unwrap_or_else(|_| self.troubled(request, Trouble::Failed, FAILED))
    }

    fn mutate(&self, request: &Request<'_>) -> Mutation {
        let scope = decision::defaulting_at_once(self.snapshot, request, self.world);
        mutate_in(self.snapshot, &scope.mutators, request)
    }

    /// Reads the JSON of another object of the request's kind.
    fn read<'t>(&self, text: &'t str, request: &Request<'_>) -> Result<(&'t RawValue, Object<'t>), String> {
        let sent: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let shape = self.snapshot.workloads().shape(&request.kind.group, &request.kind.kind);
        Ok((sent, Object::read(sent, shape).map_err(|error| error.to_string())?))
    }

    /// The decision about a request that could not be judged.
    pub fn troubled(&self, request: &Request<'_>, trouble: Trouble, message: &str) -> Decision {
        let mode = decision::mode_of_trouble(self.snapshot, request, self.world);
        Decision::troubled(self.snapshot, self.endpoint, mode, trouble, message.to_owned())
    }
}
