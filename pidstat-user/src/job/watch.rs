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
    engine::wait,
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

const ENDING: [libc::c_int; 3] = [libc::SIGINT, libc::SIGHUP, libc::SIGTERM];

/// The signals that end watching. They are kept from interrupting anything else, and looked for while nothing is done;
/// threads that are started later do not get them either. When it is dropped they are as they were: a playbook has more to
/// run.
struct Stop {
    wanted: libc::sigset_t,
    blocked_before: libc::sigset_t,
    before: [libc::sighandler_t; 3],
}

impl Stop {
    fn new() -> Stop {
        let (mut wanted, mut blocked_before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: sigemptyset and pthread_sigmask fill the sets that they are handed; the others are given a filled set and
        // numbers of signals. A signal that was ignored when we were started is not: it would never be seen.
        unsafe {
            libc::sigemptyset(wanted.as_mut_ptr());
            let before = ENDING.map(|signal| {
                libc::sigaddset(wanted.as_mut_ptr(), signal);
                libc::signal(signal, libc::SIG_DFL)
            });
            libc::pthread_sigmask(libc::SIG_BLOCK, wanted.as_ptr(), blocked_before.as_mut_ptr());
            Stop { wanted: wanted.assume_init(), blocked_before: blocked_before.assume_init(), before }
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
            let signal =
                unsafe { libc::sigtimedwait(&raw const self.wanted, ptr::null_mut(), &raw const left) };
            match (signal, io::Error::last_os_error().raw_os_error()) {
                (1.., _) => {
                    wait::remember();
                    return true;
                }
                (_, Some(libc::EINTR)) => {}
                _ => return false,
            }
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        for (signal, before) in ENDING.into_iter().zip(self.before) {
            // SAFETY: the handler is the one that was there.
            unsafe { libc::signal(signal, before) };
        }
        // SAFETY: the set was filled when the signals were blocked.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.blocked_before, ptr::null_mut());
        }
    }
}
