//! Accepting. A listener takes a client from the backlog only when there is a slot for it; at most one
//! that came while the last slot went to another listener waits here instead.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ::glommio::net::{TcpListener, TcpStream};
use ::glommio::timer::Timer;
use socket2::Socket;

use super::connection;
use super::hub::Hub;

/// Clients taken before others have their turn. One alone would let a thousand that come at once wait for a thousand
/// turns, each full of what the first ones send.
const ACCEPTS_IN_A_ROW: u32 = 16;
/// How long accepting rests after the process or the machine ran out of files or memory.
const REST: Duration = Duration::from_millis(50);

/// Hands the socket to glommio. Only within an executor.
pub(super) fn adopt(socket: Socket) -> TcpListener {
    // SAFETY: the descriptor is a listening socket, and its only owner gives it away.
    unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }
}

/// Accepts as long as its socket listens.
pub(super) async fn accept(hub: Rc<Hub>, listener: TcpListener) {
    let mut in_a_row = 0;
    wait_until(&hub, || !hub.listens.get() || has_room(&hub)).await;
    while hub.listens.get() {
        match listener.accept().await {
            Ok(stream) => hand_over(&hub, stream).await,
            Err(error) => {
                if is_shortage(&error.into()) {
                    hub.accepts_failed.set(hub.accepts_failed.get() + 1);
                    Timer::new(REST).await;
                }
            }
        }
        // A full backlog never keeps us waiting, but others have work as well.
        in_a_row = (in_a_row + 1) % ACCEPTS_IN_A_ROW;
        if in_a_row == 0 {
            futures_lite::future::yield_now().await;
        }
        wait_until(&hub, || !hub.listens.get() || has_room(&hub)).await;
    }
    hub.acceptors_left.update(|count| count - 1);
    hub.ring();
}

/// Serves a client. Without an address it is one that has gone already.
async fn hand_over(hub: &Rc<Hub>, stream: TcpStream) {
    let Ok(peer) = stream.peer_addr() else { return };
    loop {
        wait_until(hub, || has_room(hub)).await;
        let taken = hub.table.borrow_mut().take_client();
        if let Some(conn) = taken {
            return connection::spawn_accepted(hub, conn, peer, stream);
        }
    }
}

fn has_room(hub: &Hub) -> bool {
    hub.table.borrow().has_room_for_client()
}

/// Looks again whenever a slot gets free, and when the sockets listen no longer.
async fn wait_until(hub: &Hub, holds: impl Fn() -> bool) {
    std::future::poll_fn(|context| {
        if holds() {
            return Poll::Ready(());
        }
        hub.wait_to_accept(context);
        Poll::Pending
    })
    .await;
}

fn is_shortage(error: &io::Error) -> bool {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| shortages.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shortage_is_waited_for() {
        assert!(is_shortage(&io::Error::from_raw_os_error(libc::EMFILE)));
        assert!(!is_shortage(&io::Error::from_raw_os_error(libc::ECONNABORTED)));
    }
}
