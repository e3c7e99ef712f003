//! Every submission the runtime makes, one function each, and the registrations at start. This is where memory is
//! lent to the kernel, so each SAFETY note says what keeps that memory valid.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;

use io_uring::opcode;
use io_uring::squeue::Flags;
use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Uring;
use super::receptions::GROUP;
use super::refusal::Refusal;
use super::ring::{Ring, Stay};
use super::table::{Manner, Receive};
use super::token::{Op, Token};
use crate::ids::ShardId;
use crate::reactor::clocks;
use crate::reactor::mailbox::Bell;

/// The value of socket options that are switched on.
static ON: libc::c_int = 1;
/// SO_LINGER so that closing resets the connection instead of sending on in the background.
static NO_LINGER: libc::linger = libc::linger { l_onoff: 1, l_linger: 0 };
/// What is written to an eventfd.
static ONE: u64 = 1;
/// How long the end of a runtime waits for the kernel.
const CANCEL_NS: u64 = 2_000_000_000;

/// Sets one option of a socket to a value that is static.
macro_rules! set_option {
    ($socket:expr, $level:expr, $name:expr, $value:expr) => {
        opcode::SetSockOpt::new(
            $socket,
            $level as u32,
            $name as u32,
            ptr::from_ref($value).cast(),
            size_of_val($value) as u32,
        )
        .build()
        .flags(Flags::SKIP_SUCCESS)
    };
}

/// An entry about a connection's socket, which lies in its slot of the ring's table of files or, without that, is a
/// file of the process.
macro_rules! on_socket {
    ($uring:ident, $slot:expr, |$socket:ident| $entry:expr) => {
        if $uring.without.fixed_files {
            let $socket = Fd($uring.table.at($slot).fd);
            $entry
        } else {
            let $socket = Fixed($slot);
            $entry
        }
    };
}

impl<M> Uring<M> {
    /// Multishot, which completes for each arrival until it is cancelled, fails, or finds no block; or for one block.
    pub(super) fn submit_receive(&mut self, slot: u32) {
        if self.without.buffer_ring {
            return self.submit_receive_into_own(slot);
        }
        let entry = match self.table.at(slot).manner {
            Manner::Steady if !self.without.multishot => {
                on_socket!(self, slot, |socket| opcode::RecvMulti::new(socket, GROUP).build())
            }
            _ => on_socket!(self, slot, |socket| opcode::Recv::new(socket, ptr::null_mut(), 0)
                .buf_group(GROUP)
                .build()
                .flags(Flags::BUFFER_SELECT)),
        };
        // SAFETY: the kernel writes into the provided blocks only, which are unmapped only after everything that is
        // under way has completed (`Drop`).
        unsafe { self.ring.push(&entry, self.table.token(Op::Receive, slot)) };
    }

    /// One block, which we choose.
    fn submit_receive_into_own(&mut self, slot: u32) {
        let lent = self.receptions.lend();
        let state = self.table.at(slot);
        let Some((block, start, bytes)) = lent else {
            state.receive = Receive::Starved;
            self.counters.receives_starved += 1;
            return self.table.starved.push(slot);
        };
        state.block = Some(block);
        let entry = on_socket!(self, slot, |socket| opcode::Recv::new(socket, start, bytes).build());
        // SAFETY: the block is nobody else's until this reception's completion, and is unmapped only after everything
        // that is under way has completed (`Drop`).
        unsafe { self.ring.push(&entry, self.table.token(Op::Receive, slot)) };
    }

    /// The rest of the buffer that the connection holds.
    pub(super) fn submit_send(&mut self, slot: u32) {
        let token = self.table.token(Op::Send, slot);
        let state = self.table.at(slot);
        let Some(buffer) = &state.sending else { return debug_assert!(false, "nothing to send") };
        let rest = &buffer.bytes()[state.sent_bytes as usize..];
        // With MSG_WAITALL the kernel itself goes on after a short send.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let (start, len) = (rest.as_ptr(), rest.len() as u32);
        let entry = on_socket!(self, slot, |socket| opcode::Send::new(socket, start, len).flags(flags).build());
        // SAFETY: the bytes are on the heap, owned by the buffer that stays in the table, unchanged, until this
        // send's completion takes it out; `Drop` waits for that or leaks the table.
        unsafe { self.ring.push(&entry, token) };
    }

    /// Makes the socket, sets its options and connects, in one chain.
    pub(super) fn submit_connect(&mut self, slot: u32, address: SocketAddr) {
        let target = &mut self.targets[self.table.outgoing_index(slot)];
        *target = SockAddr::from(address);
        if self.without.fixed_files {
            // Where there is none, the connect fails, as it should.
            let fd = socket_for(address).map_or(-1, IntoRawFd::into_raw_fd);
            self.table.at(slot).fd = fd;
            let connect = opcode::Connect::new(Fd(fd), target.as_ptr().cast(), target.len()).build();
            // SAFETY: the address is in a place of its own, as below.
            return unsafe { self.ring.push(&connect, self.table.token(Op::Connect, slot)) };
        }
        let place = DestinationSlot::try_from_slot_target(slot).expect("slots are far below the kernel's bound");
        let socket = opcode::Socket::new(Domain::for_address(address).into(), libc::SOCK_STREAM, libc::IPPROTO_TCP)
            .file_index(Some(place))
            .build()
            .flags(Flags::IO_LINK);
        // A kernel before 6.7 can't do this; the hard link goes on regardless.
        let option = set_option!(Fixed(slot), libc::IPPROTO_TCP, libc::TCP_NODELAY, &ON).flags(Flags::IO_HARDLINK);
        let connect = opcode::Connect::new(Fixed(slot), target.as_ptr().cast(), target.len()).build();
        let token = |op| self.table.token(op, slot);
        let chain = [(socket, token(Op::Socket)), (option, token(Op::Option)), (connect, token(Op::Connect))];
        // SAFETY: the option's value is static. The address is in a place of its own that is written only when its
        // slot gets the next tenant, which is after this connect has completed.
        unsafe { self.ring.push_linked(&chain) };
    }

    pub(super) fn submit_cancel_receive(&mut self, slot: u32) {
        let receive = self.table.token(Op::Receive, slot).bits();
        let entry = opcode::AsyncCancel::new(receive).build();
        // SAFETY: points to no memory.
        unsafe { self.ring.push(&entry, self.table.token(Op::CancelReceive, slot)) };
    }

    /// Cancels all that the connection has under way.
    pub(super) fn submit_cancel(&mut self, slot: u32) {
        let what = on_socket!(self, slot, |socket| CancelBuilder::fd(socket).all());
        let entry = opcode::AsyncCancel2::new(what).build();
        // SAFETY: points to no memory.
        unsafe { self.ring.push(&entry, self.table.token(Op::Cancel, slot)) };
    }

    /// Sends our FIN.
    pub(super) fn submit_shutdown(&mut self, slot: u32) {
        let entry = on_socket!(self, slot, |socket| opcode::Shutdown::new(socket, libc::SHUT_WR).build());
        let entry = entry.flags(Flags::SKIP_SUCCESS);
        // SAFETY: points to no memory.
        unsafe { self.ring.push(&entry, self.table.token(Op::Shutdown, slot)) };
    }

    /// Lets the coming close reset the connection. A kernel before 6.7 can't, and closes the ordinary way.
    pub(super) fn submit_no_linger(&mut self, slot: u32) {
        let entry = on_socket!(self, slot, |socket| set_option!(socket, libc::SOL_SOCKET, libc::SO_LINGER, &NO_LINGER));
        // SAFETY: the option's value is static.
        unsafe { self.ring.push(&entry, self.table.token(Op::Option, slot)) };
    }

    pub(super) fn submit_close(&mut self, slot: u32) {
        let entry = on_socket!(self, slot, |socket| opcode::Close::new(socket).build());
        // SAFETY: points to no memory.
        unsafe { self.ring.push(&entry, self.table.token(Op::Close, slot)) };
    }

    /// One more accept, for a connection that will be in `slot`.
    pub(super) fn submit_accept(&mut self, slot: u32) {
        let Some(seat) = self.acceptor.arm(slot) else { return self.table.give_back(slot) };
        let place = DestinationSlot::try_from_slot_target(slot).expect("slots are far below the kernel's bound");
        let accept = opcode::Accept::new(Fd(seat.listener_fd), seat.address, seat.address_len);
        let accept =
            if self.without.fixed_files { accept.flags(libc::SOCK_CLOEXEC) } else { accept.file_index(Some(place)) };
        let entry = accept.build();
        // SAFETY: the address and its length are in the seat, which nobody touches until the completion; seats are
        // freed after everything that is under way has completed (`Drop`).
        unsafe { self.ring.push(&entry, Token::new(Op::Accept, seat.generation, seat.seat)) };
    }

    /// Waits for our eventfd, by which threads without a ring wake us.
    pub(super) fn arm_wake(&mut self) {
        if std::mem::replace(&mut self.wake_armed, true) {
            return;
        }
        let fd = self.mailbox.event_fd_of(self.mailbox.id());
        let count: *mut u64 = &raw mut *self.wake_count;
        let entry = opcode::Read::new(Fd(fd), count.cast(), size_of::<u64>() as u32).build();
        // SAFETY: the count is in a box of its own, which nobody reads; `Drop` waits for the read or leaks the box.
        unsafe { self.ring.push(&entry, Token::new(Op::Wake, 0, 0)) };
    }

    /// Wakes another participant.
    pub(super) fn submit_bell(&mut self, to: ShardId) {
        match self.mailbox.bell(to) {
            Bell::Event(_) => self.submit_event_bell(to),
            Bell::Ring(fd) => {
                let woken = Token::new(Op::Woken, 0, u32::from(self.mailbox.id().0)).bits();
                let entry = opcode::MsgRingData::new(Fd(fd), 0, woken, None).build().flags(Flags::SKIP_SUCCESS);
                // SAFETY: points to no memory.
                unsafe { self.ring.push(&entry, Token::new(Op::RingBell, 0, u32::from(to.0))) };
            }
        }
    }

    pub(super) fn submit_event_bell(&mut self, to: ShardId) {
        let fd: RawFd = self.mailbox.event_fd_of(to);
        let entry = opcode::Write::new(Fd(fd), (&raw const ONE).cast(), size_of::<u64>() as u32)
            .build()
            .flags(Flags::SKIP_SUCCESS);
        // SAFETY: the value is static, and the kernel only reads it.
        unsafe { self.ring.push(&entry, Token::new(Op::WriteBell, 0, u32::from(to.0))) };
    }

    /// Cancels all that is under way and waits for it. `false`: it took too long.
    pub(super) fn cancel_everything(&mut self) -> bool {
        let end_ns = clocks::read_mono_ns() + CANCEL_NS;
        while self.ring.under_way() > 0 {
            let now_ns = clocks::read_mono_ns();
            if now_ns > end_ns {
                return false;
            }
            let entry = opcode::AsyncCancel2::new(CancelBuilder::any()).build();
            // SAFETY: points to no memory.
            unsafe { self.ring.push(&entry, Token::new(Op::CancelAll, 0, 0)) };
            if self.ring.enter(Stay::Until { now_ns, deadline_ns: now_ns + CANCEL_NS / 100 }).is_err() {
                return false;
            }
            while let Some(done) = self.ring.pop() {
                if done.token.op == Op::Accept && done.result >= 0 && self.without.fixed_files {
                    // SAFETY: a socket that was accepted just now and has no owner yet.
                    drop(unsafe { OwnedFd::from_raw_fd(done.result) });
                }
            }
        }
        true
    }

    /// Closes the sockets that are files of the process, at the end: those of the ring's table go with the ring.
    pub(super) fn close_files(&mut self) {
        for fd in self.table.files() {
            // SAFETY: it is the connection's own, and nothing of it is under way any more.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

fn socket_for(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Makes room for `slots` sockets.
pub(super) fn register_files(ring: &Ring, slots: u32) -> io::Result<()> {
    ring.submitter().register_files_sparse(slots).map_err(|error| Refusal::of(&error).into())
}

/// The kernel's worker threads are for what can't be done without blocking, which here is nothing; should one be
/// needed after all, it runs on our core. Kernels that can't limit them work as well.
pub(super) fn tame_workers(ring: &Ring, core: Option<usize>) {
    let _ = ring.submitter().register_iowq_max_workers(&mut [1, 1]);
    if let Some(core) = core {
        let _ = ring.submitter().register_iowq_aff(&core_set(core));
    }
}

/// Lets the calling thread run on this core only.
pub(super) fn pin_to_core(core: usize) -> io::Result<()> {
    let set = core_set(core);
    // SAFETY: `set` is a valid cpu_set_t of that size; 0 is the calling thread.
    if unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } != 0 {
        let error = io::Error::last_os_error();
        return Err(io::Error::new(error.kind(), format!("can't run on core {core}: {error}")));
    }
    Ok(())
}

fn core_set(core: usize) -> libc::cpu_set_t {
    // SAFETY: all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if core < libc::CPU_SETSIZE as usize {
        // SAFETY: the core is within the set.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    set
}
