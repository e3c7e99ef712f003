//! Sockets that listen, for every runtime.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

/// The kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4_096;
/// How long those who wait to be accepted are still taken once listening is to end. Only where they come faster than
/// they are taken, or no slot gets free, is anybody left.
const LAST_CLIENTS_NS: u64 = 1_000_000_000;

/// One shard's sockets, and whether they are to go.
pub(super) struct Listeners {
    sockets: Vec<Socket>,
    /// By when they are closed, once that has been asked for.
    end_ns: Option<u64>,
}

impl Listeners {
    /// # Errors
    /// The first address that can't be bound, named.
    pub(super) fn new(addresses: &[SocketAddr]) -> io::Result<Listeners> {
        let sockets = addresses.iter().map(|&address| listen(address)).collect::<io::Result<_>>()?;
        Ok(Listeners { sockets, end_ns: None })
    }

    pub(super) fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// Where they are bound, in the order of the configuration: port 0 has become what the kernel chose.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let address_of = |listener: &Socket| {
            listener.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a listener without an IP address"))
        };
        self.sockets.iter().map(address_of).collect()
    }

    pub(super) fn are_open(&self) -> bool {
        !self.sockets.is_empty()
    }

    pub(super) fn end(&mut self, now_ns: u64) {
        self.end_ns.get_or_insert(now_ns + LAST_CLIENTS_NS);
    }

    /// When there is something to do for [`Listeners::close_when_empty`] even if nothing happens.
    pub(super) fn due_ns(&self) -> u64 {
        self.end_ns.filter(|_| self.are_open()).unwrap_or(u64::MAX)
    }

    /// Closes them if that was asked for and nobody waits; for every turn. `true`: they were closed just now.
    ///
    /// A socket that is shut down listens no longer, whatever accept still holds on to it; that ends with an error.
    pub(super) fn close_when_empty(&mut self, now_ns: u64) -> bool {
        let Some(end_ns) = self.end_ns else { return false };
        if !self.are_open() || now_ns < end_ns && self.sockets.iter().any(has_waiting) {
            return false;
        }
        for socket in self.sockets.drain(..) {
            // One that fails here is closed all the same.
            let _ = socket.shutdown(Shutdown::Read);
        }
        true
    }
}

/// Whether nobody else has these addresses. Sockets of all shards, and so those of another server of the same user too,
/// share an address without a word; they don't share with one that does not ask for it.
///
/// # Errors
/// The first address that is in use or can't be bound, named.
pub fn check_unused(addresses: &[SocketAddr]) -> io::Result<()> {
    addresses.iter().try_for_each(|&address| bind(address, false).map(drop).map_err(|error| named(address, error)))
}

/// Whether a client waits to be accepted.
fn has_waiting(listener: &Socket) -> bool {
    let mut asked = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `asked` is one valid pollfd, and a timeout of 0 doesn't wait.
    unsafe { libc::poll(&mut asked, 1, 0) == 1 }
}

/// A socket that listens. Each shard has its own on the same address, and the kernel spreads the clients over them.
///
/// # Errors
/// An address that can't be bound, named.
fn listen(address: SocketAddr) -> io::Result<Socket> {
    let try_listen = || {
        let socket = bind(address, true)?;
        // Accepted sockets inherit it.
        socket.set_tcp_nodelay(true)?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    try_listen().map_err(|error: io::Error| named(address, error))
}

fn bind(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn named(address: SocketAddr, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_a_port() {
        let first = Listeners::new(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
        let address = first.addresses().unwrap()[0];
        assert!(address.port() != 0 && listen(address).is_ok());
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let line = listen(address).unwrap_err().to_string();
        assert!(line.contains(&address.to_string()), "{line}");
    }

    /// Connections of the one before don't stand in the way of the next, whether open or lately closed.
    #[test]
    fn an_address_is_used_by_those_who_listen() {
        let mut others = Listeners::new(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
        let address = others.addresses().unwrap()[0];
        let line = check_unused(&[address]).unwrap_err().to_string();
        assert!(line.contains(&address.to_string()) && line.contains("in use"), "{line}");
        let clients = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
        let taken = [(); 2].map(|()| others.sockets()[0].accept().unwrap().0);
        others.end(0);
        assert!(others.close_when_empty(1));
        let [closed, _open] = taken;
        // Whoever closes first is the one that remembers the connection.
        drop(closed);
        drop(clients);
        check_unused(&[address]).unwrap();
        assert_eq!(Listeners::new(&[address]).unwrap().addresses().unwrap(), [address]);
    }

    #[test]
    fn who_waits_is_taken_before_the_sockets_go() {
        let mut listeners = Listeners::new(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
        let address = listeners.addresses().unwrap()[0];
        let waiting = std::net::TcpStream::connect(address).unwrap();
        assert!(!listeners.close_when_empty(0), "nobody asked for it");
        listeners.end(5);
        assert_eq!(listeners.due_ns(), 5 + LAST_CLIENTS_NS);
        assert!(!listeners.close_when_empty(6) && listeners.are_open(), "one waits");
        let (taken, _) = listeners.sockets()[0].accept().unwrap();
        assert!(listeners.close_when_empty(7) && !listeners.are_open());
        assert!(!listeners.close_when_empty(8), "only once");
        assert_eq!(taken.peer_addr().unwrap().as_socket(), Some(waiting.local_addr().unwrap()));
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn nobody_keeps_them_open_for_ever() {
        let mut listeners = Listeners::new(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
        let _waiting = std::net::TcpStream::connect(listeners.addresses().unwrap()[0]).unwrap();
        listeners.end(0);
        assert!(!listeners.close_when_empty(LAST_CLIENTS_NS - 1) && listeners.close_when_empty(LAST_CLIENTS_NS));
    }
}
