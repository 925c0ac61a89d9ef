//! Amounts that each address holds: of connections, or of bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Counts by address. No address has too much, and none has more than is left for the others: the more of them there are
/// that want all, the less each gets, and there is something for one that comes late.
#[derive(Clone)]
pub(super) struct Addresses {
    held: Arc<Mutex<Held>>,
    most: usize,
    all: usize,
}

#[derive(Default)]
struct Held {
    by: HashMap<IpAddr, usize>,
    /// Of all addresses together.
    sum: usize,
}

/// Amount that one connection or body holds; it is released when dropped.
pub(super) struct Share {
    addresses: Addresses,
    address: IpAddr,
    amount: usize,
}

impl Addresses {
    /// At most so much for each address, and so much in all.
    pub(super) fn new(most: usize, all: usize) -> Self {
        Self { held: Arc::default(), most, all }
    }

    /// A place for one more; `None` when the address has all it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Share> {
        let mut place = self.place(address);
        place.grow(1).then_some(place)
    }

    /// True if no address holds anything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let held = lock(&self.held);
        held.by.is_empty() && held.sum == 0
    }

    /// A place that holds nothing yet.
    pub(super) fn place(&self, address: IpAddr) -> Share {
        Share { addresses: self.clone(), address, amount: 0 }
    }
}

impl Share {
    /// Takes what is missing of `amount`; false when the address has all it may.
    pub(super) fn grow(&mut self, amount: usize) -> bool {
        let addresses = self.addresses.clone();
        let mut held = lock(&addresses.held);
        let grown = held.by.get(&self.address).copied().unwrap_or_default() - self.amount + amount;
        let sum = held.sum - self.amount + amount;
        if grown > self.addresses.most || sum > self.addresses.all || grown > self.addresses.all - sum {
            return false;
        }
        self.set(&mut held, amount);
        true
    }

    /// Gives back what is more than `amount`.
    pub(super) fn shrink(&mut self, amount: usize) {
        let addresses = self.addresses.clone();
        if amount < self.amount {
            self.set(&mut lock(&addresses.held), amount);
        }
    }

    fn set(&mut self, held: &mut Held, amount: usize) {
        held.sum = held.sum - self.amount + amount;
        let by = held.by.entry(self.address).or_default();
        *by = *by - self.amount + amount;
        if *by == 0 {
            held.by.remove(&self.address);
        }
        self.amount = amount;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Addresses, lock};

    #[test]
    fn an_address_has_so_many_places_and_gives_them_back() {
        let addresses = Addresses::new(2, 100);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = addresses.enter(one).expect("the first");
        let _second = addresses.enter(one).expect("the second");
        assert!(addresses.enter(one).is_none());
        assert!(addresses.enter(other).is_some());
        drop(first);
        assert!(addresses.enter(one).is_some());
        assert_eq!(lock(&addresses.held).by.len(), 1);
    }

    #[test]
    fn a_place_grows_within_what_its_address_may_have() {
        let addresses = Addresses::new(10, 100);
        let (mut first, mut second) = (addresses.place([10, 0, 0, 1].into()), addresses.place([10, 0, 0, 1].into()));
        assert!(first.grow(6) && second.grow(4));
        assert!(!first.grow(7), "all is taken");
        drop(second);
        assert!(first.grow(7));
        drop(first);
        assert!(addresses.is_empty());
    }

    #[test]
    fn something_is_left_for_an_address_that_comes_late() {
        let addresses = Addresses::new(100, 100);
        let mut held = Vec::new();
        for last in 0..9 {
            let mut place = addresses.place([10, 0, 0, last].into());
            while place.grow(place.amount + 1) {}
            held.push(place.amount);
            std::mem::forget(place);
        }
        assert_eq!(held[..3], [50, 25, 12], "{held:?}");
        assert!(addresses.enter([10, 0, 0, 8].into()).is_none());
        assert!(held.iter().sum::<usize>() < 100);
    }
}
