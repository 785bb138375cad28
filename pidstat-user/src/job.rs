//! The subcommands, one file each: like the engine, they join the stages.

mod csv;
pub mod environment;
mod explore;
pub mod forest;
mod glob;
mod io;
pub mod meta;
mod net;
mod play;
pub mod plot;
mod proc;
mod query;
pub mod record;
mod script;
mod terminal;
mod watch;

use crate::cli::{args::Command, doctor, exit};

/// Runs a subcommand to its end and says the exit code.
pub fn run(command: &Command) -> u8 {
    match command {
        Command::Net(args) => net::run(args),
        Command::Io(args) => io::run(args),
        Command::Proc(args) => proc::run(args),
        Command::Csv(args) => csv::run(args),
        Command::Query(args) => query::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Play(args) => play::run(args),
        Command::Record(args) => record::run(args),
        Command::Doctor => {
            if doctor::examine() {
                exit::OK
            } else {
                exit::UNSUPPORTED
            }
        }
        Command::Explore(args) => explore::run(args),
        Command::Plot(args) => plot::run(args),
    }
}
