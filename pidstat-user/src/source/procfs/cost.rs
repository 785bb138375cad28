//! What this program costs itself: its CPU time from the kernel's own account, its memory from `statm`.

use super::{Reader, number::Numbers};
use crate::sample::{Cost, Missing};
use std::mem::MaybeUninit;

/// Its cost so far; the parts that belong to the kernel's side are for whoever has one.
pub fn so_far(reader: &mut Reader, page_bytes: u64, sample_ns: u64) -> Cost {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is room for one rusage, which the call fills; if it fails, the zeros are a valid one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let ns = |time: libc::timeval| {
        let (seconds, micros) = (time.tv_sec.unsigned_abs(), time.tv_usec.unsigned_abs());
        seconds * 1_000_000_000 + micros * 1000
    };
    let pages = reader.system_file("self/statm").ok().and_then(|bytes| Numbers::new(bytes).nth(1));
    Cost {
        cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime),
        resident_bytes: pages.map(|pages| pages.saturating_mul(page_bytes)).ok_or(Missing::NoPermission),
        peak_bytes: usage.ru_maxrss.unsigned_abs() * 1024,
        sample_ns,
        bpf: Err(Missing::DoesNotApply),
        exit_map: Err(Missing::DoesNotApply),
        flow_map: Err(Missing::DoesNotApply),
        turn_map: Err(Missing::DoesNotApply),
        packet_map: Err(Missing::DoesNotApply),
        closed_ring: Err(Missing::DoesNotApply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_running_program_has_a_cost() {
        let mut reader = Reader::open(Path::new("/proc")).unwrap();
        let cost = so_far(&mut reader, 4096, 7);
        let resident = cost.resident_bytes.unwrap();
        assert!(cost.cpu_ns > 0 && resident > 1 << 20 && cost.peak_bytes >= resident / 2, "{cost:?}");
        assert_eq!((cost.sample_ns, cost.bpf), (7, Err(Missing::DoesNotApply)));
    }
}
