//! One connection to the target.

use std::collections::VecDeque;

use pinion::reactor::{Buffer, ConnId};

use crate::answers::Reader;
use crate::others::Expected;
use crate::requests::REQUEST_BYTES_MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Connecting,
    Open,
    Closing,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub conn: Option<ConnId>,
    pub state: State,
    /// In line for a request.
    pub is_queued: bool,
    /// Requests sent since it was opened.
    pub requests: u32,
    /// Requests whose answers are due, in order.
    pub flights: VecDeque<Flight>,
    pub reader: Reader,
    /// Away while it is sent.
    pub buffer: Option<Buffer>,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub number: u64,
    pub expected: Expected,
    pub intended_ns: u64,
    pub sent_ns: u64,
}

impl Connection {
    pub(super) fn new(pipeline: usize) -> Connection {
        Connection {
            conn: None,
            state: State::Absent,
            is_queued: false,
            requests: 0,
            flights: VecDeque::with_capacity(pipeline),
            reader: Reader::default(),
            buffer: Some(Buffer::with_capacity(REQUEST_BYTES_MAX)),
        }
    }

    pub(super) fn opened(&mut self) {
        self.state = State::Open;
        self.requests = 0;
        self.reader.reset();
    }
}
