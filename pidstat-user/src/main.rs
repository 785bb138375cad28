//! Parses the command line, runs it, and turns the outcome into an exit code.

use pidstat_user::{
    cli::{
        Args, Plan, Surroundings,
        exit::{FAILED, NOTHING_MATCHED, UNSUPPORTED, USAGE},
        sysstat::{self, Asked, Edition, Refusal},
    },
    engine::{self, Failure, Outcome},
    job,
    source::{SourceError, procfs::delayacct::Measuring},
};
use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::{Child, Command as Program, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether the program was started without a standard output; the runtime puts /dev/null there before `main`.
static STDOUT_MISSING: AtomicBool = AtomicBool::new(false);

/// Runs before the runtime does.
#[used]
// SAFETY: the loader calls every pointer in this section as a function; this is one, and it needs nothing set up.
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    // SAFETY: asks for the flags of a descriptor, open or not.
    let missing = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } < 0;
    STDOUT_MISSING.store(missing, Ordering::Relaxed);
}

fn main() -> ExitCode {
    // Rust ignores SIGPIPE; a reader that closes the pipe should end us quietly, as it ends every other filter.
    // SAFETY: no other thread exists yet, and the default disposition needs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    large_blocks_apart();
    let arguments: Vec<_> = std::env::args_os().collect();
    if sysstat::is_meant(&arguments) {
        return ExitCode::from(as_pidstat(&arguments));
    }
    let args = Args::read(arguments);
    if let Some(command) = &args.command {
        return ExitCode::from(job::run(command));
    }
    let around = Surroundings::of_this_process();
    let mut plan = match Plan::new(&args, &around) {
        Ok(plan) => plan,
        Err(usage) => {
            eprintln!("kpidstat: {usage}\nTry: kpidstat --help");
            return ExitCode::from(USAGE);
        }
    };
    // Before the program of -e is started, and as long as we live.
    let measuring = args.delayacct.then(Measuring::start).transpose();
    let _measuring = match measuring {
        Ok(measuring) => measuring,
        Err(why) => {
            eprintln!("kpidstat: {why}");
            return ExitCode::from(UNSUPPORTED);
        }
    };
    let child = match start(&args.program, &mut plan) {
        Ok(child) => child,
        Err(error) => {
            eprintln!("kpidstat: {}: {}", args.program[0].display(), words(&error));
            return ExitCode::from(FAILED);
        }
    };
    match engine::run(&plan, child) {
        Ok(Outcome::Shown) => ExitCode::SUCCESS,
        Ok(Outcome::ProgramEnded(code)) => ExitCode::from(u8::try_from(code).unwrap_or(FAILED)),
        Ok(Outcome::NothingMatched) => {
            eprintln!("kpidstat: none of the processes given with -p exists");
            ExitCode::from(NOTHING_MATCHED)
        }
        Err(failure) => {
            eprintln!("kpidstat: {failure}");
            ExitCode::from(if failure.is_unsupported() { UNSUPPORTED } else { FAILED })
        }
    }
}

/// Gives large blocks of memory mappings of their own: they grow without a copy and without leaving holes, and what the
/// start needed goes back to the kernel. Otherwise glibc raises its limit with every large block that is freed.
#[cfg(target_env = "gnu")]
fn large_blocks_apart() {
    // SAFETY: no other thread exists yet; the calls take numbers and change only how memory is taken from now on.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        // What a sample takes and frees is needed again by the next.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
    }
}

/// Other allocators decide for themselves.
#[cfg(not(target_env = "gnu"))]
fn large_blocks_apart() {}

/// Runs under sysstat's name: its command line, its words, its exit codes.
fn as_pidstat(arguments: &[OsString]) -> u8 {
    let (edition, asked) = sysstat::read(arguments, &Surroundings::of_this_process());
    let (mut plan, program) = match asked {
        Ok(Asked::Report(plan, program)) => (plan, program),
        Ok(Asked::Version) => {
            print_version(edition);
            return 0;
        }
        Err(Refusal::Usage) => {
            let name = arguments.first().map_or("pidstat".as_ref(), OsString::as_os_str);
            // Nobody is left to tell if standard error is gone.
            let _ = io::stderr().write_all(&sysstat::usage(name, edition));
            return 1;
        }
        Err(Refusal::NoReport) => {
            eprintln!("Requested activities not available");
            return 1;
        }
    };
    if STDOUT_MISSING.load(Ordering::Relaxed) {
        eprintln!("stdout: {}", words(&io::Error::from_raw_os_error(libc::EBADF)));
        return 6;
    }
    let child = match start(&program, &mut plan) {
        Ok(child) => child,
        Err(error) => {
            eprintln!("exec: {}", words(&error));
            return 4;
        }
    };
    match engine::run(&plan, child) {
        Ok(Outcome::ProgramEnded(code)) if edition == Edition::New => u8::try_from(code).unwrap_or(1),
        Ok(_) => 0,
        Err(Failure::Output(error)) => {
            eprintln!("stdout: {}", words(&error));
            6
        }
        Err(Failure::Source(SourceError::Unreadable { path, .. })) if path.ends_with("/uptime") => {
            eprintln!("Cannot read {path}");
            2
        }
        Err(Failure::Source(SourceError::Unreadable { path, error })) if path.ends_with("/stat") => {
            eprintln!("Cannot open {path}: {}", words(&error));
            2
        }
        Err(failure) => {
            eprintln!("{failure}");
            4
        }
    }
}

/// Starts the program of `-e`, if there is one, and has the plan watch it.
fn start(program: &[OsString], plan: &mut Plan) -> io::Result<Option<Child>> {
    let Some((path, rest)) = program.split_first() else { return Ok(None) };
    let child = Program::new(path).args(rest).spawn()?;
    plan.watch(child.id());
    Ok(Some(child))
}

fn print_version(edition: Edition) {
    if edition == Edition::New {
        for name in ["S_COLORS", "S_COLORS_SGR", "S_TIME_FORMAT"] {
            if let Ok(value) = std::env::var(name) {
                println!("{name}={value}");
            }
        }
    }
    println!("sysstat version {}\n(kpidstat {})", edition.number(), env!("CARGO_PKG_VERSION"));
}

/// The C library's words for an error, without Rust's number behind them.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
