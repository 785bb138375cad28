//! Samples from Procpath's table `record`, as far as it goes.

use crate::sample::{
    Cgroup, Comm, Cpu, Delays, Faults, Host, Io, Memory, Missing, Origin, Reading, Sample, Sched, Switches,
    Task, TaskKey,
};
use rusqlite::{Connection, Row, types::ValueRef};
use std::{collections::HashMap, rc::Rc};

const PF_KTHREAD: u64 = 0x0020_0000;

/// Where in the table we are.
pub struct Procpath {
    /// The columns by name.
    columns: HashMap<String, usize>,
    tick_ns: u64,
    page_bytes: u64,
    /// The latest moment at which the machine can have booted: no process is older.
    boot: f64,
    /// Whether the kernel measured delays: it says 0 too when it does not.
    delays: bool,
    last: i64,
}

impl Procpath {
    /// Looks at the columns.
    pub fn new(connection: &Connection, host: &Host) -> rusqlite::Result<Procpath> {
        let columns: HashMap<String, usize> = connection
            .prepare("SELECT * FROM record LIMIT 0")?
            .column_names()
            .enumerate()
            .map(|(at, name)| (name.to_owned(), at))
            .collect();
        let number = |sql: String| super::first(connection, &sql, |row| row.get::<_, Option<f64>>(0));
        let boot = match columns.get("stat_starttime") {
            Some(_) => {
                number(format!("SELECT min(ts - stat_starttime * 1.0 / {}) FROM record", host.clock_ticks))?
            }
            None => None,
        };
        let delays = match columns.get("stat_delayacct_blkio_ticks") {
            Some(_) => number("SELECT max(stat_delayacct_blkio_ticks) FROM record".into())?.flatten(),
            None => None,
        };
        Ok(Procpath {
            columns,
            tick_ns: 1_000_000_000 / host.clock_ticks,
            page_bytes: host.page_bytes,
            boot: boot.flatten().unwrap_or(0.0),
            delays: delays.is_some_and(|most| most > 0.0),
            last: i64::MIN,
        })
    }

    /// The next sample: the rows that follow and have one moment. None at the end.
    pub fn next(&mut self, connection: &Connection) -> rusqlite::Result<Option<Sample>> {
        let mut rows =
            connection.prepare_cached("SELECT * FROM record WHERE record_id > ? ORDER BY record_id")?;
        let mut rows = rows.query([self.last])?;
        let mut moment = None;
        let mut sample =
            Sample { origin: Origin { source: "replay", ..Origin::default() }, ..Sample::default() };
        while let Some(row) = rows.next()? {
            let ts: f64 = row.get("ts")?;
            if *moment.get_or_insert(ts) != ts {
                break;
            }
            self.last = row.get("record_id")?;
            sample.tasks.extend(self.task(row));
        }
        let Some(ts) = moment else { return Ok(None) };
        sample.epoch_ns = (ts * 1e9).round() as i64;
        sample.uptime_ns = ((ts - self.boot).max(0.0) * 1e9).round() as u64;
        sample.tasks.sort_by_key(|task| task.key);
        sample.tasks.dedup_by_key(|task| task.key);
        Ok(Some(sample))
    }

    /// The task of a row; none if it has no number.
    fn task(&self, row: &Row<'_>) -> Option<Task> {
        let value = |name: &str| self.columns.get(name).and_then(|at| row.get_ref(*at).ok());
        let signed = |name: &str| match value(name) {
            Some(ValueRef::Integer(number)) => Some(number),
            _ => None,
        };
        let number = |name: &str| signed(name).and_then(|number| u64::try_from(number).ok());
        let narrow = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
        let text = |name: &str| match value(name) {
            Some(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => Some(bytes),
            _ => None,
        };
        let ns = |name: &str| number(name).unwrap_or(0).saturating_mul(self.tick_ns);
        let count = |name: &str| number(name).unwrap_or(0);
        let held = |name: &str| number(name).ok_or(Missing::NotInSource);
        let name = text("stat_comm").or(text("status_name")).unwrap_or_default();
        let key = TaskKey { tgid: narrow("stat_pid")?, tid: 0, start_ticks: count("stat_starttime") };
        let mut task = Task::blank(key, Comm::new(name), Missing::NotInSource);
        task.long_name = (name.len() > 15).then(|| Rc::from(name));
        task.ppid = narrow("stat_ppid").unwrap_or(0);
        task.uid = text("status_uid").and_then(first_of_list).unwrap_or(Task::UNKNOWN);
        task.state = text("stat_state").and_then(|state| state.first().copied()).unwrap_or(b'?');
        task.kernel_thread = count("stat_flags") & PF_KTHREAD != 0;
        task.cmdline = text("cmdline").filter(|line| !line.is_empty()).map(Rc::from);
        task.threads = narrow("stat_num_threads").unwrap_or(0);
        (task.processor, task.policy, task.rt_priority) = (Task::UNKNOWN, Task::UNKNOWN, Task::UNKNOWN);
        task.cpu = Cpu {
            user_ns: ns("stat_utime"),
            system_ns: ns("stat_stime"),
            guest_ns: ns("stat_guest_time"),
            children_user_ns: ns("stat_cutime"),
            children_system_ns: ns("stat_cstime"),
            children_guest_ns: ns("stat_cguest_time"),
        };
        task.faults = Faults {
            minor: count("stat_minflt"),
            major: count("stat_majflt"),
            children_minor: count("stat_cminflt"),
            children_major: count("stat_cmajflt"),
        };
        task.memory = Memory {
            virtual_bytes: count("stat_vsize"),
            resident_bytes: count("stat_rss").saturating_mul(self.page_bytes),
        };
        task.peak_kib = held("status_vmpeak");
        task.io = held("io_rchar").and_then(|rchar_bytes| {
            Ok(Io {
                rchar_bytes,
                wchar_bytes: held("io_wchar")?,
                read_calls: held("io_syscr")?,
                write_calls: held("io_syscw")?,
                read_bytes: held("io_read_bytes")?,
                write_bytes: held("io_write_bytes")?,
                cancelled_write_bytes: held("io_cancelled_write_bytes")?,
            })
        });
        task.switches = held("status_voluntary_ctxt_switches").and_then(|voluntary| {
            Ok(Switches { voluntary, involuntary: held("status_nonvoluntary_ctxt_switches")? })
        });
        task.sched = held("delay_run_ns").and_then(|run_ns| {
            Ok(Sched { run_ns, wait_ns: held("delay_wait_ns")?, timeslices: held("delay_timeslices")? })
        });
        task.delays = match held("stat_delayacct_blkio_ticks") {
            Ok(_) if !self.delays => Err(Missing::NotMeasured),
            ticks => ticks.map(|ticks| Delays { block_io_ns: ticks.saturating_mul(self.tick_ns) }),
        };
        const KINDS: [&str; 8] =
            ["fd_anon", "fd_dir", "fd_chr", "fd_blk", "fd_reg", "fd_fifo", "fd_lnk", "fd_sock"];
        let fds = KINDS.iter().map(|kind| held(kind)).sum::<Reading<u64>>();
        task.fds = fds.map(|fds| u32::try_from(fds).unwrap_or(u32::MAX));
        if let Some(path) = text("cgroup") {
            task.cgroup = Ok(Rc::new(Cgroup::new(path)));
        }
        Some(task)
    }
}

/// The first number of `[1000,1000,1000,1000]`.
fn first_of_list(list: &[u8]) -> Option<u32> {
    let digits = list.strip_prefix(b"[")?.split(|b| !b.is_ascii_digit()).next()?;
    str::from_utf8(digits).ok()?.parse().ok()
}
