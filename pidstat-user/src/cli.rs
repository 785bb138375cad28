//! The command line: what was typed, what will be done, what this machine allows.

pub mod args;
mod called;
mod choice;
pub mod csv;
pub mod doctor;
pub mod exit;
pub mod explore;
pub mod io;
pub mod net;
pub mod output;
pub mod plan;
pub mod play;
pub mod plot;
pub mod proc;
mod pypidstat;
pub mod query;
pub mod record;
pub mod surroundings;
pub mod sysstat;
pub mod tree;
pub mod watch;
pub mod zone;

pub use args::Args;
pub use plan::Plan;
pub use surroundings::Surroundings;

/// Rows of the terminal that stdout is, if it is one.
pub fn terminal_rows() -> Option<u64> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a valid winsize for the call to fill; it is read only after the call said it did.
    let answered = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) } == 0;
    answered.then(|| u64::from(size.ws_row))
}
