//! One socket: its storage, its owner, its receive baseline and its segment counters.

use crate::{
    load::{Ptr, load, offset, swap_if},
    maps::{Loss, lost, socks},
    owner::Process,
    sequence,
};
use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_sk_storage_get, bpf_skc_to_tcp_sock,
    },
};
use core::{ffi::c_void, ptr};
use pidstat_common::net::{
    CLAIM_FREE, CLAIM_LEFT, CLAIM_READY, CLAIM_WRITING, OWNER_ACCEPTED, Owner, SOCK_ACTIVE, SOCK_BASED,
    SOCK_CLOSED, SOCK_INNER, SOCK_OLDER, SockCounters, SockName, SockRecord, UPPER_MPTCP, UPPER_OTHER,
    UPPER_TLS,
};

/// `TCP_ESTABLISHED` and the others, include/net/tcp_states.h.
pub mod state {
    pub const ESTABLISHED: i32 = 1;
    pub const SYN_SENT: i32 = 2;
    pub const SYN_RECV: i32 = 3;
    pub const FIN_WAIT1: i32 = 4;
    pub const CLOSE: i32 = 7;
    pub const CLOSE_WAIT: i32 = 8;
    pub const LAST_ACK: i32 = 9;
    pub const LISTEN: i32 = 10;
    pub const CLOSING: i32 = 11;
}

pub const SOCK_STREAM: u16 = 1;
pub const SOCK_DGRAM: u16 = 2;
pub const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
/// `SOCK_DONE` of `enum sock_flags`, include/net/sock.h: set by `tcp_fin()`.
pub const SOCK_DONE: u64 = 1 << 1;

/// A socket as the hooks are given it.
#[derive(Clone, Copy)]
pub struct Socket(pub *mut c_void);

impl Socket {
    /// Address family.
    #[inline(always)]
    pub unsafe fn family(self) -> u16 {
        // SAFETY: `skc_family` is a u16 of every socket.
        unsafe { load(self.0 as Ptr, offset!(sk_family)) }
    }

    /// Whether it speaks IPv4 or IPv6.
    #[inline(always)]
    pub unsafe fn is_inet(self) -> bool {
        // SAFETY: a socket.
        matches!(unsafe { self.family() }, AF_INET | AF_INET6)
    }

    /// Whether it is counted: netlink and packet sockets fire the same tracepoints, and UNIX ones count on request.
    #[inline(always)]
    pub unsafe fn is_counted(self) -> bool {
        // SAFETY: a socket.
        match unsafe { self.family() } {
            AF_INET | AF_INET6 => true,
            AF_UNIX => offset!(unix) != 0,
            _ => false,
        }
    }

    /// IP protocol number; 262 is MPTCP.
    #[inline(always)]
    pub unsafe fn protocol(self) -> u16 {
        // SAFETY: `sk_protocol` is a u16 of every full socket.
        unsafe { load(self.0 as Ptr, offset!(sk_protocol)) }
    }

    /// Its cookie, 0 while nobody asked for one.
    #[inline(always)]
    pub unsafe fn cookie(self) -> u64 {
        // SAFETY: a u64 of every socket.
        unsafe { load(self.0 as Ptr, offset!(sk_cookie)) }
    }

    /// TCP state.
    #[inline(always)]
    pub unsafe fn state(self) -> i32 {
        // SAFETY: `skc_state` is a u8 of every socket.
        i32::from(unsafe { load::<u8>(self.0 as Ptr, offset!(sk_state)) })
    }

    /// Its `tcp_sock`, or NULL if it speaks something else.
    #[inline(always)]
    pub unsafe fn tcp(self) -> Ptr {
        // SAFETY: the helper checks protocol and kind.
        unsafe { bpf_skc_to_tcp_sock(self.0) as Ptr }
    }

    /// Whether it is or was connected, or is being so: it does not listen, and is not as `socket()` made it.
    #[inline(always)]
    pub unsafe fn was_connected(self, tcp: Ptr) -> bool {
        // SAFETY: a full TCP socket.
        match unsafe { self.state() } {
            state::LISTEN => false,
            // SAFETY: a u32 of every tcp_sock.
            state::CLOSE => unsafe { load::<u32>(tcp, offset!(segs_out)) > 0 },
            _ => true,
        }
    }

    /// Kind: `SOCK_STREAM` and so on.
    #[inline(always)]
    pub unsafe fn kind(self) -> u16 {
        // SAFETY: `sk_type` is a u16 of every full socket.
        unsafe { load(self.0 as Ptr, offset!(sk_type)) }
    }

    /// Whether its protocol's functions are those that it was made with; the upper layers put others into their place.
    #[inline(always)]
    pub unsafe fn is_as_made(self) -> bool {
        let sk = self.0 as Ptr;
        // SAFETY: pointer fields of every full socket.
        unsafe { load::<Ptr>(sk, offset!(sk_prot)) == load::<Ptr>(sk, offset!(sk_prot_creator)) }
    }

    /// Whether an upper layer protocol (kTLS, MPTCP's subflows) sits on it, which reads and writes in its own way.
    #[inline(always)]
    pub unsafe fn has_upper_layer(self, tcp: Ptr) -> bool {
        // SAFETY: a pointer field of every tcp_sock.
        !unsafe { load::<Ptr>(tcp, offset!(icsk_ulp_ops)) }.is_null()
    }

    /// The storage, if it has any.
    #[inline(always)]
    pub unsafe fn find(self) -> *mut SockCounters {
        // SAFETY: a typed socket, the map, and no initial value.
        unsafe { bpf_sk_storage_get(socks(), self.0, ptr::null_mut(), 0).cast() }
    }

    /// The storage, for the calls that move bytes; one that they have to make is that of an older socket or of no TCP.
    #[inline(always)]
    pub unsafe fn find_or_make(self) -> *mut SockCounters {
        // SAFETY: a typed socket.
        unsafe {
            let found = self.find();
            if found.is_null() { make(self.0) } else { found }
        }
    }

    /// The storage, made from `fresh` if there is none; NULL is counted as a loss by the caller, who knows of what.
    #[inline(always)]
    pub unsafe fn find_or(self, fresh: impl FnOnce() -> SockCounters) -> *mut SockCounters {
        // SAFETY: a typed socket, the map, and an initial value as large as the map's.
        unsafe {
            let found = self.find();
            if !found.is_null() {
                return found;
            }
            let mut value = fresh();
            value.cookie = bpf_get_socket_cookie(self.0);
            if value.flags & SOCK_OLDER == 0 {
                value.name.opened_ns = bpf_ktime_get_boot_ns();
            }
            self.describe(&raw mut value.name);
            let made = bpf_sk_storage_get(
                socks(),
                self.0,
                (&raw mut value).cast(),
                u64::from(BPF_SK_STORAGE_GET_F_CREATE),
            );
            // Creation is BPF_NOEXIST inside: NULL also means that another CPU was faster.
            if made.is_null() { self.find() } else { made.cast() }
        }
    }

    /// `copied_seq` without the FIN, which takes a sequence number but is no byte.
    #[inline(always)]
    pub unsafe fn read_up_to(self, tcp: Ptr) -> u32 {
        // SAFETY: fields of a tcp_sock and of the socket it is.
        unsafe {
            let copied: u32 = load(tcp, offset!(copied_seq));
            // No FIN came, or it came after the load above.
            if self.state() == state::ESTABLISHED {
                return copied;
            }
            let next: u32 = load(tcp, offset!(rcv_nxt));
            if copied != next {
                return copied;
            }
            let done = load::<u64>(self.0 as Ptr, offset!(sk_flags)) & SOCK_DONE != 0;
            without_fin(copied, next, self.state(), done)
        }
    }

    /// A storage for a TCP socket that is older than the tool: what happened before now is not ours.
    #[inline(always)]
    pub unsafe fn older(self, tcp: Ptr, based: bool) -> SockCounters {
        let mut fresh = SockCounters::default();
        // SAFETY: fields of a tcp_sock.
        unsafe {
            fresh.flags = SOCK_OLDER;
            fresh.base_segs_in = load(tcp, offset!(segs_in));
            fresh.base_segs_out = load(tcp, offset!(segs_out));
            if based {
                fresh.copied_seq = self.read_up_to(tcp);
                fresh.flags |= SOCK_BASED;
            }
        }
        fresh
    }

    /// Writes what the socket is called, except when it began. While it has no port, what was known stays.
    #[inline(always)]
    pub unsafe fn describe(self, out: *mut SockName) {
        let sk = self.0 as Ptr;
        // SAFETY: fields of a full socket, `out` by the caller's promise valid for writes; a stale pointer on the way to
        // the namespace or the group reads as zero.
        unsafe {
            let port: u16 = load(sk, offset!(sk_local_port));
            if port == 0 && (*out).family != 0 {
                return;
            }
            (*out).family = load(sk, offset!(sk_family));
            (*out).protocol = self.protocol();
            (*out).kind = self.kind();
            (*out).local_port = port;
            (*out).remote_port = u16::from_be(load(sk, offset!(sk_remote_port)));
            if (*out).family == AF_INET6 {
                let mut word = 0;
                while word < 4 {
                    (*out).local[word] = load(sk, offset!(sk_local6) + 4 * word as u32);
                    (*out).remote[word] = load(sk, offset!(sk_remote6) + 4 * word as u32);
                    word += 1;
                }
            } else if (*out).family == AF_INET {
                (*out).local[0] = load(sk, offset!(sk_local4));
                (*out).remote[0] = load(sk, offset!(sk_remote4));
            }
            let net: Ptr = load(sk, offset!(sk_net));
            (*out).netns = load(net, offset!(net_inum));
            let cgroup: Ptr = load(sk, offset!(sk_cgroup));
            let node: Ptr = load(cgroup, offset!(cgroup_kn));
            (*out).cgroup_id = load(node, offset!(kn_id));
        }
    }

    /// Writes its owner, only if that is complete; else who accepted it, if that is known.
    #[inline(always)]
    pub unsafe fn owner(self, counters: *const SockCounters, out: *mut Owner) {
        // SAFETY: `counters` is the socket's storage, `out` by the caller's promise valid for writes.
        unsafe {
            match ptr::read_volatile(&raw const (*counters).claim) {
                CLAIM_READY => *out = (*counters).owner,
                CLAIM_FREE | CLAIM_LEFT if (*counters).owner.start_ns != 0 => {
                    (*out).start_ns = (*counters).owner.start_ns;
                    (*out).flags = OWNER_ACCEPTED;
                }
                _ => {}
            }
        }
    }

    /// The same of the MPTCP socket that a subflow belongs to, whose `struct socket` it was given.
    #[inline(always)]
    unsafe fn parent_owner(self, out: *mut Owner) {
        // SAFETY: pointer fields, checked for NULL; `out` by the caller's promise.
        unsafe {
            let socket: Ptr = load(self.0 as Ptr, offset!(sk_socket));
            if socket.is_null() {
                return;
            }
            let parent = Socket(load(socket, offset!(socket_sk)));
            if parent.0.is_null() {
                return;
            }
            let counters = parent.find();
            if !counters.is_null() {
                parent.owner(counters, out);
            }
        }
    }

    /// Fills a record.
    #[inline(always)]
    pub unsafe fn record(self, counters: *const SockCounters, out: *mut SockRecord) {
        // SAFETY: `counters` is the socket's storage, `out` by the caller's promise valid for writes.
        unsafe {
            (*out).cookie = (*counters).cookie;
            self.owner(counters, &raw mut (*out).owner);
            (*out).name = (*counters).name;
            self.describe(&raw mut (*out).name);
            (*out).tx_bytes = ptr::read_volatile(&raw const (*counters).tx_bytes);
            (*out).rx_bytes = ptr::read_volatile(&raw const (*counters).rx_bytes);
            (*out).syns = (*counters).syns;
            (*out).state = self.state() as u8;
            (*out).flags = ((*counters).flags & (SOCK_OLDER | SOCK_ACTIVE)) as u8;
            let tcp = self.tcp();
            if !tcp.is_null() {
                let (segs_in, segs_out) = self.segments(tcp, counters);
                (*out).segs_in = segs_in;
                (*out).segs_out = segs_out;
                let upper: Ptr = load(tcp, offset!(icsk_ulp_ops));
                if !upper.is_null() {
                    (*out).flags |= SOCK_INNER as u8;
                    (*out).upper = match load::<u32>(upper, offset!(ulp_name)).to_ne_bytes() {
                        [b't', b'l', b's', 0] => UPPER_TLS,
                        [b'm', b'p', b't', b'c'] => UPPER_MPTCP,
                        _ => UPPER_OTHER,
                    };
                    if (*out).owner.tgid == 0 && (*out).upper == UPPER_MPTCP {
                        self.parent_owner(&raw mut (*out).owner);
                    }
                } else if sequence::sampled() {
                    ((*out).tx_bytes, (*out).rx_bytes) = sequence::moved(self, tcp, counters);
                }
                stream(tcp, counters, out);
            }
        }
    }

    /// Its owner's bytes and its segments, sent and received each.
    #[inline(always)]
    pub unsafe fn sums(self, counters: *const SockCounters) -> (u64, u64, u64, u64) {
        // SAFETY: `counters` is the socket's storage.
        unsafe {
            let mut tx_bytes = ptr::read_volatile(&raw const (*counters).tx_bytes);
            let mut rx_bytes = ptr::read_volatile(&raw const (*counters).rx_bytes);
            let tcp = self.tcp();
            if tcp.is_null() {
                return (tx_bytes, rx_bytes, 0, 0);
            }
            if sequence::sampled() && !self.has_upper_layer(tcp) {
                (tx_bytes, rx_bytes) = sequence::moved(self, tcp, counters);
            }
            let (segs_in, segs_out) = self.segments(tcp, counters);
            (tx_bytes, rx_bytes, u64::from(segs_out), u64::from(segs_in))
        }
    }

    /// Folds what a record would say into a word that changes when the socket moves: counters never fall, so neither does
    /// their sum. Never 0, which stands for what no dump shipped yet. `tcp` is its tcp_sock or NULL.
    #[inline(always)]
    pub unsafe fn fold(self, tcp: Ptr, counters: *const SockCounters) -> u32 {
        // SAFETY: a full socket and its storage.
        unsafe {
            let mut sum = 0;
            if ptr::read_volatile(&raw const (*counters).claim) == CLAIM_READY {
                sum += u64::from((*counters).owner.tgid);
            }
            let mut tx_bytes = ptr::read_volatile(&raw const (*counters).tx_bytes);
            let mut rx_bytes = ptr::read_volatile(&raw const (*counters).rx_bytes);
            if !tcp.is_null() {
                if sequence::sampled() {
                    (tx_bytes, rx_bytes) = sequence::moved(self, tcp, counters);
                }
                let (segs_in, segs_out) = self.segments(tcp, counters);
                sum += u64::from(segs_in) + u64::from(segs_out);
                // What was read of the stream, by whomever, is what was received less what waits.
                let received: u64 = load(tcp, offset!(bytes_received));
                sum += 2 * received - u64::from(unread(tcp));
            }
            sum += tx_bytes + rx_bytes;
            let mut word = (sum as u32) ^ ((sum >> 32) as u32) ^ (self.state() as u32) << 24;
            if tcp.is_null() {
                word ^= self.ends();
            }
            if word == 0 { 1 } else { word }
        }
    }

    /// A word that changes when the socket is bound or connected to something else; no more than ports and the end of the
    /// remote address, for IPv6 sockets too.
    #[inline(always)]
    unsafe fn ends(self) -> u32 {
        let sk = self.0 as Ptr;
        // SAFETY: fields of every full socket.
        unsafe {
            let ports = u32::from(load::<u16>(sk, offset!(sk_local_port))) << 16
                | u32::from(load::<u16>(sk, offset!(sk_remote_port)));
            let remote: u32 = if self.family() == AF_INET6 {
                load(sk, offset!(sk_remote6) + 12)
            } else {
                load(sk, offset!(sk_remote4))
            };
            ports ^ remote.rotate_left(5)
        }
    }

    /// Segments received and sent since the base. `tcp_disconnect()` zeroes the kernel's counters after it moved the
    /// state to CLOSE; the values of that moment then stand in.
    #[inline(always)]
    unsafe fn segments(self, tcp: Ptr, counters: *const SockCounters) -> (u32, u32) {
        // SAFETY: fields of a tcp_sock and of its storage.
        unsafe {
            let mut segs_in: u32 = load(tcp, offset!(segs_in));
            let mut segs_out: u32 = load(tcp, offset!(segs_out));
            if (*counters).flags & SOCK_CLOSED != 0 {
                segs_in = later((*counters).closed_segs_in, segs_in);
                segs_out = later((*counters).closed_segs_out, segs_out);
            }
            (segs_in.wrapping_sub((*counters).base_segs_in), segs_out.wrapping_sub((*counters).base_segs_out))
        }
    }
}

/// Fills in what TCP knows of its stream. What `tcp_disconnect()` zeroes is as it was when the state went to CLOSE.
#[inline(always)]
unsafe fn stream(tcp: Ptr, counters: *const SockCounters, out: *mut SockRecord) {
    // SAFETY: fields of a tcp_sock and of its storage; `out` by the caller's promise.
    unsafe {
        let mut bytes_sent: u64 = load(tcp, offset!(bytes_sent));
        let mut bytes_received: u64 = load(tcp, offset!(bytes_received));
        let mut retransmits: u32 = load(tcp, offset!(total_retrans));
        if (*counters).flags & SOCK_CLOSED != 0 {
            bytes_sent = bytes_sent.max((*counters).closed_bytes_sent);
            bytes_received = bytes_received.max((*counters).closed_bytes_received);
            retransmits = later((*counters).closed_retransmits, retransmits);
        }
        (*out).bytes_sent = bytes_sent;
        (*out).bytes_received = bytes_received;
        (*out).retransmits = retransmits;
        (*out).rtt_us = load::<u32>(tcp, offset!(srtt_us)) >> 3;
        (*out).cwnd = load(tcp, offset!(snd_cwnd));
        (*out).header_bytes = load(tcp, offset!(tcp_header_len));
        let written: u32 = load(tcp, offset!(write_seq));
        let next: u32 = load(tcp, offset!(snd_nxt));
        (*out).unread_bytes = unread(tcp);
        (*out).unsent_bytes = ahead(written.wrapping_sub(next));
        (*out).unacked_bytes = ahead(next.wrapping_sub(load(tcp, offset!(snd_una))));
    }
}

/// Bytes that were received and not read.
#[inline(always)]
unsafe fn unread(tcp: Ptr) -> u32 {
    // SAFETY: fields of a tcp_sock.
    unsafe { ahead(load::<u32>(tcp, offset!(rcv_nxt)).wrapping_sub(load(tcp, offset!(copied_seq)))) }
}

/// A distance of sequence numbers, 0 if it is backwards: two loads are not one moment.
#[inline(always)]
fn ahead(distance: u32) -> u32 {
    if (distance as i32) < 0 { 0 } else { distance }
}

/// `copied_seq` without the FIN, from what was read in this order.
///
/// A FIN was consumed when nothing is left to read in a state that only a FIN leads to. After our own FIN was acknowledged
/// the state is CLOSE, which a reset leads to as well; there `done` tells.
#[inline(always)]
pub fn without_fin(copied: u32, next: u32, state: i32, done: bool) -> u32 {
    let fin = match state {
        state::CLOSE_WAIT | state::LAST_ACK | state::CLOSING => true,
        state::CLOSE => done,
        _ => false,
    };
    if fin && copied == next { copied.wrapping_sub(1) } else { copied }
}

/// Makes a storage, once for each socket: in a function of its own, whose stack and registers are not every call's.
#[cold]
#[inline(never)]
unsafe fn make(sk: *mut c_void) -> *mut SockCounters {
    let sk = Socket(sk);
    // SAFETY: a typed socket.
    unsafe {
        let tcp = sk.tcp();
        sk.find_or(|| if tcp.is_null() { SockCounters::default() } else { sk.older(tcp, false) })
    }
}

/// The later of two readings of a u32 counter.
#[inline(always)]
fn later(a: u32, b: u32) -> u32 {
    if (b.wrapping_sub(a) as i32) < 0 { a } else { b }
}

/// Makes `process` the owner if there is none; says whether it is the owner.
///
/// While another CPU is writing the owner the answer is no, even if it is the same process: that use then goes to the
/// flow map, which is as exact.
#[inline(always)]
pub unsafe fn claim(counters: *mut SockCounters, process: &Process) -> bool {
    // SAFETY: `counters` is a live map value; only the CPU that moved `claim` to WRITING writes `owner`.
    unsafe {
        let claim = &raw mut (*counters).claim;
        match ptr::read_volatile(claim) {
            CLAIM_READY => {
                (*counters).owner.tgid == process.tgid && (*counters).owner.start_ns == process.start_ns
            }
            CLAIM_FREE => own(counters, process.leader, process.tgid, process.start_ns),
            _ => false,
        }
    }
}

/// Makes a process the owner unless another CPU is faster; once for each socket, so in a function of its own.
#[cold]
#[inline(never)]
unsafe fn own(counters: *mut SockCounters, leader: Ptr, tgid: u32, start_ns: u64) -> bool {
    // SAFETY: as above, and `leader` is a live task.
    unsafe {
        let claim = &raw mut (*counters).claim;
        if !swap_if(claim, CLAIM_FREE, CLAIM_WRITING) {
            return false;
        }
        Process { leader, tgid, start_ns }.describe(&raw mut (*counters).owner);
        // A full barrier, unlike xadd: the owner is visible before the word that says so.
        swap_if(claim, CLAIM_WRITING, CLAIM_READY)
    }
}

/// Counts that a socket got no storage.
#[inline(always)]
pub fn no_storage() {
    lost(Loss::StorageNull);
}
