//! Where a partner is. Connections go to its addresses in turn; one that could not be reached is left out for a while,
//! as long as there is another, and then tried with one connection before it has its turn again.

use std::net::SocketAddr;

use crate::limits::PARTNER_ADDRESSES_MAX;

/// How long an address is left out.
const REST_NS: u64 = 1_000_000_000;

#[derive(Debug)]
pub struct Addresses {
    /// Empty until the partner's name is resolved.
    list: Box<[SocketAddr]>,
    /// By place in the list: until when the address rests; 0 while nothing is known against it.
    rests_until_ns: Box<[u64]>,
    next: usize,
}

impl Addresses {
    pub fn new(list: Box<[SocketAddr]>) -> Addresses {
        // Room for those that a name may be resolved to later.
        let rests_until_ns = vec![0; list.len().max(PARTNER_ADDRESSES_MAX)].into();
        Addresses { list, rests_until_ns, next: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the addresses before, whose rests are forgotten.
    pub fn replace(&mut self, list: Box<[SocketAddr]>) -> Box<[SocketAddr]> {
        assert!(list.len() <= self.rests_until_ns.len(), "names are resolved to so many addresses at most");
        self.rests_until_ns.fill(0);
        std::mem::replace(&mut self.list, list)
    }

    /// Whether there is one that does not rest.
    pub fn is_any_ready(&self, mono_ns: u64) -> bool {
        self.rests_until_ns[..self.list.len()].iter().any(|&until_ns| until_ns <= mono_ns)
    }

    /// Where the next connection goes: to the next in turn that does not rest, or when all do, to the next in turn.
    pub fn take_next(&mut self, mono_ns: u64) -> Option<SocketAddr> {
        let count = self.list.len();
        let in_turn = |step: usize| (self.next + step) % count;
        let ready = (0..count).map(in_turn).find(|&place| self.rests_until_ns[place] <= mono_ns);
        let place = ready.or_else(|| (count > 0).then(|| in_turn(0)))?;
        self.next = place + 1;
        // After a rest the others wait for what becomes of this connection.
        if self.rests_until_ns[place] > 0 {
            self.rests_until_ns[place] = mono_ns + REST_NS;
        }
        Some(self.list[place])
    }

    /// No connection could be made.
    pub fn failed(&mut self, address: SocketAddr, mono_ns: u64) {
        self.set_rest(address, mono_ns + REST_NS);
    }

    pub fn connected(&mut self, address: SocketAddr) {
        self.set_rest(address, 0);
    }

    /// The address may be of an earlier list.
    fn set_rest(&mut self, address: SocketAddr, until_ns: u64) {
        if let Some(place) = self.list.iter().position(|&known| known == address) {
            self.rests_until_ns[place] = until_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> SocketAddr {
        ([10, 0, 0, number], 80).into()
    }

    fn three() -> Addresses {
        Addresses::new([1, 2, 3].map(address).into())
    }

    fn take(addresses: &mut Addresses, mono_ns: u64, count: usize) -> Vec<SocketAddr> {
        (0..count).filter_map(|_| addresses.take_next(mono_ns)).collect()
    }

    #[test]
    fn they_take_turns() {
        assert_eq!(take(&mut three(), 0, 5), [1, 2, 3, 1, 2].map(address));
        let mut none = Addresses::new(Box::default());
        assert_eq!((none.take_next(0), none.is_any_ready(0), none.is_empty()), (None, false, true));
    }

    #[test]
    fn one_that_failed_rests_and_is_tried_once() {
        let mut addresses = three();
        addresses.failed(address(2), 7);
        assert_eq!(take(&mut addresses, 6 + REST_NS, 4), [1, 3, 1, 3].map(address));
        assert_eq!(take(&mut addresses, 7 + REST_NS, 4), [1, 2, 3, 1].map(address));
        assert_eq!(take(&mut addresses, 8 + REST_NS, 2), [3, 1].map(address), "on trial");
        addresses.connected(address(2));
        assert_eq!(take(&mut addresses, 8 + REST_NS, 2), [2, 3].map(address));
    }

    #[test]
    fn when_all_rest_they_take_turns_all_the_same() {
        let mut addresses = three();
        addresses.failed(address(1), 0);
        addresses.failed(address(2), 0);
        assert!(addresses.is_any_ready(0));
        addresses.failed(address(3), 0);
        assert!(!addresses.is_any_ready(0));
        assert_eq!(take(&mut addresses, 1, 4), [1, 2, 3, 1].map(address));
    }

    #[test]
    fn new_addresses_begin_afresh() {
        let mut addresses = three();
        addresses.failed(address(1), 0);
        assert_eq!(*addresses.replace([1, 9].map(address).into()), [1, 2, 3].map(address));
        addresses.failed(address(3), 0);
        assert_eq!(take(&mut addresses, 0, 3), [1, 9, 1].map(address));
    }
}
