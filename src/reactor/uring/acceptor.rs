//! Listening, and the accepts that are always under way.
//!
//! A multishot accept can't tell the peer's address, and asking for it costs a system call per connection. So a
//! handful of one-shot accepts are kept under way, each with its own place for an address and with the slot that the
//! connection will get. As each holds a free slot, an accepted connection always has one, and when the table is full
//! nothing is accepted: clients wait in the backlog.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{SockAddr, SockAddrStorage};

use super::token::GENERATION_MASK;
use crate::reactor::listener::Listeners;

/// Accepts under way for each listener: about as many connections as come in during one turn.
const SEATS_PER_LISTENER: usize = 16;
/// How long accepting rests after the process or the machine ran out of files or memory.
const REST_NS: u64 = 50_000_000;

pub(super) struct Acceptor {
    pub(super) listeners: Listeners,
    pub(super) seats: Box<[Seat]>,
    /// Seats that are free.
    free: Vec<u32>,
    /// Until when accepting rests.
    pub(super) rests_until_ns: u64,
}

/// One accept.
pub(super) struct Seat {
    storage: SockAddrStorage,
    len: libc::socklen_t,
    listener: u32,
    generation: u32,
    /// The slot kept for the connection, while an accept is under way.
    slot: Option<u32>,
}

/// What an accept needs to be submitted.
pub(super) struct Armed {
    pub(super) seat: u32,
    pub(super) generation: u32,
    pub(super) listener_fd: RawFd,
    pub(super) address: *mut libc::sockaddr,
    pub(super) address_len: *mut libc::socklen_t,
}

impl Acceptor {
    pub(super) fn new(addresses: &[SocketAddr]) -> io::Result<Acceptor> {
        let listeners = Listeners::new(addresses)?;
        // Seats of all listeners take turns, so that none gets all of the last free slots.
        let seats: Box<[Seat]> = (0..SEATS_PER_LISTENER * addresses.len())
            .map(|seat| Seat {
                storage: SockAddrStorage::zeroed(),
                len: 0,
                listener: (seat % addresses.len()) as u32,
                generation: 0,
                slot: None,
            })
            .collect();
        let free = (0..seats.len() as u32).rev().collect();
        Ok(Acceptor { listeners, seats, free, rests_until_ns: 0 })
    }

    /// No accept is under way: every client that was taken has been handed over.
    pub(super) fn is_idle(&self) -> bool {
        self.free.len() == self.seats.len()
    }

    pub(super) fn has_free_seat(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes a free seat for the connection that will be in `slot`.
    pub(super) fn arm(&mut self, slot: u32) -> Option<Armed> {
        let index = self.free.pop()?;
        let seat = &mut self.seats[index as usize];
        seat.slot = Some(slot);
        seat.generation = (seat.generation + 1) & GENERATION_MASK;
        seat.len = seat.storage.size_of();
        Some(Armed {
            seat: index,
            generation: seat.generation,
            listener_fd: self.listeners.sockets()[seat.listener as usize].as_raw_fd(),
            address: (&raw mut seat.storage).cast(),
            address_len: &raw mut seat.len,
        })
    }

    /// Ends an accept: gives its slot and, when it was successful, the peer's address.
    pub(super) fn disarm(&mut self, index: u32, generation: u32, accepted: bool) -> Option<(u32, SocketAddr)> {
        let seat = self.seats.get_mut(index as usize)?;
        if seat.generation != generation {
            return None;
        }
        let slot = seat.slot.take()?;
        self.free.push(index);
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let peer = if accepted { seat.peer().unwrap_or(unknown) } else { unknown };
        Some((slot, peer))
    }

    pub(super) fn rest(&mut self, now_ns: u64) {
        self.rests_until_ns = now_ns + REST_NS;
    }
}

impl Seat {
    fn peer(&mut self) -> Option<SocketAddr> {
        let storage = std::mem::replace(&mut self.storage, SockAddrStorage::zeroed());
        // SAFETY: the kernel has written an address of its length there (never longer than the storage it was told).
        unsafe { SockAddr::new(storage, self.len) }.as_socket()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_a_port_and_seats_take_turns() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Acceptor::new(&[any]).unwrap();
        let bound = first.listeners.addresses().unwrap()[0];
        let second = Acceptor::new(&[bound, any]).unwrap();
        assert_eq!(second.listeners.addresses().unwrap()[0], bound);
        assert!(second.seats[0].listener != second.seats[1].listener);
    }

    #[test]
    fn a_seat_keeps_its_slot_until_it_is_told() {
        let mut acceptor = Acceptor::new(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
        let armed = acceptor.arm(7).unwrap();
        assert!(!acceptor.is_idle());
        assert!(acceptor.disarm(armed.seat, armed.generation + 1, false).is_none(), "of another generation");
        assert_eq!(acceptor.disarm(armed.seat, armed.generation, false).unwrap().0, 7);
        assert!(acceptor.disarm(armed.seat, armed.generation, false).is_none(), "only once");
        assert!(acceptor.is_idle());
    }
}
