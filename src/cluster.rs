//! The world outside the object: what a cluster says, and the same from files.

mod live;
mod manifests;
mod reflect;

use std::future::{Future, ready};
use std::pin::Pin;

use crate::facts::{Answer, Question, World};

pub use manifests::Manifests;
pub use reflect::Cluster;

/// A world that knows nothing: a server without a cluster.
pub struct Nowhere;

impl World for Nowhere {
    fn known(&self, _: &Question) -> Option<Answer> {
        Some(Answer::Unavailable("no cluster is connected".to_owned()))
    }

    fn ask<'w>(&'w self, _: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(Answer::Unavailable("no cluster is connected".to_owned())))
    }
}
