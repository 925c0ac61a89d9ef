//! Reasons why an event was not recorded.

/// Reason why an event was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailError {
    /// More events wait than may, or the spool holds all that it may.
    #[error("the trail is full: too many events wait, or the spool holds all that it may")]
    Full,
    /// A caller that nobody knows caused more than its share.
    #[error("the caller has caused all the records that one unknown caller may")]
    Share,
    /// The output refused it.
    #[error("the trail could not be written: {0}")]
    Output(String),
    /// It was not written in the time that the caller had.
    #[error("the trail took longer than the decision may wait")]
    Late,
    /// The writer has ended.
    #[error("the trail is closed")]
    Closed,
}
