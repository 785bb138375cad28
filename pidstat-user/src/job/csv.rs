//! `kpidstat csv`: the rows that linuxprocfs.py prints.
//!
//! Its defects are not kept: a name may hold brackets, a mask stays the text it is, every row of `status` has the columns
//! of all of them.

use super::glob::glob;
use crate::{
    cli::{csv::CsvArgs, exit},
    engine::wait::Interrupt,
    source::procfs::{
        Inspector, PROC_ROOT,
        files::Place,
        inspect::{InspectError, pairs},
        stat,
    },
};
use csv::{Terminator, WriterBuilder};
use regex::Regex;
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    io::{self, Write as _},
    path::Path,
    time::{Duration, SystemTime},
};

/// The columns of `stat`: fields 1 to 44 of proc_pid_stat(5) by the names they had in 2011, and `error`, always empty.
const STAT: &str = "pid comm state ppid pgrp session tty_nr tpgid flags minflt cminflt majflt cmajflt utime stime cutime \
                    cstime priority nice num_threads itrealvalue starttime vsize rss rlim startcode endcode startstack \
                    kstkesp kstkeip signal blocked sigignore sigcatch wchan nswap cnswap exit_signal processor \
                    rt_priority policy delayacct_blkio_ticks guest_time cguest_time error";
/// The columns of `io`, in the order of their names.
const IO: &str = "cancelled_write_bytes error pid rchar read_bytes syscr syscw wchar write_bytes";
/// Fields of `stat` behind the state that have a column.
const STAT_NUMBERS: usize = 41;

/// Runs it and says the exit code.
pub fn run(args: &CsvArgs) -> u8 {
    let root = args.procfs.as_deref().unwrap_or(Path::new(PROC_ROOT));
    let inspector = match Inspector::open(root) {
        Ok(inspector) => inspector,
        Err(error) => {
            eprintln!("kpidstat: cannot open {}: {error}", root.display());
            return exit::FAILED;
        }
    };
    let processes = args.processes && args.pids.is_empty();
    if args.processes && !processes {
        eprintln!("ignoring -p, showing requested processes and threads instead.");
    }
    let patterns = args.pids.iter().map(|pattern| glob(pattern)).collect();
    let mut pass = Pass {
        inspector,
        root: root.display().to_string(),
        processes,
        patterns,
        status_columns: BTreeSet::new(),
        titles: if args.titles { vec![Kind::Stat, Kind::Status, Kind::Io] } else { Vec::new() },
        ts: None,
        out: Vec::new(),
    };
    match repeat(args, &mut pass) {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("kpidstat: {error}");
            exit::FAILED
        }
    }
}

fn repeat(args: &CsvArgs, pass: &mut Pass) -> io::Result<()> {
    let mut kinds = Vec::new();
    if args.stat || !(args.status || args.io) {
        kinds.push(Kind::Stat);
    }
    if args.status {
        kinds.push(Kind::Status);
    }
    if args.io {
        kinds.push(Kind::Io);
    }
    if !args.repeat {
        return pass.run(&kinds, args.ts);
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut interrupt = Interrupt::unless_ignored()?;
        loop {
            pass.run(&kinds, args.ts)?;
            tokio::select! {
                biased;
                () = interrupt.come() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs_f64(args.wait)) => {}
            }
        }
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stat,
    Status,
    Io,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Kind::Stat => "stat",
            Kind::Status => "status",
            Kind::Io => "io",
        }
    }
}

/// One walk over the tasks.
struct Pass {
    inspector: Inspector,
    root: String,
    processes: bool,
    patterns: Vec<Regex>,
    /// Every key that a task had in the first pass.
    status_columns: BTreeSet<Vec<u8>>,
    /// Kinds whose titles are still to be printed.
    titles: Vec<Kind>,
    /// The first column, if it is wanted.
    ts: Option<String>,
    out: Vec<u8>,
}

impl Pass {
    fn run(&mut self, kinds: &[Kind], ts: bool) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.ts = ts.then(|| format!("{}.{:03}", now.as_secs(), now.subsec_millis()));
        let tasks = self.tasks()?;
        if kinds.contains(&Kind::Status) && self.status_columns.is_empty() {
            self.status_columns.extend([b"error".to_vec(), b"pid".to_vec()]);
            for task in &tasks {
                if let Ok(bytes) = self.inspector.bytes(*task, "status") {
                    self.status_columns.extend(pairs(bytes).map(|(key, _)| key.to_ascii_lowercase()));
                }
            }
        }
        let mut stdout = io::stdout().lock();
        for task in tasks {
            for kind in kinds {
                self.row(task, *kind)?;
            }
            if self.out.len() > WRITE_BYTES {
                stdout.write_all(&self.out)?;
                self.out.clear();
            }
        }
        stdout.write_all(&self.out)?;
        self.out.clear();
        stdout.flush()
    }

    /// The tasks in order: for each pattern all that it matches, ascending.
    fn tasks(&mut self) -> io::Result<Vec<Place>> {
        let pids = self.inspector.pids()?;
        if self.processes {
            return Ok(pids.into_iter().map(Place::process).collect());
        }
        let mut all = Vec::new();
        for pid in pids {
            // A process that ended meanwhile has no threads.
            all.extend(
                self.inspector.tids(pid).unwrap_or_default().into_iter().map(|tid| Place { pid, tid }),
            );
        }
        if self.patterns.is_empty() {
            return Ok(all);
        }
        let matched = |pattern: &Regex| {
            let pattern = pattern.clone();
            all.clone().into_iter().filter(move |task| pattern.is_match(&task.tid.to_string()))
        };
        Ok(self.patterns.iter().flat_map(matched).collect())
    }

    fn row(&mut self, task: Place, kind: Kind) -> io::Result<()> {
        let number = if task.tid == 0 { task.pid } else { task.tid };
        let bytes = match self.inspector.bytes(task, kind.file()) {
            Ok(bytes) => bytes,
            Err(error) => {
                refused(&self.root, task, kind, error);
                return Ok(());
            }
        };
        let columns: Vec<&[u8]> = match kind {
            Kind::Stat => STAT.split_ascii_whitespace().map(str::as_bytes).collect(),
            Kind::Io => IO.split_ascii_whitespace().map(str::as_bytes).collect(),
            Kind::Status => self.status_columns.iter().map(Vec::as_slice).collect(),
        };
        let cells = match kind {
            Kind::Stat => match stat_cells(bytes) {
                Some(cells) => cells,
                None => {
                    eprintln!("Failed to match:{}", String::from_utf8_lossy(bytes));
                    return Ok(());
                }
            },
            Kind::Status | Kind::Io => named_cells(bytes, number, &columns),
        };
        let mut writer =
            WriterBuilder::new().flexible(true).terminator(Terminator::Any(b'\n')).from_writer(&mut self.out);
        if let Some(at) = self.titles.iter().position(|titled| *titled == kind) {
            self.titles.swap_remove(at);
            let ts = self.ts.as_ref().map(|_| &b"ts"[..]);
            writer.write_record(ts.into_iter().chain(columns))?;
        }
        let ts = self.ts.as_ref().map(String::as_bytes);
        writer.write_record(ts.into_iter().chain(cells.iter().map(|cell| &cell[..])))?;
        writer.flush()
    }
}

/// Enough at once that system calls do not count.
const WRITE_BYTES: usize = 64 << 10;

/// Says what Python said, and goes on with the next.
fn refused(root: &str, task: Place, kind: Kind, error: InspectError) {
    let (pid, file) = (task.pid, kind.file());
    let path = match task.tid {
        0 => format!("{root}/{pid}/{file}"),
        tid => format!("{root}/{pid}/task/{tid}/{file}"),
    };
    let number = error.number();
    let words = io::Error::from_raw_os_error(number).to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    eprintln!("IOError {path} - [Errno {number}] {words}: '{path}'");
}

fn stat_cells(bytes: &[u8]) -> Option<Vec<Cow<'_, [u8]>>> {
    let stat::Parts { pid, name, state, numbers } = stat::split(bytes)?;
    let mut cells = vec![pid.trim_ascii().into(), name.into(), vec![state].into()];
    let numbers = numbers.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    cells.extend(numbers.take(STAT_NUMBERS).map(Cow::Borrowed));
    if cells.len() < 3 + STAT_NUMBERS {
        return None;
    }
    cells.push(b""[..].into());
    Some(cells)
}

/// The values of lines `KEY: VALUE` for the columns; `pid` is what the file says, else the task's own.
fn named_cells<'a>(bytes: &'a [u8], number: u32, columns: &[&[u8]]) -> Vec<Cow<'a, [u8]>> {
    let lines: HashMap<Vec<u8>, &[u8]> =
        pairs(bytes).map(|(key, value)| (key.to_ascii_lowercase(), value.trim_ascii_start())).collect();
    let cell = |column: &&[u8]| match (lines.get(*column), *column) {
        (Some(value), b"uid") => {
            let ids: Vec<&[u8]> = value.split(|b| *b == b'\t').collect();
            [b"[", ids.join(&b", "[..]).as_slice(), b"]"].concat().into()
        }
        (Some(value), _) => (*value).into(),
        (None, b"pid") => number.to_string().into_bytes().into(),
        (None, _) => b""[..].into(),
    };
    columns.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_status_has_all_columns() {
        let text = b"Name:\ta: b\nPid:\t9\nUid:\t0\t1\t2\t3\nUmask:\t0022\nGroups:\t0 \n";
        let columns = [&b"error"[..], b"groups", b"name", b"pid", b"uid", b"umask", b"vmpeak"];
        let cells = named_cells(text, 7, &columns);
        let expected = [&b""[..], b"0 ", b"a: b", b"9", b"[0, 1, 2, 3]", b"0022", b""];
        assert_eq!(cells, expected);
        assert_eq!(named_cells(b"", 7, &[b"pid"]), [&b"7"[..]]);
    }

    #[test]
    fn a_torn_line_is_no_row() {
        let line: String = (4..=44).map(|n: u32| format!(" {n}")).collect();
        let whole = format!("7 (a) b) S{line}\n");
        let cells = stat_cells(whole.as_bytes()).unwrap();
        assert_eq!(
            (cells.len(), &cells[1][..], &cells[43][..]),
            (STAT.split(' ').count(), &b"a) b"[..], &b"44"[..])
        );
        assert_eq!(stat_cells(&whole.as_bytes()[..whole.len() - 4]), None);
    }
}
