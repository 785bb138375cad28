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
        ladder::{Hook, Rung},
        net::{self, Options, PidNamespace},
        outbox::Outbox,
    },
    sample::{Connection, Losses, Missing, NetChoice, Reading},
};
use aya::{
    Ebpf,
    maps::{Array, Map, MapData, RingBuf},
};
use ledger::Ledger;
use pidstat_common::net::{
    Credentials, FlowCounters, FlowKey, NetLosses, PacketCounters, RECORD_FULL, SockRecord, Turn,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Bytes that a ring puts before each record.
const RING_HEADER: usize = 8;
/// How often one sample walks the sockets at most, when a walk missed some that exist.
const WALKS_MAX: usize = 3;

/// The attached net family and the sums so far. Dropping it detaches everything.
pub struct Net {
    rung: &'static Rung,
    /// The better rungs, and why it is none of them.
    passed_over: Vec<(&'static Rung, Reason)>,
    /// The walk that finds owners, where no hook tells of them.
    files: Option<IterLink>,
    /// The one that tells whose credentials are whose.
    credentials: IterLink,
    ledger: Ledger,
    /// Whether UNIX sockets were asked for.
    unix: bool,
    /// Entries that each map by sockets has room for.
    room: u32,
    ring: RingBuf<MapData>,
    /// Its size.
    ring_bytes: u32,
    /// The most that it held when it was read, since the last sample; and in the interval before that.
    ring_held: u64,
    ring_fill: u64,
    flows: MapData,
    /// Packets on the wire, if they are asked for, or why they are not counted.
    packets: Option<Result<Packets, Reason>>,
    /// Whose turn it is to write, where breakpoints follow that.
    turns: Option<MapData>,
    losses: Array<MapData, NetLosses>,
    sockets: IterLink,
    /// What a walk over them finds.
    outbox: Outbox,
    programs: Vec<OwnedFd>,
    batch: Batch,
    buffer: IterBuffer,
    lost: NetLosses,
    log: Option<KernelLog>,
    _hooks: Ebpf,
}

impl Net {
    /// Loads and attaches the family by the best rung that works, or by the one that was chosen, and finds the sockets
    /// that exist already. Processes are numbered as in `ours`.
    ///
    /// # Errors
    /// Why this machine or this user cannot have that rung, or the last of all: the first program that does not attach,
    /// or a kernel on which the rung would not see everything.
    pub fn open(
        kernel: &Kernel,
        ours: PidNamespace,
        choice: NetChoice,
        options: Options,
    ) -> Result<Net, Reason> {
        if choice == NetChoice::Pcap {
            return Err(Reason::Other("packets are captured without eBPF".into()));
        }
        let mut passed_over = Vec::new();
        let mut last = None;
        for rung in net::FAMILY.rungs {
            if choice != NetChoice::Auto && choice.name() != rung.name {
                continue;
            }
            match Net::open_rung(kernel, ours, rung, options) {
                Ok(net) => return Ok(Net { passed_over, ..net }),
                Err(why) => {
                    last = Some(why.clone());
                    passed_over.push((rung, why));
                }
            }
        }
        Err(last.unwrap_or_else(|| Reason::Other(format!("there is no rung {}", choice.name()))))
    }

    fn open_rung(
        kernel: &Kernel,
        ours: PidNamespace,
        rung: &'static Rung,
        options: Options,
    ) -> Result<Net, Reason> {
        (rung.complete)(kernel.btf())?;
        let globals = net::globals(kernel.btf(), rung, ours, options)?;
        let mut object = Object::load(kernel, &net::FAMILY, &globals)?;
        let mut programs = Vec::new();
        let (mut sockets, mut files, mut credentials) = (None, None, None);
        let mut on_wire = None;
        let requested = rung.on_request.iter().filter(|program| net::requested(program, options));
        let optional = rung.where_present.iter().chain(requested);
        let present = optional.filter(|program| {
            let (kind, name) = program.hook.type_behind();
            kernel.btf().has(kind, &name)
        });
        for program in rung.programs.iter().chain(present) {
            let on_packets = matches!(program.hook, Hook::Egress | Hook::Ingress);
            let attached = match object.attach(kernel, program) {
                // Without them there is everything else.
                Err(why) if on_packets => {
                    on_wire = Some(Err(why));
                    continue;
                }
                other => other?,
            };
            match attached {
                Attached::Iter(iter) if *program == net::SOCKETS => sockets = Some(iter),
                Attached::Iter(iter) if *program == net::ACCEPTED => {
                    let link = iter.link(Scope::All);
                    credentials = Some(link.map_err(|error| Reason::of_call("link of iter/task", &error))?);
                }
                Attached::Iter(iter) => {
                    let link = walk_once(&iter)?;
                    if *program == net::FILES && net::by_sequence(rung) {
                        files = Some(link);
                    }
                }
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
        let outbox = match object.ebpf().map("ps_outbox") {
            Some(Map::Array(data)) => Outbox::map(data.fd().as_fd())
                .map_err(|error| Reason::of_call("mmap of ps_outbox", &error))?,
            _ => return Err(lacks("ps_outbox")),
        };
        if options.packets && on_wire.is_none() {
            on_wire = Some(match net::counts_datagrams(rung) {
                true => Ok(()),
                false => Err(Reason::Other(format!("{} finds no owners for them", rung.name))),
            });
        }
        let log = if options.debug { Some(debug::open(object.ebpf())?) } else { None };
        let mut map = |name| object.ebpf().take_map(name).ok_or_else(|| lacks(name));
        Ok(Net {
            rung,
            passed_over: Vec::new(),
            files,
            credentials: credentials.ok_or_else(|| lacks(net::ACCEPTED.name))?,
            ring: RingBuf::try_from(map("ps_closed")?).map_err(|e| Reason::of_map(&e))?,
            packets: match (on_wire.clone(), map("ps_packets")?) {
                (Some(Ok(())), Map::HashMap(map)) => Some(Ok(Packets {
                    map,
                    used: 0,
                    batch: Batch::new(size_of::<u64>(), size_of::<PacketCounters>()),
                })),
                (Some(Err(why)), _) => Some(Err(why)),
                _ => None,
            },
            turns: match map("ps_turns")? {
                Map::HashMap(data) if rung.name == net::KPROBE.name => Some(data),
                _ => None,
            },
            flows: match map("ps_flows")? {
                Map::HashMap(data) => data,
                _ => return Err(lacks("ps_flows")),
            },
            losses: Array::try_from(map("ps_losses")?).map_err(|e| Reason::of_map(&e))?,
            sockets: storage,
            outbox,
            programs,
            ledger: Ledger::new(matches!(on_wire, Some(Ok(())))),
            unix: options.unix,
            room: options.flows,
            ring_bytes: options.ring_bytes,
            ring_held: 0,
            ring_fill: 0,
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
        if self.turns.is_some() {
            // Settles what was written since the last sample, which flows must have before they are looked at.
            self.ledger.begin();
            self.walk()?;
        }
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
            self.walk()?;
            if let Some(files) = &self.files
                && self.ledger.owner_wanted()
            {
                files
                    .read(&mut self.buffer, |_| {})
                    .map_err(|error| Reason::of_call("iter/task_file", &error))?;
                self.walk()?;
            }
            // The kernel counts elements of a bucket between two reads, so a removal makes it skip one that lives.
            if !self.ledger.missed_any() {
                break;
            }
        }
        if self.ledger.wants_credentials() {
            let ledger = &mut self.ledger;
            self.credentials
                .read(&mut self.buffer, |piece| {
                    let each = piece.chunks_exact(size_of::<Credentials>());
                    each.filter_map(decode).for_each(|found| ledger.credentials(&found));
                })
                .map_err(|error| Reason::of_call("iter/task", &error))?;
        }
        self.ledger.adopt();
        if let Some(Ok(Packets { map, used, batch })) = &mut self.packets {
            let ledger = &mut self.ledger;
            *used = 0;
            batch
                .for_each(map.fd().as_fd(), |cookie, counters| {
                    *used += 1;
                    if let (Some(cookie), Some(counters)) = (decode(cookie), decode(counters)) {
                        ledger.packets(cookie, &counters);
                    }
                })
                .map_err(|error| Reason::of_call("lookup in ps_packets", &error))?;
        }
        for cookie in self.ledger.take_gone() {
            if let Some(turns) = &self.turns {
                // SAFETY: ps_turns was made with a cookie as key and `Turn` as value.
                unsafe { entry::take::<u64, Turn>(turns.fd().as_fd(), &cookie) }
                    .map_err(|error| Reason::of_call("removal from ps_turns", &error))?;
            }
        }
        for key in self.ledger.end(process_exists) {
            // SAFETY: ps_flows was made with `FlowKey` and `FlowCounters`.
            let last = unsafe { entry::take::<FlowKey, FlowCounters>(self.flows.fd().as_fd(), &key) }
                .map_err(|error| Reason::of_call("removal from ps_flows", &error))?;
            if let Some(last) = last {
                self.ledger.flow(&key, &last);
            }
            self.ledger.flow_ended(&key);
        }
        if let Some(Ok(Packets { map, .. })) = &self.packets {
            for cookie in self.ledger.packets_ended() {
                // SAFETY: ps_packets was made with a cookie as key and `PacketCounters` as value.
                unsafe { entry::take::<u64, PacketCounters>(map.fd().as_fd(), &cookie) }
                    .map_err(|error| Reason::of_call("removal from ps_packets", &error))?;
            }
        }
        self.ledger.forget_gone(process_exists);
        self.ring_fill = std::mem::take(&mut self.ring_held);
        self.count_losses(losses)
    }

    /// Looks at every socket, then at those that closed meanwhile.
    fn walk(&mut self) -> Result<(), Reason> {
        let ledger = &mut self.ledger;
        let outbox = &mut self.outbox;
        // What a walk that failed may have left there is of no use.
        outbox.empty(|_| {});
        self.sockets
            .walk(|| outbox.empty(|records| take_over(records, ledger)))
            .map_err(|error| Reason::of_call("iter/bpf_sk_storage_map", &error))?;
        self.drain();
        Ok(())
    }

    /// The rung that is attached.
    pub fn rung(&self) -> &'static Rung {
        self.rung
    }

    /// Whether a process's figures may lack something common, UDP for one.
    pub fn is_approximate(&self) -> bool {
        net::by_sequence(self.rung)
    }

    /// What is lost by this rung and why it is none of the better ones, for stderr; `None` if nothing that matters is.
    pub fn note(&self) -> Option<String> {
        use std::fmt::Write as _;
        let mut text = String::new();
        if let Some(shortfall) = self.rung.shortfall.filter(|_| self.is_approximate()) {
            let _ = write!(text, "traffic is counted by {}: {shortfall}", self.rung.name);
            for (rung, why) in &self.passed_over {
                let _ = write!(text, "; not by {}: {why}", rung.name);
            }
        }
        if self.counts_unix() == Err(Missing::NotInSource) {
            let and = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{and}{} does not count UNIX sockets", self.rung.name);
        }
        if let Some(Err(why)) = &self.packets {
            let and = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{and}packets on the wire are not counted: {why}");
        }
        (!text.is_empty()).then_some(text)
    }

    /// How many uses of sockets the map of flows has now, and for how many there is room.
    pub fn fill_of_flows(&self) -> (u64, u64) {
        (self.ledger.flow_count(), u64::from(self.room))
    }

    /// How many sockets the map of turns has, and for how many there is room; `None` on a rung that follows no turns.
    pub fn fill_of_turns(&self) -> Option<(u64, u64)> {
        self.turns.as_ref().map(|_| (self.ledger.tcp_count(), u64::from(self.room)))
    }

    /// How many sockets the map of packets had when it was read last, and for how many there is room; `None` unless packets are
    /// counted.
    pub fn fill_of_packets(&self) -> Option<(u64, u64)> {
        let packets = self.packets.as_ref()?.as_ref().ok()?;
        Some((packets.used, u64::from(self.room)))
    }

    /// The most bytes that the ring held when it was read since the sample before the last, and how many it has.
    pub fn fill_of_ring(&self) -> (u64, u64) {
        (self.ring_fill, u64::from(self.ring_bytes))
    }

    /// Whether UNIX sockets are counted.
    ///
    /// # Errors
    /// `NotAsked`, or `NotInSource` where the rung cannot.
    pub fn counts_unix(&self) -> Reading<()> {
        match self.unix {
            false => Err(Missing::NotAsked),
            true if net::counts_unix(self.rung) => Ok(()),
            true => Err(Missing::NotInSource),
        }
    }

    /// Whether packets on the wire are counted.
    pub fn counts_packets(&self) -> bool {
        matches!(self.packets, Some(Ok(_)))
    }

    /// Takes the final records of closed connections over, so that the ring never fills.
    pub fn drain(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        let mut held = 0;
        while let Some(item) = self.ring.next() {
            held += (item.len() + RING_HEADER) as u64;
            if let Some(record) = decode::<SockRecord>(&item) {
                self.ledger.closed(&record);
            }
        }
        self.ring_held = self.ring_held.max(held.min(u64::from(self.ring_bytes)));
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

    /// The programs that run by themselves.
    pub fn programs(&self) -> &[OwnedFd] {
        &self.programs
    }

    /// What the programs could not count, with the bytes and packets that are missing for it.
    pub fn lost(&self) -> NetLosses {
        self.lost
    }

    fn count_losses(&mut self, losses: &mut Losses) -> Result<(), Reason> {
        self.lost = self.losses.get(&0, 0).map_err(|e| Reason::of_map(&e))?;
        self.ledger.lost(&self.lost);
        losses.storage_null = self.lost.storage_null;
        losses.flow_insert_failed = self.lost.flow_insert_failed;
        losses.turn_insert_failed = self.lost.turn_insert_failed;
        losses.packet_insert_failed = self.lost.packet_insert_failed;
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

/// The map of packets, and memory to read it.
struct Packets {
    map: MapData,
    /// Entries that it had when it was read last.
    used: u64,
    batch: Batch,
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
fn walk_once(iter: &IterProgram) -> Result<IterLink, Reason> {
    let of_call = |error| Reason::of_call("walk over the open sockets", &error);
    let link = iter.link(Scope::All).map_err(of_call)?;
    link.read(&mut IterBuffer::default(), |_| {}).map_err(of_call)?;
    Ok(link)
}

/// Whether a process of our PID namespace still has its number; a zombie has.
pub(in crate::source) fn process_exists(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: signal 0 is never delivered; the call takes no pointers.
    unsafe { libc::kill(pid, 0) == 0 || *libc::__errno_location() != libc::ESRCH }
}

/// Copies a shared type out of bytes, which need not be aligned; `None` if they are too few.
pub(super) fn decode<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    // SAFETY: there are enough bytes, and every pattern is a value of a `Pod` type.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

pub(super) fn lacks(what: &str) -> Reason {
    Reason::Other(format!("no {what} in the object"))
}
