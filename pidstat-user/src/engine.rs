//! The loop: sample, compare, choose, show, wait. The only file that knows every stage.

use crate::{
    cli::{Plan, plan::From},
    clock::Clock,
    kernel::Reason,
    rate::{self, Averages, Ended, Span},
    sample::{End as SampleEnd, Facts, Pids, Sample, Want},
    select::{self, Verdict},
    sink::{End, Frame, Sink, Table},
    source::{
        Source, SourceError,
        ebpf::{self, EbpfSource},
        procfs::{self, ProcSource},
        replay::ReplaySource,
    },
};
use std::{
    io::{self, Write as _},
    mem,
    os::fd::OwnedFd,
    path::Path,
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    time::{Interval, MissedTickBehavior},
};

/// What ends a run without a report.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file or the kernel failed.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// eBPF was demanded and does not work here.
    #[error("eBPF cannot be used: {0}; {remedy}", remedy = .0.remedy())]
    Unsupported(Reason),
    /// Output failed.
    #[error("stdout: {0}")]
    Output(io::Error),
    /// The runtime failed.
    #[error("{0}")]
    System(io::Error),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something was shown, or there was nothing to look for.
    Shown,
    /// No process that was asked for exists.
    NothingMatched,
}

/// Runs a plan to its end.
///
/// # Errors
/// Whatever kept it from reporting.
pub fn run(plan: &Plan) -> Result<Outcome, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::System)?;
    runtime.block_on(async { Run::open(plan)?.go().await })
}

/// Opens the source that the plan chose, with the clock that goes with it.
fn open_source(plan: &Plan) -> Result<(Box<dyn Source>, Clock), Failure> {
    let want = || plan.want.clone();
    let source: Box<dyn Source> = match &plan.from {
        From::Instants(dir) => {
            let source = ReplaySource::open(dir, want())?;
            let clock = Clock::Fake(source.start());
            return Ok((Box::new(source), clock));
        }
        From::Files(Some(procfs)) => Box::new(ProcSource::open_at(procfs, want())?),
        From::Files(None) => Box::new(ProcSource::open(want())?),
        From::Ebpf => Box::new(open_ebpf(&plan.want).map_err(Failure::Unsupported)?),
        From::Auto => match open_ebpf(&plan.want) {
            Ok(source) => Box::new(source),
            Err(reason) => {
                eprintln!("kpidstat: eBPF cannot be used, so /proc is read: {reason}; {}", reason.remedy());
                Box::new(ProcSource::open(want())?)
            }
        },
    };
    Ok((source, Clock::Real))
}

fn open_ebpf(want: &Want) -> Result<EbpfSource, Reason> {
    let proc_root = Path::new(procfs::PROC_ROOT);
    ebpf::usable(proc_root)?;
    EbpfSource::open(proc_root, Path::new(procfs::SYS_ROOT), want)
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
    out: Vec<u8>,
    before: Sample,
    now: Sample,
    averages: Averages,
    ended: Ended,
    shown_ever: bool,
    /// Samples shown so far.
    taken: u64,
}

impl<'a> Run<'a> {
    fn open(plan: &'a Plan) -> Result<Run<'a>, Failure> {
        let (source, clock) = open_source(plan)?;
        if let Some(note) = source.note() {
            eprintln!("kpidstat: {note}");
        }
        Ok(Run {
            plan,
            source,
            clock,
            sink: plan.output.sink(),
            out: Vec::new(),
            before: Sample::default(),
            now: Sample::default(),
            averages: Averages::default(),
            ended: Ended::default(),
            shown_ever: false,
            taken: 0,
        })
    }

    async fn go(mut self) -> Result<Outcome, Failure> {
        let mut signals = Signals::new().map_err(Failure::System)?;
        self.sink.begin(self.source.host(), self.clock.now().epoch_ns, &mut self.out);
        self.flush()?;
        let Some(interval) = self.plan.interval else {
            return self.since_boot();
        };
        self.source.sample(&self.clock, None, &mut self.before)?;
        let baseline = if self.sink.wants_averages() { self.before.clone() } else { Sample::default() };
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
            let shown = self.show(&baseline, false)?;
            if self.sink.wants_averages() {
                let span = Span::between(&self.before, &self.now, 1, self.plan.of_machine);
                self.ended.add(&self.before, &self.now, &span);
            }
            self.averages.add(&self.now);
            let leaving = self.now.departed.iter().any(|task| matches!(task.end, SampleEnd::Leaving { .. }));
            mem::swap(&mut self.before, &mut self.now);
            self.taken += 1;
            all_gone = !shown && !leaving && matches!(self.plan.want.pids, Pids::Only(_));
        }
        self.sink.stop(end, &mut self.out);
        if self.sink.wants_averages() && self.taken > 0 && !all_gone {
            mem::swap(&mut self.before, &mut self.now);
            self.ended.put_into(&mut self.now);
            self.show(&baseline, true)?;
        }
        self.finish()
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
        if self.plan.want.facts.has(Facts::TRAFFIC) {
            eprintln!("kpidstat: traffic is counted from the start of kpidstat; give an interval to see it");
        }
        // The report covers the time since boot, but its header carries the present time.
        self.before = Sample { epoch_ns: self.now.epoch_ns, ..Sample::default() };
        self.show(&Sample::default(), false)?;
        self.finish()
    }

    fn finish(mut self) -> Result<Outcome, Failure> {
        self.sink.finish(&mut self.out);
        self.flush()?;
        if self.shown_ever || !matches!(self.plan.want.pids, Pids::Only(_)) {
            return Ok(Outcome::Shown);
        }
        Ok(Outcome::NothingMatched)
    }

    /// Shows the present sample against the one before, or the averages of the run since `baseline`. Returns whether
    /// there was any row.
    fn show(&mut self, baseline: &Sample, averages: bool) -> Result<bool, Failure> {
        let before = if averages { baseline } else { &self.before };
        let span = Span::between(before, &self.now, 1, self.plan.of_machine);
        let sums = averages.then_some(&self.averages);
        let tables = tables(self.plan, before, &self.now, &span, sums, self.sink.joins_reports());
        let any = tables.iter().any(|table| !table.rows.is_empty());
        let frame = Frame {
            tables,
            before_epoch_ns: before.epoch_ns,
            now_epoch_ns: self.now.epoch_ns,
            origin: &self.now.origin,
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
        let mut stdout = io::stdout().lock();
        stdout.write_all(&self.out).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
        self.out.clear();
        Ok(())
    }
}

/// The tables of one sample: one for each report, or one for all of them.
fn tables<'a>(
    plan: &'a Plan,
    before: &'a Sample,
    now: &'a Sample,
    span: &'a Span,
    sums: Option<&'a Averages>,
    joined: bool,
) -> Vec<Table<'a>> {
    let traffic = plan.want.facts.has(Facts::TRAFFIC);
    let departed = rate::departed(before, now, span).filter(|row| {
        (traffic || !row.traffic_only)
            && match &plan.want.pids {
                Pids::All => true,
                Pids::Only(list) => list.binary_search(&row.now.key.tgid).is_ok(),
            }
    });
    let trivial = plan.filter.is_trivial();
    let candidates: Vec<_> = rate::pairs(before, now, span, false)
        .chain(departed)
        .map(|mut row| {
            row.sums = sums.and_then(|sums| sums.of(row.now.key));
            (row, if trivial { Verdict::Show } else { plan.filter.judge(row.now) })
        })
        .collect();
    let groups: Vec<&[&crate::column::Report]> =
        if joined { vec![&plan.reports[..]] } else { plan.reports.chunks(1).collect() };
    groups
        .into_iter()
        .map(|reports| Table { reports, rows: select::table(&candidates, reports, plan.filter.idle_too) })
        .collect()
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The moments of the samples.
struct Ticks {
    /// None where a story moves the clock.
    timer: Option<Interval>,
    period: Duration,
    wakeup: Option<AsyncFd<OwnedFd>>,
}

impl Ticks {
    fn new(clock: &Clock, period: Duration, wakeup: Option<OwnedFd>) -> io::Result<Ticks> {
        let timer = matches!(clock, Clock::Real).then(|| {
            let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
            // A late sample makes its interval longer; it is not made up for.
            timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
            timer
        });
        // SAFETY: the AsyncFd owns the descriptor, so it stays open and is the same one for as long as it is registered.
        let register = |fd| unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        let wakeup = wakeup.map(register).transpose().map_err(io::Error::from)?;
        Ok(Ticks { timer, period, wakeup })
    }

    /// Waits for the next sample; the source may empty its buffers meanwhile.
    async fn next(&mut self, clock: &mut Clock, signals: &mut Signals, source: &mut dyn Source) -> End {
        let Some(timer) = &mut self.timer else {
            clock.advance(self.period);
            return End::Complete;
        };
        loop {
            tokio::select! {
                biased;
                () = signals.any() => return End::Interrupted,
                _ = timer.tick() => return End::Complete,
                () = readable(self.wakeup.as_ref()) => source.drain(),
            }
        }
    }
}

/// Waits until the source's buffers want emptying; for ever where there are none.
async fn readable(fd: Option<&AsyncFd<OwnedFd>>) {
    match fd {
        Some(fd) => {
            if let Ok(mut guard) = fd.readable().await {
                guard.clear_ready();
            }
        }
        None => std::future::pending().await,
    }
}
