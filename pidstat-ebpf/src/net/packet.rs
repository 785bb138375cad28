//! Packets on the wire, on request: every IP packet that leaves or reaches a socket, but TCP's, whose socket counts them.

use crate::{
    load::add,
    maps::{Loss, PACKETS, uncounted},
    traffic::TCP,
};
use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_sock,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_fullsock},
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use pidstat_common::net::{PacketCounters, Uncounted};

/// Bytes of a UDP header: of all protocols only UDP hands several packets over as one.
const UDP_HEADER: u64 = 8;
/// Bytes of an IPv6 header.
const IPV6_HEADER: u64 = 40;
/// Lets the packet pass.
const PASS: i32 = 1;

/// Everything that a socket sends, in the sender's context, before it is cut into fragments.
#[cgroup_skb(egress)]
pub fn ps_p_out(ctx: SkBuffContext) -> i32 {
    // SAFETY: the kernel's context.
    unsafe { count(&ctx, true) };
    PASS
}

/// Everything that reaches a socket, put together from its fragments, read or not.
#[cgroup_skb(ingress)]
pub fn ps_p_in(ctx: SkBuffContext) -> i32 {
    // SAFETY: as above.
    unsafe { count(&ctx, false) };
    PASS
}

#[inline(always)]
unsafe fn count(ctx: &SkBuffContext, sent: bool) {
    // SAFETY: fields of the context that the verifier knows, and a socket that is checked for NULL.
    unsafe {
        let skb = ctx.skb.skb;
        let some: *mut bpf_sock = (*skb).__bindgen_anon_2.sk;
        if some.is_null() {
            return;
        }
        let sk: *mut bpf_sock = bpf_sk_fullsock(some).cast();
        if sk.is_null() || (*sk).protocol == u32::from(TCP) {
            return;
        }
        let bytes = u64::from((*skb).len);
        let segments = u64::from((*skb).gso_segs);
        let (packets, bytes) = if segments > 1 {
            // The first byte of an IPv4 packet says how many words its header has.
            let head: u8 = ctx.load(0).unwrap_or(0x45);
            let ip = if head >> 4 == 4 { u64::from(head & 15) * 4 } else { IPV6_HEADER };
            (segments, bytes + (segments - 1) * (ip + UDP_HEADER))
        } else {
            (1, bytes)
        };
        let cookie = bpf_get_socket_cookie(ctx.as_ptr());
        let counters = match PACKETS.get_ptr_mut(cookie) {
            Some(found) => found,
            None => {
                // BPF_NOEXIST: whoever was faster has made it.
                let _ = PACKETS.insert(cookie, PacketCounters::default(), 1);
                match PACKETS.get_ptr_mut(cookie) {
                    Some(made) => made,
                    None => {
                        let (tx_packets, rx_packets) = if sent { (packets, 0) } else { (0, packets) };
                        let moved = Uncounted { tx_packets, rx_packets, ..Uncounted::default() };
                        return uncounted(Loss::PacketInsert, false, moved);
                    }
                }
            }
        };
        if sent {
            add(&raw mut (*counters).tx_packets, packets);
            add(&raw mut (*counters).tx_bytes, bytes);
        } else {
            add(&raw mut (*counters).rx_packets, packets);
            add(&raw mut (*counters).rx_bytes, bytes);
        }
    }
}
