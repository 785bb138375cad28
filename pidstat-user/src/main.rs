//! Parses the command line, runs it, and turns the outcome into an exit code.

use jiff::tz::TimeZone;
use pidstat_user::{
    cli::{Args, Plan, args::Command, doctor, plan::Surroundings},
    engine::{self, Failure, Outcome},
};
use std::process::ExitCode;

/// A run-time error.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;
/// No process that was asked for exists.
const NOTHING_MATCHED: u8 = 3;
/// A privilege or a kernel feature is missing and there is no fallback.
const UNSUPPORTED: u8 = 4;

fn main() -> ExitCode {
    // Rust ignores SIGPIPE; a reader that closes the pipe should end us quietly, as it ends every other filter.
    // SAFETY: no other thread exists yet, and the default disposition needs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let args = Args::read(std::env::args_os());
    if let Some(Command::Doctor) = args.command {
        return if doctor::examine() { ExitCode::SUCCESS } else { ExitCode::from(UNSUPPORTED) };
    }
    let around = Surroundings {
        terminal_rows: pidstat_user::cli::terminal_rows(),
        own_pid: std::process::id(),
        zone: TimeZone::system(),
        variable: |name| std::env::var(name).ok(),
    };
    let plan = match Plan::new(&args, &around) {
        Ok(plan) => plan,
        Err(usage) => {
            eprintln!("kpidstat: {usage}\nTry: kpidstat --help");
            return ExitCode::from(USAGE);
        }
    };
    match engine::run(&plan) {
        Ok(Outcome::Shown) => ExitCode::SUCCESS,
        Ok(Outcome::NothingMatched) => {
            eprintln!("kpidstat: none of the processes given with -p exists");
            ExitCode::from(NOTHING_MATCHED)
        }
        Err(failure) => {
            eprintln!("kpidstat: {failure}");
            ExitCode::from(if matches!(failure, Failure::Unsupported(_)) { UNSUPPORTED } else { FAILED })
        }
    }
}
