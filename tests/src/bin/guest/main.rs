//! What runs in a VM: as process 1 it makes the machine ready and starts itself; then it checks what kernels.toml says.

mod check;
mod init;
mod load;

use std::{
    env,
    process::{ExitCode, id},
};

fn main() -> ExitCode {
    if id() == 1 {
        init::run();
    }
    let outcome = match env::args().nth(1).as_deref() {
        Some(load::ARGUMENT) => load::work().map(|()| true),
        _ => check::all(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("FAILED to check: {why:#}");
            ExitCode::FAILURE
        }
    }
}
