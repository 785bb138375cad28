//! `watch`: keeps commands running whose arguments are found in the process tree.

mod farm;
mod say;

use super::{
    environment::Variables,
    forest::{Forest, QueryError},
    query::{plain, read},
};
use crate::{
    cli::{exit, query::Level, watch::WatchArgs},
    select::jsonpath::Dialect,
};
use farm::Farm;
use say::Log;
use std::{
    io,
    mem::MaybeUninit,
    ptr,
    time::{Duration, Instant},
};

/// What ends watching early.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("-q {0}: {1}")]
    Query(String, QueryError),
    #[error("cannot read the process tree: {0}")]
    Tree(io::Error),
    #[error("sh cannot be started: {0}")]
    Start(io::Error),
}

/// Watches, and says the exit code.
pub fn run(args: &WatchArgs) -> u8 {
    let log = Log::new(args.level);
    let signals = Stop::new();
    let mut farm = Farm::new(log, args.stream_read_buffer);
    let ended = watch(args, &mut farm, &signals, log);
    // Whatever ended it, no command is left behind.
    farm.stop(args.stop_signal, args.kill_after);
    let Err(trouble) = ended else { return exit::OK };
    eprintln!("kpidstat: {trouble}");
    match trouble {
        Trouble::Usage(_) | Trouble::Query(_, QueryError::Syntax(..)) => exit::USAGE,
        _ => exit::FAILED,
    }
}

fn watch(args: &WatchArgs, farm: &mut Farm, stop: &Stop, log: Log) -> Result<(), Trouble> {
    args.tree.check().map_err(Trouble::Usage)?;
    for number in 1_u64.. {
        let begun = Instant::now();
        if number == 1 || !args.no_restart {
            let (variables, commands) = commands(args, log)?;
            for (at, command) in commands.iter().enumerate() {
                farm.run(at, command, &variables).map_err(Trouble::Start)?;
            }
        }
        let done = args.repeat.is_some_and(|repeat| repeat > 0 && number >= repeat);
        if stop.within(args.interval.saturating_sub(begun.elapsed())) || done {
            return Ok(());
        }
        if args.no_restart && farm.all_ended() {
            return Ok(());
        }
    }
    Ok(())
}

/// The variables of now, and the commands with them.
fn commands(args: &WatchArgs, log: Log) -> Result<(Variables, Vec<String>), Trouble> {
    let mut variables = Variables::evaluate(&args.environment);
    if !args.queries.is_empty() {
        let tree = read(&args.tree).map_err(Trouble::Tree)?;
        let forest = Forest::new(&tree, &args.tree.members);
        for query in &args.queries {
            let warn = |what: String| log.say(Level::Warning, &what);
            let found = forest
                .find(&variables.in_query(&query.command), Dialect::Both, warn)
                .map_err(|error| Trouble::Query(query.name.clone(), error))?;
            if found.is_empty() {
                log.say(Level::Warning, &format!("Query {} evaluated empty", query.name));
            }
            let found: Vec<String> = found.iter().map(|place| plain(&forest, *place)).collect();
            variables.set(&query.name, found.join(","));
        }
    }
    let commands = args.commands.iter().map(|command| variables.in_command(command)).collect();
    Ok((variables, commands))
}

/// The signals that end watching. They are kept from interrupting anything else, and looked for while nothing is done;
/// threads that are started later do not get them either.
struct Stop(libc::sigset_t);

impl Stop {
    fn new() -> Stop {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset fills the set that it is handed; the others are given that set and numbers of signals. A
        // signal that was ignored when we were started is not: it would never be seen.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGTERM] {
                libc::sigaddset(set.as_mut_ptr(), signal);
                libc::signal(signal, libc::SIG_DFL);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
            Stop(set.assume_init())
        }
    }

    /// Waits so long; says whether a signal came.
    fn within(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = libc::timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            // SAFETY: the set was filled, the time is a valid timespec, and nobody wants to know more of the signal.
            let signal = unsafe { libc::sigtimedwait(&raw const self.0, ptr::null_mut(), &raw const left) };
            match (signal, io::Error::last_os_error().raw_os_error()) {
                (1.., _) => return true,
                (_, Some(libc::EINTR)) => {}
                _ => return false,
            }
        }
    }
}
