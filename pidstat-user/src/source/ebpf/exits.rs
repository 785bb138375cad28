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
use pidstat_common::exit::{Ended, ExitLosses, GroupEntry, UNSEEN};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How long after the end of a process its record is waited for, and how often it is looked for one that never came.
const OVERDUE_NS: u64 = 3_000_000_000;

/// The attached hooks. Dropping it detaches them.
pub struct Exits {
    /// Records joined with rows.
    pub books: Books,
    ring: RingBuf<MapData>,
    groups: MapData,
    losses: Array<MapData, ExitLosses>,
    programs: Vec<OwnedFd>,
    batch: Batch,
    /// Uptime of the last search for records that never came.
    looked_ns: u64,
    /// Processes whose record never came.
    unseen: u64,
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
            looked_ns: 0,
            unseen: 0,
            _object: object,
        })
    }

    /// Takes the records over, so that the ring never fills.
    pub fn drain(&mut self) {
        while let Some(item) = self.ring.next() {
            if let Some(mut record) = decode::<Ended>(&item) {
                self.unseen += u64::from(record.autoreaped & UNSEEN != 0);
                record.autoreaped &= !UNSEEN;
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
        losses.exit_unseen = self.unseen;
        for program in &self.programs {
            losses.recursion_misses += entry::recursion_misses(program.as_fd())
                .map_err(|error| Reason::of_call("BPF_OBJ_GET_INFO_BY_FD", &error))?;
        }
        Ok(())
    }

    /// Takes up processes that ended long ago and whose record never came: the kernel may leave a program out, and the ring
    /// may have been full. They are shown as they were when their last thread began to die.
    pub fn overdue(&mut self, out: &Sample, shape: &Shape) {
        if out.uptime_ns < self.looked_ns + OVERDUE_NS {
            return;
        }
        self.looked_ns = out.uptime_ns;
        self.take_up(out, OVERDUE_NS, shape);
    }

    fn take_up(&mut self, out: &Sample, after_ns: u64, shape: &Shape) {
        let mut unseen = Vec::new();
        let walked = self.batch.for_each(self.groups.fd().as_fd(), |key, value| {
            let (Some(key), Some(entry)) = (decode::<u64>(key), decode::<GroupEntry>(value)) else { return };
            if missing(&entry, out, shape) && entry.end_ns + after_ns <= out.uptime_ns {
                unseen.push(key);
            }
        });
        if walked.is_err() {
            // The next look finds them as well.
            return;
        }
        for key in unseen {
            // SAFETY: ps_groups was made with u64 and `GroupEntry`.
            let entry = unsafe { entry::take::<u64, GroupEntry>(self.groups.fd().as_fd(), &key) };
            // Meanwhile it may have been freed, and sent its record.
            if let Ok(Some(entry)) = entry
                && missing(&entry, out, shape)
            {
                self.unseen += 1;
                self.books.arrived(entry.last);
            }
        }
    }

    /// Adds what arrived after the walk to the last sample of a run; says whether more is expected. With `closing`
    /// nothing is waited for any more.
    pub fn late(
        &mut self,
        previous: &Sample,
        out: &mut Sample,
        closing: bool,
        (shape, users, losses): (&Shape, &mut Users, &mut Losses),
    ) -> bool {
        // Before the records: whoever is still in the map has sent none.
        let expected = !closing && self.dying(out, shape);
        self.drain();
        if closing {
            self.take_up(out, 0, shape);
        }
        losses.exit_unseen = self.unseen;
        self.books.late(previous, out, closing, shape, users);
        !closing && (expected || self.books.waits(out))
    }

    /// Whether a process without living threads has ended before the walk, was not in it, and is not freed yet.
    fn dying(&mut self, out: &Sample, shape: &Shape) -> bool {
        let mut any = false;
        let walked = self.batch.for_each(self.groups.fd().as_fd(), |_, value| {
            let entry = decode::<GroupEntry>(value);
            any |= entry.is_some_and(|entry| missing(&entry, out, shape) && entry.end_ns <= out.uptime_ns);
        });
        // A map that cannot be read tells nothing; what is known to be missing is waited for all the same.
        walked.is_ok() && any
    }
}

/// Whether no thread of a process lives and the walk did not show it.
fn missing(entry: &GroupEntry, out: &Sample, shape: &Shape) -> bool {
    let key = TaskKey { tgid: entry.pid, tid: 0, start_ticks: entry.start_ns / shape.tick_ns.max(1) };
    entry.dead != 0 && entry.pid != 0 && out.tasks.binary_search_by(|task| task.key.cmp(&key)).is_err()
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
