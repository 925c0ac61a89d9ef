//! Standard output, for whoever collects a container's output.

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use super::{Batch, Delivery, Sink};

/// Settings: none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// The sink. What a crash or a full pipe cuts off is written again, whole.
pub(super) struct Stdout;

impl Stdout {
    pub(super) fn open(_: &Settings) -> Self {
        Self
    }
}

impl Sink for Stdout {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(async move {
            let mut stdout = tokio::io::stdout();
            stdout.write_all(batch.bytes).await.map_err(|error| error.to_string())?;
            stdout.flush().await.map_err(|error| error.to_string())
        })
    }
}
