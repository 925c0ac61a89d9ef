//! A file that is set aside when it is full, and some of those before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Batch, Delivery, Sink};

/// Settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The file that is written; those set aside are called the same, with .1 (the newest), .2 and so on.
    path: PathBuf,
    /// Bytes after which it is set aside.
    #[serde(default = "max_bytes")]
    max_bytes: u64,
    /// How many that were set aside are kept.
    #[serde(default = "keep")]
    keep: u32,
}

fn max_bytes() -> u64 {
    100 << 20
}

fn keep() -> u32 {
    10
}

/// The sink.
pub(super) struct Rotated {
    settings: Settings,
    file: File,
    /// Bytes of whole deliveries.
    length: u64,
}

impl Rotated {
    pub(super) fn open(settings: &Settings) -> Result<Self, String> {
        let named = |error: io::Error| format!("{}: {error}", settings.path.display());
        if std::fs::metadata(&settings.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(format!("{}: is no regular file", settings.path.display()));
        }
        let file = OpenOptions::new().append(true).create(true).open(&settings.path).map_err(named)?;
        let length = file.metadata().map_err(named)?.len();
        Ok(Self { settings: settings.clone(), file, length })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Whoever else set it aside meant to.
        let is_gone = !self.settings.path.exists();
        if is_gone || self.length > 0 && self.length + bytes.len() as u64 > self.settings.max_bytes {
            self.set_aside(is_gone)?;
        }
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // It comes again, whole.
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }

    fn set_aside(&mut self, is_gone: bool) -> io::Result<()> {
        let path = &self.settings.path;
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
        if !is_gone {
            for number in (1..self.settings.keep).rev() {
                match std::fs::rename(numbered(number), numbered(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            if self.settings.keep == 0 { std::fs::remove_file(path)? } else { std::fs::rename(path, numbered(1))? }
        }
        self.file = OpenOptions::new().append(true).create(true).open(path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }
}

impl Sink for Rotated {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(
            async move { tokio::task::block_in_place(|| self.write(batch.bytes)).map_err(|error| error.to_string()) },
        )
    }
}
