//! Worlds that answer policies' questions: a cluster, or files.

mod limit_range;
mod live;
mod manifests;
mod owners;
mod pod_page;
mod pods;
mod policies;
mod reflect;
mod stored;

use std::future::{Future, ready};
use std::pin::Pin;

use crate::facts::{Answer, Question, World};

pub use limit_range::LimitRange;
pub(crate) use limit_range::object_in;
pub use manifests::Manifests;
pub use owners::Wanted;
pub use pod_page::PageError;
pub use reflect::Cluster;

/// The world of a server without a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCluster {
    /// A cluster is expected: questions are answered with [`Answer::Unavailable`].
    Missed,
    /// No cluster is expected, as in `serve --dev`: questions are answered with [`Answer::LeftOut`].
    LeftOut,
}

impl NoCluster {
    fn answer(self) -> Answer {
        match self {
            Self::Missed => Answer::Unavailable("no cluster is connected".to_owned()),
            Self::LeftOut => Answer::LeftOut,
        }
    }
}

impl World for NoCluster {
    fn known(&self, _: &Question) -> Option<Answer> {
        Some(self.answer())
    }

    fn ask<'w>(&'w self, _: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(self.answer()))
    }
}
