//! The hooks of kernels without those tracepoints: what the protocols' own functions return.

use crate::{
    load::{Ptr, offset},
    socket::{AF_INET, SOCK_DGRAM, Socket},
    traffic,
};
use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_func_arg, bpf_get_func_ret},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

/// What the function returned. Its slot moves with the number of arguments, which differs between kernels.
#[inline(always)]
fn returned(ctx: &FExitContext) -> i32 {
    let mut value = 0;
    // SAFETY: the context of an fexit program and room for one value; the upper half of the slot is undefined.
    unsafe { bpf_get_func_ret(ctx.as_ptr(), &raw mut value) };
    value as i32
}

/// An argument that is no pointer.
#[inline(always)]
fn argument(ctx: &FExitContext, number: u32) -> i32 {
    let mut value = 0;
    // SAFETY: as above; the helper refuses a number that is too large.
    unsafe { bpf_get_func_arg(ctx.as_ptr(), number, &raw mut value) };
    value as i32
}

macro_rules! sends {
    ($($(#[$doc:meta])* $name:ident = $function:literal;)*) => {$(
        $(#[$doc])*
        #[fexit(function = $function)]
        pub fn $name(ctx: FExitContext) -> i32 {
            // SAFETY: argument 0 of these functions is a full socket.
            unsafe { traffic::sent(Socket(ctx.arg(0)), returned(&ctx)) };
            0
        }
    )*};
}

sends! {
    /// Everything written to plain TCP, before 6.5 but sendfile and splice.
    ps_x_tcp_send = "tcp_sendmsg";
    /// Sendfile and splice to TCP before 6.5.
    ps_x_tcp_page = "tcp_sendpage";
    /// Everything sent by an IPv6 socket over UDP, to IPv4 too.
    ps_x_udp6_send = "udpv6_sendmsg";
    /// Everything written to MPTCP.
    ps_x_mptcp_send = "mptcp_sendmsg";
    /// Every raw packet sent over IPv4.
    ps_x_raw_send = "raw_sendmsg";
    /// Every raw packet sent over IPv6.
    ps_x_raw6_send = "rawv6_sendmsg";
    /// Every request of a ping socket of IPv4.
    ps_x_ping_send = "ping_v4_sendmsg";
    /// Every request of a ping socket of IPv6.
    ps_x_ping6_send = "ping_v6_sendmsg";
}

macro_rules! receives {
    ($($(#[$doc:meta])* $name:ident = $function:literal;)*) => {$(
        $(#[$doc])*
        #[fexit(function = $function)]
        pub fn $name(ctx: FExitContext) -> i32 {
            let flags = argument(&ctx, offset!(recv_flags));
            // SAFETY: argument 0 of these functions is a full socket.
            unsafe { traffic::received(Socket(ctx.arg(0)), returned(&ctx), flags) };
            0
        }
    )*};
}

receives! {
    /// Everything received by an IPv4 socket over UDP.
    ps_x_udp_recv = "udp_recvmsg";
    /// Everything received by an IPv6 socket over UDP.
    ps_x_udp6_recv = "udpv6_recvmsg";
    /// Everything read from MPTCP.
    ps_x_mptcp_recv = "mptcp_recvmsg";
    /// Every raw packet received over IPv4.
    ps_x_raw_recv = "raw_recvmsg";
    /// Every raw packet received over IPv6.
    ps_x_raw6_recv = "rawv6_recvmsg";
    /// Every answer to a ping socket.
    ps_x_ping_recv = "ping_recvmsg";
}

/// Everything sent by an IPv4 socket over UDP. An IPv6 socket that sends to an IPv4 address comes through here, and is
/// counted where it came from.
#[fexit(function = "udp_sendmsg")]
pub fn ps_x_udp_send(ctx: FExitContext) -> i32 {
    let sk = Socket(ctx.arg(0));
    // SAFETY: argument 0 is a full socket.
    unsafe {
        if sk.family() == AF_INET {
            traffic::sent(sk, returned(&ctx));
        }
    }
    0
}

/// Bytes that left a TCP receive queue.
#[fentry(function = "tcp_cleanup_rbuf")]
pub fn ps_e_cleanup(ctx: FEntryContext) -> i32 {
    // SAFETY: argument 0 is a full TCP socket, locked.
    unsafe { traffic::taken(Socket(ctx.arg(0))) };
    0
}

/// A packet comes through the functions of datagrams too, unless the compiler made that one function.
#[inline(always)]
fn is_datagram(sk: Socket) -> bool {
    // SAFETY: a full socket.
    unsafe { sk.kind() == SOCK_DGRAM }
}

macro_rules! unix_sends {
    ($($(#[$doc:meta])* $name:ident = $function:literal, $counts:expr;)*) => {$(
        $(#[$doc])*
        #[fexit(function = $function)]
        pub fn $name(ctx: FExitContext) -> i32 {
            // SAFETY: argument 0 of these functions is a `struct socket`.
            if let Some(sk) = unsafe { traffic::unix_socket(ctx.arg::<Ptr>(0)) } {
                let counts: fn(Socket) -> bool = $counts;
                if counts(sk) {
                    // SAFETY: a full socket.
                    unsafe { traffic::sent(sk, returned(&ctx)) };
                }
            }
            0
        }
    )*};
}

unix_sends! {
    /// Everything written to UNIX streams, before 6.5 but sendfile and splice.
    ps_x_ustr_send = "unix_stream_sendmsg", |_| true;
    /// Sendfile and splice to UNIX streams before 6.5.
    ps_x_ustr_page = "unix_stream_sendpage", |_| true;
    /// Every UNIX packet sent. It goes on as a datagram, and is counted here.
    ps_x_useq_send = "unix_seqpacket_sendmsg", |_| true;
    /// Every UNIX datagram sent.
    ps_x_udgm_send = "unix_dgram_sendmsg", is_datagram;
}

macro_rules! unix_receives {
    ($($(#[$doc:meta])* $name:ident = $function:literal, $flags:expr, $counts:expr;)*) => {$(
        $(#[$doc])*
        #[fexit(function = $function)]
        pub fn $name(ctx: FExitContext) -> i32 {
            // SAFETY: argument 0 of these functions is a `struct socket`.
            if let Some(sk) = unsafe { traffic::unix_socket(ctx.arg::<Ptr>(0)) } {
                let flags: fn(&FExitContext) -> i32 = $flags;
                let counts: fn(Socket) -> bool = $counts;
                if counts(sk) {
                    // SAFETY: a full socket.
                    unsafe { traffic::received(sk, returned(&ctx), flags(&ctx)) };
                }
            }
            0
        }
    )*};
}

unix_receives! {
    /// Everything read from UNIX streams, but by splice.
    ps_x_ustr_recv = "unix_stream_recvmsg", |ctx| argument(ctx, 3), |_| true;
    /// Everything spliced from UNIX streams. Its flags are splice's own.
    ps_x_ustr_splic = "unix_stream_splice_read", |_| 0, |_| true;
    /// Every UNIX packet received.
    ps_x_useq_recv = "unix_seqpacket_recvmsg", |ctx| argument(ctx, 3), |_| true;
    /// Every UNIX datagram received.
    ps_x_udgm_recv = "unix_dgram_recvmsg", |ctx| argument(ctx, 3), is_datagram;
}
