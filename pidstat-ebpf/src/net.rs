//! The net family: bytes and packets of every socket, charged to the process that moved them.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(
    internal_features,
    reason = "the BPF target has no AtomicU64::fetch_add; the intrinsic is what there is"
)]

#[path = "net/accept.rs"]
mod accept;
#[path = "net/account.rs"]
mod account;
#[path = "net/fexit.rs"]
mod fexit;
#[path = "net/iterate.rs"]
mod iterate;
#[path = "net/life.rs"]
mod life;
#[path = "net/load.rs"]
mod load;
#[path = "net/maps.rs"]
mod maps;
#[path = "net/owner.rs"]
mod owner;
#[path = "net/packet.rs"]
mod packet;
#[path = "net/probe.rs"]
mod probe;
#[path = "net/sequence.rs"]
mod sequence;
#[path = "net/socket.rs"]
mod socket;
#[path = "net/tracepoint.rs"]
mod tracepoint;
#[path = "net/traffic.rs"]
mod traffic;
#[path = "net/turn.rs"]
mod turn;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The helpers used are GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
