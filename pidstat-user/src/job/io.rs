//! `kpidstat io`: who reads and writes storage, as iotop shows it.

mod prompt;
mod screen;

use super::terminal::{Keys, size};
use crate::{
    cli::{Args, Plan, Surroundings, exit, io::IoArgs, zone},
    clock::Clock,
    engine::{
        self, Failure,
        wait::{Signals, Wakeup},
    },
    rate::io::{Ledger, View, last_word},
    sample::{Facts, Io, Sample, Task, TaskKey},
    sink::iotop::{Layout, TITLES},
    source::{
        Source, SourceError, ioprio,
        procfs::{PROC_ROOT, SYS_ROOT, Users, delayacct::Measuring, vmstat},
        taskstats::{Exits, Stats},
    },
};
use jiff::{Timestamp, tz::TimeZone};
use prompt::{Prompt, Step};
use screen::{Action, Head, Screen, Taken, rows, shown};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// What keeps it from going on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Failure(#[from] Failure),
    #[error("Unknown user: {0}")]
    User(String),
    #[error("{0}")]
    Delays(#[from] crate::source::procfs::delayacct::Refused),
    #[error("the live view needs a terminal; with -b tables are printed one after the other")]
    NoTerminal,
}

/// Runs it to its end and says the exit code.
pub(super) fn run(args: &IoArgs) -> u8 {
    // As long as there is one thread, and put back when everything else is over.
    let measuring = args.delayacct.then(Measuring::start).transpose();
    let ended = measuring.map_err(Trouble::from).and_then(|_measuring| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(Failure::System)?.block_on(async { Job::open(args)?.go().await })
    });
    let Err(trouble) = ended else { return exit::OK };
    eprintln!("kpidstat: {trouble}");
    match trouble {
        Trouble::Delays(_) | Trouble::Failure(Failure::Unsupported(_)) => exit::UNSUPPORTED,
        Trouble::NoTerminal => exit::USAGE,
        Trouble::User(_) | Trouble::Failure(_) => exit::FAILED,
    }
}

/// Where the machine's files are.
struct Place {
    proc_root: PathBuf,
    etc_root: Option<PathBuf>,
}

/// A run under way.
struct Job<'a> {
    args: &'a IoArgs,
    source: Box<dyn Source>,
    clock: Clock,
    exits: Option<Exits>,
    /// Final counters of threads that ended since the last sample.
    last: Vec<Task>,
    sample: Sample,
    ledger: Ledger,
    view: View,
    layout: Layout,
    only: bool,
    /// What the whole machine read and wrote, now and before.
    machine: Option<(u64, u64)>,
    machine_before: Option<(u64, u64)>,
    /// Samples taken.
    taken: u64,
    zone: TimeZone,
    /// What the user was not told yet.
    note: Option<String>,
}

impl<'a> Job<'a> {
    fn open(args: &'a IoArgs) -> Result<Job<'a>, Trouble> {
        let place = place(args, 0);
        let users = match &place.etc_root {
            Some(etc) => Users::recorded(etc),
            None => Users::machine(),
        };
        let uids = args.users.iter().map(|user| {
            let id = user.parse().ok().or_else(|| users.id(user));
            id.ok_or_else(|| Trouble::User(user.clone()))
        });
        let view =
            View { processes: args.processes, ids: args.pids.clone(), uids: uids.collect::<Result<_, _>>()? };
        let (source, clock) = engine::open_source(&plan(args)?)?;
        let mut note = source.note();
        // A recording has no ends but those that its instants show.
        let exits = args.root.is_none().then(|| {
            let cpus = fs::read_to_string(Path::new(SYS_ROOT).join("devices/system/cpu/possible"));
            Exits::open(&cpus.unwrap_or_else(|_| "0".into()))
        });
        let exits = match exits {
            Some(Ok(exits)) => Some(exits),
            Some(Err(why)) => {
                let lost = format!("what threads do in their last moments is not seen: {why}");
                note = Some(note.map_or(lost.clone(), |note| format!("{note}; {lost}")));
                None
            }
            None => None,
        };
        let layout = Layout {
            id_digits: vmstat::pid_digits(&place.proc_root).unwrap_or(5),
            processes: args.processes,
            accumulated: args.accumulated,
            kilobytes: args.kilobytes,
        };
        Ok(Job {
            args,
            source,
            clock,
            exits,
            last: Vec::new(),
            sample: Sample::default(),
            ledger: Ledger::default(),
            view,
            layout,
            only: args.only,
            machine: None,
            machine_before: None,
            taken: 0,
            zone: zone::of_this_process(),
            note,
        })
    }

    async fn go(mut self) -> Result<(), Trouble> {
        let mut signals = Signals::unless_ignored().map_err(Failure::System)?;
        let mut live = None;
        if !self.args.is_batch() {
            let keys = Keys::open().map_err(|_| Trouble::NoTerminal)?;
            size().ok_or(Trouble::NoTerminal)?;
            let screen = Screen::new(!self.args.no_help, self.note.take());
            live = Some((keys, screen, Taken::take().map_err(Failure::Output)?));
        } else if let Some(note) = self.note.take() {
            eprintln!("kpidstat: {note}");
        }
        let period = Duration::from_secs_f64(self.args.delay);
        // Somebody who looks wants to see something soon.
        let first = if live.is_some() { period.min(Duration::from_millis(300)) } else { period };
        let wakeup = self.exits.as_ref().map(|exits| exits.wakeup().try_clone_to_owned()).transpose();
        let wakeup = wakeup.and_then(Wakeup::new).map_err(Failure::System)?;
        self.look()?;
        let mut shown = 0;
        let mut next = Instant::now() + first;
        while self.args.iterations != Some(shown) {
            if let Clock::Fake(_) = self.clock {
                self.clock.advance(period);
            } else {
                let key = loop {
                    tokio::select! {
                        biased;
                        () = signals.any() => return Ok(()),
                        () = sleep_until(next) => break None,
                        () = wakeup.come() => self.drain(),
                        key = key(live.as_mut().map(|(keys, ..)| keys)) => break Some(key),
                    }
                };
                if let (Some(byte), Some((_, screen, _))) = (key, live.as_mut()) {
                    match screen.key(byte) {
                        None => continue,
                        Some(Action::Quit) => return Ok(()),
                        Some(Action::Sample) => {
                            next = Instant::now();
                            continue;
                        }
                        Some(action) => self.act(action, screen),
                    }
                    self.draw(screen)?;
                    continue;
                }
                next = (next + period).max(Instant::now());
            }
            match self.look() {
                Err(Failure::Source(SourceError::Exhausted)) => break,
                other => other?,
            }
            let note = self.note.take();
            match live.as_mut() {
                Some((_, screen, _)) => {
                    screen.say(note);
                    screen.prompt.take_if(|prompt| prompt.wait() == Step::Over);
                    self.draw(screen)?;
                }
                None => {
                    note.inspect(|note| eprintln!("kpidstat: {note}"));
                    self.print(shown == 0)?;
                }
            }
            shown += 1;
        }
        Ok(())
    }

    /// Takes a sample, and what ended before it.
    fn look(&mut self) -> Result<(), Failure> {
        self.source.sample(&self.clock, None, &mut self.sample)?;
        self.drain();
        self.machine_before = self.machine;
        self.machine = vmstat::storage_bytes(&place(self.args, self.taken).proc_root);
        self.taken += 1;
        self.ledger.look(&self.sample, &self.last, &self.view, self.layout.accumulated);
        self.last.clear();
        Ok(())
    }

    fn drain(&mut self) {
        let Some(exits) = self.exits.as_mut() else { return };
        let (last, before) = (&mut self.last, exits.overflows);
        match exits.drain(|stats| last.push(ended(&stats))) {
            Ok(()) if exits.overflows > before => {
                self.note = Some(format!(
                    "more threads ended at once than the kernel keeps messages of ({} times so far): what they did last is in \
                     no line",
                    exits.overflows
                ));
            }
            Ok(()) => {}
            Err(why) => {
                self.note =
                    Some(format!("what threads do in their last moments is not seen from now on: {why}"));
                self.exits = None;
            }
        }
    }

    fn act(&mut self, action: Action, screen: &mut Screen) {
        match action {
            Action::Ionice => screen.prompt = Some(Prompt::new(self.layout.processes)),
            Action::Answered(Step::Over) => screen.prompt = None,
            Action::Answered(Step::Look(id)) => {
                let found = self.threads_of(id).map(|threads| ioprio::of_threads(&threads));
                screen.prompt.as_mut().map(|prompt| prompt.found(id, found)).unwrap_or_default();
            }
            Action::Answered(Step::Set(id, priority)) => {
                let threads = self.threads_of(id).unwrap_or_default();
                // All of them, whatever becomes of one.
                let set: Vec<_> = threads.iter().map(|tid| ioprio::set(*tid, priority)).collect();
                match (set.into_iter().collect::<io::Result<()>>(), &mut screen.prompt) {
                    (Err(why), Some(prompt)) => prompt.say(format!("Error setting I/O priority: {why}")),
                    _ => screen.prompt = None,
                }
            }
            Action::Only => self.only = !self.only,
            Action::Accumulated => self.layout.accumulated = !self.layout.accumulated,
            Action::Processes => {
                self.layout.processes = !self.layout.processes;
                self.view.processes = self.layout.processes;
                self.ledger.clear();
                // The lines come from the counters as they are; what they do is seen with the next sample.
                let sample = std::mem::take(&mut self.sample);
                self.ledger.look(&sample, &[], &self.view, self.layout.accumulated);
                self.sample = sample;
            }
            Action::Quit | Action::Refresh | Action::Sample | Action::Answered(Step::Wait) => {}
        }
    }

    /// The threads that a number typed by the user stands for: itself, or those of a process that is shown.
    fn threads_of(&self, id: u32) -> Option<Vec<u32>> {
        if !self.layout.processes {
            return Some(vec![id]);
        }
        let line = self.ledger.lines().find(|line| line.id == id && !line.ended);
        line.map(|line| line.tids.clone()).filter(|tids| !tids.is_empty())
    }

    /// The lines that are shown, in order.
    fn shown(&self, order: screen::Order) -> Vec<screen::Shown<'_>> {
        let live = self.args.root.is_none();
        let wanted = self.ledger.lines().filter(|line| {
            !self.only || if self.layout.accumulated { line.sum.any() } else { line.now.any() }
        });
        let mut lines: Vec<_> = wanted
            .map(|line| shown(line, (live && !line.ended).then(|| ioprio::of_threads(&line.tids))))
            .collect();
        order.apply(&mut lines, self.layout.accumulated);
        lines
    }

    fn summary(&self) -> [String; 2] {
        let machine = self.machine.zip(self.machine_before);
        let machine =
            machine.map(|(now, before)| (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1)));
        self.layout.summary(&self.ledger.total, machine, self.ledger.elapsed_ns.max(1) as f64 / 1e9)
    }

    fn print(&self, first: bool) -> Result<(), Failure> {
        let stamp = if self.args.time {
            let now = Timestamp::from_nanosecond(i128::from(self.sample.epoch_ns)).unwrap_or_default();
            format!("{} ", now.to_zoned(self.zone.clone()).strftime("%H:%M:%S"))
        } else {
            String::new()
        };
        let mut out = Vec::new();
        if self.args.quiet <= 2 {
            for line in self.summary() {
                let _ = writeln!(out, "{stamp}{line}");
            }
            if self.args.quiet == 0 || self.args.quiet == 1 && first {
                let time = if self.args.time { "    TIME" } else { "" };
                let _ = writeln!(out, "{time}{}{}", self.layout.id_title(), TITLES.concat());
            }
        }
        let lines = self.shown(screen::Order::default());
        for (row, command) in rows(&lines, &self.layout, self.sample.uptime_ns, self.ledger.elapsed_ns) {
            out.extend_from_slice(stamp.as_bytes());
            out.extend_from_slice(&row);
            out.extend_from_slice(command);
            out.push(b'\n');
        }
        write(&out)
    }

    fn draw(&self, screen: &Screen) -> Result<(), Failure> {
        let lines = self.shown(screen.order);
        let rows = rows(&lines, &self.layout, self.sample.uptime_ns, self.ledger.elapsed_ns);
        let mut out = Vec::new();
        let head = Head { summary: &self.summary(), layout: &self.layout };
        screen.draw(&head, &rows, size().unwrap_or((80, 24)), &mut out);
        write(&out)
    }
}

fn write(out: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(out).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Where the files of a sample are.
fn place(args: &IoArgs, sample: u64) -> Place {
    match &args.root {
        Some(root) => {
            let instant = root.join(sample.to_string());
            Place { proc_root: instant.join("proc"), etc_root: Some(instant.join("etc")) }
        }
        None => Place { proc_root: PROC_ROOT.into(), etc_root: None },
    }
}

/// What the source is opened for: every thread, its I/O, its delays, its owner and its command line.
fn plan(args: &IoArgs) -> Result<Plan, Failure> {
    let mut asked = Args::none();
    (asked.interval, asked.root) = (Some(args.delay.to_string()), args.root.clone());
    let around = Surroundings {
        terminal_rows: None,
        own_pid: std::process::id(),
        zone: zone::of_this_process(),
        variable: |_| None,
    };
    let mut plan =
        Plan::new(&asked, &around).map_err(|usage| Failure::System(io::Error::other(usage.to_string())))?;
    plan.want.facts = [Facts::IO, Facts::DELAYS, Facts::WAITS, Facts::OWNER, Facts::USER, Facts::CMDLINE]
        .into_iter()
        .fold(Facts::NONE, Facts::and);
    plan.want.threads = true;
    Ok(plan)
}

/// The final counters of a thread.
fn ended(stats: &Stats) -> Task {
    let io = Io {
        read_bytes: stats.read_bytes,
        write_bytes: stats.write_bytes,
        cancelled_write_bytes: stats.cancelled_write_bytes,
        ..Io::default()
    };
    let delays = stats.measured().then_some((stats.swap_in.total_ns, stats.block_io.total_ns));
    let key = TaskKey { tgid: stats.tgid.unwrap_or(0), tid: stats.tid, start_ticks: 0 };
    last_word(key, stats.uid, &stats.comm, io, delays)
}

/// The next byte that is typed; never where nobody types.
async fn key(keys: Option<&mut Keys>) -> u8 {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}
