//! Address blocks as ranges of numbers, and the addresses that are not public.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::steps::counted;

/// Addresses from the first to the last one, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) first: u128,
    pub(super) last: u128,
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
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
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The number of bits of an address.
    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The last address.
    pub(super) const fn last(self) -> u128 {
        match self {
            Self::V4 => 0xffff_ffff,
            Self::V6 => u128::MAX,
        }
    }

    /// The addresses that are not public, in order.
    pub(super) const fn special(self) -> &'static [Span] {
        match self {
            Self::V4 => &SPECIAL_V4,
            Self::V6 => &SPECIAL_V6,
        }
    }
}

/// Addresses of both families, in any order, perhaps several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    v4: Vec<Span>,
    v6: Vec<Span>,
}

impl Addresses {
    pub(super) fn of(&self, family: Family) -> &[Span] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Adds the addresses of a block that are in none of the exceptions. A block that an API server would refuse has none, and
    /// an exception that it would refuse takes none away.
    pub(super) fn add<'t>(&mut self, block: &str, except: impl Iterator<Item = &'t str>) {
        let Some((family, block)) = parse(block) else { return };
        let of_family = |(of, except): (Family, Span)| (of == family).then_some(except);
        let except = merged(counted(except).filter_map(parse).filter_map(of_family).collect());
        let left = subtracted(block, &except);
        match family {
            Family::V4 => self.v4.extend(left),
            Family::V6 => {
                self.v4.extend(left.iter().filter_map(|span| translated(*span)));
                self.v6.extend(left);
            }
        }
    }
}

/// The IPv4 addresses that are reached through a translator.
fn translated(span: Span) -> Option<Span> {
    let (first, last) = (span.first.max(TRANSLATED.first), span.last.min(TRANSLATED.last));
    let low = |address: u128| address & 0xffff_ffff;
    (first <= last).then(|| Span { first: low(first), last: low(last) })
}

/// A block in CIDR notation. Bits below its prefix do not count, and IPv4 written as IPv6 (`::ffff:0:0/96`) is IPv4: Go reads
/// it so.
fn parse(text: &str) -> Option<(Family, Span)> {
    let block: IpNet = text.parse().ok()?;
    let mapped = match block {
        IpNet::V6(block) if block.prefix_len() >= 96 => block.network().to_ipv4_mapped(),
        _ => None,
    };
    Some(match (block.network(), block.broadcast(), mapped) {
        (_, _, Some(first)) => {
            let first = u128::from(u32::from(first));
            (Family::V4, Span { first, last: first | ((1 << (128 - block.prefix_len())) - 1) })
        }
        (IpAddr::V4(first), IpAddr::V4(last), _) => {
            (Family::V4, Span { first: u32::from(first).into(), last: u32::from(last).into() })
        }
        (IpAddr::V6(first), IpAddr::V6(last), _) => (Family::V6, Span { first: first.into(), last: last.into() }),
        _ => return None,
    })
}

/// The same addresses, in order, each once, in spans that are not adjacent.
pub(super) fn merged(mut spans: Vec<Span>) -> Vec<Span> {
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
