//! One connection: a task that writes what its slot holds, reads while the handler wants bytes, and ends as `close`
//! asked for.
//!
//! It is one poll function rather than a task each for reading and writing: whatever wakes it, it looks at its slot
//! and does what can be done.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::glommio::net::TcpStream;
use ::glommio::timer::Timer;
use futures_lite::{AsyncRead, AsyncWrite};

use super::hub::{Happening, Hub};
use super::table::{Phase, Slot};
use crate::reactor::{Buffer, ConnId};

/// Receptions thrown away in one go, so that a flooding peer leaves time for others.
const DISCARDS_PER_TURN: usize = 16;

struct Connection {
    hub: Rc<Hub>,
    conn: ConnId,
    stream: TcpStream,
    /// What is being sent, and how much of it is.
    sending: Option<(Buffer, usize)>,
    /// Nothing more will arrive.
    is_ended: bool,
    /// Runs while we wait for the peer to close its side.
    linger: Option<Timer>,
}

/// Serves a connection that was accepted.
pub(super) fn spawn_accepted(hub: &Rc<Hub>, conn: ConnId, peer: SocketAddr, stream: TcpStream) {
    hub.push(Happening::Accepted { conn, peer });
    let serving = serve(Rc::clone(hub), conn, stream);
    keep_task(hub, conn, ::glommio::spawn_local(serving));
}

/// Makes a connection and serves it.
pub(super) fn spawn_connect(hub: &Rc<Hub>, conn: ConnId, address: SocketAddr) {
    let connecting = connect(Rc::clone(hub), conn, address);
    keep_task(hub, conn, ::glommio::spawn_local(connecting));
}

fn keep_task(hub: &Hub, conn: ConnId, task: ::glommio::Task<()>) {
    hub.table.borrow_mut().find(conn).expect("its slot was just taken").task = Some(task);
}

async fn connect(hub: Rc<Hub>, conn: ConnId, address: SocketAddr) {
    let outcome = {
        let mut connecting = pin!(TcpStream::connect(address));
        std::future::poll_fn(|context| {
            if phase(&hub, conn, context) == Phase::Breaking {
                return Poll::Ready(None);
            }
            connecting.as_mut().poll(context).map(Some)
        })
        .await
    };
    match outcome {
        Some(Ok(stream)) => {
            // A connection that is slower than it could be is still one.
            let _ = stream.set_nodelay(true);
            hub.push(Happening::Connected { conn, ok: true });
            serve(hub, conn, stream).await;
        }
        Some(Err(_)) => {
            hub.push(Happening::Connected { conn, ok: false });
            let is_closed = |context: &mut Context<'_>| match phase(&hub, conn, context) {
                Phase::Breaking => Poll::Ready(()),
                _ => Poll::Pending,
            };
            std::future::poll_fn(is_closed).await;
            hub.push(Happening::Closed { conn });
        }
        None => hub.push(Happening::Closed { conn }),
    }
}

async fn serve(hub: Rc<Hub>, conn: ConnId, stream: TcpStream) {
    let mut connection =
        Connection { hub: Rc::clone(&hub), conn, stream, sending: None, is_ended: false, linger: None };
    std::future::poll_fn(|context| connection.poll(context)).await;
    drop(connection);
    hub.push(Happening::Closed { conn });
}

/// Where the connection is, and lets the calling task be woken when its handler asks for something.
fn phase(hub: &Hub, conn: ConnId, context: &Context<'_>) -> Phase {
    let mut table = hub.table.borrow_mut();
    let slot = table.find(conn).expect("a slot is freed only after its task");
    if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        slot.waker = Some(context.waker().clone());
    }
    slot.phase
}

impl Connection {
    /// Ready when the connection is to be dropped.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let phase = phase(&self.hub, self.conn, context);
        if phase == Phase::Breaking {
            self.break_off();
            return Poll::Ready(());
        }
        let is_broken = self.write(context).is_err();
        match phase {
            Phase::Open => {
                self.read(context);
                Poll::Pending
            }
            Phase::Draining if is_broken => {
                self.break_off();
                Poll::Ready(())
            }
            Phase::Draining => self.drain(context),
            // Nobody knows of this connection yet.
            _ => Poll::Pending,
        }
    }

    /// Sends as much as the socket takes. An error is told to the handler as well.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.take_buffer();
        let result = loop {
            let Some((buffer, sent)) = &mut self.sending else { return Ok(()) };
            if *sent == buffer.len() {
                break Ok(());
            }
            match Pin::new(&mut self.stream).poll_write(context, &buffer.bytes()[*sent..]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => break Err(ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => *sent += count,
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => break Err(error),
            }
        };
        self.give_back(result.is_ok());
        result
    }

    /// Reads once, if the handler has had what was read before and wants more.
    fn read(&mut self, context: &mut Context<'_>) {
        let is_wanted = |slot: &mut Slot| !slot.is_paused && !slot.is_handing_over;
        if self.is_ended || !self.hub.table.borrow_mut().find(self.conn).is_some_and(is_wanted) {
            return;
        }
        let mut block = self.hub.take_block();
        match self.receive(context, &mut block) {
            Poll::Ready(Ok(len)) if len > 0 => {
                if let Some(slot) = self.hub.table.borrow_mut().find(self.conn) {
                    slot.is_handing_over = true;
                }
                self.hub.push(Happening::Received { conn: self.conn, block, len });
            }
            Poll::Ready(outcome) => {
                self.hub.give_back(block);
                self.is_ended = true;
                self.hub.push(Happening::Ended { conn: self.conn, reset: outcome.is_err() });
            }
            Poll::Pending => self.hub.give_back(block),
        }
    }

    /// Waits until all is sent, then until the peer closes its side or has had its time. What it still sends is
    /// thrown away: were it left unread, the kernel would answer it with a reset, which could overtake our bytes.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_sent = self.sending.is_none();
        if !self.is_ended {
            self.discard(context);
        }
        if !is_sent {
            return Poll::Pending;
        }
        if self.is_ended {
            return Poll::Ready(());
        }
        if self.linger.is_none() {
            // Sends our FIN. It fails only if the peer is gone, which the next reception tells.
            let _ = Pin::new(&mut self.stream).poll_close(context);
            self.linger = Some(Timer::new(self.hub.linger.max(Duration::from_nanos(1))));
        }
        if let Some(linger) = &mut self.linger {
            ready!(Pin::new(linger).poll(context));
        }
        self.break_off();
        Poll::Ready(())
    }

    fn discard(&mut self, context: &mut Context<'_>) {
        let mut block = self.hub.take_block();
        for _ in 0..DISCARDS_PER_TURN {
            match self.receive(context, &mut block) {
                Poll::Ready(Ok(len)) if len > 0 => {}
                Poll::Ready(_) => {
                    self.is_ended = true;
                    return self.hub.give_back(block);
                }
                Poll::Pending => return self.hub.give_back(block),
            }
        }
        self.hub.give_back(block);
        context.waker().wake_by_ref();
    }

    fn receive(&mut self, context: &mut Context<'_>, block: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match ready!(Pin::new(&mut self.stream).poll_read(context, block)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Ends the connection with a reset, and gives an unsent buffer back.
    fn break_off(&mut self) {
        self.take_buffer();
        self.give_back(false);
        // SAFETY: the stream owns the descriptor and outlives this borrow of it.
        let socket = unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) };
        // It fails only for what is no socket.
        let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }

    /// Takes what the handler has left to be sent.
    fn take_buffer(&mut self) {
        if self.sending.is_none() {
            let buffer = self.hub.table.borrow_mut().find(self.conn).and_then(|slot| slot.to_send.take());
            self.sending = buffer.map(|buffer| (buffer, 0));
        }
    }

    fn give_back(&mut self, ok: bool) {
        let Some((buffer, _)) = self.sending.take() else { return };
        if let Some(slot) = self.hub.table.borrow_mut().find(self.conn) {
            slot.is_sending = false;
        }
        self.hub.push(Happening::Sent { conn: self.conn, buffer, ok });
    }
}
