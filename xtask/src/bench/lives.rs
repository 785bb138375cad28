//! Short lives: what a thousand a second cost those who live them and those who watch, and whether memory grows over an hour's
//! samples.

use super::{
    arena::{self, Population},
    measure::{cpu_ms, status_kib},
};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File},
    mem,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Who watches; all report once a second.
pub const WATCHERS: [&str; 3] = ["nobody", "kpidstat -u -r -d -w", "pidstat -u -r -d -w"];
/// Who lives around them.
pub const POPULATION: Population = Population::Processes(100);
/// Lives in a second.
pub const PER_SECOND: u32 = 1000;
/// As many samples as an hour has at one a second.
pub const SOAK_SAMPLES: usize = 3600;

/// A thousand lives a second under one watcher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storm {
    /// Index in [`WATCHERS`].
    pub watcher: usize,
    /// CPU time of one life, from fork to wait, in microseconds.
    pub life_us: f64,
    /// CPU time of the watcher in a second, in milliseconds.
    pub watcher_ms: f64,
    /// Lives in a second that really were lived.
    pub per_second: f64,
    /// How many of a hundred lives have a row in the watcher's report.
    pub shown_pct: f64,
}

/// Memory over many samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Soak {
    /// Resident after a tenth of the time, in KiB.
    pub early_kib: u64,
    /// Resident shortly before the end.
    pub late_kib: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What was measured, and which watcher is absent and why.
pub type Said = (Vec<Storm>, Vec<(String, String)>);

/// Lives for so many seconds under each watcher.
///
/// # Errors
/// The lives could not be lived.
pub fn storm(kpidstat: &Path, seconds: u32) -> Result<Said> {
    let said = arena::within(POPULATION, false, |out| {
        for (number, name) in WATCHERS.iter().enumerate() {
            match under(number, kpidstat, seconds) {
                Ok(storm) => writeln!(
                    out,
                    "storm\t{number}\t{}\t{}\t{}\t{}",
                    storm.life_us, storm.watcher_ms, storm.per_second, storm.shown_pct
                )?,
                Err(why) => writeln!(out, "absent\t{name}\t{why:#}")?,
            }
        }
        Ok(())
    })?;
    let (mut storms, mut absent) = (Vec::new(), Vec::new());
    for line in said.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["storm", watcher, life, own, rate, shown] => storms.push(Storm {
                watcher: watcher.parse()?,
                life_us: life.parse()?,
                watcher_ms: own.parse()?,
                per_second: rate.parse()?,
                shown_pct: shown.parse()?,
            }),
            ["absent", name, why] => absent.push((format!("{name}, short lives"), (*why).to_owned())),
            _ => bail!("the arena said {line:?}"),
        }
    }
    Ok((storms, absent))
}

/// Ends the child whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn under(number: usize, kpidstat: &Path, seconds: u32) -> Result<Storm> {
    let report = "/dev/shm/kpidstat-bench-lives";
    let count = (seconds + 8).to_string();
    let mut command = match number {
        0 => None,
        1 => Some(Command::new(kpidstat)),
        _ => Some(Command::new("pidstat")),
    };
    if let Some(command) = &mut command {
        command.args(["-u", "-r", "-d", "-w"]);
        command.args(if number == 1 { &["--source", "ebpf"][..] } else { &[] }).args(["1", &count]);
    }
    let watcher = match &mut command {
        None => None,
        Some(command) => {
            let command = command.env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
            Some(Ended(command.stdout(File::create(report)?).spawn()?))
        }
    };
    let used = |watcher: &Option<Ended>| match watcher {
        Some(watcher) => cpu_ms(libc::pid_t::try_from(watcher.0.id())?),
        None => Ok(0.0),
    };
    // Until it has started and taken its first samples.
    thread::sleep(Duration::from_millis(2500));
    let (before, own, start) = (used(&watcher)?, lived_ms(), Instant::now());
    let mut lives = 0;
    while start.elapsed() < Duration::from_secs(u64::from(seconds)) {
        let due = start.elapsed().as_secs_f64() * f64::from(PER_SECOND);
        if f64::from(lives) < due {
            arena::wait(arena::fork(named)?);
            lives += 1;
        } else {
            thread::sleep(Duration::from_micros(200));
        }
    }
    let (elapsed, lived) = (start.elapsed().as_secs_f64(), lived_ms() - own);
    // The last reports come after the last lives.
    thread::sleep(Duration::from_millis(1800));
    let watched = used(&watcher)? - before;
    drop(watcher);
    let shown = if number == 0 { String::new() } else { fs::read_to_string(report)? };
    let _ = fs::remove_file(report);
    // Each life once, in whichever table it is first: the others repeat it.
    let rows = shown.lines().filter(|line| line.contains("brief")).filter_map(|line| {
        line.split_whitespace().find(|word| word.parse::<u32>().is_ok_and(|pid| pid > 100))
    });
    let each: std::collections::HashSet<&str> = rows.collect();
    Ok(Storm {
        watcher: number,
        life_us: lived * 1e3 / f64::from(lives),
        watcher_ms: watched / (elapsed + 1.8),
        per_second: f64::from(lives) / elapsed,
        shown_pct: each.len() as f64 * 100.0 / f64::from(lives),
    })
}

/// A life: it takes a name and does a little.
fn named() {
    // SAFETY: the string ends in a zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"brief".as_ptr()) };
    std::hint::black_box((0..20_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)));
}

/// CPU time of this process and of those it waited for.
fn lived_ms() -> f64 {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .map(|who| {
            let mut usage = mem::MaybeUninit::<libc::rusage>::zeroed();
            // SAFETY: one rusage for the call to write; zeros are a valid one.
            let usage = unsafe {
                libc::getrusage(who, usage.as_mut_ptr());
                usage.assume_init()
            };
            let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
            ms(usage.ru_utime) + ms(usage.ru_stime)
        })
        .iter()
        .sum()
}

/// Takes an hour's samples as fast as they come, while processes come and go.
///
/// # Errors
/// It ended early.
pub fn soak(kpidstat: &Path, samples: usize) -> Result<Soak> {
    let said = arena::within(POPULATION, false, |out| {
        let mut command = Command::new(kpidstat);
        command.args(["-u", "-r", "-d", "-w", "--source", "ebpf", "0.01", &samples.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).spawn()?;
        let (mut child, start) = (Ended(child), Instant::now());
        let pid = libc::pid_t::try_from(child.0.id())?;
        let mut readings = Vec::new();
        while child.0.try_wait()?.is_none() {
            // A life in each sample.
            arena::wait(arena::fork(named)?);
            thread::sleep(Duration::from_millis(10));
            if let Ok(kib) = status_kib(pid, "VmRSS:") {
                readings.push(kib);
            }
        }
        let (early, late) = (readings.len() / 10, readings.len().saturating_sub(20));
        let at = |at: usize| readings.get(at).copied().context("it ended early");
        writeln!(out, "{} {} {}", at(early)?, at(late)?, start.elapsed().as_secs_f64())?;
        Ok(())
    })?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let [early, late, seconds] = words.as_slice() else { bail!("the arena said {said:?}") };
    Ok(Soak { early_kib: early.parse()?, late_kib: late.parse()?, seconds: seconds.parse()? })
}
