//! Fault in a checkpoint that a trail carries.

/// Fault in a checkpoint. Its message is a predicate of the record that carries the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CheckpointFault {
    /// It has no signature, and earlier ones had.
    #[error("is without a signature, although earlier ones are signed")]
    Unsigned,
    /// It has another form.
    #[error("carries a checkpoint that cannot be read")]
    Unreadable,
    /// It covers other records.
    #[error("carries a checkpoint of other records than those before it")]
    OtherRecords,
    /// It was made for another record.
    #[error("is not what its own checkpoint says that it is")]
    OtherBody,
    /// It has a signature by the name of this key, which the key did not make.
    #[error("carries a signature that the key {0} did not make")]
    Forged(String),
    /// These keys signed it, and none of them is known.
    #[error("is signed by {0}, which is not one of the keys; name every key that was ever used")]
    UnknownKey(String),
}
