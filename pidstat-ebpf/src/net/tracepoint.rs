//! The hooks of 6.5 and later: the socket layer's own tracepoints.

use crate::{socket::Socket, traffic};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

/// Bytes that a send call of any kind accepted; since 6.5 splice and sendfile come here too.
#[btf_tracepoint(function = "sock_send_length")]
pub fn ps_send(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: argument 0 of this tracepoint is a full socket.
    unsafe { traffic::sent(Socket(ctx.arg(0)), ctx.arg(1)) };
    0
}

/// Bytes that a receive call returned, for all but plain TCP.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn ps_recv(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: argument 0 of this tracepoint is a full socket.
    unsafe { traffic::received(Socket(ctx.arg(0)), ctx.arg(1), ctx.arg(2)) };
    0
}

/// Bytes that left a TCP receive queue.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub fn ps_tcp_recv(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: argument 0 of this tracepoint is a full TCP socket.
    unsafe { traffic::taken(Socket(ctx.arg(0))) };
    0
}
