//! `cargo xtask snapshot`: takes this machine into numbered instants that `kpidstat --root` plays, scrubbed of names.

mod instant;
mod scrub;

use crate::command::say;
use anyhow::{Context, Result, ensure};
use scrub::Scrub;
use std::{
    collections::BTreeSet,
    ffi::CStr,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// What to take.
#[derive(Clone, Debug, clap::Args)]
pub struct Wanted {
    /// Where to put it: a directory that is new or empty.
    dir: std::path::PathBuf,
    /// How many instants.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Seconds between two instants; fractions are allowed.
    #[arg(long, default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Only these processes.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pids: Vec<u32>,
    /// Keep command lines and threads' names; names of the host and of people go all the same.
    #[arg(long)]
    keep_names: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match Duration::try_from_secs_f64(number) {
        Ok(interval) if !interval.is_zero() => Ok(interval),
        _ => Err("must be more than 0 seconds".to_owned()),
    }
}

/// Takes the instants.
///
/// # Errors
/// When the directory holds something already or cannot be written.
pub fn snapshot(wanted: &Wanted) -> Result<()> {
    let dir = &wanted.dir;
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let mut there = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    ensure!(there.next().is_none(), "{} is not empty; name a new directory", dir.display());
    let names = Names::of_kernel()?;
    let passwd = fs::read("/etc/passwd").unwrap_or_default();
    let mut scrub = Scrub::new(&names.nodename, &passwd, wanted.keep_names);
    fs::write(dir.join("scenario.toml"), names.scenario()?)?;
    let pids: BTreeSet<u32> = wanted.pids.iter().copied().collect();
    let start = Instant::now();
    for number in 0..wanted.count {
        thread::sleep((wanted.interval * number).saturating_sub(start.elapsed()));
        let taken = instant::take(&dir.join(number.to_string()), &pids, &mut scrub)?;
        say(format_args!("instant {number}: {taken} processes"));
    }
    // A user can show up late: all instants get all users.
    for number in 0..wanted.count {
        write(&dir.join(number.to_string()).join("etc/passwd"), scrub.passwd().as_bytes())?;
    }
    Ok(())
}

/// Writes a file and the directories above it.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let said = || path.display().to_string();
    fs::create_dir_all(path.parent().unwrap_or(path)).with_context(said)?;
    fs::write(path, bytes).with_context(said)
}

/// What uname(2) says.
struct Names {
    sysname: String,
    nodename: String,
    release: String,
    machine: String,
}

impl Names {
    fn of_kernel() -> Result<Names> {
        // SAFETY: utsname is arrays of characters, for which zero is a value.
        let mut uts: libc::utsname = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is ours and of the type that the call fills.
        let status = unsafe { libc::uname(&raw mut uts) };
        ensure!(status == 0, "uname: {}", std::io::Error::last_os_error());
        let text = |field: &[libc::c_char]| {
            // SAFETY: uname ends each of its strings with a zero within the array.
            unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned()
        };
        Ok(Names {
            sysname: text(&uts.sysname),
            nodename: text(&uts.nodename),
            release: text(&uts.release),
            machine: text(&uts.machine),
        })
    }

    /// The text of scenario.toml, the host's name replaced.
    fn scenario(&self) -> Result<String> {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock")?.as_secs();
        let setting = |name| {
            // SAFETY: sysconf takes a number and touches no memory of ours.
            unsafe { libc::sysconf(name) }
        };
        let quoted = |text: &str| toml::Value::from(text).to_string();
        Ok(format!(
            "# Taken by `cargo xtask snapshot`, scrubbed.\nepoch = {epoch}\nsysname = {}\nnodename = {}\nrelease = {}\n\
             machine = {}\nclock_ticks = {}\npage_size = {}\n",
            quoted(&self.sysname),
            quoted(scrub::HOST),
            quoted(&self.release),
            quoted(&self.machine),
            setting(libc::_SC_CLK_TCK),
            setting(libc::_SC_PAGESIZE),
        ))
    }
}
