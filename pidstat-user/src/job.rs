//! The subcommands, one file each: like the engine, they join the stages.

pub mod plot;

use crate::cli::{args::Command, doctor, exit};

/// Runs a subcommand to its end and says the exit code.
pub fn run(command: &Command) -> u8 {
    match command {
        Command::Doctor => {
            if doctor::examine() {
                exit::OK
            } else {
                exit::UNSUPPORTED
            }
        }
        Command::Plot(args) => plot::run(args),
    }
}
