//! Defaults: the fields that mutators set, the objects that they act on, and those that they leave alone.

mod bound;
mod fixtures;
mod modes;
mod places;
mod taken_back;
mod tmp;
