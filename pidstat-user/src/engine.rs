//! The loop: sample, compare, choose, show, wait. The only file that knows every stage.

pub(crate) mod open;
pub(crate) mod wait;

pub(crate) use open::open_source;

use crate::{
    cli::{Plan, plan::Counting},
    clock::Clock,
    column::{Report, Scope},
    kernel::Reason,
    rate::{self, Averages, Check, Ended, Folded, Forest, Row, Span, Wire},
    sample::{End as SampleEnd, Exited, Facts, Missing, NetChoice, Pids, Reading, Sample, Task},
    select::{Follow, Sieve},
    sink::{End, Frame, Join, Sink, Table},
    source::{Source, SourceError},
};
use std::{
    collections::HashSet,
    fs::File,
    io::{self, Write as _},
    mem,
    os::fd::AsFd as _,
    process::Child,
    time::Duration,
};
use wait::{Signals, Ticks};

/// What ends a run without a report.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file or the kernel failed.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// eBPF was demanded and does not work here.
    #[error("eBPF cannot be used: {0}; {remedy}", remedy = .0.remedy())]
    Unsupported(Reason),
    /// A way to count traffic was demanded and does not work here.
    #[error("--net {} cannot be used: {why}; {remedy}", rung.name(), remedy = why.remedy())]
    UnsupportedRung {
        /// What was demanded.
        rung: NetChoice,
        /// Why not.
        why: Reason,
    },
    /// Nothing counts traffic here.
    #[error(
        "network is not counted: {ebpf}; {}; nor can packets be captured: {pcap}; {}",
        ebpf.remedy(),
        pcap.remedy()
    )]
    NoTraffic {
        /// Why the kernel does not.
        ebpf: Reason,
        /// Why packets cannot be captured.
        pcap: Reason,
    },
    /// Output failed.
    #[error("stdout: {0}")]
    Output(io::Error),
    /// The runtime failed.
    #[error("{0}")]
    System(io::Error),
}

impl Failure {
    /// Whether a privilege or a feature of the kernel is missing.
    pub fn is_unsupported(&self) -> bool {
        match self {
            // Whoever named them can name others.
            Failure::UnsupportedRung { why, .. } => !matches!(why, Reason::NoCapture(_)),
            Failure::Unsupported(_) | Failure::NoTraffic { .. } => true,
            Failure::Source(_) | Failure::Output(_) | Failure::System(_) => false,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something was shown, or there was nothing to look for.
    Shown,
    /// No process that was asked for exists.
    NothingMatched,
    /// The program that was run ended, with this exit code.
    ProgramEnded(i32),
}

/// Runs a plan to its end; with a `program`, at most until that ends.
///
/// # Errors
/// Whatever kept it from reporting.
pub fn run(plan: &Plan, program: Option<Child>) -> Result<Outcome, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::System)?;
    runtime.block_on(async { Run::open(plan)?.go(program).await })
}

/// How long the last report waits for records of processes that ended before it, and how often it looks.
const LATE_MAX: Duration = Duration::from_secs(1);
/// See [`LATE_MAX`].
const LATE_STEP: Duration = Duration::from_millis(10);

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    source: Box<dyn Source>,
    clock: Clock,
    sink: Box<dyn Sink>,
    /// Standard output without a buffer of its own: what is flushed is one write.
    stdout: File,
    out: Vec<u8>,
    before: Sample,
    now: Sample,
    averages: Averages,
    /// Bytes on the wire so far, for the books of the whole run.
    wire: Reading<Wire>,
    ended: Ended,
    shown_ever: bool,
    /// Samples shown so far.
    taken: u64,
    /// Who is followed so far.
    follow: Option<Follow>,
    /// Listed processes that were left out once and stay so.
    dropped: HashSet<u32>,
}

impl<'a> Run<'a> {
    fn open(plan: &'a Plan) -> Result<Run<'a>, Failure> {
        let (source, clock) = open_source(plan)?;
        if let Some(note) = source.note()
            && plan.notes
        {
            eprintln!("kpidstat: {note}");
        }
        let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(Failure::Output)?;
        Ok(Run {
            plan,
            source,
            clock,
            sink: plan.output.sink(),
            stdout: stdout.into(),
            out: Vec::new(),
            before: Sample::default(),
            now: Sample::default(),
            averages: Averages::default(),
            wire: Ok(Wire::default()),
            ended: Ended::default(),
            shown_ever: false,
            taken: 0,
            follow: plan.follow.clone(),
            dropped: HashSet::new(),
        })
    }

    async fn go(mut self, program: Option<Child>) -> Result<Outcome, Failure> {
        let mut signals = Signals::new(program).map_err(Failure::System)?;
        self.sink.begin(self.source.host(), self.clock.now().epoch_ns, &mut self.out);
        self.flush()?;
        let Some(interval) = self.plan.interval else {
            return self.since_boot();
        };
        self.source.sample(&self.clock, None, &mut self.before)?;
        drop_stackless(self.plan, &mut self.dropped, &mut self.before);
        if let Some(follow) = &mut self.follow {
            follow.look(&self.before);
        }
        if self.follow.as_ref().is_some_and(Follow::is_lost) {
            self.finish()?;
            return Ok(Outcome::NothingMatched);
        }
        let mut baseline = if self.sink.wants_averages() { self.before.clone() } else { Sample::default() };
        let wakeup =
            self.source.wakeup().map(|fd| fd.try_clone_to_owned()).transpose().map_err(Failure::System)?;
        let mut ticks = Ticks::new(&self.clock, interval, wakeup).map_err(Failure::System)?;
        let mut end = End::Complete;
        let mut all_gone = false;
        while !all_gone && self.plan.count != Some(self.taken) {
            if ticks.next(&mut self.clock, &mut signals, self.source.as_mut()).await == End::Interrupted {
                end = End::Interrupted;
                break;
            }
            match self.source.sample(&self.clock, Some(&self.before), &mut self.now) {
                Err(SourceError::Exhausted) => {
                    end = End::Interrupted;
                    break;
                }
                other => other?,
            }
            if self.plan.count == Some(self.taken + 1) {
                self.wait_for_late(&mut signals).await;
            }
            drop_stackless(self.plan, &mut self.dropped, &mut self.now);
            if let Some(follow) = &mut self.follow {
                follow.look(&self.now);
            }
            if self.plan.counting == Counting::Sysstat {
                baseline.tasks.retain(|task| find(&self.now, task).is_some());
            }
            let shown = self.show(&baseline, false)?;
            if self.sink.wants_averages() {
                let span = Span::between(&self.before, &self.now, 1, self.plan.of_machine);
                self.ended.add(&self.before, &self.now, &span);
            }
            self.averages.add(&self.now);
            let leaving = self.now.departed.iter().any(|task| matches!(task.end, SampleEnd::Leaving { .. }));
            mem::swap(&mut self.before, &mut self.now);
            self.taken += 1;
            all_gone = !shown && !leaving && self.plan.is_listed();
        }
        self.sink.stop(end, &mut self.out);
        if self.sink.wants_averages() && self.taken > 0 && !all_gone {
            mem::swap(&mut self.before, &mut self.now);
            self.ended.put_into(&mut self.now);
            self.show(&baseline, true)?;
        }
        let outcome = self.finish()?;
        Ok(signals.program_code().map_or(outcome, Outcome::ProgramEnded))
    }

    /// Processes that ended before the last sample send their records later; the report waits for them, but not for long.
    async fn wait_for_late(&mut self, signals: &mut Signals) {
        let end = tokio::time::Instant::now() + LATE_MAX;
        while self.source.late(&self.before, &mut self.now, tokio::time::Instant::now() >= end) {
            tokio::select! {
                biased;
                () = signals.any() => {
                    self.source.late(&self.before, &mut self.now, true);
                    return;
                }
                () = tokio::time::sleep(LATE_STEP) => {}
            }
        }
    }

    fn since_boot(mut self) -> Result<Outcome, Failure> {
        self.source.sample(&self.clock, None, &mut self.now)?;
        drop_stackless(self.plan, &mut self.dropped, &mut self.now);
        if self.plan.want.facts.has(Facts::TRAFFIC) {
            eprintln!("kpidstat: traffic is counted from the start of kpidstat; give an interval to see it");
        }
        // The report covers the time since boot, but its header carries the present time.
        self.before = Sample { epoch_ns: self.now.epoch_ns, ..Sample::default() };
        self.show(&Sample::default(), false)?;
        self.finish()
    }

    fn finish(mut self) -> Result<Outcome, Failure> {
        // The last sample is in either, and what is lost never grows less.
        let losses = [self.before.origin.losses, self.now.origin.losses];
        let most = losses
            .into_iter()
            .max_by_key(|losses| losses.named().map(|(_, count)| count).iter().sum::<u64>());
        if let Some(sentence) = most.and_then(|losses| losses.sentence()).filter(|_| self.plan.notes) {
            eprintln!("kpidstat: {sentence}");
        }
        self.sink.finish(&mut self.out);
        self.flush()?;
        if self.shown_ever || !self.plan.is_listed() {
            return Ok(Outcome::Shown);
        }
        Ok(Outcome::NothingMatched)
    }

    /// Shows the present sample against the one before, or the averages of the run since `baseline`. Returns whether
    /// there was any row.
    fn show(&mut self, baseline: &Sample, averages: bool) -> Result<bool, Failure> {
        let before = if averages { baseline } else { &self.before };
        let tick_ns = match self.plan.counting {
            Counting::Exact => 1,
            Counting::Sysstat => 1_000_000_000 / self.source.host().clock_ticks.max(1),
        };
        let span = Span::between(before, &self.now, tick_ns, self.plan.of_machine);
        let sums = averages.then_some(&self.averages);
        let mut check = self.plan.want.facts.has(Facts::MACHINE).then(|| {
            let departed = rate::departed(before, &self.now, &span);
            let all = rate::pairs(before, &self.now, &span, false).chain(departed);
            Check::between(before, &self.now, all)
        });
        if let Some(Ok(check)) = &mut check {
            // Connections that ended are in one sample only, so those of a run are the sum of its intervals.
            if averages {
                check.wire = self.wire;
            } else {
                self.wire = self.wire.and_then(|sum| Ok(sum.plus(check.wire?)));
            }
        }
        let rows = rows(self.plan, before, &self.now, &span, sums);
        let folded;
        let rows: Box<dyn Iterator<Item = Row<'_>>> = match self.plan.want.exited {
            Exited::Fold(into) => {
                folded = Folded::new(rows, into, &span);
                Box::new(folded.rows().filter(|row| is_asked(self.plan, row)))
            }
            Exited::Show | Exited::Hide => Box::new(rows),
        };
        let (follow, join) = (self.follow.as_ref(), self.sink.join());
        let forest;
        let tables = if self.plan.tree {
            forest = Forest::new(rows);
            tables(self.plan, forest.rows().into_iter(), follow, join)
        } else {
            tables(self.plan, rows, follow, join)
        };
        // A process that --where leaves out is there all the same.
        let any = tables.iter().any(|table| !table.rows.is_empty())
            || self.plan.filter.condition.is_some() && !self.now.tasks.is_empty();
        let frame = Frame {
            tables,
            before_epoch_ns: before.epoch_ns,
            now_epoch_ns: self.now.epoch_ns,
            origin: &self.now.origin,
            own_cpu_ns: rate::own_cpu_ns(before, &self.now),
            check,
        };
        if averages {
            self.sink.averages(&frame, &mut self.out);
        } else {
            self.sink.sample(&frame, &mut self.out);
        }
        self.shown_ever |= any;
        self.flush()?;
        Ok(any)
    }

    /// One write for everything since the last.
    fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.write_all(&self.out).map_err(Failure::Output)?;
        self.out.clear();
        Ok(())
    }
}

/// The rows of one sample, or of the averages.
fn rows<'a>(
    plan: &'a Plan,
    before: &'a Sample,
    now: &'a Sample,
    span: &'a Span,
    sums: Option<&'a Averages>,
) -> impl Iterator<Item = Row<'a>> {
    let traffic = plan.want.facts.has(Facts::TRAFFIC);
    let departed = rate::departed(before, now, span).filter(move |row| {
        (traffic || !row.traffic_only)
            && match plan.want.exited {
                Exited::Show => is_asked(plan, row),
                Exited::Hide => !row.exited && is_asked(plan, row),
                Exited::Fold(_) => true,
            }
    });
    rate::pairs(before, now, span, plan.counting == Counting::Sysstat)
        .chain(departed)
        .map(move |row| Row { sums: sums.and_then(|sums| sums.of(row.now.key)), ..row })
}

/// Whether a row is of one of the processes that are asked for by number, if any are.
fn is_asked(plan: &Plan, row: &Row<'_>) -> bool {
    match &plan.want.pids {
        Pids::Only(list) if row.exited => list.binary_search(&row.now.key.tgid).is_ok(),
        Pids::All | Pids::Only(_) => true,
    }
}

/// The tables of one sample: one for each report, or one for all of them.
fn tables<'a>(
    plan: &'a Plan,
    rows: impl Iterator<Item = Row<'a>>,
    follow: Option<&Follow>,
    join: Join,
) -> Vec<Table<'a>> {
    // Columns that were chosen make one table, whichever reports they are from.
    let join = if plan.columns.is_some() { Join::All } else { join };
    let groups: Vec<Vec<&'static Report>> = match join {
        Join::None => plan.reports.iter().map(|report| vec![*report]).collect(),
        Join::All => vec![plan.reports.clone()],
        Join::PerScope => [Scope::Task, Scope::Children]
            .map(|scope| plan.reports.iter().filter(|report| report.scope == scope).copied().collect())
            .into_iter()
            .filter(|reports: &Vec<_>| !reports.is_empty())
            .collect(),
    };
    let mut tables: Vec<(Sieve, Table<'a>)> = groups
        .into_iter()
        .map(|reports| {
            let sieve = Sieve::new(judges(plan, join, &reports), plan.filter.idle_too);
            (sieve, Table { rows: Vec::new(), chosen: plan.columns.as_deref(), extra: &plan.extra, reports })
        })
        .collect();
    // Nearly all rows are idle: each is looked at once, for all tables, and only what is shown is kept.
    for row in rows {
        let candidate = plan.filter.examine(row, follow);
        for (sieve, table) in &mut tables {
            if sieve.passes(&candidate) {
                table.rows.push(row);
            }
        }
    }
    for (_, table) in &mut tables {
        table.rows = plan.order.apply(mem::take(&mut table.rows));
    }
    tables.into_iter().map(|(_, table)| table).collect()
}

/// The reports whose activity decides about the rows of a table. To sysstat a wide row of children stands for the reports
/// that children do not have, too.
fn judges(plan: &Plan, join: Join, reports: &[&'static Report]) -> Vec<&'static Report> {
    let children = |report: &&Report| report.scope == Scope::Children;
    let mut judges = reports.to_vec();
    if plan.counting == Counting::Sysstat && join == Join::PerScope && reports.iter().any(children) {
        let alone = |report: &&&Report| {
            !plan.reports.iter().any(|other| children(other) && other.flag == report.flag)
        };
        judges.extend(plan.reports.iter().filter(alone));
    }
    judges
}

/// Leaves out the tasks whose stack was wanted and refused, if sysstat's rules are in force; from a list, for good.
fn drop_stackless(plan: &Plan, dropped: &mut HashSet<u32>, sample: &mut Sample) {
    if plan.counting != Counting::Sysstat || !plan.want.facts.has(Facts::STACK) {
        return;
    }
    let listed = matches!(plan.want.pids, Pids::Only(_));
    sample.tasks.retain(|task| {
        let refused = matches!(task.stack, Err(Missing::NoPermission | Missing::Gone));
        if refused && listed && task.is_process() {
            dropped.insert(task.key.tgid);
        }
        !refused && !dropped.contains(&task.key.tgid)
    });
}

/// The same task in a sample.
fn find<'a>(sample: &'a Sample, task: &Task) -> Option<&'a Task> {
    sample.tasks.binary_search_by(|other| other.key.cmp(&task.key)).ok().map(|at| &sample.tasks[at])
}
