//! What a submission carries so that its completion can be told from all others:
//!
//! | bits   | field      | meaning                                                                        |
//! |--------|------------|--------------------------------------------------------------------------------|
//! | 63..56 | op         | which of a connection's operations completed                                   |
//! | 55..32 | generation | which tenant of the slot asked for it; a completion for another one is dropped |
//! | 31..0  | slot       | a place in the table of connections (for accepts: a seat; for wakes: a place)  |

/// Generations count modulo this.
pub(super) const GENERATION_MASK: u32 = 0x00ff_ffff;

/// The operations that a completion can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Accept = 1,
    Receive,
    Send,
    Socket,
    /// Silent when it succeeds.
    Option,
    Connect,
    /// Silent when it succeeds.
    Shutdown,
    Close,
    CancelReceive,
    /// Of all that a connection has under way.
    Cancel,
    /// Of all that the ring has under way.
    CancelAll,
    /// Our eventfd was written.
    Wake,
    /// Another shard's ring sent us a completion. Nothing of ours is behind it.
    Woken,
    /// Our message to another ring. Silent when it succeeds.
    RingBell,
    /// Our write to an eventfd. Silent when it succeeds.
    WriteBell,
    /// A timeout that is due at once: what it takes to complete is what all completions take.
    Probe,
}

impl Op {
    const ALL: [Op; 16] = [
        Op::Accept,
        Op::Receive,
        Op::Send,
        Op::Socket,
        Op::Option,
        Op::Connect,
        Op::Shutdown,
        Op::Close,
        Op::CancelReceive,
        Op::Cancel,
        Op::CancelAll,
        Op::Wake,
        Op::Woken,
        Op::RingBell,
        Op::WriteBell,
        Op::Probe,
    ];

    /// Whether every submission of this operation is answered by exactly one last completion.
    pub(super) fn always_completes(self) -> bool {
        !matches!(self, Op::Option | Op::Shutdown | Op::Woken | Op::RingBell | Op::WriteBell)
    }
}

/// One submission's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) op: Op,
    pub(super) generation: u32,
    pub(super) slot: u32,
}

impl Token {
    pub(super) fn new(op: Op, generation: u32, slot: u32) -> Token {
        debug_assert!(generation <= GENERATION_MASK);
        Token { op, generation, slot }
    }

    pub(super) fn bits(self) -> u64 {
        (self.op as u64) << 56 | u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// `None` when the bits are no token of ours.
    pub(super) fn from_bits(bits: u64) -> Option<Token> {
        let op = *Op::ALL.get(((bits >> 56) as usize).checked_sub(1)?)?;
        Some(Token { op, generation: (bits >> 32) as u32 & GENERATION_MASK, slot: bits as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_round_trip() {
        for op in Op::ALL {
            for generation in [0, 1, 0x0080_0000, GENERATION_MASK] {
                for slot in [0, 1, 0x8000_0000, u32::MAX] {
                    let token = Token::new(op, generation, slot);
                    assert_eq!(Token::from_bits(token.bits()), Some(token));
                }
            }
        }
    }

    #[test]
    fn fields_lie_where_the_table_says() {
        assert_eq!(Token::new(Op::Receive, 0x00ab_cdef, 0x1234_5678).bits(), 0x02ab_cdef_1234_5678);
    }

    #[test]
    fn strange_bits_are_no_token() {
        assert_eq!(Token::from_bits(0), None);
        assert_eq!(Token::from_bits(18 << 56), None);
        assert_eq!(Token::from_bits(u64::MAX), None);
    }
}
