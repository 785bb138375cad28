//! Processes that ended: the exit hooks, their ring, and what could not be kept.

mod books;

pub use books::{Books, final_row};

use super::gather::Shape;
use crate::{
    kernel::{
        Attached, Kernel, Object, Reason,
        bpf::Batch,
        entry,
        task::{EXIT, FREE},
    },
    sample::{Losses, Sample, TaskKey},
    source::procfs::Users,
};
use aya::maps::{Array, Map, MapData, RingBuf};
use pidstat_common::exit::{Ended, ExitLosses, GroupEntry};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The attached hooks. Dropping it detaches them.
pub struct Exits {
    /// Records joined with rows.
    pub books: Books,
    ring: RingBuf<MapData>,
    groups: MapData,
    losses: Array<MapData, ExitLosses>,
    programs: Vec<OwnedFd>,
    batch: Batch,
    _object: Object,
}

impl Exits {
    /// Attaches the hooks of a loaded task family.
    ///
    /// # Errors
    /// Why this machine or this user cannot have them.
    pub fn attach(kernel: &Kernel, mut object: Object) -> Result<Exits, Reason> {
        let mut programs = Vec::new();
        for program in [FREE, EXIT] {
            if !matches!(object.attach(kernel, &program)?, Attached::Hook) {
                return Err(lacks(program.name));
            }
            let found = object.ebpf().program(program.name);
            let fd = found.and_then(|p| p.fd().ok()).and_then(|fd| fd.as_fd().try_clone_to_owned().ok());
            programs.push(fd.ok_or_else(|| lacks(program.name))?);
        }
        let mut map = |name| object.ebpf().take_map(name).ok_or_else(|| lacks(name));
        Ok(Exits {
            books: Books::default(),
            ring: RingBuf::try_from(map("ps_ended")?).map_err(|e| Reason::of_map(&e))?,
            groups: match map("ps_groups")? {
                Map::HashMap(data) => data,
                _ => return Err(lacks("ps_groups")),
            },
            losses: Array::try_from(map("ps_exit_lost")?).map_err(|e| Reason::of_map(&e))?,
            programs,
            batch: Batch::new(size_of::<u64>(), size_of::<GroupEntry>()),
            _object: object,
        })
    }

    /// Takes the records over, so that the ring never fills.
    pub fn drain(&mut self) {
        while let Some(item) = self.ring.next() {
            if let Some(record) = decode::<Ended>(&item) {
                self.books.arrived(record);
            }
        }
    }

    /// Readable when the ring is a quarter full and [`Exits::drain`] should run.
    pub fn wakeup(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }

    /// Adds what the kernel side could not keep.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn count_losses(&mut self, losses: &mut Losses) -> Result<(), Reason> {
        let lost = self.losses.get(&0, 0).map_err(|e| Reason::of_map(&e))?;
        losses.exit_ring_full = lost.ring_full;
        losses.exit_groups_full = lost.groups_full;
        for program in &self.programs {
            losses.recursion_misses += entry::recursion_misses(program.as_fd())
                .map_err(|error| Reason::of_call("BPF_OBJ_GET_INFO_BY_FD", &error))?;
        }
        Ok(())
    }

    /// Adds what arrived after the walk to the last sample of a run; says whether more is expected. With `closing`
    /// nothing is waited for any more.
    pub fn late(
        &mut self,
        previous: &Sample,
        out: &mut Sample,
        closing: bool,
        shape: &Shape,
        users: &mut Users,
    ) -> bool {
        // Before the records: whoever is still in the map has sent none.
        let expected = !closing && self.dying(out, shape);
        self.drain();
        self.books.late(previous, out, closing, shape, users);
        !closing && (expected || self.books.waits(out))
    }

    /// Whether a process without living threads has ended before the walk, was not in it, and is not freed yet.
    fn dying(&mut self, out: &Sample, shape: &Shape) -> bool {
        let mut any = false;
        let walked = self.batch.for_each(self.groups.fd().as_fd(), |_, value| {
            let Some(entry) = decode::<GroupEntry>(value) else { return };
            let key =
                TaskKey { tgid: entry.pid, tid: 0, start_ticks: entry.start_ns / shape.tick_ns.max(1) };
            any |= entry.dead != 0
                && entry.pid != 0
                && entry.end_ns <= out.uptime_ns
                && out.tasks.binary_search_by(|task| task.key.cmp(&key)).is_err();
        });
        // A map that cannot be read tells nothing; what is known to be missing is waited for all the same.
        walked.is_ok() && any
    }
}

impl std::fmt::Debug for Exits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exits").field("books", &self.books).finish_non_exhaustive()
    }
}

/// Copies a shared type out of bytes, which need not be aligned; `None` if they are too few.
fn decode<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    // SAFETY: there are enough bytes, and every pattern is a value of a `Pod` type.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

fn lacks(what: &str) -> Reason {
    Reason::Other(format!("no {what} in the object"))
}
