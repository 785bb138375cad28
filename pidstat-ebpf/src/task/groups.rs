//! The maps of the exit hooks: what is kept of a process from the first death in it until it is freed.

use crate::{
    field::{pointer_at, u32_at, u64_at},
    offset,
};
use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, RingBuf},
    helpers::generated::bpf_ringbuf_output,
    macros::btf_map,
};
use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_xadd},
};
use pidstat_common::{
    exit::{
        COUNTED_MAX, Counted, Ended, ExitCounts, GROUPS_MAX, GroupEntry, RING_BYTES, UNSEEN, waiting_max,
    },
    task::Leader,
};

/// By address of the `signal_struct`, which exec by another thread keeps, as it keeps the start.
#[btf_map(name = "ps_groups")]
static GROUPS: HashMap<u64, GroupEntry, GROUPS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Dead threads that are counted, by address of the `task_struct`; until it is freed.
#[btf_map(name = "ps_counted")]
pub static COUNTED: HashMap<u64, Counted, COUNTED_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Processes that ended.
#[btf_map(name = "ps_ended")]
static ENDED: RingBuf<Ended, RING_BYTES> = RingBuf::new();

/// Processes that ended when the ring was full, by start and number.
#[btf_map(name = "ps_waiting")]
static WAITING: HashMap<[u64; 2], Ended, { waiting_max(RING_BYTES) }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// One value: how many ended, and what did not fit.
#[btf_map(name = "ps_exit_counts")]
static COUNTS: Array<ExitCounts, 1> = Array::new();

/// One value, for ever zero: an entry is too large for a program's stack.
#[btf_map(name = "ps_fresh")]
static FRESH: Array<GroupEntry, 1> = Array::new();

/// Where the walk builds a record: it is as large as a program's stack, and only one reader walks at a time.
#[btf_map(name = "ps_record")]
pub static RECORD: Array<Leader, 1> = Array::new();

/// The ring as the helpers take it.
#[inline(always)]
pub fn ended() -> *mut c_void {
    (&raw const ENDED).cast_mut().cast()
}

/// Adds to a number that other CPUs add to as well.
///
/// # Safety
/// `number` must lie in a live map value.
#[inline(always)]
pub unsafe fn add(number: *mut u64, amount: u64) {
    // SAFETY: the caller's. AtomicU64::fetch_add does not exist on this target; plain += loses counts.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(number, amount);
    }
}

/// Keeps the last record of an entry, for which there was no room in the ring, until the reader asks for it.
///
/// # Safety
/// `entry` must be a live map value.
#[inline(always)]
pub unsafe fn put_aside(entry: *const GroupEntry) {
    // SAFETY: the caller's, and the array's only value lives as long as the map.
    unsafe {
        let last: &Ended = &(*entry).last;
        let kept = WAITING.insert([(*entry).start_ns, u64::from((*entry).pid)], last, 0).is_ok();
        if let Some(counts) = COUNTS.get_ptr_mut(0) {
            add(if kept { &raw mut (*counts).waiting } else { &raw mut (*counts).ring_full }, 1);
        }
    }
}

/// Counts the processes that are remembered: 1 more, or with all bits set one less.
#[inline(always)]
fn remembered(change: u64) {
    if let Some(counts) = COUNTS.get_ptr_mut(0) {
        // SAFETY: the array's only value lives as long as the map.
        unsafe { add(&raw mut (*counts).groups, change) };
    }
}

/// Counts a process whose last thread died.
#[inline(always)]
pub fn ended_one() {
    if let Some(counts) = COUNTS.get_ptr_mut(0) {
        // SAFETY: the array's only value lives as long as the map.
        unsafe { add(&raw mut (*counts).ended, 1) };
    }
}

/// The entry of a process, if there is one.
///
/// # Safety
/// `signal` must be a `signal_struct` that the verifier follows.
#[inline(always)]
pub unsafe fn find(signal: *const u8) -> Option<*mut GroupEntry> {
    GROUPS.get_ptr_mut(signal as u64)
}

/// The entry of a process, made if there is none; `None` is counted.
///
/// # Safety
/// `signal` must be a `signal_struct` and `leader` the first thread of the same process.
#[inline(always)]
pub unsafe fn find_or_make(signal: *const u8, leader: *const u8) -> Option<*mut GroupEntry> {
    let key = signal as u64;
    // SAFETY: a typed task and live map values.
    unsafe {
        let start_ns = u64_at(leader, offset!(start_boottime));
        if let Some(found) = GROUPS.get_ptr_mut(key) {
            // Otherwise its process was freed unseen, and the kernel gave the memory to another.
            if (*found).start_ns != start_ns {
                salvage(found);
                begin(found, start_ns);
            }
            return Some(found);
        }
        let fresh = FRESH.get_ptr(0)?;
        // BPF_NOEXIST: another thread may have been faster, and overwriting would lose what it counted.
        let zero: &GroupEntry = &*fresh;
        if GROUPS.insert(key, zero, 1).is_ok() {
            remembered(1);
        }
        let found = GROUPS.get_ptr_mut(key);
        if let Some(found) = found {
            (*found).start_ns = start_ns;
        }
        if found.is_none()
            && let Some(counts) = COUNTS.get_ptr_mut(0)
        {
            add(&raw mut (*counts).groups_full, 1);
        }
        found
    }
}

/// Sends what is known of a process that was freed unseen.
#[inline(always)]
unsafe fn salvage(entry: *mut GroupEntry) {
    // SAFETY: a live map value, and as many bytes of it as the record has.
    unsafe {
        if (*entry).dead == 0 || (*entry).pid == 0 {
            return;
        }
        (*entry).last.autoreaped |= UNSEEN;
        let last = (&raw mut (*entry).last).cast::<c_void>();
        if bpf_ringbuf_output(ended(), last, size_of::<Ended>() as u64, 0) != 0 {
            put_aside(entry);
        }
    }
}

/// Makes an entry that of another process.
#[inline(always)]
unsafe fn begin(entry: *mut GroupEntry, start_ns: u64) {
    macro_rules! clear {
        ($($field:ident $([$index:literal])?)+) => { $(
            core::ptr::write_volatile(&raw mut (*entry).$field $([$index])?, 0);
        )+ };
    }
    // SAFETY: a live map value.
    unsafe {
        clear!(wait_ns timeslices begun done reaped_min_flt dead autoreaped);
        clear!(
            reaped_io[0] reaped_io[1] reaped_io[2] reaped_io[3] reaped_io[4] reaped_io[5] reaped_io[6]
        );
        (*entry).start_ns = start_ns;
    }
}

/// Forgets a process that is being freed.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn forget(signal: *const u8) {
    if GROUPS.remove(signal as u64).is_ok() {
        remembered(u64::MAX);
    }
}

/// The first thread of a task's process.
///
/// # Safety
/// `task` must be a task that the verifier follows.
#[inline(always)]
pub unsafe fn leader(task: *const u8) -> *const u8 {
    // SAFETY: a typed task.
    unsafe { pointer_at(task, offset!(group_leader)) }
}

/// Whether a task is the first thread of its process.
///
/// # Safety
/// As for [`leader`].
#[inline(always)]
pub unsafe fn is_first(task: *const u8) -> bool {
    // SAFETY: a typed task.
    unsafe { u32_at(task, offset!(pid)) == u32_at(task, offset!(tgid)) }
}
