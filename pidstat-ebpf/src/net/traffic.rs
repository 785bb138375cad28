//! What the counting hooks have in common: how much of a call's result is traffic, and whose.

use crate::{
    account::{Moved, charge},
    life::first_byte,
    load::{Ptr, add, load, offset},
    maps::{Loss, lost},
    owner::Process,
    socket::{AF_UNIX, SOCK_STREAM, Socket, claim, no_storage, state},
};
use pidstat_common::net::SOCK_BASED;

pub const TCP: u16 = 6;
const UDP: u16 = 17;
const UDPLITE: u16 = 136;
const SCTP: u16 = 132;
const MSG_PEEK: i32 = 0x2;
const MSG_ERRQUEUE: i32 = 0x2000;
const RCV_SHUTDOWN: u8 = 1;

/// What every protocol but plain TCP's receive side counts: the bytes of one call, one message if it is datagrams.
#[inline(always)]
unsafe fn count(sk: Socket, protocol: u16, bytes: u64, way: Way) {
    // SAFETY: `sk` is the hook's socket.
    unsafe {
        let process = Process::current();
        // TCP's sockets tell when they are destroyed, so that their storage may hold counters.
        if protocol == TCP {
            let counters = sk.find_or_make();
            if !counters.is_null() && claim(counters, &process) {
                let counter = match way {
                    Way::Sent => &raw mut (*counters).tx_bytes,
                    Way::Received => &raw mut (*counters).rx_bytes,
                };
                return add(counter, bytes);
            }
        }
        let messages = messages(sk, protocol);
        let moved = match way {
            Way::Sent => Moved { tx_bytes: bytes, tx_messages: messages, ..Moved::default() },
            Way::Received => Moved { rx_bytes: bytes, rx_messages: messages, ..Moved::default() },
        };
        charge(sk, &process, moved);
    }
}

/// Which way a call moves bytes.
#[derive(Clone, Copy)]
enum Way {
    Sent,
    Received,
}

/// Whether a call is a message, as opposed to a piece of a stream; a stream of SCTP consists of messages.
#[inline(always)]
unsafe fn messages(sk: Socket, protocol: u16) -> u64 {
    // SAFETY: a full socket.
    u64::from(unsafe { sk.kind() } != SOCK_STREAM || protocol == SCTP)
}

/// A send call of any kind accepted so many bytes, or failed.
#[inline(always)]
pub unsafe fn sent(sk: Socket, accepted: i32) {
    if accepted < 0 {
        return;
    }
    // SAFETY: the hook's socket, a full one.
    unsafe {
        if !sk.is_counted() {
            return;
        }
        let protocol = sk.protocol();
        // An empty datagram is a message; an empty write to a stream is nothing.
        if accepted == 0 && protocol != UDP && protocol != UDPLITE {
            return;
        }
        count(sk, protocol, accepted as u64, Way::Sent);
    }
}

/// A receive call returned so many bytes, or failed. Not for plain TCP: splice and zero-copy reads do not come here.
#[inline(always)]
pub unsafe fn received(sk: Socket, returned: i32, flags: i32) {
    if returned < 0 || flags & (MSG_PEEK | MSG_ERRQUEUE) != 0 {
        return;
    }
    // SAFETY: the hook's socket, a full one.
    unsafe {
        if !sk.is_counted() {
            return;
        }
        let protocol = sk.protocol();
        if returned == 0 {
            // 0 is an empty datagram, unless reading was shut down: then it is end of file.
            let shutdown: u8 = load(sk.0 as Ptr, offset!(sk_shutdown));
            if (protocol != UDP && protocol != UDPLITE) || shutdown & RCV_SHUTDOWN != 0 {
                return;
            }
        }
        // Every read of TCP comes here: two loads, and no call of the kernel, tell that the socket is plain.
        if protocol == TCP {
            if sk.is_as_made() {
                return;
            }
            let tcp = sk.tcp();
            if !tcp.is_null() && !sk.has_upper_layer(tcp) {
                return;
            }
        }
        count(sk, protocol, returned as u64, Way::Received);
    }
}

/// Bytes left a TCP receive queue towards a process, by whatever call: the way `copied_seq` went.
///
/// The size that `tcp_cleanup_rbuf` is given is wrong under MSG_PEEK and MSG_WAITALL; the sequence number is not. The
/// socket is locked here, so neither the baseline nor the sum needs atomics.
#[inline(always)]
pub unsafe fn taken(sk: Socket) {
    // SAFETY: the hook's socket, a full one.
    unsafe {
        let tcp = sk.tcp();
        // An upper layer protocol reads ciphertext, also in softirq: its own calls are counted.
        if tcp.is_null() || sk.has_upper_layer(tcp) {
            return;
        }
        let counters = sk.find_or_make();
        if counters.is_null() {
            return no_storage();
        }
        let upto = sk.read_up_to(tcp);
        if (*counters).flags & SOCK_BASED == 0 {
            (*counters).flags |= SOCK_BASED;
            if sk.state() == state::SYN_RECV {
                // Fast open: data is read before ESTABLISHED took the baseline.
                (*counters).copied_seq = first_byte(tcp);
            } else {
                (*counters).copied_seq = upto;
                return lost(Loss::NoBaseline);
            }
        }
        let delta = upto.wrapping_sub((*counters).copied_seq);
        (*counters).copied_seq = upto;
        // 0 under MSG_PEEK; backwards only if TCP_REPAIR set it.
        if delta as i32 <= 0 {
            return;
        }
        let process = Process::current();
        if claim(counters, &process) {
            (*counters).rx_bytes += u64::from(delta);
            return;
        }
        charge(sk, &process, Moved { rx_bytes: u64::from(delta), ..Moved::default() });
    }
}

/// The socket of a UNIX operation, which gets the `struct socket` around it.
#[inline(always)]
pub unsafe fn unix_socket(socket: Ptr) -> Option<Socket> {
    // SAFETY: a pointer field of `struct socket`.
    let sk = Socket(unsafe { load(socket, offset!(socket_sk)) });
    // SAFETY: checked for NULL first.
    (!sk.0.is_null() && unsafe { sk.family() } == AF_UNIX).then_some(sk)
}
