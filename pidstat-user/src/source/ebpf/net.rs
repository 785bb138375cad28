//! Traffic of every process by the net family: loads it, and turns its maps into cumulative sums per process.

mod ledger;
mod rows;

pub use ledger::NetOwner;

use crate::{
    kernel::{
        Attached, Kernel, Object, Reason,
        bpf::{Batch, IterBuffer, IterLink, IterProgram, Scope},
        debug::{self, KernelLog},
        entry,
        net::{self, PidNamespace, Sizes},
    },
    sample::{Connection, Losses, Traffic},
};
use aya::{
    Ebpf,
    maps::{Array, Map, MapData, RingBuf},
};
use ledger::Ledger;
use pidstat_common::net::{FlowCounters, FlowKey, NetLosses, RECORD_FULL, SockRecord};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How often one sample walks the sockets at most, when a walk missed some that exist.
const WALKS_MAX: usize = 3;

/// The attached net family and the sums so far. Dropping it detaches everything.
pub struct Net {
    ledger: Ledger,
    ring: RingBuf<MapData>,
    flows: MapData,
    losses: Array<MapData, NetLosses>,
    sockets: IterLink,
    programs: Vec<OwnedFd>,
    batch: Batch,
    buffer: IterBuffer,
    lost: NetLosses,
    log: Option<KernelLog>,
    _hooks: Ebpf,
}

impl Net {
    /// The rung that is attached, for `Origin::net_rung`.
    pub const RUNG: &'static str = net::TRACEPOINT.name;

    /// Loads and attaches the family, and finds the sockets that exist already. Processes are numbered as in `ours`.
    ///
    /// # Errors
    /// Why this machine or this user cannot have this rung: the first program that does not attach, or a kernel before
    /// 6.5, where the rung would not see everything.
    pub fn open(kernel: &Kernel, ours: PidNamespace) -> Result<Net, Reason> {
        Net::open_sized(kernel, ours, Sizes::default())
    }

    /// The same with maps of another size.
    ///
    /// # Errors
    /// As for [`Net::open`].
    pub fn open_sized(kernel: &Kernel, ours: PidNamespace, sizes: Sizes) -> Result<Net, Reason> {
        net::complete(kernel.btf())?;
        let globals = net::globals(kernel.btf(), ours, sizes)?;
        let mut object = Object::load(kernel, &net::FAMILY, &globals)?;
        let mut programs = Vec::new();
        let mut sockets = None;
        for program in net::TRACEPOINT.programs {
            match object.attach(kernel, program)? {
                Attached::Iter(iter) if *program == net::SOCKETS => sockets = Some(iter),
                Attached::Iter(iter) => walk_once(&iter)?,
                Attached::Hook => {
                    let found = object.ebpf().program(program.name);
                    let fd =
                        found.and_then(|p| p.fd().ok()).and_then(|fd| fd.as_fd().try_clone_to_owned().ok());
                    programs.push(fd.ok_or_else(|| lacks(program.name))?);
                }
            }
        }
        let sockets = sockets.ok_or_else(|| lacks(net::SOCKETS.name))?;
        let storage = match object.ebpf().map("ps_socks") {
            Some(Map::SkStorage(data)) => sockets
                .link(Scope::Map(data.fd().as_fd()))
                .map_err(|error| Reason::of_call("link of iter/bpf_sk_storage_map", &error))?,
            _ => return Err(lacks("ps_socks")),
        };
        let log = if sizes.debug { Some(debug::open(object.ebpf())?) } else { None };
        let mut map = |name| object.ebpf().take_map(name).ok_or_else(|| lacks(name));
        Ok(Net {
            ring: RingBuf::try_from(map("ps_closed")?).map_err(|e| Reason::of_map(&e))?,
            flows: match map("ps_flows")? {
                Map::HashMap(data) => data,
                _ => return Err(lacks("ps_flows")),
            },
            losses: Array::try_from(map("ps_losses")?).map_err(|e| Reason::of_map(&e))?,
            sockets: storage,
            programs,
            ledger: Ledger::default(),
            batch: Batch::new(size_of::<FlowKey>(), size_of::<FlowCounters>()),
            buffer: IterBuffer::default(),
            lost: NetLosses::default(),
            log,
            _hooks: object.into_ebpf(),
        })
    }

    /// Brings the sums up to this moment: every call that returned before is in them, to the byte. Sets the fields of
    /// `losses` that are about traffic.
    ///
    /// # Errors
    /// What the kernel said to a read; the sums stay as they were or move only part of the way.
    pub fn collect(&mut self, losses: &mut Losses) -> Result<(), Reason> {
        // Flows before sockets: a flow whose socket is not in a later dump will not change any more.
        let ledger = &mut self.ledger;
        ledger.begin();
        self.batch
            .for_each(self.flows.fd().as_fd(), |key, value| {
                if let (Some(key), Some(value)) = (decode(key), decode(value)) {
                    ledger.flow(&key, &value);
                }
            })
            .map_err(|error| Reason::of_call("lookup in ps_flows", &error))?;
        // Sockets before the ring: what is destroyed in between is in the dump, then in the ring, whose record is final.
        for _ in 0..WALKS_MAX {
            let ledger = &mut self.ledger;
            self.sockets
                .read(&mut self.buffer, |piece| take_over(piece, ledger))
                .map_err(|error| Reason::of_call("iter/bpf_sk_storage_map", &error))?;
            self.drain();
            // The kernel counts elements of a bucket between two reads, so a removal makes it skip one that lives.
            if !self.ledger.missed_any() {
                break;
            }
        }
        for key in self.ledger.end() {
            // SAFETY: ps_flows was made with `FlowKey` and `FlowCounters`.
            let last = unsafe { entry::take::<FlowKey, FlowCounters>(self.flows.fd().as_fd(), &key) }
                .map_err(|error| Reason::of_call("removal from ps_flows", &error))?;
            if let Some(last) = last {
                self.ledger.flow(&key, &last);
            }
            self.ledger.flow_ended(&key);
        }
        self.ledger.forget_gone(process_exists);
        self.count_losses(losses)
    }

    /// Takes the final records of closed connections over, so that the ring never fills.
    pub fn drain(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        while let Some(item) = self.ring.next() {
            if let Some(record) = decode::<SockRecord>(&item) {
                self.ledger.closed(&record);
            }
        }
    }

    /// Readable when the ring is a quarter full and [`Net::drain`] should run.
    pub fn wakeup(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }

    /// Every process with traffic, in no order, as of the last [`Net::collect`] or [`Net::drain`]. A process that ended stays as long as
    /// one of its sockets does and for two samples more.
    pub fn owners(&self) -> impl Iterator<Item = &NetOwner> {
        self.ledger.owners()
    }

    /// Whether the rows of connections that end are kept until [`Net::connections`] takes them, or only their bytes.
    pub fn keep_closed(&mut self, keep: bool) {
        self.ledger.keep_closed = keep;
    }

    /// Every connection as of the last [`Net::collect`], and those that ended since this was called before; sorted.
    pub fn connections(&mut self, uptime_ns: u64, out: &mut Vec<Connection>) {
        self.ledger.connections(uptime_ns, out);
    }

    /// Segments of connections that no process ever sent through, read from or closed: reset in an accept queue.
    pub fn unowned(&self) -> Traffic {
        self.ledger.unowned()
    }

    /// What the programs could not count, with the bytes and packets that are missing for it.
    pub fn lost(&self) -> NetLosses {
        self.lost
    }

    fn count_losses(&mut self, losses: &mut Losses) -> Result<(), Reason> {
        self.lost = self.losses.get(&0, 0).map_err(|e| Reason::of_map(&e))?;
        losses.storage_null = self.lost.storage_null;
        losses.flow_insert_failed = self.lost.flow_insert_failed;
        losses.ring_full = self.lost.ring_full;
        losses.no_baseline = self.lost.no_baseline;
        losses.recursion_misses = 0;
        for program in &self.programs {
            losses.recursion_misses += entry::recursion_misses(program.as_fd())
                .map_err(|error| Reason::of_call("BPF_OBJ_GET_INFO_BY_FD", &error))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("ledger", &self.ledger).field("lost", &self.lost).finish_non_exhaustive()
    }
}

/// Reads a piece of a dump: complete records, and the cookies of sockets that did not move.
fn take_over(mut piece: &[u8], ledger: &mut Ledger) {
    while let Some(word) = piece.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)) {
        let length = if word & RECORD_FULL == 0 {
            ledger.still(word);
            size_of::<u64>()
        } else {
            let Some(mut record) = decode::<SockRecord>(piece) else { return };
            record.cookie &= !RECORD_FULL;
            ledger.socket(&record);
            size_of::<SockRecord>()
        };
        piece = &piece[length..];
    }
}

/// Runs an iterator over everything; what it writes, if anything, is of no interest.
fn walk_once(iter: &IterProgram) -> Result<(), Reason> {
    iter.link(Scope::All)
        .and_then(|link| link.read(&mut IterBuffer::default(), |_| {}))
        .map_err(|error| Reason::of_call("walk over the open sockets", &error))
}

/// Whether a process of our PID namespace still has its number; a zombie has.
fn process_exists(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: signal 0 is never delivered; the call takes no pointers.
    unsafe { libc::kill(pid, 0) == 0 || *libc::__errno_location() != libc::ESRCH }
}

/// Copies a shared type out of bytes, which need not be aligned; `None` if they are too few.
fn decode<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    // SAFETY: there are enough bytes, and every pattern is a value of a `Pod` type.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

fn lacks(what: &str) -> Reason {
    Reason::Other(format!("no {what} in the object"))
}
