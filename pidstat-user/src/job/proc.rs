//! `kpidstat proc`: reads one kind of file and prints it.

use crate::{
    cli::{
        exit,
        proc::{FormArg, ProcArgs, ReaderArg},
    },
    sample::{Tree, tree::Name},
    sink::sheet::{Form, Sheet},
    source::procfs::{
        Inspector, PROC_ROOT,
        access::may_trace,
        files::Place,
        inspect::{InspectError, list, record},
    },
};
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
};

/// Runs it and says the exit code.
pub fn run(args: &ProcArgs) -> u8 {
    let root = args.procfs.as_deref().unwrap_or(Path::new(PROC_ROOT));
    let mut inspector = match Inspector::open(root) {
        Ok(inspector) => inspector,
        Err(error) => {
            eprintln!("kpidstat: cannot open {}: {error}", root.display());
            return exit::FAILED;
        }
    };
    let told = match args.reader {
        ReaderArg::Net => settings(&mut inspector, args, "net"),
        ReaderArg::Sys => settings(&mut inspector, args, ""),
        _ => processes(&mut inspector, args),
    };
    told.unwrap_or_else(|error| {
        eprintln!("kpidstat: cannot write: {error}");
        exit::FAILED
    })
}

fn form(args: &ProcArgs) -> Form {
    match args.output {
        FormArg::Json => Form::Json,
        FormArg::Ndjson => Form::Ndjson,
        FormArg::Csv => Form::Csv,
        FormArg::Pprint => Form::Pprint,
    }
}

fn processes(inspector: &mut Inspector, args: &ProcArgs) -> io::Result<u8> {
    let named = match args.pids() {
        Ok(named) => named,
        Err(usage) => {
            eprintln!("kpidstat: {usage}\nTry: kpidstat proc --help");
            return Ok(exit::USAGE);
        }
    };
    let pids = match &named {
        Some(pids) => pids.clone(),
        None => match inspector.pids() {
            Ok(pids) => pids,
            Err(error) => {
                eprintln!("kpidstat: cannot list processes: {error}");
                return Ok(exit::FAILED);
            }
        },
    };
    let (form, name) = (form(args), file_name(args.reader));
    let ragged = matches!(args.reader, ReaderArg::Status | ReaderArg::SmapsRollup);
    let mut sheet = Sheet::new(form, name, pids.len() > 1 || named.is_none(), ragged);
    let mut out = Vec::new();
    let mut stdout = io::stdout().lock();
    let mut failures = Failures::default();
    for pid in &pids {
        match read(inspector, args.reader, *pid, form.flat()) {
            Ok(said) => {
                failures.told += 1;
                sheet.add(Some(*pid), said, &mut out);
            }
            Err(error) => failures.add(*pid, name, error, named.is_some()),
        }
        if out.len() > WRITE_BYTES {
            stdout.write_all(&out)?;
            out.clear();
        }
    }
    sheet.finish(&mut out);
    stdout.write_all(&out)?;
    stdout.flush()?;
    Ok(failures.code(name, named.is_some()))
}

/// Enough at once that system calls do not count.
const WRITE_BYTES: usize = 64 << 10;

/// What could not be read.
#[derive(Default)]
struct Failures {
    told: usize,
    gone: usize,
    refused: bool,
    others: BTreeMap<String, usize>,
}

impl Failures {
    /// Takes one; says it at once if the process was asked for by its number.
    fn add(&mut self, pid: u32, file: &str, error: InspectError, named: bool) {
        self.refused |= error == InspectError::NotPermitted;
        if named {
            eprintln!("kpidstat: {pid}: {file}: {error}");
        }
        if error.gone() {
            self.gone += 1;
        } else {
            *self.others.entry(error.to_string()).or_default() += 1;
        }
    }

    /// Says what was not said yet, and the exit code. Who asks for all processes wants those that can be read; some end
    /// meanwhile.
    fn code(&self, file: &str, named: bool) -> u8 {
        if !named {
            for (why, count) in &self.others {
                eprintln!("kpidstat: {file}: not shown of {count}: {why}");
            }
        }
        if self.refused && !may_trace() {
            eprintln!(
                "kpidstat: other users' processes need root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
            );
        }
        match () {
            () if self.told > 0 && !named => exit::OK,
            () if self.told == 0 && self.others.is_empty() => exit::NOTHING_MATCHED,
            () if self.gone > 0 || !self.others.is_empty() => exit::FAILED,
            () => exit::OK,
        }
    }
}

fn file_name(reader: ReaderArg) -> &'static str {
    match reader {
        ReaderArg::Stat => "stat",
        ReaderArg::Statm => "statm",
        ReaderArg::Status => "status",
        ReaderArg::Io => "io",
        ReaderArg::Schedstat => "schedstat",
        ReaderArg::Maps => "maps",
        ReaderArg::SmapsRollup => "smaps_rollup",
        ReaderArg::Mountinfo => "mountinfo",
        ReaderArg::Mountstats => "mountstats",
        ReaderArg::Fd => "fd",
        ReaderArg::Limits => "limits",
        ReaderArg::Cgroup => "cgroup",
        ReaderArg::Environ => "environ",
        ReaderArg::Cmdline => "cmdline",
        ReaderArg::Net => "net",
        ReaderArg::Sys => "sys",
    }
}

/// What the file says of a process: in its own shape, or as a list of rows.
fn read(inspector: &mut Inspector, reader: ReaderArg, pid: u32, flat: bool) -> Result<Tree, InspectError> {
    let at = Place::process(pid);
    let one = |tree: Tree| if flat { Tree::List(vec![tree]) } else { tree };
    Ok(match reader {
        ReaderArg::Stat => one(Tree::from(&inspector.stat(at)?)),
        ReaderArg::Statm => one(Tree::from(&inspector.statm(at)?)),
        ReaderArg::Status => one(Tree::from(&inspector.status(at)?)),
        ReaderArg::Io => one(Tree::from(&inspector.io(at)?)),
        ReaderArg::Schedstat => one(Tree::from(&inspector.schedstat(at)?)),
        ReaderArg::SmapsRollup => one(Tree::from(&inspector.smaps_rollup(at)?)),
        ReaderArg::Maps => inspector.maps(at)?.iter().collect(),
        ReaderArg::Mountinfo if flat => inspector.mountinfo(at)?.iter().map(|mount| mount.row()).collect(),
        ReaderArg::Mountinfo => inspector.mountinfo(at)?.iter().collect(),
        ReaderArg::Mountstats if flat => inspector.mountstats(at)?.iter().map(|mount| mount.row()).collect(),
        ReaderArg::Mountstats => inspector.mountstats(at)?.iter().collect(),
        ReaderArg::Fd if flat => inspector.fds(at)?.iter().map(|file| file.row(pid)).collect(),
        ReaderArg::Fd => {
            let files = inspector.fds(at)?;
            Tree::Record(
                files.iter().map(|file| (Name::Owned(file.number.to_string()), file.row(pid))).collect(),
            )
        }
        ReaderArg::Limits if flat => inspector.limits(at)?.iter().map(|limit| limit.row()).collect(),
        ReaderArg::Limits => Tree::Record(inspector.limits(at)?.iter().map(|limit| limit.entry()).collect()),
        ReaderArg::Cgroup => inspector.cgroups(at)?.iter().collect(),
        ReaderArg::Environ if flat => inspector.environ(at)?.iter().map(|variable| variable.row()).collect(),
        ReaderArg::Environ => record(&inspector.environ(at)?),
        ReaderArg::Cmdline if flat => one(Tree::record([("cmdline", list(&inspector.cmdline(at)?))])),
        ReaderArg::Cmdline => list(&inspector.cmdline(at)?),
        // They are not about a process; `run` has sorted them out.
        ReaderArg::Net | ReaderArg::Sys => return Err(InspectError::NotInKernel),
    })
}

/// `net` and `sys`: the settings of the kernel.
fn settings(inspector: &mut Inspector, args: &ProcArgs, below: &str) -> io::Result<u8> {
    let found = inspector.sysctls(below, &args.of);
    let form = form(args);
    let settings = found.settings.iter();
    let said = if form.flat() {
        settings
            .map(|(key, value)| Tree::record([("key", key.as_str().into()), ("value", value.into())]))
            .collect()
    } else {
        Tree::Record(settings.map(|(key, value)| (Name::Owned(key.clone()), value.into())).collect())
    };
    let mut sheet = Sheet::new(form, file_name(args.reader), false, false);
    let mut out = Vec::new();
    sheet.add(None, said, &mut out);
    sheet.finish(&mut out);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&out)?;
    stdout.flush()?;
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, why) in &found.unreadable {
        reasons.entry(why).or_default().push(key);
    }
    for (why, keys) in reasons {
        let more = keys.len().saturating_sub(SHOWN_KEYS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        eprintln!("kpidstat: {}{more}: {why}", keys[..keys.len().min(SHOWN_KEYS)].join(", "));
    }
    for key in &found.unknown {
        eprintln!("kpidstat: {key}: this kernel has no such setting");
    }
    let named = !args.of.is_empty();
    Ok(match () {
        () if found.settings.is_empty() && found.unreadable.is_empty() => exit::NOTHING_MATCHED,
        () if named && !(found.unknown.is_empty() && found.unreadable.is_empty()) => exit::FAILED,
        () => exit::OK,
    })
}

/// Keys of one reason that are named; there are dozens of the same kind.
const SHOWN_KEYS: usize = 5;
