//! Blocks of addresses in CIDR notation, and the public addresses that they hold together.

pub use std::net::IpAddr;

/// Bits of an IPv4 address.
const IPV4_BITS: u32 = 32;
/// Bits of an IPv6 address.
const IPV6_BITS: u32 = 128;
/// IPv4 blocks that are not public (IANA's registry of special-purpose addresses), with multicast and what lies above it; first and
/// last address, in order.
const NOT_PUBLIC: [(u32, u32); 7] = [
    (0x0000_0000, 0x00ff_ffff),
    (0x0a00_0000, 0x0aff_ffff),
    (0x6440_0000, 0x647f_ffff),
    (0x7f00_0000, 0x7fff_ffff),
    (0xa9fe_0000, 0xa9fe_ffff),
    (0xac10_0000, 0xac1f_ffff),
    (0xc0a8_0000, 0xc0a8_ffff),
];
/// The first IPv4 address of multicast.
const MULTICAST: u128 = 0xe000_0000;
/// The public IPv6 addresses, `2000::/3`.
const PUBLIC_IPV6: (u128, u128) = (0x2 << 124, (0x4 << 124) - 1);

/// A set of addresses: blocks of both families, as first and last address.
#[derive(Debug, Default)]
pub struct Blocks {
    ipv4: Vec<(u128, u128)>,
    ipv6: Vec<(u128, u128)>,
}

impl Blocks {
    /// Adds a block such as `192.0.2.0/24`. False if the text is not one, and nothing is added.
    pub fn add(&mut self, text: &str) -> bool {
        let Some((address, length)) = text.trim().split_once('/') else { return false };
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let (Some(address), Some(length)) = (address_of(address), length.parse::<u32>().ok().filter(|_| digits)) else {
            return false;
        };
        let (blocks, address, bits, length) = match address {
            IpAddr::V4(address) => (&mut self.ipv4, u128::from(u32::from(address)), IPV4_BITS, length),
            IpAddr::V6(address) => match (address.to_ipv4_mapped(), length.checked_sub(IPV6_BITS - IPV4_BITS)) {
                (Some(address), Some(length)) => (&mut self.ipv4, u128::from(u32::from(address)), IPV4_BITS, length),
                _ => (&mut self.ipv6, u128::from(address), IPV6_BITS, length),
            },
        };
        if length > bits {
            return false;
        }
        let host = host_mask(bits, length);
        blocks.push((address & !host, address | host));
        true
    }

    /// True if the blocks together hold a public block of the length of prefix `ipv4` or `ipv6`, or a wider one.
    pub fn hold_public(self, ipv4: u8, ipv6: u8) -> bool {
        let is_wide = |from, to, bits, length: u8| {
            let host = host_mask(bits, u32::from(length).min(bits));
            let first = u128::checked_add(from, host).map(|sum| sum & !host);
            first.is_some_and(|first| first | host <= to)
        };
        merged(self.ipv6).into_iter().any(|(from, to)| {
            let (from, to) = (from.max(PUBLIC_IPV6.0), to.min(PUBLIC_IPV6.1));
            from <= to && is_wide(from, to, IPV6_BITS, ipv6)
        }) || merged(self.ipv4).into_iter().any(|(mut from, to)| {
            let end = to.min(MULTICAST - 1);
            for (first, last) in NOT_PUBLIC.map(|(first, last)| (u128::from(first), u128::from(last))) {
                if last < from || first > end {
                    continue;
                }
                if from < first && is_wide(from, first - 1, IPV4_BITS, ipv4) {
                    return true;
                }
                from = last + 1;
            }
            from <= end && is_wide(from, end, IPV4_BITS, ipv4)
        })
    }
}

/// The bits of an address that a prefix of that length leaves open.
fn host_mask(bits: u32, length: u32) -> u128 {
    let open = bits.saturating_sub(length);
    if open >= u128::BITS { u128::MAX } else { (1 << open) - 1 }
}

/// An address, as the API server reads one: it takes zeros in front of the parts of an IPv4 address for decimal.
fn address_of(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let without_zeros = |part: &str| {
        let rest = part.trim_start_matches('0');
        if rest.is_empty() && !part.is_empty() { "0".to_owned() } else { rest.to_owned() }
    };
    let parts: Vec<String> = text.split('.').take(5).map(without_zeros).collect();
    parts.join(".").parse().ok()
}

/// The same addresses as blocks that do not touch each other, in order.
fn merged(mut blocks: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    blocks.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::new();
    for (from, to) in blocks {
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::Blocks;

    fn holds(blocks: &[&str]) -> bool {
        let mut set = Blocks::default();
        for block in blocks {
            assert!(set.add(block), "{block}");
        }
        set.hold_public(8, 16)
    }

    #[test]
    fn blocks_together_hold_what_none_holds_alone() {
        for wide in [
            &["0.0.0.0/0"][..],
            &["1.2.3.4/0"],
            &["::/0"],
            &["2000::/3"],
            &["2a00::/16"],
            &["2a00::/17", "2a00:8000::/17"],
            &["0.0.0.0/1"],
            &["128.0.0.0/1", "0.0.0.0/1"],
            &["20.0.0.0/8"],
            &["20.128.0.0/9", "20.0.0.0/9"],
            &["10.0.0.0/7"],
            &["192.0.0.0/3"],
            &["::ffff:0.0.0.0/96"],
            &["010.0.0.0/5"],
            &[" 8.0.0.0/5 "],
        ] {
            assert!(holds(wide), "{wide:?}");
        }
        for narrow in [
            &[][..],
            &["10.0.0.0/8"],
            &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"],
            &["20.0.0.0/9", "21.0.0.0/9"],
            &["20.128.0.0/9", "21.0.0.0/9"],
            &["224.0.0.0/3"],
            &["127.0.0.0/8"],
            &["fd00::/8", "fc00::/7"],
            &["2a00::/17"],
            &["255.255.255.255/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"],
        ] {
            assert!(!holds(narrow), "{narrow:?}");
        }
    }

    #[test]
    fn what_is_not_a_block_is_not_taken_for_one() {
        for text in
            ["", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/+8", "a/8", "1.2.3.4.5/8"]
        {
            assert!(!Blocks::default().add(text), "{text}");
        }
    }
}
