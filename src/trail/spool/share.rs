//! Shares of the spool that unknown callers take.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::trail::record::Class;

/// Addresses that are told apart; all beyond them share one place.
const ADDRESSES: usize = 4_096;

/// Bytes of the spool by the address of the caller that caused them, for callers that showed no certificate and no token:
/// no single one may fill it.
#[derive(Debug, Default)]
pub(super) struct Shares {
    taken: HashMap<IpAddr, u64>,
    /// The same by segment, to be given back when it goes.
    segments: HashMap<(Class, u64), HashMap<IpAddr, u64>>,
}

impl Shares {
    /// Returns true if `address` may take `bytes` more, of `most` in all.
    pub(super) fn has_room(&self, address: IpAddr, bytes: u64, most: u64) -> bool {
        self.taken.get(&self.place(address)).copied().unwrap_or_default() + bytes <= most
    }

    /// `address` took `bytes` of the segment that begins with `first`.
    pub(super) fn take(&mut self, address: IpAddr, bytes: u64, class: Class, first: u64) {
        let place = self.place(address);
        *self.taken.entry(place).or_default() += bytes;
        *self.segments.entry((class, first)).or_default().entry(place).or_default() += bytes;
    }

    /// The segments before `first` are gone.
    pub(super) fn give_back(&mut self, class: Class, first: u64) {
        let gone: Vec<(Class, u64)> =
            self.segments.keys().filter(|(of, begins)| *of == class && *begins < first).copied().collect();
        for key in gone {
            for (address, bytes) in self.segments.remove(&key).unwrap_or_default() {
                if let Some(taken) = self.taken.get_mut(&address) {
                    *taken = taken.saturating_sub(bytes);
                    if *taken == 0 {
                        self.taken.remove(&address);
                    }
                }
            }
        }
    }

    fn place(&self, address: IpAddr) -> IpAddr {
        if self.taken.contains_key(&address) || self.taken.len() < ADDRESSES {
            address
        } else {
            IpAddr::from([0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Shares;
    use crate::trail::record::Class;

    #[test]
    fn an_address_has_its_share_and_gets_it_back_with_the_segment() {
        let mut shares = Shares::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        shares.take(one, 60, Class::Allow, 0);
        shares.take(one, 40, Class::Allow, 100);
        assert!(!shares.has_room(one, 1, 100));
        assert!(shares.has_room(other, 100, 100));
        shares.give_back(Class::Refused, 200);
        assert!(!shares.has_room(one, 1, 100));
        shares.give_back(Class::Allow, 100);
        assert!(shares.has_room(one, 60, 100));
        shares.give_back(Class::Allow, 200);
        assert!(shares.taken.is_empty() && shares.segments.is_empty());
    }
}
