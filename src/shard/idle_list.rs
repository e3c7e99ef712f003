//! Client connections in the order of their last activity: the oldest idle one is closed first, be it because it was
//! idle too long or to make room. An intrusive doubly linked list over the runtime's slots: every operation is O(1).

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    listed: bool,
}

#[derive(Debug)]
pub(super) struct IdleList {
    links: Box<[Link]>,
    oldest: u32,
    newest: u32,
}

impl IdleList {
    pub(super) fn new(slots: usize) -> IdleList {
        let unlisted = Link { previous: NONE, next: NONE, listed: false };
        IdleList { links: vec![unlisted; slots].into(), oldest: NONE, newest: NONE }
    }

    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Puts a slot at the young end, wherever it was.
    pub(super) fn touch(&mut self, slot: u32) {
        if self.newest == slot {
            return;
        }
        self.remove(slot);
        self.links[slot as usize] = Link { previous: self.newest, next: NONE, listed: true };
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.links[newest as usize].next = slot,
        }
        self.newest = slot;
    }

    /// Takes a slot out; nothing happens when it is not listed.
    pub(super) fn remove(&mut self, slot: u32) {
        let Link { previous, next, listed } = self.links[slot as usize];
        if !listed {
            return;
        }
        match previous {
            NONE => self.oldest = next,
            previous => self.links[previous as usize].next = next,
        }
        match next {
            NONE => self.newest = previous,
            next => self.links[next as usize].previous = previous,
        }
        self.links[slot as usize].listed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::IdleList;

    #[test]
    fn the_one_touched_longest_ago_is_oldest() {
        let mut list = IdleList::new(4);
        assert_eq!(list.oldest(), None);
        for slot in [0, 1, 2, 0, 2, 2] {
            list.touch(slot);
        }
        assert_eq!(list.oldest(), Some(1));
        list.remove(1);
        list.remove(1);
        assert_eq!(list.oldest(), Some(0));
        list.remove(2);
        list.touch(3);
        list.remove(0);
        assert_eq!(list.oldest(), Some(3));
        list.remove(3);
        assert_eq!(list.oldest(), None);
    }
}
