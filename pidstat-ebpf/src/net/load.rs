//! Direct loads of kernel fields at offsets from rodata, and the two atomic operations the BPF target has.
//!
//! No bpf_probe_read anywhere: the verifier checks each load against BTF, and the programs work under lockdown.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};
use core::ptr::read_volatile;
use pidstat_common::net::{LOOKS, NetOffsets};

/// Patched by the loader before the section is frozen, so the verifier knows every value in it.
#[unsafe(no_mangle)]
pub static NET_OFFSETS: NetOffsets = NetOffsets {
    sk_family: 0,
    sk_state: 0,
    sk_protocol: 0,
    sk_flags: 0,
    sk_shutdown: 0,
    sk_prot: 0,
    sk_prot_creator: 0,
    socket_sk: 0,
    icsk_ulp_ops: 0,
    ulp_name: 0,
    copied_seq: 0,
    rcv_nxt: 0,
    bytes_received: 0,
    segs_in: 0,
    segs_out: 0,
    bytes_sent: 0,
    total_retrans: 0,
    write_seq: 0,
    snd_nxt: 0,
    snd_una: 0,
    srtt_us: 0,
    snd_cwnd: 0,
    tcp_header_len: 0,
    sk_local4: 0,
    sk_remote4: 0,
    sk_local6: 0,
    sk_remote6: 0,
    sk_local_port: 0,
    sk_remote_port: 0,
    sk_net: 0,
    net_inum: 0,
    sk_cgroup: 0,
    cgroup_kn: 0,
    kn_id: 0,
    task_group_leader: 0,
    task_tgid: 0,
    task_start_boottime: 0,
    task_flags: 0,
    task_comm: 0,
    task_real_cred: 0,
    cred_uid: 0,
    task_thread_pid: 0,
    pid_level: 0,
    pid_nr: 0,
    pid_ns: 0,
    ns_inum: 0,
    our_level: 0,
    our_inum: 0,
    ring_wakeup_bytes: 0,
    debug: 0,
    bytes_acked: 0,
    sk_cookie: 0,
    sk_type: 0,
    sampled: 0,
    turns: 0,
    unix: 0,
    recv_flags: 0,
    sk_socket: 0,
    socket_file: 0,
    file_cred: 0,
    regs_call: 0,
    registers: 0,
    looks: [0; LOOKS],
};

/// One value of [`NET_OFFSETS`].
macro_rules! offset {
    ($field:ident) => {
        $crate::load::rodata(&$crate::load::NET_OFFSETS.$field)
    };
}
pub(crate) use offset;

/// Reads what the loader wrote; a plain read would be folded to the zero above.
#[inline(always)]
pub fn rodata(value: &'static u32) -> u32 {
    // SAFETY: a valid reference.
    unsafe { read_volatile(value) }
}

/// A pointer to a kernel struct or map value; the verifier knows its type.
pub type Ptr = *const u8;

/// Loads a field.
///
/// # Safety
/// `base` must be a pointer the verifier accepts and `offset` that of a field as wide as `T`; the verifier refuses the
/// program otherwise, so a program that loads cannot fault here.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: Ptr, offset: u32) -> T {
    // SAFETY: the caller's; the kernel's exception table turns a stale pointer into a zero.
    unsafe { read_volatile(base.add(offset as usize).cast::<T>()) }
}

/// Adds to a counter that other CPUs add to as well.
///
/// # Safety
/// `counter` must lie in a live map value.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the caller's. AtomicU64::fetch_add does not exist on this target; plain += loses counts.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, amount);
    }
}

/// Sets `cell` to `new` if it holds `old`; says whether it did.
///
/// # Safety
/// `cell` must lie in a live map value.
#[inline(always)]
pub unsafe fn swap_if(cell: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's.
    let (found, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(cell, old, new)
    };
    found == old
}
