//! What an exception has to name to cover a finding, and as little else as exceptions can say.

use std::collections::BTreeSet;

use super::Spot;
use crate::object::{Image, ImagePattern};

/// The place of a finding, as an exception names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cover {
    /// Name of the container that the finding is on; `None` if it is on none.
    pub container: Option<String>,
    /// Image of the container, or every image around a finding that is on none. Empty if there is none, or one that is not an
    /// image reference: no exception can name it.
    pub images: BTreeSet<ImagePattern>,
}

impl Spot<'_, '_> {
    /// What an exception has to name to cover a finding here.
    pub fn cover(&self) -> Cover {
        let pattern = |image: &Option<Image<'_>>| image.as_ref().map(ImagePattern::of);
        match self.container() {
            Some((name, image)) => {
                Cover { container: Some(name.to_owned()), images: pattern(&image).into_iter().collect() }
            }
            None => {
                let images: Option<BTreeSet<ImagePattern>> = self.images().iter().map(pattern).collect();
                Cover { container: None, images: images.unwrap_or_default() }
            }
        }
    }
}
