//! How much each address has: of connections, or of bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Counts by address, and lets no address have too much.
#[derive(Clone)]
pub(super) struct Addresses {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// What one connection or body holds; it is given back when dropped.
pub(super) struct Place {
    addresses: Addresses,
    address: IpAddr,
    amount: usize,
}

impl Addresses {
    /// At most so much for each address.
    pub(super) fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// A place for one more; `None` when the address has all it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut place = self.place(address);
        place.grow(1).then_some(place)
    }

    /// Whether no address has anything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.held).is_empty()
    }

    /// A place that holds nothing yet.
    pub(super) fn place(&self, address: IpAddr) -> Place {
        Place { addresses: self.clone(), address, amount: 0 }
    }
}

impl Place {
    /// Takes what is missing of `amount`; false when the address has all it may.
    pub(super) fn grow(&mut self, amount: usize) -> bool {
        let mut held = lock(&self.addresses.held);
        let grown = held.get(&self.address).copied().unwrap_or_default() - self.amount + amount;
        if grown > self.addresses.most {
            return false;
        }
        held.insert(self.address, grown);
        self.amount = amount;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = lock(&self.addresses.held);
        if let Some(amount) = held.get_mut(&self.address) {
            *amount -= self.amount;
            if *amount == 0 {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Addresses, lock};

    #[test]
    fn an_address_has_so_many_places_and_gives_them_back() {
        let addresses = Addresses::new(2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = addresses.enter(one).expect("the first");
        let _second = addresses.enter(one).expect("the second");
        assert!(addresses.enter(one).is_none());
        assert!(addresses.enter(other).is_some());
        drop(first);
        assert!(addresses.enter(one).is_some());
        assert_eq!(lock(&addresses.held).len(), 1);
    }

    #[test]
    fn a_place_grows_within_what_its_address_may_have() {
        let addresses = Addresses::new(10);
        let (mut first, mut second) = (addresses.place([10, 0, 0, 1].into()), addresses.place([10, 0, 0, 1].into()));
        assert!(first.grow(6) && second.grow(4));
        assert!(!first.grow(7), "all is taken");
        drop(second);
        assert!(first.grow(7));
        drop(first);
        assert!(addresses.is_empty());
    }
}
