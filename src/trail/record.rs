//! Contents of the trail: the event of a decision, and the records of a stream itself.
//!
//! Nothing here knows how records are chained, stored or delivered.

mod access;
mod class;
mod event;
mod redact;
mod sample;
mod standing;
mod stranger;
mod stream;
mod time;

pub use class::Class;
pub use event::{Caller, Event, Origin, RECORD, cut};
pub use redact::{PseudonymKeyError, Redaction};
pub use sample::Sampler;
pub use standing::Standing;
pub use stranger::{Reason, Stranger};
pub use stream::{Omitted, Record};
pub(in crate::trail) use time::printed;
