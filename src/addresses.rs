//! Blocks of IP addresses as ranges of numbers, the addresses that are not public, and what counts as everywhere.

mod block;
#[cfg(test)]
mod tests;
mod widest;

use crate::steps::counted;

pub use std::net::IpAddr;

pub use block::address;
pub(crate) use widest::Wide;
pub use widest::Widest;

/// Addresses from the first to the last one, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) first: u128,
    pub(crate) last: u128,
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// IPv4 addresses that are not public: those that the IANA IPv4 Special-Purpose Address Registry does not list as globally
/// reachable, the deprecated 6to4 relays, multicast (224.0.0.0/4) and what is reserved above it. In order, and not adjacent.
const SPECIAL_V4: [Span; 14] = [
    v4(0x0000_0000, 8),  // 0.0.0.0/8, "this network"
    v4(0x0a00_0000, 8),  // 10.0.0.0/8, private (RFC 1918)
    v4(0x6440_0000, 10), // 100.64.0.0/10, shared (RFC 6598)
    v4(0x7f00_0000, 8),  // 127.0.0.0/8, loopback
    v4(0xa9fe_0000, 16), // 169.254.0.0/16, link-local
    v4(0xac10_0000, 12), // 172.16.0.0/12, private
    v4(0xc000_0000, 24), // 192.0.0.0/24, IETF protocol assignments
    v4(0xc000_0200, 24), // 192.0.2.0/24, documentation
    v4(0xc058_6300, 24), // 192.88.99.0/24, 6to4 relays
    v4(0xc0a8_0000, 16), // 192.168.0.0/16, private
    v4(0xc612_0000, 15), // 198.18.0.0/15, benchmarking
    v4(0xc633_6400, 24), // 198.51.100.0/24, documentation
    v4(0xcb00_7100, 24), // 203.0.113.0/24, documentation
    v4(0xe000_0000, 3),  // 224.0.0.0/4, multicast, and 240.0.0.0/4, reserved
];

/// IPv6 addresses that are not public: those outside the global unicast space (2000::/3) that IANA assigns from, and inside it
/// those that the IANA IPv6 Special-Purpose Address Registry does not list as globally reachable.
const SPECIAL_V6: [Span; 6] = [
    Span { first: 0, last: (0x2000 << 112) - 1 }, // loopback, mapped and translated IPv4, discard-only, …
    v6(0x2001_0000, 23),                          // 2001::/23, IETF protocol assignments
    v6(0x2001_0db8, 32),                          // 2001:db8::/32, documentation
    v6(0x2002_0000, 16),                          // 2002::/16, 6to4
    v6(0x3fff_0000, 20),                          // 3fff::/20, documentation
    Span { first: 0x4000 << 112, last: u128::MAX }, // unique local, link-local, multicast, unassigned
];

/// The IPv6 block through which the whole of IPv4 is reached where a network translates it (64:ff9b::/96, RFC 6052).
const TRANSLATED: Span = {
    let first = 0x0064_ff9b << 96;
    Span { first, last: first | 0xffff_ffff }
};

const fn v4(network: u128, length: u32) -> Span {
    Span { first: network, last: network | ((1 << (32 - length)) - 1) }
}

/// The block with these first 32 bits.
const fn v6(network: u128, length: u32) -> Span {
    Span { first: network << 96, last: (network << 96) | ((1 << (128 - length)) - 1) }
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The number of bits of an address.
    pub(crate) const fn bits(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The bits of an address that a prefix of that length leaves open; `None` if there are no such prefixes.
    const fn host(self, length: u32) -> Option<u128> {
        match self.bits().checked_sub(length) {
            Some(128) => Some(u128::MAX),
            Some(open) => Some((1 << open) - 1),
            None => None,
        }
    }

    /// The last address.
    pub(crate) const fn last(self) -> u128 {
        match self {
            Self::V4 => 0xffff_ffff,
            Self::V6 => u128::MAX,
        }
    }

    /// The addresses that are not public, in order.
    pub(crate) const fn special(self) -> &'static [Span] {
        match self {
            Self::V4 => &SPECIAL_V4,
            Self::V6 => &SPECIAL_V6,
        }
    }
}

/// Addresses of both families, in any order, perhaps several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    v4: Vec<Span>,
    v6: Vec<Span>,
}

impl Addresses {
    pub(crate) fn of(&self, family: Family) -> &[Span] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Adds the addresses of a block in CIDR notation that are in none of the exceptions. False if an API server would refuse the
    /// block: then nothing is added. An exception that it would refuse takes nothing away.
    pub fn add<'t>(&mut self, block: &str, except: impl Iterator<Item = &'t str>) -> bool {
        let Some((family, block)) = block::read(block) else { return false };
        let of_family = |(of, except): (Family, Span)| (of == family).then_some(except);
        let except = merged(counted(except).filter_map(block::read).filter_map(of_family).collect());
        let left = subtracted(block, &except);
        match family {
            Family::V4 => self.v4.extend(left),
            Family::V6 => {
                self.v4.extend(left.iter().filter_map(|span| translated(*span)));
                self.v6.extend(left);
            }
        }
        true
    }

    /// All addresses of both families.
    pub(crate) fn all() -> Self {
        let all = |family: Family| vec![Span { first: 0, last: family.last() }];
        Self { v4: all(Family::V4), v6: all(Family::V6) }
    }

    /// The addresses of one of the families alone.
    pub(crate) fn only(self, family: Family) -> Self {
        match family {
            Family::V4 => Self { v6: Vec::new(), ..self },
            Family::V6 => Self { v4: Vec::new(), ..self },
        }
    }

    /// The addresses that are not among the others.
    pub(crate) fn without(&self, others: &Self) -> Self {
        let left = |family: Family| {
            let others = merged(others.of(family).to_vec());
            counted(self.of(family)).flat_map(|span| subtracted(*span, &others)).collect()
        };
        Self { v4: left(Family::V4), v6: left(Family::V6) }
    }

    /// True if every address of a family is among them.
    pub(crate) fn are_all(&self, family: Family) -> bool {
        merged(self.of(family).to_vec()) == [Span { first: 0, last: family.last() }]
    }

    /// Adds the others.
    pub(crate) fn extend(&mut self, others: Self) {
        self.v4.extend(others.v4);
        self.v6.extend(others.v6);
    }

    /// True if there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// True if they hold, together, a block that counts as everywhere.
    pub fn are_everywhere(&self, widest: Widest) -> bool {
        Family::ALL.into_iter().any(|family| widest.of(family).is_among(self.of(family)))
    }
}

/// The IPv4 addresses that are reached through a translator.
fn translated(span: Span) -> Option<Span> {
    let (first, last) = (span.first.max(TRANSLATED.first), span.last.min(TRANSLATED.last));
    let low = |address: u128| address & 0xffff_ffff;
    (first <= last).then(|| Span { first: low(first), last: low(last) })
}

/// The same addresses, in order, each once, in spans that are not adjacent.
pub(crate) fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in counted(spans) {
        match merged.last_mut() {
            Some(before) if span.first <= before.last.saturating_add(1) => before.last = before.last.max(span.last),
            _ => merged.push(span),
        }
    }
    merged
}

/// The addresses of a span that are not in `without`, which is [`merged`].
fn subtracted(span: Span, without: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    let mut next = Some(span.first);
    for hole in counted(without) {
        let Some(start) = next.filter(|start| *start <= span.last && hole.first <= span.last) else { break };
        if hole.first > start {
            left.push(Span { first: start, last: hole.first - 1 });
        }
        if hole.last >= start {
            next = hole.last.checked_add(1);
        }
    }
    if let Some(first) = next.filter(|first| *first <= span.last) {
        left.push(Span { first, last: span.last });
    }
    left
}
