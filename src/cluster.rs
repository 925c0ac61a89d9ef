//! The world outside the object: what a cluster says, and the same from files.

mod limit_range;
mod live;
mod manifests;
mod reflect;

use std::future::{Future, ready};
use std::pin::Pin;

use crate::facts::{Answer, Question, World};

pub use limit_range::LimitRange;
pub use manifests::Manifests;
pub use reflect::Cluster;

/// No world at all: a server without a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nowhere {
    /// There should be one: what a policy asks could not be asked.
    Missed,
    /// There need be none, as when somebody tries things out: what a policy asks is left out of the judgement.
    LeftOut,
}

impl Nowhere {
    fn answer(self) -> Answer {
        match self {
            Self::Missed => Answer::Unavailable("no cluster is connected".to_owned()),
            Self::LeftOut => Answer::LeftOut,
        }
    }
}

impl World for Nowhere {
    fn known(&self, _: &Question) -> Option<Answer> {
        Some(self.answer())
    }

    fn ask<'w>(&'w self, _: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(self.answer()))
    }
}
