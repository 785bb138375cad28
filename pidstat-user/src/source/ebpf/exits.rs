//! Processes that ended: the exit hooks, their ring, and what could not be kept.

mod books;

pub use books::{Books, Names, final_row};

use super::gather::Shape;
use crate::{
    kernel::{
        Attached, Kernel, Object, Reason,
        bpf::Batch,
        entry,
        ladder::Program,
        task::{EXIT, FREE, NOTIFY},
    },
    sample::{Losses, Sample, TaskKey},
};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, RingBuf},
};
use pidstat_common::exit::{Ended, ExitCounts, GROUPS_MAX, GroupEntry, UNSEEN};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How long after the end of a process its record is waited for.
const OVERDUE_NS: u64 = 3_000_000_000;
/// How often it is looked for records that never came: that walks over a whole map.
const LOOK_NS: u64 = 10_000_000_000;

/// The attached hooks. Dropping it detaches them.
pub struct Exits {
    /// Records joined with rows.
    pub books: Books,
    ring: RingBuf<MapData>,
    groups: MapData,
    aside: HashMap<MapData, [u64; 2], Ended>,
    counts: Array<MapData, ExitCounts>,
    programs: Vec<(Program, OwnedFd)>,
    batch: Batch,
    /// Uptime of the last search for records that never came.
    looked_ns: u64,
    /// How many processes had ended so far, and at the last search that left nothing to be found later.
    ended: (u64, Option<u64>),
    /// How many records were put aside so far, and how many of them were taken over.
    waiting: (u64, u64),
    /// Processes whose record never came.
    unseen: u64,
    /// Those of them that were found since this was last emptied: nobody took what their parents got of them off again.
    pub found: Vec<Ended>,
    /// Entries of the map that its own side counts, and how many of them were taken out.
    remembered: u64,
    taken: u64,
    _hooks: Ebpf,
}

impl Exits {
    /// Attaches the hooks of a loaded task family.
    ///
    /// # Errors
    /// Why this machine or this user cannot have them.
    pub fn attach(kernel: &Kernel, mut object: Object) -> Result<Exits, Reason> {
        let mut programs = Vec::new();
        for program in [FREE, NOTIFY, EXIT] {
            match object.attach(kernel, &program) {
                Ok(Attached::Hook) => {}
                Ok(Attached::Iter(_)) => return Err(lacks(program.name)),
                Err(_) if program == NOTIFY => continue,
                Err(why) => return Err(why),
            }
            let found = object.ebpf().program(program.name);
            let fd = found.and_then(|p| p.fd().ok()).and_then(|fd| fd.as_fd().try_clone_to_owned().ok());
            programs.push((program, fd.ok_or_else(|| lacks(program.name))?));
        }
        let mut map = |name| object.ebpf().take_map(name).ok_or_else(|| lacks(name));
        Ok(Exits {
            books: Books::default(),
            ring: RingBuf::try_from(map("ps_ended")?).map_err(|e| Reason::of_map(&e))?,
            groups: match map("ps_groups")? {
                Map::HashMap(data) => data,
                _ => return Err(lacks("ps_groups")),
            },
            aside: HashMap::try_from(map("ps_waiting")?).map_err(|e| Reason::of_map(&e))?,
            counts: Array::try_from(map("ps_exit_counts")?).map_err(|e| Reason::of_map(&e))?,
            programs,
            batch: Batch::new(size_of::<u64>(), size_of::<GroupEntry>()),
            looked_ns: 0,
            ended: (0, None),
            waiting: (0, 0),
            unseen: 0,
            found: Vec::new(),
            remembered: 0,
            taken: 0,
            _hooks: object.into_ebpf(),
        })
    }

    /// The programs that run by themselves.
    pub fn programs(&self) -> impl Iterator<Item = &OwnedFd> {
        self.programs.iter().map(|(_, fd)| fd)
    }

    /// How many processes are remembered now, and how many can be.
    pub fn fill(&self) -> (u64, u64) {
        (self.remembered.saturating_sub(self.taken), GROUPS_MAX as u64)
    }

    /// Takes the records over, so that the ring never fills.
    pub fn drain(&mut self) {
        while let Some(record) = self.ring.next().map(|item| decode::<Ended>(&item)) {
            if let Some(record) = record {
                self.take_in(record);
            }
        }
    }

    /// Enters a record into the books.
    fn take_in(&mut self, mut record: Ended) {
        let unseen = record.autoreaped & UNSEEN != 0;
        record.autoreaped &= !UNSEEN;
        self.books.arrived(record);
        if unseen {
            self.unseen += 1;
            self.found.push(record);
        }
    }

    /// Takes over what was put aside while the ring was full.
    fn look_aside(&mut self) -> Result<ExitCounts, MapError> {
        let counts = self.counts.get(&0, 0)?;
        (self.ended.0, self.waiting.0) = (counts.ended, counts.waiting);
        self.remembered = counts.groups;
        if self.waiting.0 != self.waiting.1 {
            self.clear_aside();
        }
        Ok(counts)
    }

    fn clear_aside(&mut self) {
        // A key that is gone when the next is asked for would start the walk again, so the keys come first.
        let keys: Vec<[u64; 2]> = self.aside.keys().flatten().collect();
        for key in keys {
            if let Ok(record) = self.aside.get(&key, 0)
                && self.aside.remove(&key).is_ok()
            {
                self.waiting.1 += 1;
                self.take_in(record);
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
        let counts = self.look_aside().map_err(|e| Reason::of_map(&e))?;
        losses.exit_ring_full = counts.ring_full;
        losses.exit_groups_full = counts.groups_full;
        losses.exit_unseen = self.unseen;
        // What the others miss is missing; that one only comes close to what is told at the end anyway.
        for (_, fd) in self.programs.iter().filter(|(program, _)| *program != NOTIFY) {
            losses.recursion_misses += entry::recursion_misses(fd.as_fd())
                .map_err(|error| Reason::of_call("BPF_OBJ_GET_INFO_BY_FD", &error))?;
        }
        Ok(())
    }

    /// Takes up processes that ended long ago and whose record never came: the kernel may leave a program out, and the ring
    /// may have been full. They are shown as they were when their parent was told.
    pub fn overdue(&mut self, out: &Sample, shape: &Shape) {
        if out.uptime_ns < self.looked_ns + LOOK_NS || self.ended.1 == Some(self.ended.0) {
            return;
        }
        self.looked_ns = out.uptime_ns;
        self.take_up(out, OVERDUE_NS, shape);
    }

    fn take_up(&mut self, out: &Sample, after_ns: u64, shape: &Shape) {
        let mut unseen = Vec::new();
        let mut later = false;
        let walked = self.batch.for_each(self.groups.fd().as_fd(), |key, value| {
            let (Some(key), Some(entry)) = (decode::<u64>(key), decode::<GroupEntry>(value)) else { return };
            if entry.end_ns + after_ns <= out.uptime_ns && missing(&entry, out, shape) {
                unseen.push(key);
            } else {
                // Who is dead and still in the walk may yet be freed unseen.
                later |= entry.dead != 0;
            }
        });
        if walked.is_err() {
            // The next look finds them as well.
            return;
        }
        self.ended.1 = (!later).then_some(self.ended.0);
        for key in unseen {
            // SAFETY: ps_groups was made with u64 and `GroupEntry`.
            let entry = unsafe { entry::take::<u64, GroupEntry>(self.groups.fd().as_fd(), &key) };
            // Meanwhile it may have been freed, and sent its record.
            self.taken += u64::from(matches!(entry, Ok(Some(_))));
            if let Ok(Some(entry)) = entry
                && missing(&entry, out, shape)
            {
                self.take_in(Ended { autoreaped: entry.last.autoreaped | UNSEEN, ..entry.last });
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
        (shape, names, losses): (&Shape, &mut Names<'_>, &mut Losses),
    ) -> bool {
        // Before the records: whoever is still in the map has sent none. A look at it is not cheap.
        let expected = !closing && (self.books.waits(out) || self.dying(out, shape));
        self.drain();
        // What cannot be read is told at the next sample, if there is one.
        let _ = self.look_aside();
        if closing {
            self.take_up(out, 0, shape);
        }
        losses.exit_unseen = self.unseen;
        self.books.late(previous, out, closing, shape, names);
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
