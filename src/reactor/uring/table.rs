//! The connections, each in the slot that is also its place in the ring's table of files: clients first, then those
//! that we open. All of it is allocated at start.

use std::os::fd::RawFd;

use super::receptions::HeldList;
use super::token::{GENERATION_MASK, Op, Token};
use crate::reactor::{Buffer, ConnId};

const NONE: u32 = u32::MAX;

pub(super) struct Table {
    conns: Vec<Conn>,
    client_count: u32,
    clients_free: Vec<u32>,
    outgoing_free: Vec<u32>,
    /// Slots that want to receive and found no buffer. Each slot is in it once at most, whoever its tenant is.
    pub(super) starved: SlotQueue,
    /// Slots that read again and have bytes waiting. Likewise.
    pub(super) resumed: SlotQueue,
    /// Lingering connections; as all linger equally long, the first is the next to be cut off.
    linger_first: u32,
    linger_last: u32,
}

/// Where a connection is in its life. Only an `Open` one is known to the handler as usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No tenant, or one that an accept under way may bring.
    Free,
    Connecting,
    Open,
    /// To be closed when the send under way is done.
    Draining,
    /// We have sent our FIN and throw away what the peer still sends, until its FIN or until the time is up. Closing
    /// at once would answer bytes on their way to us with a reset, and the reset may overtake our answer.
    Lingering,
    /// All that is under way was cancelled; waiting for it to end.
    Breaking,
    /// The close itself is under way.
    Closing,
}

/// The state of a connection's reception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    Idle,
    Armed,
    /// In the queue of those who wait for buffers.
    Starved,
    /// Nothing more will come.
    Ended,
}

/// How a peer sends. A multishot reception can fill dozens of blocks before we are told of the first, and all those of
/// a connection whose handler pauses must be held. So only peers that let us keep up have one; from the others we take
/// one block at a time, or a thousand of them would hold all the blocks that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Nothing has come yet.
    Unknown,
    /// What came last was taken, and the handler wanted more.
    Steady,
    /// More came than the handler could take: never again several blocks at a time.
    Bursting,
}

pub(super) struct Conn {
    pub(super) phase: Phase,
    pub(super) receive: Receive,
    pub(super) manner: Manner,
    pub(super) generation: u32,
    /// The handler doesn't want bytes.
    pub(super) paused: bool,
    /// A cancel of the reception is under way.
    pub(super) cancelling: bool,
    /// A connect is under way.
    pub(super) connecting: bool,
    /// Bytes that arrived after the pause.
    pub(super) held: HeldList,
    /// An end that is to be told after the held bytes; `true`: a reset.
    pub(super) end: Option<bool>,
    /// Without a shared ring: the block that the reception under way brought along.
    pub(super) block: Option<u16>,
    /// Without direct descriptors: the socket, a file of the process; -1: none.
    pub(super) fd: RawFd,
    /// The buffer being sent, and how much of it is.
    pub(super) sending: Option<Buffer>,
    pub(super) sent_bytes: u32,
    linger_deadline_ns: u64,
    linger_next: u32,
    linger_previous: u32,
}

impl Conn {
    const EMPTY: Conn = Conn {
        phase: Phase::Free,
        receive: Receive::Idle,
        manner: Manner::Unknown,
        generation: 0,
        paused: false,
        cancelling: false,
        connecting: false,
        held: HeldList::EMPTY,
        end: None,
        block: None,
        fd: -1,
        sending: None,
        sent_bytes: 0,
        linger_deadline_ns: 0,
        linger_next: NONE,
        linger_previous: NONE,
    };

    /// Whether the kernel may still complete something for this tenant.
    pub(super) fn is_busy(&self) -> bool {
        self.receive == Receive::Armed || self.sending.is_some() || self.connecting
    }
}

impl Table {
    pub(super) fn new(clients: u32, outgoing: u32) -> Table {
        let count = clients + outgoing;
        Table {
            conns: (0..count).map(|_| Conn::EMPTY).collect(),
            client_count: clients,
            // The slot freed last is taken first: its lines are warm.
            clients_free: (0..clients).rev().collect(),
            outgoing_free: (clients..count).rev().collect(),
            starved: SlotQueue::new(count),
            resumed: SlotQueue::new(count),
            linger_first: NONE,
            linger_last: NONE,
        }
    }

    pub(super) fn take_client_slot(&mut self) -> Option<u32> {
        self.clients_free.pop()
    }

    pub(super) fn take_outgoing_slot(&mut self) -> Option<u32> {
        self.outgoing_free.pop()
    }

    /// A place among the outgoing slots, counted from 0.
    pub(super) fn outgoing_index(&self, slot: u32) -> usize {
        (slot - self.client_count) as usize
    }

    pub(super) fn client_slots_free(&self) -> usize {
        self.clients_free.len()
    }

    pub(super) fn outgoing_slots_free(&self) -> usize {
        self.outgoing_free.len()
    }

    /// Gives a slot that was taken a tenant.
    pub(super) fn open(&mut self, slot: u32, phase: Phase) -> ConnId {
        let conn = &mut self.conns[slot as usize];
        assert_eq!(conn.phase, Phase::Free, "slot {slot} has a tenant");
        let generation = conn.generation;
        *conn = Conn { phase, generation, ..Conn::EMPTY };
        ConnId { slot, generation }
    }

    /// Frees a slot: whatever still names its tenant is stale from now on.
    pub(super) fn free(&mut self, slot: u32) {
        self.unlinger(slot);
        let conn = &mut self.conns[slot as usize];
        debug_assert!(!conn.is_busy() && conn.held.is_empty(), "slot {slot} is still in use");
        conn.phase = Phase::Free;
        conn.fd = -1;
        conn.generation = (conn.generation + 1) & GENERATION_MASK;
        self.give_back(slot);
    }

    /// Gives back a slot that got no tenant.
    pub(super) fn give_back(&mut self, slot: u32) {
        let free = if slot < self.client_count { &mut self.clients_free } else { &mut self.outgoing_free };
        free.push(slot);
    }

    /// The connection, if it is still the one that is meant.
    #[inline]
    pub(super) fn find(&mut self, slot: u32, generation: u32) -> Option<&mut Conn> {
        let conn = self.conns.get_mut(slot as usize)?;
        (conn.generation == generation && conn.phase != Phase::Free).then_some(conn)
    }

    #[inline]
    pub(super) fn at(&mut self, slot: u32) -> &mut Conn {
        &mut self.conns[slot as usize]
    }

    pub(super) fn id(&self, slot: u32) -> ConnId {
        ConnId { slot, generation: self.conns[slot as usize].generation }
    }

    /// Files of the process that connections still have.
    pub(super) fn files(&self) -> impl Iterator<Item = RawFd> {
        let open = self.conns.iter().filter(|conn| conn.fd >= 0 && conn.phase != Phase::Closing);
        open.map(|conn| conn.fd)
    }

    pub(super) fn token(&self, op: Op, slot: u32) -> Token {
        Token::new(op, self.conns[slot as usize].generation, slot)
    }

    pub(super) fn linger(&mut self, slot: u32, deadline_ns: u64) {
        let previous = self.linger_last;
        let conn = self.at(slot);
        conn.phase = Phase::Lingering;
        conn.linger_deadline_ns = deadline_ns;
        conn.linger_previous = previous;
        conn.linger_next = NONE;
        match previous {
            NONE => self.linger_first = slot,
            _ => self.at(previous).linger_next = slot,
        }
        self.linger_last = slot;
    }

    /// The connection that has lingered longest, and until when it may.
    pub(super) fn first_lingering(&self) -> Option<(u32, u64)> {
        let conn = self.conns.get(self.linger_first as usize)?;
        Some((self.linger_first, conn.linger_deadline_ns))
    }

    /// Takes a connection out of the list of lingering ones, if it is in it.
    pub(super) fn unlinger(&mut self, slot: u32) {
        let conn = self.at(slot);
        let (previous, next) = (conn.linger_previous, conn.linger_next);
        (conn.linger_previous, conn.linger_next) = (NONE, NONE);
        if previous == NONE && self.linger_first != slot {
            return;
        }
        match previous {
            NONE => self.linger_first = next,
            _ => self.at(previous).linger_next = next,
        }
        match next {
            NONE => self.linger_last = previous,
            _ => self.at(next).linger_previous = previous,
        }
    }
}

/// First in, first out, each slot once at most.
pub(super) struct SlotQueue {
    slots: Box<[u32]>,
    present: Box<[bool]>,
    first: usize,
    len: usize,
}

impl SlotQueue {
    fn new(count: u32) -> SlotQueue {
        let count = count as usize;
        SlotQueue { slots: vec![0; count].into(), present: vec![false; count].into(), first: 0, len: 0 }
    }

    pub(super) fn push(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.present[slot as usize], true) {
            let place = (self.first + self.len) % self.slots.len();
            self.slots[place] = slot;
            self.len += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let slot = self.slots[self.first];
        self.first = (self.first + 1) % self.slots.len();
        self.len -= 1;
        self.present[slot as usize] = false;
        Some(slot)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_slot_makes_its_tenant_stale() {
        let mut table = Table::new(1, 1);
        let slot = table.take_client_slot().unwrap();
        assert!(table.take_client_slot().is_none());
        let first = table.open(slot, Phase::Open);
        assert!(table.find(slot, first.generation).is_some());
        table.free(slot);
        assert!(table.find(slot, first.generation).is_none());
        let second = table.open(table.clients_free[0], Phase::Open);
        assert!(second.slot == first.slot && second.generation != first.generation);
    }

    #[test]
    fn generations_wrap() {
        let mut table = Table::new(1, 0);
        table.conns[0].generation = GENERATION_MASK;
        let slot = table.take_client_slot().unwrap();
        table.open(slot, Phase::Open);
        table.free(slot);
        assert_eq!(table.id(slot).generation, 0);
    }

    #[test]
    fn outgoing_slots_come_after_the_clients() {
        let mut table = Table::new(3, 2);
        assert_eq!(table.take_outgoing_slot(), Some(3));
        assert_eq!(table.outgoing_index(4), 1);
        table.give_back(3);
        assert_eq!((table.client_slots_free(), table.outgoing_slots_free()), (3, 2));
    }

    #[test]
    fn lingering_ones_leave_from_anywhere() {
        let mut table = Table::new(4, 0);
        for slot in 0..4 {
            table.open(slot, Phase::Open);
            table.linger(slot, u64::from(slot));
        }
        table.unlinger(1);
        table.unlinger(1);
        table.unlinger(3);
        table.linger(1, 9);
        let mut order = Vec::new();
        while let Some(first) = table.first_lingering() {
            order.push(first);
            table.unlinger(first.0);
        }
        assert_eq!(order, [(0, 0), (2, 2), (1, 9)]);
        assert_eq!(table.linger_last, NONE);
    }

    #[test]
    fn a_queue_holds_each_slot_once() {
        let mut queue = SlotQueue::new(3);
        for round in 0..5 {
            queue.push(2);
            queue.push(0);
            queue.push(2);
            assert_eq!((queue.len(), queue.pop(), queue.pop(), queue.pop()), (2, Some(2), Some(0), None), "{round}");
        }
    }
}
