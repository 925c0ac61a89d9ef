//! Portcullis: a Kubernetes admission webhook that sets safe defaults, refuses what breaks the security posture, and writes every
//! decision down.
//!
//! ```text
//! bytes ─ server ─ review::decode ─ Request ─ engine ⇄ facts ─ Decision ─┬─ review::encode ─ bytes
//!                                      ▲         ▲                       ├─ trail: Event ─ chain ─ sink
//!                            snapshot          cluster (World)           └─ metrics, one log line
//! ```
//!
//! Left of [`request::Request`] and right of [`decision::Decision`] there is I/O; a policy does none. `serve`, `check`,
//! `scan`, `review` and the tests differ only in where a request and its facts come from.
//!
//! In comments, `K/` is the root of `github.com/kubernetes/kubernetes`.
//!
//! # Invariants
//! 1. A policy is a pure function of (request, facts, settings). It knows nothing of modes, HTTP or time.
//! 2. Every response has the request's uid: without it, the API server takes the response for a failed call, not a denial.
//! 3. One [`snapshot::Snapshot`] per request, taken once. An invalid file keeps the last valid one, and all its errors are
//!    reported.
//! 4. [`decision::Decision`] is the only source for the response, the audit event, the metrics and the log line.
//! 5. Unknown things are evaluated; known-harmless things are skipped by a listed name. A policy that panics or is still
//!    pending at the deadline has *failed*: a finding in that policy's mode, never a silent pass.
//! 6. No decision without its record: what the trail promises holds before the answer leaves.
//! 7. Stores are complete once before the server is ready; until then it answers 503 and allows nothing.
//! 8. Validators never patch. Mutators never refuse, nor make the API server refuse; mutating twice changes nothing the
//!    second time, and a manifest that is applied again leads to the stored object. A value that a user wrote is never
//!    changed. Below mode `enforce` nothing is patched.
//! 9. Containers are reached one way only ([`request::Request::containers`]), images too
//!    ([`request::Request::images`]): init, sidecar, regular and ephemeral containers, and image volumes, in Pods and in
//!    every kind that holds a pod template ([`object::Workloads`]).
//! 10. Everything from outside is bounded: bytes, time, connections, streams, queue lengths, label sets.
//! 11. No object body, secret, token or credential reaches a log, a metric, an event or an error; quoted values are cut
//!     at 128 characters and their control characters escaped.
//! 12. No annotation or label of the evaluated object turns a policy off or vouches for it. The labels of its namespace,
//!     where they count at all, only tighten ([`pod_security`]).

pub mod addresses;
pub mod backstop;
mod bound;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod decision;
mod digest;
pub mod document;
pub mod engine;
pub mod escape;
pub mod exception;
pub mod facts;
mod files;
pub mod generate;
mod lock;
pub mod metrics;
pub mod mode;
pub mod mutation;
pub mod object;
pub mod offenders;
mod operation;
pub mod patch;
pub mod pod_security;
pub mod policy;
pub mod preflight;
pub mod redaction;
pub mod request;
pub mod review;
pub mod scan;
pub mod server;
pub mod snapshot;
mod steps;
pub mod telemetry;
pub mod trail;
pub mod units;
pub mod webhooks;
