//! The list of verbs of `cargo xtask`; each verb is a file of its own.

mod apt;
mod bench;
mod bless;
mod build;
mod command;
mod fresh;
mod r#gen;
mod lint;
mod pypi;
mod run;
mod setup;
mod snapshot;
mod test;
mod tidy;
mod toolchain;
mod unpacked;
mod vm;

use anyhow::Result;
use clap::Parser;
use std::{ffi::OsString, process::ExitCode};

/// The project's own commands. `build`, `run` and `test` call `setup` by themselves where something is missing.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    /// Make this machine ready to build: the compiler and linker for the kernel side.
    Setup {
        /// Also install what the tests start: QEMU, sysstat, …
        #[arg(long)]
        tests: bool,
    },
    /// Build the command, kernel objects inside.
    Build {
        /// Build with optimizations.
        #[arg(long)]
        release: bool,
    },
    /// Build the command and run it.
    Run {
        /// Build with optimizations.
        #[arg(long)]
        release: bool,
        /// The command's arguments.
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Check everything: tidy, lint, gen --check, every suite, the VMs; ends with the counts.
    Test {
        /// Leave out what needs root or a VM.
        #[arg(long)]
        unprivileged: bool,
    },
    /// Boot Debian's kernels in QEMU and check there what must attach, and the numbers.
    Vm {
        /// Which kernels, by their name in tests/vm/kernels.toml, or all.
        #[arg(default_value = "all")]
        kernels: Vec<String>,
    },
    /// Check formatting and clippy, warnings refused.
    Lint,
    /// Check the house rules: import arrows, file sizes, names, literals.
    Tidy,
    /// Make man page, completions and docs/columns.md.
    Gen {
        /// Only compare with the files that are there.
        #[arg(long)]
        check: bool,
    },
    /// Rewrite the golden files.
    Bless,
    /// Measure what a sample costs, beside pidstat and others; fails where a promise is broken.
    Bench {
        /// In less than five minutes: fewer rounds, fewer programs, at most 10 000 processes.
        #[arg(long)]
        quick: bool,
        /// Only those whose name has this in it; nothing is judged, nothing is written.
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        only: Option<String>,
        /// Only where there are so many processes or threads.
        #[arg(long, value_name = "NUMBER")]
        at: Option<usize>,
    },
    /// Take this machine into DIR as instants that `kpidstat --root DIR` plays, scrubbed of names.
    Snapshot(snapshot::Wanted),
    /// Run the README's two commands in a minimal Debian 12 that is made for it.
    Fresh {
        /// Run this instead, in the clone inside; can be repeated.
        #[arg(long = "command", value_name = "COMMAND")]
        commands: Vec<String>,
    },
}

fn main() -> ExitCode {
    match carry_out(Verb::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Not returned from main, which would add a backtrace where RUST_BACKTRACE is set.
        Err(why) => {
            command::say(format_args!("{why:#}"));
            ExitCode::FAILURE
        }
    }
}

fn carry_out(verb: Verb) -> Result<()> {
    match verb {
        Verb::Setup { tests } => setup::setup(tests),
        Verb::Build { release } => build::build(release).map(|_| ()),
        Verb::Run { release, args } => run::run(release, &args).map(|never| match never {}),
        Verb::Test { unprivileged } => test::test(unprivileged),
        Verb::Vm { kernels } => vm::vm(&kernels),
        Verb::Lint => lint::lint(),
        Verb::Tidy => tidy::tidy(),
        Verb::Gen { check } => r#gen::generate(check),
        Verb::Bless => bless::bless(),
        Verb::Bench { quick, only, at } => bench::bench(quick, only.as_deref(), at),
        Verb::Snapshot(wanted) => snapshot::snapshot(&wanted),
        Verb::Fresh { commands } => fresh::fresh(&commands),
    }
}
