//! `portcullis generate`: what it plans, and its settings. A real API server is asked in `kubernetes::generate`.

mod model;
mod plan;
mod sequences;
mod settings;
