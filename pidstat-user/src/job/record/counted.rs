//! The counters that go with the tree: from the same sources as the main command's, so that its reports can be made later.

use crate::{
    cli::{
        Args, Plan,
        args::SourceArg,
        plan::Usage,
        record::{RecordArgs, RecordFormat},
        surroundings::Surroundings,
        tree::TargetArg,
    },
    clock::Clock,
    column::{REPORTS, Report, Scope},
    engine::{self, Failure},
    rate::{self, Row, Span},
    sample::{Facts, Host, Sample, Want},
    sink::recording::Counters,
    source::{
        Source, SourceError,
        procfs::{self, node::Tree},
        replay::ReplaySource,
    },
};
use std::{
    ffi::OsString,
    io, mem,
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

/// Counters of two samples.
pub struct Counted {
    source: Box<dyn Source>,
    reports: Option<Vec<&'static Report>>,
    before: Option<Sample>,
    now: Sample,
    span: Option<Span>,
    /// The tree of the sample before.
    tree: Option<Tree>,
    /// Whether trees are of processes.
    processes: bool,
}

impl Counted {
    /// Opens the source that the options ask for, with the clock that goes with it. Where there is nothing to make reports
    /// of, that is said, and only the tree is recorded, as in files that have no room for more.
    pub fn open(args: &RecordArgs, format: RecordFormat) -> Result<(Counted, Clock), Failure> {
        let with = |source, reports| Counted {
            source,
            reports,
            before: None,
            now: Sample::default(),
            span: None,
            tree: None,
            processes: args.tree.target == TargetArg::Process,
        };
        let nothing = |clock| {
            let host = procfs::host(&args.tree.procfs, procfs::SYS_ROOT.as_ref());
            (with(Box::new(Nothing(host)), None), clock)
        };
        if args.reports == "-" || format == RecordFormat::Parquet {
            // Instants that are played back bring their time with them.
            let clock = match &args.root {
                Some(root) => Clock::Fake(ReplaySource::open(root, Want::default())?.start()),
                None => Clock::Real,
            };
            return Ok(nothing(clock));
        }
        let plan = plan(args).map_err(|usage| Failure::System(io::Error::other(usage.to_string())))?;
        let copy = args.tree.procfs != Path::new(procfs::PROC_ROOT);
        let opened = engine::open_source(&plan).and_then(|(mut source, clock)| {
            if copy {
                // A copy of a procfs may lack what is not about processes.
                source.sample(&clock, None, &mut Sample::default())?;
            }
            Ok((source, clock))
        });
        let (source, clock) = match opened {
            Err(Failure::Source(error)) if copy => {
                eprintln!("kpidstat: only the process tree is recorded, no counters for reports: {error}");
                return Ok(nothing(Clock::Real));
            }
            opened => opened?,
        };
        if let Some(note) = source.note() {
            eprintln!("kpidstat: {note}");
        }
        Ok((with(source, Some(plan.reports)), clock))
    }

    /// The reports that can be made.
    pub fn reports(&self) -> Option<&[&'static Report]> {
        self.reports.as_deref()
    }

    /// The source, which has buffers to be emptied between samples.
    pub fn source(&mut self) -> &mut dyn Source {
        self.source.as_mut()
    }

    /// A descriptor that says when they should be.
    pub fn wakeup(&self) -> Result<Option<OwnedFd>, Failure> {
        self.source.wakeup().map(|fd| fd.try_clone_to_owned()).transpose().map_err(Failure::System)
    }

    /// Takes a sample; says when that was.
    pub fn take(&mut self, clock: &Clock) -> Result<i64, Failure> {
        self.now.epoch_ns = clock.now().epoch_ns;
        if self.reports.is_some() {
            self.source.sample(clock, self.before.as_ref(), &mut self.now)?;
        }
        Ok(self.now.epoch_ns)
    }

    /// Waits, after the last sample, for the records of processes that ended before it; not for long.
    pub fn wait_for_late(&mut self) {
        const MOST: Duration = Duration::from_secs(1);
        const STEP: Duration = Duration::from_millis(10);
        let Some(before) = self.before.as_ref() else { return };
        let begun = Instant::now();
        while self.source.late(before, &mut self.now, begun.elapsed() >= MOST) {
            std::thread::sleep(STEP);
        }
    }

    /// The tree of the sample's processes, where it says everything of them; `root` has whatever else is asked of them.
    pub fn tree(&self, root: &Path) -> Option<io::Result<Tree>> {
        let told = self.now.tasks.iter().any(|task| task.control.is_ok());
        let before = self.before.as_ref().map(|sample| sample.tasks.as_slice()).zip(self.tree.as_ref());
        (told && self.processes).then(|| Tree::of(root, &self.now.tasks, self.source.host(), before))
    }

    /// Keeps the chosen processes and threads.
    pub fn keep(&mut self, chosen: impl Fn(u32) -> bool) {
        let known = self.before.as_ref();
        let was = |tgid: u32| {
            let of = |before: &Sample| before.tasks.binary_search_by_key(&tgid, |task| task.key.tgid).is_ok();
            known.is_some_and(of)
        };
        self.now.tasks.retain(|task| chosen(task.key.tgid) || task.key.tid != 0 && chosen(task.key.tid));
        self.now.departed.retain(|task| was(task.key.tgid) || chosen(task.key.tgid) || chosen(task.ppid));
        let departed = &self.now.departed;
        let ended = |tgid: u32| departed.iter().any(|task| task.key.tgid == tgid);
        self.now.connections.retain(|one| {
            let tgid = one.key.owner.tgid;
            was(tgid) || chosen(tgid) || ended(tgid)
        });
    }

    /// The sample, compared with the one before.
    pub fn compared(&mut self) -> Option<Counters<'_>> {
        let Counted { reports, before, now, span, .. } = &mut *self;
        let reports = reports.as_deref()?;
        let (before, now) = (before.as_ref(), &*now);
        let rows = before.map_or_else(Vec::new, |before| {
            let span = &*span.insert(Span::between(before, now, 1, false));
            rate::pairs(before, now, span, false)
                .chain(rate::departed(before, now, span))
                .filter(|row: &Row<'_>| {
                    row.traffic_only || reports.iter().any(|report| report.is_active(row))
                })
                .collect()
        });
        Some(Counters { before, now, rows })
    }

    /// The sample was written: it and its tree are those before from now on.
    pub fn done(&mut self, tree: Tree) {
        self.tree = Some(tree);
        let fresh = self.before.take().unwrap_or_default();
        self.before = Some(mem::replace(&mut self.now, fresh));
    }
}

/// What the main command would do for these reports.
fn plan(args: &RecordArgs) -> Result<Plan, Usage> {
    let source = match args.source {
        SourceArg::Auto => "auto",
        SourceArg::Ebpf => "ebpf",
        SourceArg::Proc => "proc",
    };
    let mut words: Vec<OsString> = vec!["kpidstat".into()];
    let letters = args.reports.replace(['c', 'D'], "");
    if !letters.is_empty() {
        words.push(format!("-{letters}").into());
    }
    if args.reports.contains('D') {
        words.push("--delay".into());
    }
    words.extend(["--source".into(), source.into()]);
    let around = Surroundings {
        terminal_rows: None,
        own_pid: std::process::id(),
        zone: jiff::tz::TimeZone::UTC,
        variable: |_| None,
    };
    if let Some(root) = &args.root {
        words.extend(["--root".into(), root.into()]);
    } else if args.tree.procfs != Path::new(procfs::PROC_ROOT) {
        words.extend(["--procfs".into(), args.tree.procfs.clone().into()]);
    }
    words.push(args.interval.as_secs_f64().to_string().into());
    let asked = Args::try_read(words).map_err(|error| Usage::new(error.to_string()))?;
    let mut plan = Plan::new(&asked, &around)?;
    plan.want.facts |= Facts::CMDLINE | Facts::USER | Facts::TOTAL_CPU | Facts::MEM_TOTAL;
    // With these the iterator says what the files of every process would.
    plan.want.facts |= Facts::CONTROL | Facts::DELAYS | Facts::FRESH_NAMES;
    if args.reports.contains('c') {
        plan.want.facts |= Facts::CGROUP;
        plan.reports.extend(REPORTS.iter().filter(|report| report.needs() == Facts::CGROUP));
    }
    if plan.want.facts.has(Facts::TRAFFIC) {
        plan.want.facts |= Facts::CONNECTIONS;
        if plan.want.facts.has(Facts::CGROUP) {
            plan.want.facts |= Facts::CONNECTION_GROUPS;
        }
    }
    plan.want.threads = args.tree.target == TargetArg::Thread;
    plan.reports.retain(|report| report.scope == Scope::Task);
    Ok(plan)
}

/// A source of nothing.
struct Nothing(Host);

impl Source for Nothing {
    fn host(&self) -> &Host {
        &self.0
    }

    fn sample(&mut self, _: &Clock, _: Option<&Sample>, _: &mut Sample) -> Result<(), SourceError> {
        Ok(())
    }
}
