//! Blocks that count as everywhere.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Family, Span, merged};
use crate::steps::counted;

/// Length of the prefixes of the smallest public blocks that count as everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "Lengths")]
#[schemars(with = "Lengths")]
pub struct Widest {
    ipv4: u8,
    ipv6: u8,
}

/// Lengths as they are written.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename = "Widest")]
struct Lengths {
    /// Length of an IPv4 prefix, 0 to 32: at 8, an allowed 8.0.0.0/8 is everywhere and 8.0.0.0/9 is not.
    #[schemars(range(min = 0, max = 32))]
    ipv4: u8,
    /// Length of an IPv6 prefix, 0 to 128.
    #[schemars(range(min = 0, max = 128))]
    ipv6: u8,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { ipv4: 8, ipv6: 16 }
    }
}

impl Default for Widest {
    fn default() -> Self {
        let Lengths { ipv4, ipv6 } = Lengths::default();
        Self { ipv4, ipv6 }
    }
}

impl TryFrom<Lengths> for Widest {
    type Error = String;

    fn try_from(Lengths { ipv4, ipv6 }: Lengths) -> Result<Self, String> {
        match (ipv4, ipv6) {
            (33.., _) => Err(format!("ipv4: {ipv4} must be the length of a prefix, 0 to 32")),
            (_, 129..) => Err(format!("ipv6: {ipv6} must be the length of a prefix, 0 to 128")),
            _ => Ok(Self { ipv4, ipv6 }),
        }
    }
}

impl Widest {
    /// The blocks of one family.
    pub(crate) fn of(self, family: Family) -> Wide {
        let length = match family {
            Family::V4 => self.ipv4,
            Family::V6 => self.ipv6,
        };
        Wide { family, length }
    }
}

impl fmt::Display for Widest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{} (IPv6: /{})", self.ipv4, self.ipv6)
    }
}

/// Size of the blocks of one family that are wide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wide {
    pub(crate) family: Family,
    /// Length of their prefix.
    pub(crate) length: u8,
}

impl Wide {
    /// True if a range of addresses holds a block of that size that is not wholly of addresses that are not public. Addresses
    /// that are not public are taken as allowed: `except: [10.0.0.0/8]` makes no block of 8.0.0.0/6 narrower.
    pub(crate) fn is_in(self, span: Span) -> bool {
        let bits = self.family.bits().saturating_sub(self.length.into());
        let mask = 1_u128.checked_shl(bits).map_or(u128::MAX, |size| size - 1);
        // A shift by all 128 bits, of the block of all IPv6 addresses, has no result.
        let (up, down) = (span.first & mask == 0, span.last & mask == mask);
        let first = if up { Some(span.first) } else { (span.first | mask).checked_add(1) };
        let last = if down { Some(span.last) } else { (span.last & !mask).checked_sub(1) };
        let (Some(first), Some(last)) = (first, last) else { return false };
        let is_special = |special: &Span| special.first <= first && last <= special.last;
        first <= last && !self.family.special().iter().any(is_special)
    }

    /// True if addresses, in any order, hold such a block.
    pub(crate) fn is_among(self, addresses: &[Span]) -> bool {
        let with_special = addresses.iter().chain(self.family.special()).copied().collect();
        !addresses.is_empty() && counted(merged(with_special)).any(|span| self.is_in(span))
    }
}
