//! Policies on images.

pub(super) mod unpinned_images;
