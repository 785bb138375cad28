//! What runs in a VM: as process 1 it makes the machine ready and starts itself; then it checks what kernels.toml says.

mod check;
mod init;

use std::process::{ExitCode, id};

fn main() -> ExitCode {
    if id() == 1 {
        init::run();
    }
    match check::all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("FAILED to check: {why:#}");
            ExitCode::FAILURE
        }
    }
}
