//! Listening and accepting. A listener takes a client from the backlog only when there is a slot for it; at most one
//! that came while the last slot went to another listener waits here instead.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ::glommio::net::TcpListener;
use ::glommio::timer::Timer;
use socket2::{Domain, Protocol, Socket, Type};

use super::connection;
use super::hub::Hub;
use crate::reactor::ConnId;

/// The kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4_096;
/// How long accepting rests after the process or the machine ran out of files or memory.
const REST: Duration = Duration::from_millis(50);

/// A socket that listens; several shards may do so on one address, and the kernel spreads the clients over them.
pub(super) fn listen(address: SocketAddr) -> io::Result<Socket> {
    let try_listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        // Accepted sockets inherit it.
        socket.set_tcp_nodelay(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    try_listen().map_err(|error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}")))
}

/// Hands the socket to glommio. Only within an executor.
pub(super) fn adopt(socket: Socket) -> TcpListener {
    // SAFETY: the descriptor is a listening socket, and its only owner gives it away.
    unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }
}

/// Accepts for ever.
pub(super) async fn accept(hub: Rc<Hub>, listener: TcpListener) {
    loop {
        wait_for_room(&hub).await;
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                if is_shortage(&error.into()) {
                    hub.accepts_failed.set(hub.accepts_failed.get() + 1);
                    Timer::new(REST).await;
                }
                continue;
            }
        };
        // Without an address it is a client that has gone already.
        if let Ok(peer) = stream.peer_addr() {
            let conn = take_slot(&hub).await;
            connection::spawn_accepted(&hub, conn, peer, stream);
        }
        // A full backlog never keeps us waiting, but others have work as well.
        futures_lite::future::yield_now().await;
    }
}

async fn wait_for_room(hub: &Hub) {
    std::future::poll_fn(|context| {
        if hub.accepting.get() && hub.table.borrow().has_room_for_client() {
            return Poll::Ready(());
        }
        hub.wait_to_accept(context);
        Poll::Pending
    })
    .await;
}

async fn take_slot(hub: &Hub) -> ConnId {
    loop {
        wait_for_room(hub).await;
        if let Some(conn) = hub.table.borrow_mut().take_client() {
            return conn;
        }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| shortages.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_a_port() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = first.local_addr().unwrap().as_socket().unwrap();
        assert!(listen(address).is_ok());
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let line = listen(address).unwrap_err().to_string();
        assert!(line.contains(&address.to_string()), "{line}");
    }

    #[test]
    fn only_a_shortage_is_waited_for() {
        assert!(is_shortage(&io::Error::from_raw_os_error(libc::EMFILE)));
        assert!(!is_shortage(&io::Error::from_raw_os_error(libc::ECONNABORTED)));
    }
}
