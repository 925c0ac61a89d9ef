//! Addresses and blocks as an API server reads them (`ParseIPSloppy` and `ParseCIDRSloppy` of `k8s.io/utils/net`): zeros may stand in
//! front of each number, bits below the prefix do not count, and IPv4 written as IPv6 (`::ffff:0:0/96`) is IPv4.

use std::net::IpAddr;

use super::{Family, Span};

/// An address; `None` if an API server would refuse it.
pub fn address(text: &str) -> Option<IpAddr> {
    let numbers = |part: &str| part.split('.').map(without_zeros).collect::<Vec<_>>().join(".");
    // No address has more characters, but for zeros without end.
    let text = if text.len() > 256 { return None } else { text };
    text.split(':').map(numbers).collect::<Vec<_>>().join(":").parse().ok()
}

fn without_zeros(number: &str) -> &str {
    let rest = number.trim_start_matches('0');
    if rest.is_empty() && !number.is_empty() { "0" } else { rest }
}

/// A block in CIDR notation; `None` if an API server would refuse it.
pub(super) fn read(text: &str) -> Option<(Family, Span)> {
    let (written, length) = text.split_once('/')?;
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u32 = length.parse().ok().filter(|_| is_number)?;
    let (family, address, length): (_, u128, _) = match address(written)? {
        IpAddr::V4(address) => (Family::V4, u32::from(address).into(), length),
        IpAddr::V6(address) => match (address.to_ipv4_mapped(), length.checked_sub(96)) {
            (Some(address), Some(length)) => (Family::V4, u32::from(address).into(), length),
            _ => (Family::V6, address.into(), length),
        },
    };
    let host = family.host(length)?;
    Some((family, Span { first: address & !host, last: address | host }))
}
