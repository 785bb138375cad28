//! Short lives: what a thousand a second cost those who live them and those who watch, and whether memory grows over an hour's
//! samples.

use super::{
    arena::{self, Population},
    bars::Bar,
    measure::{cpu_ms, status_kib},
    page::Page,
    share::Share,
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
const WATCHERS: [&str; 3] = ["nobody", "kpidstat -u -r -d -w", "pidstat -u -r -d -w"];
/// Who lives around them.
const POPULATION: Population = Population::Processes(100);
/// Lives in a second.
const PER_SECOND: u32 = 1000;
/// As many samples as an hour has at one a second.
const SOAK_SAMPLES: usize = 3600;

/// A thousand lives a second under one watcher.
struct Storm {
    /// CPU time of one life, from fork to wait, in microseconds.
    life_us: f64,
    /// CPU time of the watcher in a second, in milliseconds.
    watcher_ms: f64,
    /// Lives in a second that really were lived.
    per_second: f64,
    /// How many of a hundred lives have a row in the watcher's report.
    shown_pct: f64,
}

/// Lives for some seconds under each watcher.
///
/// # Errors
/// The lives could not be lived.
pub fn play(kpidstat: &Path, share: &Share) -> Result<Page> {
    let seconds = if share.quick { 2 } else { 20 };
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
    let mut page = Page::new(&format!("{} short lives in a second among {POPULATION}", arena::grouped(1000)));
    page.head =
        ["who watches", "CPU time of a life", "of the watcher in a second", "lives in a second", "shown"]
            .map(str::to_owned)
            .to_vec();
    let mut alone = None;
    for line in said.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["storm", watcher, life, own, rate, shown] => {
                let (watcher, life_us): (usize, f64) = (watcher.parse()?, life.parse()?);
                let alone = *alone.get_or_insert(life_us);
                let mut cells = vec![format!("`{}`", WATCHERS[watcher]), format!("{life_us:.0} us")];
                if watcher > 0 {
                    cells[1] += &format!(" ({:+.1} %)", (life_us / alone - 1.0) * 100.0);
                }
                cells.push(format!("{:.1} ms", own.parse::<f64>()?));
                cells.push(format!("{:.0}", rate.parse::<f64>()?));
                cells.push(if watcher > 0 {
                    format!("{:.1} %", shown.parse::<f64>()?)
                } else {
                    "none".into()
                });
                page.rows.push(cells);
            }
            ["absent", name, why] => page.absent.push((format!("{name}, short lives"), (*why).to_owned())),
            _ => bail!("the arena said {line:?}"),
        }
    }
    Ok(page)
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
pub fn soak(kpidstat: &Path, share: &Share) -> Result<Page> {
    let samples = SOAK_SAMPLES / if share.quick { 8 } else { 1 };
    let said = arena::within(POPULATION, false, |out| {
        let mut command = Command::new(kpidstat);
        command.args(["-u", "-r", "-d", "-w", "--source", "ebpf", "0.01", &samples.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).spawn()?;
        let (mut child, start) = (Ended(child), Instant::now());
        let pid = libc::pid_t::try_from(child.0.id())?;
        let mut readings = Vec::new();
        while child.0.try_wait()?.is_none() {
            // About a life in each sample.
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
    let mib = |kib: &str| Ok::<f64, std::num::ParseFloatError>(kib.parse::<f64>()? / 1024.0);
    let (early, late, seconds) = (mib(early)?, mib(late)?, seconds.parse::<f64>()?);
    let mut page =
        Page::new(&format!("Memory over {} samples of 0.01 s, with lives", arena::grouped(samples)));
    page.row("resident after a tenth of them, in MiB", Some(format!("{early:.1}")));
    page.row("shortly before the last", Some(format!("{late:.1}")));
    page.row("elapsed time, in seconds", Some(format!("{seconds:.0}")));
    page.bars.push(Bar {
        what: "resident memory grows by less than 1 MiB over an hour's samples".to_owned(),
        measured: Some(format!("{:.1} MiB", late - early)),
        asked: "issue 5, goal",
        binding: false,
        kept: late - early < 1.0,
    });
    Ok(page)
}
