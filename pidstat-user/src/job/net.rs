//! `kpidstat net`: samples connections, makes rows of them, shows them as a table, a screen, nethogs' trace or for machines.

use super::terminal::{self, Keys};
use crate::{
    cli::{
        Surroundings,
        args::Format,
        exit,
        net::{ByArg, NetArgs, Schedule},
    },
    clock::Clock,
    column::{
        Unit,
        connection::{self, FIGURES, Figure},
    },
    engine::{
        Failure,
        open::open_traffic,
        wait::{Signals, Ticks},
    },
    rate::connection::{By, Line, Lines, attributed},
    sample::{Capturing, Connection, Facts, Moved, Sample, Want, socket::TCP},
    select::line::{Choice, figure},
    sink::{
        End,
        net::{Columns, Csv, Frame, Json, Measure, Screen, Sink, Table, Trace, Typed},
        text::Palette,
    },
    source::{Source, SourceError, recording::RecordingSource},
};
use std::{
    io::{self, IsTerminal as _, Write as _},
    mem,
    time::Duration,
};

/// Runs it to its end and says the exit code.
pub fn run(args: &NetArgs) -> u8 {
    let around = Surroundings::of_this_process();
    let plan = match Plan::new(args, &around) {
        Ok(plan) => plan,
        Err(usage) => {
            eprintln!("kpidstat: {usage}\nTry: kpidstat net --help");
            return exit::USAGE;
        }
    };
    let (source, clock) = match open(&plan) {
        Ok(opened) => opened,
        Err(why) => {
            eprintln!("kpidstat: {why}");
            return if why.is_unsupported() { exit::UNSUPPORTED } else { exit::FAILED };
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async { Run::new(&plan, source).map_err(|e| e.to_string())?.go(clock).await })
    });
    match done {
        Ok(()) => exit::OK,
        Err(why) => {
            eprintln!("kpidstat: {why}");
            exit::FAILED
        }
    }
}

/// Everything decided.
struct Plan<'a> {
    args: &'a NetArgs,
    around: &'a Surroundings,
    schedule: Schedule,
    by: By,
    columns: Vec<&'static Figure>,
    choice: Choice,
    want: Want,
    live: bool,
    trace: bool,
}

impl<'a> Plan<'a> {
    fn new(args: &'a NetArgs, around: &'a Surroundings) -> Result<Plan<'a>, String> {
        let schedule = args.schedule()?;
        let trace = args.trace || args.bughunt;
        if trace && (args.by != ByArg::Process || args.output.is_some()) {
            return Err(
                "a trace (-t) has rows of processes and a layout of its own; leave --by and -o out".into()
            );
        }
        let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        let live = terminal
            && !args.batch
            && !trace
            && args.output.is_none()
            && !schedule.positional
            && args.replay.is_none();
        let (by, mask) = match args.by {
            ByArg::Process => (By::Process, connection::PROCESS),
            ByArg::Connection => (By::Connection, connection::CONNECTION),
            ByArg::Container => (By::Container, connection::CONTAINER),
            ByArg::Remote => (By::Remote, connection::REMOTE),
            ByArg::Port => (By::Port, connection::PORT),
        };
        let columns = columns(args, mask)?;
        let side = if args.by_sent { "tx" } else { "rx" };
        let key = match (trace, Measure::mode(args.mode).total) {
            (true, false) => format!("{side}_wire_bytes"),
            (true, true) => format!("{side}_total_bytes"),
            (false, _) => format!("{side}_bytes"),
        };
        let mut choice = Choice::new(args.condition.as_deref(), Some(args.sort.as_deref().unwrap_or(&key)))?;
        choice.top = args.top.and_then(|top| usize::try_from(top).ok());
        choice.idle_too = args.idle || trace;
        let mut facts = Facts::OWNER | Facts::TRAFFIC | Facts::CONNECTIONS | Facts::INTERFACES;
        let chosen = |ids: &[&str]| {
            args.condition.is_some()
                || args.sort.is_some()
                || columns.iter().any(|figure| ids.contains(&figure.id))
        };
        if args.by == ByArg::Container || chosen(&["container", "pod", "unit", "cgroup"]) {
            facts |= Facts::CONNECTION_GROUPS;
        }
        if chosen(&["user"]) {
            facts |= Facts::USER;
        }
        if trace || live || args.command_lines || args.condition.is_some() {
            facts |= Facts::CMDLINE;
        }
        if args.unix {
            facts |= Facts::UNIX;
        }
        let capturing = Capturing {
            promiscuous: args.promiscuous,
            filter: args.packets.clone(),
            no_loopback: args.nethogs && !args.all_devices,
            devices: schedule.devices.clone(),
        };
        let (net, net_sockets) = (args.net.choice(), args.net_sockets);
        let want =
            Want { facts, net, net_sockets, capturing, net_packets: args.net_packets, ..Want::default() };
        Ok(Plan { args, around, schedule, by, columns, choice, want, live, trace })
    }

    /// Whether a connection is in the rows.
    fn wants(&self, connection: &Connection) -> bool {
        let pids = &self.args.pids;
        (self.args.udp || !self.args.nethogs || connection.protocol == TCP)
            && (self.trace || pids.is_empty() || pids.contains(&connection.key.owner.tgid))
    }

    fn sink(&self) -> Box<dyn Sink> {
        let columns = Columns {
            figures: self.columns.clone(),
            names: matches!(self.by, By::Process | By::Connection),
            command_lines: self.args.command_lines,
        };
        let zone = self.around.zone.clone();
        let palette = || self.around.palette(Palette::on);
        if self.trace {
            return Box::new(Trace {
                measure: Measure::mode(self.args.mode),
                command_lines: self.args.command_lines,
                base_names: self.args.base_names,
                rest: (!self.args.pids.is_empty()).then_some("unknown TCP"),
                debug: self.args.bughunt,
            });
        }
        match self.args.output {
            Some(Format::Csv) => Box::new(Csv::new(columns)),
            Some(format) => Box::new(Json::new(columns, format == Format::Ndjson)),
            None if self.live => {
                let title = format!("kpidstat {}  traffic by {:?}", env!("CARGO_PKG_VERSION"), self.by);
                Box::new(Screen::new(columns, zone, palette(), title.to_lowercase(), terminal::size))
            }
            None => {
                let iso = (self.around.variable)("S_TIME_FORMAT").as_deref() == Some("ISO");
                Box::new(Table::new(columns, zone, iso, palette()))
            }
        }
    }
}

/// The columns: those that were chosen, else those of the output.
fn columns(args: &NetArgs, mask: u8) -> Result<Vec<&'static Figure>, String> {
    let mut columns: Vec<&'static Figure> = Vec::new();
    for text in &args.columns {
        let figure = figure(text.trim()).map_err(|what| format!("--columns: {what}"))?;
        if columns.iter().any(|other| other.id == figure.id) {
            return Err(format!("--columns: {} is there twice", figure.id));
        }
        columns.push(figure);
    }
    if columns.is_empty() {
        let machine = args.output.is_some();
        columns.extend(FIGURES.iter().filter(|figure| machine || figure.shown & mask != 0));
    }
    if args.unix && args.columns.is_empty() && mask & (connection::CONNECTION | connection::PORT) == 0 {
        for (id, behind) in
            [("rx_unix_kib_per_sec", "tx_kib_per_sec"), ("tx_unix_kib_per_sec", "rx_unix_kib_per_sec")]
        {
            if !columns.iter().any(|figure| figure.id == id) {
                let at =
                    columns.iter().position(|figure| figure.id == behind).map_or(columns.len(), |at| at + 1);
                columns.insert(at, figure(id)?);
            }
        }
    }
    if args.container && !columns.iter().any(|figure| figure.id == "container") {
        // Beside the last text, so that numbers stay together.
        let at = columns.iter().rposition(|figure| figure.unit != Unit::Text).map_or(0, |at| at + 1);
        columns.insert(at, figure("container")?);
    }
    Ok(columns)
}

fn open(plan: &Plan<'_>) -> Result<(Box<dyn Source>, Clock), Failure> {
    if let Some(file) = &plan.args.replay {
        let source = RecordingSource::open(file, &plan.want)?;
        let clock = Clock::Fake(source.start());
        return Ok((Box::new(source), clock));
    }
    let source = open_traffic(&plan.want)?;
    if let Some(note) = source.note() {
        eprintln!("kpidstat: {note}");
    }
    Ok((source, Clock::Real))
}

struct Run<'a> {
    plan: &'a Plan<'a>,
    source: Box<dyn Source>,
    sink: Box<dyn Sink>,
    choice: Choice,
    lines: Lines,
    before: Sample,
    now: Sample,
    /// Rows of the last sample, before any was left out.
    rows: Vec<Line>,
    keys: Option<Keys>,
    out: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan<'a>, source: Box<dyn Source>) -> io::Result<Run<'a>> {
        Ok(Run {
            plan,
            source,
            sink: plan.sink(),
            choice: plan.choice.clone(),
            lines: Lines::new(plan.by),
            before: Sample::default(),
            now: Sample::default(),
            rows: Vec::new(),
            keys: if plan.live { Some(Keys::open()?) } else { None },
            out: Vec::new(),
        })
    }

    async fn go(mut self, mut clock: Clock) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        let mut signals = Signals::new(None).map_err(text)?;
        let period = Duration::from_secs_f64(self.plan.schedule.seconds);
        self.source.sample(&clock, None, &mut self.before).map_err(|error| error.to_string())?;
        let wakeup = self.source.wakeup().map(|fd| fd.try_clone_to_owned()).transpose().map_err(text)?;
        let mut ticks = Ticks::new(&clock, period, wakeup).map_err(text)?;
        self.sink.begin(self.source.host(), clock.now().epoch_ns, &mut self.out);
        if self.plan.live {
            // Something is there before the first interval is over.
            self.now.clone_from(&self.before);
            self.show()?;
        }
        self.flush()?;
        let mut taken = 0;
        while self.plan.schedule.count != Some(taken) {
            let key = async {
                match &mut self.keys {
                    Some(keys) => keys.next().await,
                    None => std::future::pending().await,
                }
            };
            let typed = tokio::select! {
                end = ticks.next(&mut clock, &mut signals, self.source.as_mut()) => match end {
                    End::Complete => None,
                    End::Interrupted => break,
                },
                key = key => Some(key),
            };
            match typed {
                Some(key) => {
                    if !self.typed(key)? {
                        break;
                    }
                }
                None => {
                    match self.source.sample(&clock, Some(&self.before), &mut self.now) {
                        Err(SourceError::Exhausted) => break,
                        other => other.map_err(|error| error.to_string())?,
                    }
                    self.rows = self.lines.of(&self.before, &self.now, |one| self.plan.wants(one));
                    if self.choice.idle_too {
                        self.lines.with_earlier(&mut self.rows);
                    }
                    self.show()?;
                    mem::swap(&mut self.before, &mut self.now);
                    taken += 1;
                }
            }
        }
        self.sink.finish(&mut self.out);
        self.flush()?;
        drop(self.keys.take());
        self.losses();
        Ok(())
    }

    /// Does what a key asks for; says whether to go on.
    fn typed(&mut self, key: u8) -> Result<bool, String> {
        match self.sink.key(key) {
            Typed::Quit => return Ok(false),
            Typed::Nothing => return Ok(true),
            Typed::SortSent => self.choice.sort_by("tx_bytes")?,
            Typed::SortReceived => self.choice.sort_by("rx_bytes")?,
            Typed::Again => {}
        }
        // The samples were swapped after the last table.
        mem::swap(&mut self.before, &mut self.now);
        self.show()?;
        mem::swap(&mut self.before, &mut self.now);
        Ok(true)
    }

    /// Shows the rows of `now`.
    fn show(&mut self) -> Result<(), String> {
        let total = self.lines.total(&self.rows, &self.before, &self.now);
        let mut shown = self.rows.clone();
        if self.plan.trace {
            let pids = &self.plan.args.pids;
            let nothing = Moved::default();
            let listed = |line: &Line| {
                line.total != nothing
                    && line.who.as_ref().is_some_and(|who| {
                        (pids.is_empty() || pids.contains(&who.key.tgid))
                            && (self.counts_up() || !who.exited || line.is_active())
                    })
            };
            shown.retain(listed);
        }
        self.choice.apply(&mut shown);
        let attributed = attributed(&self.before, &self.now, self.now.netns);
        let unknown: Vec<&Connection> = self.now.connections.iter().filter(|one| is_unknown(one)).collect();
        let frame = Frame {
            lines: &shown,
            total: &total,
            unknown: if self.plan.trace { &unknown } else { &[] },
            attributed: &attributed,
            before_epoch_ns: self.before.epoch_ns,
            now_epoch_ns: self.now.epoch_ns,
            origin: &self.now.origin,
        };
        self.sink.sample(&frame, &mut self.out);
        self.flush()
    }

    /// Whether the trace is about everything since the start, so that processes that ended stay in it.
    fn counts_up(&self) -> bool {
        Measure::mode(self.plan.args.mode).total
    }

    fn flush(&mut self) -> Result<(), String> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        written.map_err(|error| format!("stdout: {error}"))
    }

    /// Says what was lost, if anything was, where the output has no place for it.
    fn losses(&self) {
        if self.plan.args.output.is_some() || self.plan.args.bughunt {
            return;
        }
        let lost: Vec<String> = self
            .before
            .origin
            .losses
            .named()
            .into_iter()
            .filter(|(name, count)| *count > 0 && *name != "inconsistent")
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if !lost.is_empty() {
            eprintln!("kpidstat: not everything was counted: {}", lost.join(", "));
        }
    }
}

/// Whether it is of TCP and no process was found for it, as happens where packets are captured.
fn is_unknown(one: &Connection) -> bool {
    one.protocol == TCP && one.key.owner.tgid == 0 && one.user.comm.as_bytes().starts_with(b"unknown")
}
