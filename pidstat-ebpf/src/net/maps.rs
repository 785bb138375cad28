//! The maps of the net family and the counting of what did not fit in them.

use crate::load::add;
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, RingBuf, SkStorage},
    macros::btf_map,
};
use core::ffi::c_void;
use pidstat_common::net::{
    FLOWS_MAX, FlowCounters, FlowKey, NetLosses, Outbox, PacketCounters, RING_BYTES, SeqCounters,
    SockCounters, SockRecord, Turn, Uncounted,
};

/// Per socket, freed with it; no size limit.
#[btf_map(name = "ps_socks")]
static SOCKS: SkStorage<SockCounters> = SkStorage::new();

/// Per socket too, for the rungs of sequence numbers.
#[btf_map(name = "ps_seqs")]
static SEQS: SkStorage<SeqCounters> = SkStorage::new();

/// Per (socket, process), for what the socket storage cannot hold. A plain hash: an LRU forgets counters silently and a
/// per-CPU hash costs value x possible CPUs. Only the loader deletes, and only flows whose socket is gone.
#[btf_map(name = "ps_flows")]
pub static FLOWS: HashMap<FlowKey, FlowCounters, FLOWS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Whose turn it is to write, per socket; only the loader deletes, when the socket is gone. Used by one rung only.
#[btf_map(name = "ps_turns")]
pub static TURNS: HashMap<u64, Turn, FLOWS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Packets on the wire, by socket cookie; only the loader deletes, when the socket is gone. Used on request only. No socket
/// storage: a socket of UDP ends without a hook, and takes its storage with it.
#[btf_map(name = "ps_packets")]
pub static PACKETS: HashMap<u64, PacketCounters, FLOWS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Final records of destroyed TCP sockets.
#[btf_map(name = "ps_closed")]
pub static CLOSED: RingBuf<SockRecord, RING_BYTES> = RingBuf::new();

/// One value: what the walk over the sockets found; the reader maps it.
#[btf_map(name = "ps_outbox")]
pub static OUTBOX: Array<Outbox, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// One value: what was lost, by place.
#[btf_map(name = "ps_losses")]
static LOSSES: Array<NetLosses, 1> = Array::new();

/// The same for what the rungs of sequence numbers keep.
#[inline(always)]
pub fn seqs() -> *mut c_void {
    (&raw const SEQS).cast_mut().cast()
}

/// The socket storage as the helpers take it.
#[inline(always)]
pub fn socks() -> *mut c_void {
    (&raw const SOCKS).cast_mut().cast()
}

/// The ring as the helpers take it.
#[inline(always)]
pub fn closed() -> *mut c_void {
    (&raw const CLOSED).cast_mut().cast()
}

/// Where something was lost.
#[derive(Clone, Copy)]
pub enum Loss {
    /// No socket storage.
    StorageNull,
    /// No room in the flow map.
    FlowInsert,
    /// No room in the map of turns.
    TurnInsert,
    /// No room in the ring.
    RingFull,
    /// No room in the map of packets.
    PacketInsert,
    /// No baseline for a TCP socket's received bytes.
    NoBaseline,
}

/// Counts a loss by which nothing went uncounted that is known.
#[inline(always)]
pub fn lost(what: Loss) {
    uncounted(what, false, Uncounted::default());
}

/// Counts a loss and how much went uncounted by it; `unix` says of what sockets.
#[inline(always)]
pub fn uncounted(what: Loss, unix: bool, moved: Uncounted) {
    let Some(losses) = LOSSES.get_ptr_mut(0) else { return };
    // SAFETY: `losses` points to the array's only value, which lives as long as the map.
    unsafe {
        let site = match what {
            Loss::StorageNull => &raw mut (*losses).storage_null,
            Loss::FlowInsert => &raw mut (*losses).flow_insert_failed,
            Loss::TurnInsert => &raw mut (*losses).turn_insert_failed,
            Loss::RingFull => &raw mut (*losses).ring_full,
            Loss::PacketInsert => &raw mut (*losses).packet_insert_failed,
            Loss::NoBaseline => &raw mut (*losses).no_baseline,
        };
        add(site, 1);
        let sum = if unix { &raw mut (*losses).unix } else { &raw mut (*losses).inet };
        add(&raw mut (*sum).tx_bytes, moved.tx_bytes);
        add(&raw mut (*sum).rx_bytes, moved.rx_bytes);
        add(&raw mut (*sum).tx_messages, moved.tx_messages);
        add(&raw mut (*sum).rx_messages, moved.rx_messages);
        add(&raw mut (*sum).tx_packets, moved.tx_packets);
        add(&raw mut (*sum).rx_packets, moved.rx_packets);
    }
}
