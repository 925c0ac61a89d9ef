//! The hours that a token may live.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// Hours of a day, which is the setting where none is written, and of a year, which is the most that it takes.
const DAY: u16 = 24;
const YEAR: u16 = 365 * DAY;
/// Seconds of an hour.
const HOUR: i64 = 3600;

/// A number of hours.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "i64")]
#[schemars(with = "u16")]
pub(super) struct MaxHours(#[schemars(range(min = 1, max = 8760))] u16);

impl MaxHours {
    /// The same in seconds.
    pub(super) fn seconds(self) -> i64 {
        i64::from(self.0) * HOUR
    }
}

impl Default for MaxHours {
    fn default() -> Self {
        Self(DAY)
    }
}

impl TryFrom<i64> for MaxHours {
    type Error = String;

    fn try_from(hours: i64) -> Result<Self, String> {
        let hours = u16::try_from(hours).ok().filter(|hours| (1..=YEAR).contains(hours));
        hours.map(Self).ok_or_else(|| format!("must be a number of hours from 1 to {YEAR}"))
    }
}

impl fmt::Display for MaxHours {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => out.write_str("1 hour"),
            hours => write!(out, "{hours} hours"),
        }
    }
}
