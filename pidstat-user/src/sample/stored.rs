//! A sample as rows of a table, and back: each field of a task with its column's name, declared once for both ways.

use super::{Cgroup, Comm, End, Exit, Losses, Missing, Reading, Seldom, Task};
use std::rc::Rc;

/// A value in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    /// There is none.
    Null,
    /// A number; one above [`i64::MAX`] is stored as the negative number of the same bits.
    Whole(i64),
    /// Any bytes.
    Text(&'a [u8]),
}

impl Stored<'_> {
    fn whole(self) -> u64 {
        match self {
            Stored::Whole(number) => number.cast_unsigned(),
            Stored::Null | Stored::Text(_) => 0,
        }
    }

    fn narrow(self) -> u32 {
        u32::try_from(self.whole()).unwrap_or(u32::MAX)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Stored::Text(bytes) => bytes,
            Stored::Null | Stored::Whole(_) => &[],
        }
    }

    fn shared(self) -> Option<Rc<[u8]>> {
        match self {
            Stored::Text(bytes) => Some(bytes.into()),
            Stored::Null | Stored::Whole(_) => None,
        }
    }
}

fn whole<'a>(number: impl Into<u64>) -> Stored<'a> {
    Stored::Whole(number.into().cast_signed())
}

fn text(bytes: Option<&[u8]>) -> Stored<'_> {
    bytes.map_or(Stored::Null, Stored::Text)
}

/// A column of the table of tasks.
pub struct Field {
    /// Its name, with the unit at the end.
    pub name: &'static str,
    /// Whether it is text rather than a number.
    pub text: bool,
    /// What a task has there.
    pub get: for<'a> fn(&'a Task) -> Stored<'a>,
    /// Puts it back; nothing happens for what is null.
    pub set: fn(&mut Task, Stored<'_>),
}

/// The part of a reading that is to be filled; it is a value from then on.
fn slot<T: Default>(reading: &mut Reading<T>) -> &mut T {
    if reading.is_err() {
        *reading = Ok(T::default());
    }
    match reading {
        Ok(value) => value,
        Err(_) => unreachable!("it was just made a value"),
    }
}

macro_rules! field {
    (number $name:ident = $($path:ident).+) => {
        Field {
            name: stringify!($name),
            text: false,
            get: |task| whole(task.$($path).+),
            set: |task, value| task.$($path).+ = value.whole(),
        }
    };
    (narrow $name:ident = $($path:ident).+) => {
        Field {
            name: stringify!($name),
            text: false,
            get: |task| whole(task.$($path).+),
            set: |task, value| task.$($path).+ = value.narrow(),
        }
    };
    (reading $name:ident = $group:ident . $part:ident) => {
        Field {
            name: stringify!($name),
            text: false,
            get: |task| task.$group.map_or(Stored::Null, |group| whole(group.$part)),
            set: |task, value| slot(&mut task.$group).$part = value.whole(),
        }
    };
    // A part that not every kernel has.
    (some $name:ident = $group:ident . $part:ident) => {
        Field {
            name: stringify!($name),
            text: false,
            get: |task| task.$group.ok().and_then(|group| group.$part).map_or(Stored::Null, whole),
            set: |task, value| slot(&mut task.$group).$part = Some(value.whole()),
        }
    };
}

/// The columns, in order. The key stands first.
pub static FIELDS: &[Field] = &[
    field!(narrow tgid = key.tgid),
    field!(narrow tid = key.tid),
    field!(number start_ticks = key.start_ticks),
    field!(narrow ppid = ppid),
    field!(narrow uid = uid),
    Field {
        name: "user",
        text: true,
        get: |task| text(task.user.as_deref().map(str::as_bytes)),
        set: |task, value| task.user = Some(String::from_utf8_lossy(value.bytes()).into()),
    },
    Field {
        name: "state",
        text: true,
        get: |task| Stored::Text(std::slice::from_ref(&task.state)),
        set: |task, value| task.state = value.bytes().first().copied().unwrap_or(b'?'),
    },
    Field {
        name: "kernel_thread",
        text: false,
        get: |task| whole(task.kernel_thread),
        set: |task, value| task.kernel_thread = value.whole() != 0,
    },
    Field {
        name: "comm",
        text: true,
        get: |task| Stored::Text(task.comm.as_bytes()),
        set: |task, value| task.comm = Comm::new(value.bytes()),
    },
    Field {
        name: "long_name",
        text: true,
        get: |task| text(task.long_name.as_deref()),
        set: |task, value| task.long_name = value.shared(),
    },
    Field {
        name: "cmdline",
        text: true,
        get: |task| text(task.cmdline.as_deref()),
        set: |task, value| task.cmdline = value.shared(),
    },
    field!(narrow threads = threads),
    field!(narrow processor = processor),
    field!(narrow rt_priority = rt_priority),
    field!(narrow policy = policy),
    field!(number user_ns = cpu.user_ns),
    field!(number system_ns = cpu.system_ns),
    field!(number guest_ns = cpu.guest_ns),
    field!(number children_user_ns = cpu.children_user_ns),
    field!(number children_system_ns = cpu.children_system_ns),
    field!(number children_guest_ns = cpu.children_guest_ns),
    field!(number minor_faults = faults.minor),
    field!(number major_faults = faults.major),
    field!(number children_minor_faults = faults.children_minor),
    field!(number children_major_faults = faults.children_major),
    field!(number virtual_bytes = memory.virtual_bytes),
    field!(number resident_bytes = memory.resident_bytes),
    Field {
        name: "peak_kib",
        text: false,
        get: |task| task.peak_kib.map_or(Stored::Null, whole),
        set: |task, value| task.peak_kib = Ok(value.whole()),
    },
    field!(reading run_ns = sched.run_ns),
    field!(reading wait_ns = sched.wait_ns),
    field!(reading timeslices = sched.timeslices),
    field!(reading voluntary_switches = switches.voluntary),
    field!(reading involuntary_switches = switches.involuntary),
    field!(reading rchar_bytes = io.rchar_bytes),
    field!(reading wchar_bytes = io.wchar_bytes),
    field!(reading read_calls = io.read_calls),
    field!(reading write_calls = io.write_calls),
    field!(reading read_bytes = io.read_bytes),
    field!(reading write_bytes = io.write_bytes),
    field!(reading cancelled_write_bytes = io.cancelled_write_bytes),
    field!(reading block_io_ns = delays.block_io_ns),
    field!(reading block_io_wait_ns = waits.block_io_ns),
    field!(reading swap_in_wait_ns = waits.swap_in_ns),
    field!(some reclaim_wait_ns = waits.reclaim_ns),
    field!(some thrashing_wait_ns = waits.thrashing_ns),
    field!(some compaction_wait_ns = waits.compaction_ns),
    field!(some write_copy_wait_ns = waits.write_copy_ns),
    field!(some interrupt_wait_ns = waits.interrupt_ns),
    field!(reading stack_size_kib = stack.size_kib),
    field!(reading stack_referenced_kib = stack.referenced_kib),
    Field {
        name: "fds",
        text: false,
        get: |task| task.fds.map_or(Stored::Null, whole),
        set: |task, value| task.fds = Ok(value.narrow()),
    },
    Field {
        name: "cgroup",
        text: true,
        get: |task| text(task.cgroup.as_ref().ok().map(|cgroup| &*cgroup.path)),
        set: |task, value| task.cgroup = Ok(Rc::new(Cgroup::new(value.bytes()))),
    },
    field!(reading rx_bytes = traffic.rx_bytes),
    field!(reading tx_bytes = traffic.tx_bytes),
    field!(reading rx_packets = traffic.rx_packets),
    field!(reading tx_packets = traffic.tx_packets),
    Field {
        name: "traffic_only",
        text: false,
        get: |task| if task.end == End::TrafficOnly { whole(1u32) } else { Stored::Null },
        set: |task, _| task.end = End::TrafficOnly,
    },
    Field {
        name: "left_ns",
        text: false,
        get: |task| match task.end {
            End::Leaving { since_ns } => whole(since_ns),
            _ => Stored::Null,
        },
        set: |task, value| task.end = End::Leaving { since_ns: value.whole() },
    },
    Field {
        name: "exit_status",
        text: false,
        get: |task| task.exit().map_or(Stored::Null, |exit| whole(exit.status)),
        set: |task, value| {
            let exit = task.exit().unwrap_or_default();
            task.end = End::Exited(Exit { status: value.narrow(), ..exit });
        },
    },
    Field {
        name: "ended_ns",
        text: false,
        get: |task| task.exit().map_or(Stored::Null, |exit| whole(exit.at_ns)),
        set: |task, value| {
            let exit = task.exit().unwrap_or_default();
            task.end = End::Exited(Exit { at_ns: value.whole(), ..exit });
        },
    },
];

/// The readings of a task that are missing, with the reason of each: `io=no permission;stack=not asked for`.
pub fn reasons(task: &Task, out: &mut Vec<u8>) {
    out.clear();
    for (name, why) in readings(task) {
        if let Some(why) = why {
            if !out.is_empty() {
                out.push(b';');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(why.reason().as_bytes());
        }
    }
}

/// Puts the reasons back; what is not named stays as it is.
pub fn set_reasons(task: &mut Task, text: &[u8]) {
    for part in text.split(|b| *b == b';') {
        let mut halves = part.splitn(2, |b| *b == b'=');
        let (Some(name), Some(why)) = (halves.next(), halves.next()) else { continue };
        let known = Missing::ALL.into_iter().find(|missing| missing.reason().as_bytes() == why);
        // To whoever reads the recording, what nobody asked for is simply not in it.
        let Some(why) = known.filter(|why| *why != Missing::NotAsked) else { continue };
        match name {
            b"peak" => task.peak_kib = Err(why),
            b"sched" => task.sched = Err(why),
            b"switches" => task.switches = Err(why),
            b"io" => task.io = Err(why),
            b"delays" => task.delays = Err(why),
            b"waits" => task.waits = Err(why),
            b"stack" => task.stack = Err(why),
            b"fds" => task.fds = Err(why),
            b"cgroup" => task.cgroup = Err(why),
            b"traffic" => task.traffic = Err(why),
            _ => {}
        }
    }
}

fn readings(task: &Task) -> [(&'static str, Option<Missing>); 10] {
    // Every field by name, so that a new one is not forgotten here and in `FIELDS`.
    let Task {
        key: _,
        ppid: _,
        uid: _,
        user: _,
        state: _,
        kernel_thread: _,
        comm: _,
        long_name: _,
        cmdline: _,
        threads: _,
        processor: _,
        rt_priority: _,
        policy: _,
        cpu: _,
        faults: _,
        memory: _,
        sched,
        switches,
        io,
        delays,
        traffic,
        seldom,
        end: _,
    } = task;
    // No recording has runs, and the table `record` has control.
    let Seldom { peak_kib, waits, stack, fds, cgroup, control: _, runs: _ } = &**seldom;
    [
        ("peak", peak_kib.err()),
        ("sched", sched.err()),
        ("switches", switches.err()),
        ("io", io.err()),
        ("delays", delays.err()),
        ("waits", waits.err()),
        ("stack", stack.err()),
        ("fds", fds.err()),
        ("cgroup", cgroup.as_ref().err().copied()),
        ("traffic", traffic.err()),
    ]
}

/// Losses as `name=count` of those that are not zero.
pub fn losses_text(losses: &Losses) -> String {
    let counted = losses.named().into_iter().filter(|(_, count)| *count > 0);
    counted.map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>().join(";")
}

/// Reads [`losses_text`] back.
pub fn losses_of(text: &str) -> Losses {
    let mut losses = Losses::default();
    for (name, count) in text.split(';').filter_map(|part| part.split_once('=')) {
        if let Some(place) = losses.named_mut(name) {
            *place = count.parse().unwrap_or(0);
        }
    }
    losses
}

#[cfg(test)]
mod tests;
