//! The connections: a slot each, in which its task and the handler leave word for each other.

use std::task::Waker;

use ::glommio::Task;

use crate::reactor::{Buffer, ConnId};

const GENERATION_MASK: u32 = 0xff_ffff;

/// Slots for clients come first, those for our own connections after them.
pub(super) struct Table {
    slots: Box<[Slot]>,
    clients_free: Vec<u32>,
    outgoing_free: Vec<u32>,
    clients_max: u32,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Free,
    /// Not up yet, or it could not be made.
    Connecting,
    Open,
    /// The handler closed it: what is under way is still sent, and the peer gets time to take it.
    Draining,
    /// It ends now.
    Breaking,
}

#[derive(Default)]
pub(super) struct Slot {
    generation: u32,
    pub(super) phase: Phase,
    pub(super) is_paused: bool,
    /// Bytes of it wait for the handler; nothing more is read until it had them.
    pub(super) is_handing_over: bool,
    /// A buffer of the handler's is out.
    pub(super) is_sending: bool,
    /// The buffer, until the task takes it.
    pub(super) to_send: Option<Buffer>,
    /// Wakes the task.
    pub(super) waker: Option<Waker>,
    pub(super) task: Option<Task<()>>,
}

impl Table {
    pub(super) fn new(clients_max: u32, outgoing_max: u32) -> Table {
        let count = clients_max + outgoing_max;
        Table {
            slots: (0..count).map(|_| Slot::default()).collect(),
            clients_free: (0..clients_max).rev().collect(),
            outgoing_free: (clients_max..count).rev().collect(),
            clients_max,
        }
    }

    pub(super) fn has_room_for_client(&self) -> bool {
        !self.clients_free.is_empty()
    }

    pub(super) fn take_client(&mut self) -> Option<ConnId> {
        let slot = self.clients_free.pop()?;
        Some(self.occupy(slot, Phase::Open))
    }

    pub(super) fn take_outgoing(&mut self) -> Option<ConnId> {
        let slot = self.outgoing_free.pop()?;
        Some(self.occupy(slot, Phase::Connecting))
    }

    /// The slot of a connection that is not closed yet.
    pub(super) fn find(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(conn.slot as usize)?;
        (slot.phase != Phase::Free && slot.generation == conn.generation).then_some(slot)
    }

    /// Frees a slot whose task is done.
    pub(super) fn free(&mut self, conn: ConnId) {
        let slot = &mut self.slots[conn.slot as usize];
        debug_assert!(slot.generation == conn.generation && slot.phase != Phase::Free && slot.to_send.is_none());
        if let Some(task) = slot.task.take() {
            task.detach();
        }
        *slot = Slot { generation: conn.generation, ..Slot::default() };
        if conn.slot < self.clients_max { &mut self.clients_free } else { &mut self.outgoing_free }.push(conn.slot);
    }

    pub(super) fn slots_free(&self) -> (usize, usize) {
        (self.clients_free.len(), self.outgoing_free.len())
    }

    /// The tasks of all connections, to be cancelled.
    pub(super) fn take_tasks(&mut self) -> Vec<Task<()>> {
        self.slots.iter_mut().filter_map(|slot| slot.task.take()).collect()
    }

    fn occupy(&mut self, index: u32, phase: Phase) -> ConnId {
        let slot = &mut self.slots[index as usize];
        let generation = (slot.generation + 1) & GENERATION_MASK;
        *slot = Slot { generation, phase, ..Slot::default() };
        ConnId { slot: index, generation }
    }
}

impl Slot {
    pub(super) fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_tell_their_tenants_apart() {
        let mut table = Table::new(1, 1);
        let first = table.take_client().unwrap();
        assert!(table.take_client().is_none() && !table.has_room_for_client());
        let outgoing = table.take_outgoing().unwrap();
        assert!(table.take_outgoing().is_none());
        assert_eq!((first.slot, outgoing.slot), (0, 1));
        table.free(first);
        assert!(table.find(first).is_none(), "gone");
        let second = table.take_client().unwrap();
        assert!(second.slot == first.slot && table.find(first).is_none());
        assert_eq!(table.find(second).unwrap().phase, Phase::Open);
        assert_eq!(table.find(outgoing).unwrap().phase, Phase::Connecting);
        assert_eq!(table.slots_free(), (0, 0));
    }

    #[test]
    fn generations_wrap_at_24_bits() {
        let mut table = Table::new(1, 0);
        table.slots[0].generation = GENERATION_MASK;
        assert_eq!(table.take_client().unwrap().generation, 0);
    }
}
