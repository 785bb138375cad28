//! One run of one program: its CPU time from report to report, its memory, and how long the first report took.

use super::{
    arena,
    contender::{Contender, Mark},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{self, BufRead, BufReader, Lines, Read},
    mem,
    os::fd::AsRawFd,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A report's last rows follow its last header at once; after this long all of it is out.
const SETTLE: Duration = Duration::from_millis(50);

/// Walked before every sample: three times the last cache of the largest machine at hand.
const WALK_BYTES: usize = 96 << 20;

/// What one run gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run {
    /// User and system time of one sample with its report, in milliseconds.
    pub sample_ms: f64,
    /// The same from the start to the first report.
    pub first_cpu_ms: f64,
    /// Elapsed time from the start to the first report, less the interval.
    pub first_wall_ms: f64,
    /// Resident memory after the third report.
    pub resident_kib: u64,
    /// The most that ever was resident.
    pub peak_kib: u64,
}

/// Memory whose only use is to fill the caches with something else.
pub struct Walk {
    lines: Vec<u64>,
}

impl Walk {
    /// Takes the memory.
    pub fn new() -> Walk {
        Walk { lines: vec![1; WALK_BYTES / 8] }
    }

    /// Touches every cache line.
    pub fn all(&mut self) {
        for word in self.lines.iter_mut().step_by(8) {
            *word = std::hint::black_box(*word).wrapping_add(1);
        }
    }
}

/// Ends the child whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program for one report and `samples` more.
///
/// # Errors
/// It ended early, or took longer than `limit`.
pub fn run(contender: &Contender, samples: usize, walk: &mut Walk, limit: Duration) -> Result<Run> {
    match contender.mark {
        Mark::Lines { end, per_report } => marked(contender, (end, per_report), samples, walk, limit),
        Mark::None => unmarked(contender, samples),
    }
}

/// kpidstat under way, printing one line for each sample.
pub struct Sampler {
    child: Ended,
    lines: Lines<BufReader<ChildStdout>>,
    used_ms: f64,
}

impl Sampler {
    /// Starts it with arguments that make it print NDJSON.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start(kpidstat: &Path, args: &[&str]) -> Result<Sampler> {
        let mut command = Command::new(kpidstat);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Ended(command.spawn().context("kpidstat")?);
        let stdout = child.0.stdout.take().context("stdout was piped")?;
        Ok(Sampler { child, lines: BufReader::new(stdout).lines(), used_ms: 0.0 })
    }

    /// Its process.
    pub fn pid(&self) -> libc::pid_t {
        libc::pid_t::try_from(self.child.0.id()).unwrap_or_default()
    }

    /// Waits for the next sample and returns the CPU time since the one before, in milliseconds.
    ///
    /// # Errors
    /// It has ended.
    pub fn sample(&mut self) -> Result<f64> {
        self.lines.next().context("kpidstat ended")??;
        thread::sleep(SETTLE);
        let used = cpu_ms(self.pid())?;
        Ok(used - mem::replace(&mut self.used_ms, used))
    }
}

fn marked(
    contender: &Contender,
    (end, per_report): (&str, usize),
    samples: usize,
    walk: &mut Walk,
    limit: Duration,
) -> Result<Run> {
    let deadline = Instant::now() + limit;
    // One sample more than needed: what follows the last one (averages) is not to be measured.
    let mut command = contender.command(samples + 3);
    walk.all();
    let started = Instant::now();
    let mut child = Ended(command.stdout(Stdio::piped()).spawn().with_context(|| contender.name.clone())?);
    let pid = libc::pid_t::try_from(child.0.id())?;
    let stdout = child.0.stdout.take().context("stdout was piped")?;
    let mut reports = Reports { stdout, line: Vec::new(), end, marks: 0 };
    let mut run = Run::default();
    let mut first = 0.0;
    for number in 0..=samples {
        let at = reports.until((number + 1) * per_report, deadline)?;
        thread::sleep(SETTLE);
        let used = cpu_ms(pid)?;
        if number == 0 {
            first = used;
            run.first_cpu_ms = used;
            run.first_wall_ms = (at - started).as_secs_f64() * 1e3 - 1e3;
        }
        if number == samples {
            run.sample_ms = (used - first) / samples as f64;
        }
        if number == 2.min(samples) {
            run.resident_kib = status_kib(pid, "VmRSS:")?;
        }
        walk.all();
    }
    run.peak_kib = status_kib(pid, "VmHWM:")?;
    Ok(run)
}

/// Two whole runs, for a program whose output does not say where a report ends.
fn unmarked(contender: &Contender, samples: usize) -> Result<Run> {
    let whole = |count| -> Result<f64> {
        let child = contender.command(count).stdout(Stdio::null()).spawn()?;
        Ok(arena::wait(libc::pid_t::try_from(child.id())?))
    };
    let one = whole(1)?;
    let sample_ms = (whole(1 + samples)? - one) / samples as f64;
    Ok(Run { sample_ms, first_cpu_ms: one, ..Run::default() })
}

/// What a program printed so far, as far as it matters.
struct Reports<'a> {
    stdout: ChildStdout,
    /// The line that has not ended yet.
    line: Vec<u8>,
    end: &'a str,
    marks: usize,
}

impl Reports<'_> {
    /// Reads until so many marks were printed.
    fn until(&mut self, marks: usize, deadline: Instant) -> Result<Instant> {
        let mut buffer = [0; 1 << 16];
        while self.marks < marks {
            if !readable(&self.stdout, deadline)? {
                bail!("took too long");
            }
            let count = self.stdout.read(&mut buffer)?;
            if count == 0 {
                bail!("ended after {} of {marks} marks", self.marks);
            }
            for byte in &buffer[..count] {
                if *byte == b'\n' {
                    self.marks += usize::from(self.line.ends_with(self.end.as_bytes()));
                    self.line.clear();
                } else {
                    self.line.push(*byte);
                }
            }
        }
        Ok(Instant::now())
    }
}

/// Waits until there is something to read; false when it is too late.
fn readable(stdout: &ChildStdout, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut poll = libc::pollfd { fd: stdout.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd that lives until the call returns.
        match unsafe { libc::poll(&raw mut poll, 1, left) } {
            0 => return Ok(false),
            n if n > 0 => return Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// User and system time of a process so far, from its own CPU clock: exact where rusage's parts are.
///
/// # Errors
/// It has ended.
pub fn cpu_ms(pid: libc::pid_t) -> Result<f64> {
    let mut clock = 0;
    let mut time = mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: both calls write one value of the type that is passed; zeros are a valid timespec.
    let time = unsafe {
        if libc::clock_getcpuclockid(pid, &raw mut clock) != 0
            || libc::clock_gettime(clock, time.as_mut_ptr()) != 0
        {
            bail!("it has ended");
        }
        time.assume_init()
    };
    Ok(time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6)
}

/// A line of a process's status, in KiB.
///
/// # Errors
/// It has ended, or there is no such line.
pub fn status_kib(pid: libc::pid_t, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// System calls of one sample: the difference between a run of one sample and one of `1 + samples`.
///
/// # Errors
/// strace failed.
pub fn calls(contender: &Contender, samples: usize) -> Result<f64> {
    let whole = |count| -> Result<f64> {
        let command = contender.command(count);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-c"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            strace.env(key, value.unwrap_or_default());
        }
        let out = strace.stdin(Stdio::null()).output().context("strace")?;
        let said = String::from_utf8_lossy(&out.stderr);
        let total = said.lines().find(|line| line.trim_end().ends_with(" total")).map(str::split_whitespace);
        let total = total.and_then(|mut words| words.nth(3)?.parse().ok());
        total.with_context(|| format!("strace counted nothing: {}", said.trim_end()))
    };
    Ok((whole(1 + samples)? - whole(1)?) / samples as f64)
}
