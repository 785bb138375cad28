//! The hooks of kernels that allow neither: breakpoints at the start of functions. They alone read kernel memory by
//! helper, because nobody vouches for the type of a breakpoint's arguments.

use crate::{
    account::{Moved, charge_flow, open_flow},
    load::{Ptr, offset, swap_if},
    maps::{Loss, TURNS, lost},
    owner::Process,
    socket::{AF_INET, AF_INET6, SOCK_DONE, state, without_fin},
    turn,
};
use aya_ebpf::{helpers::bpf_probe_read_kernel, macros::kprobe, programs::ProbeContext};
use core::ptr::read_volatile;
use pidstat_common::net::{FlowKey, SockName};

/// Reads a field; 0 where there is none, which no verdict is built on.
#[inline(always)]
fn probe<T: Copy + Default>(base: Ptr, at: u32) -> T {
    // SAFETY: the helper checks the address, and fails instead of faulting.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(at as usize).cast::<T>()) }.unwrap_or_default()
}

/// The flow of the running process through a socket.
#[inline(always)]
fn key(cookie: u64, process: &Process) -> FlowKey {
    FlowKey { cookie, start_ns: process.start_ns, tgid: process.tgid, kind: 0 }
}

/// Writes what the socket is called; when it began, no breakpoint saw.
#[inline(always)]
fn describe(sk: Ptr, name: *mut SockName) {
    // SAFETY: the caller's own value.
    let name = unsafe { &mut *name };
    name.family = probe(sk, offset!(sk_family));
    name.protocol = probe(sk, offset!(sk_protocol));
    name.kind = probe(sk, offset!(sk_type));
    name.local_port = probe(sk, offset!(sk_local_port));
    name.remote_port = u16::from_be(probe(sk, offset!(sk_remote_port)));
    if name.family == AF_INET6 {
        name.local = probe(sk, offset!(sk_local6));
        name.remote = probe(sk, offset!(sk_remote6));
    } else {
        name.local[0] = probe(sk, offset!(sk_local4));
        name.remote[0] = probe(sk, offset!(sk_remote4));
    }
    name.netns = probe(probe::<u64>(sk, offset!(sk_net)) as Ptr, offset!(net_inum));
    let cgroup = probe::<u64>(sk, offset!(sk_cgroup)) as Ptr;
    let node = probe::<u64>(cgroup, offset!(cgroup_kn)) as Ptr;
    name.cgroup_id = probe(node, offset!(kn_id));
}

/// Whether an upper layer protocol writes to this socket, in its own way.
#[inline(always)]
fn has_upper_layer(sk: Ptr) -> bool {
    probe::<u64>(sk, offset!(icsk_ulp_ops)) != 0
}

/// Somebody begins to write to a TCP socket.
#[inline(always)]
fn writes(sk: Ptr) -> u32 {
    if has_upper_layer(sk) {
        return 0;
    }
    let cookie = probe::<u64>(sk, offset!(sk_cookie));
    // Before a connection is made there is no turn; whoever connects has the first.
    let Some(turn) = TURNS.get_ptr_mut(cookie) else { return 0 };
    let process = Process::current();
    let writer = key(cookie, &process);
    // SAFETY: a live map value.
    unsafe {
        open_flow(&writer, &process, |name| describe(sk, name));
        turn::take(turn, &writer, probe(sk, offset!(write_seq)));
    }
    0
}

/// Everything written to TCP, before 6.5 but sendfile and splice.
#[kprobe]
pub fn ps_k_tcp_send(ctx: ProbeContext) -> u32 {
    ctx.arg::<Ptr>(0).map_or(0, writes)
}

/// Sendfile and splice to TCP before 6.5.
#[kprobe]
pub fn ps_k_tcp_page(ctx: ProbeContext) -> u32 {
    ctx.arg::<Ptr>(0).map_or(0, writes)
}

/// Bytes left a TCP receive queue: the way `copied_seq` went. The socket is locked.
#[kprobe]
pub fn ps_k_cleanup(ctx: ProbeContext) -> u32 {
    let Some(sk) = ctx.arg::<Ptr>(0) else { return 0 };
    if has_upper_layer(sk) {
        return 0;
    }
    let cookie = probe::<u64>(sk, offset!(sk_cookie));
    let state = i32::from(probe::<u8>(sk, offset!(sk_state)));
    let Some(turn) = TURNS.get_ptr_mut(cookie) else {
        // What came with a SYN may be read before the connection is made; the next read counts it too.
        if state != state::SYN_RECV {
            lost(Loss::NoBaseline);
        }
        return 0;
    };
    let copied = probe(sk, offset!(copied_seq));
    let done = probe::<u64>(sk, offset!(sk_flags)) & SOCK_DONE != 0;
    let upto = without_fin(copied, probe(sk, offset!(rcv_nxt)), state, done);
    // SAFETY: a live map value.
    unsafe {
        let before = read_volatile(&raw const (*turn).rx_seq);
        let delta = upto.wrapping_sub(before as u32);
        if delta as i32 <= 0 || !swap_if(&raw mut (*turn).rx_seq, before, u64::from(upto)) {
            return 0;
        }
        let process = Process::current();
        let reader = key(cookie, &process);
        open_flow(&reader, &process, |name| describe(sk, name));
        let moved = Moved { rx_bytes: u64::from(delta), ..Moved::default() };
        charge_flow(&reader, core::ptr::null(), moved);
    }
    0
}

/// One message through a UDP socket, which has no cookie that a breakpoint could ask for: its address stands in. An
/// address that another socket of the same process takes over goes on with the same sums.
#[inline(always)]
fn message(sk: Ptr, moved: Moved) {
    let process = Process::current();
    let flow = key(sk as u64, &process);
    // SAFETY: keys and values of the map.
    unsafe {
        open_flow(&flow, &process, |name| describe(sk, name));
        charge_flow(&flow, core::ptr::null(), moved);
    }
}

/// A send that may still fail: what was asked for is counted.
#[inline(always)]
fn asked(ctx: &ProbeContext, family: u16) -> u32 {
    let (Some(sk), Some(bytes)) = (ctx.arg::<Ptr>(0), ctx.arg::<u64>(2)) else { return 0 };
    if probe::<u16>(sk, offset!(sk_family)) == family {
        message(sk, Moved { tx_bytes: bytes, tx_messages: 1, ..Moved::default() });
    }
    0
}

/// Everything sent by an IPv4 socket over UDP; IPv6 sockets come through here too, for IPv4 addresses.
#[kprobe]
pub fn ps_k_udp_send(ctx: ProbeContext) -> u32 {
    asked(&ctx, AF_INET)
}

/// Everything sent by an IPv6 socket over UDP.
#[kprobe]
pub fn ps_k_udp6_send(ctx: ProbeContext) -> u32 {
    asked(&ctx, AF_INET6)
}

/// A datagram was taken from a receive queue: so many bytes of it, fewer than none where it was only looked at.
#[kprobe]
pub fn ps_k_udp_recv(ctx: ProbeContext) -> u32 {
    let (Some(sk), Some(taken)) = (ctx.arg::<Ptr>(0), ctx.arg::<i32>(2)) else { return 0 };
    if taken >= 0 {
        message(sk, Moved { rx_bytes: taken as u64, rx_messages: 1, ..Moved::default() });
    }
    0
}
