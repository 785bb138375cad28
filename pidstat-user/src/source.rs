//! Where samples come from: the kernel's own counters, /proc, captured packets, a directory of recorded instants, or a
//! recording.

mod connections;
pub mod database;
pub mod ebpf;
pub mod ioprio;
mod netlink;
pub mod pcap;
pub mod procfs;
pub mod recording;
pub mod replay;
pub mod sockdiag;
pub mod taskstats;

use crate::{
    clock::Clock,
    sample::{Host, Sample},
};

/// What ends a run.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There are no more instants to play back; acts like SIGINT.
    #[error("no more recorded instants")]
    Exhausted,
    /// A file without which there is no report.
    #[error("Cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// A recording that cannot be had.
    #[error("{0}")]
    Database(#[from] database::DatabaseError),
    /// The kernel side failed.
    #[error("{0}")]
    Kernel(String),
}

/// Something that fills samples.
pub trait Source {
    /// What does not change during the run.
    fn host(&self) -> &Host;

    /// Fills `out` with the present instant, reusing its memory. `previous` is the sample before it, for sources that
    /// must not fall behind what was already shown.
    fn sample(
        &mut self,
        clock: &Clock,
        previous: Option<&Sample>,
        out: &mut Sample,
    ) -> Result<(), SourceError>;

    /// Says once, for stderr, what the user loses by this source; `None` when nothing is lost.
    fn note(&self) -> Option<String> {
        None
    }

    /// A descriptor that becomes readable when [`Source::drain`] should run between samples.
    fn wakeup(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    /// Takes over what the kernel side has ready, so that its buffers never fill.
    fn drain(&mut self) {}

    /// Adds to the last sample of a run what belongs to it and arrived since; says whether more is expected. With
    /// `closing` nothing is waited for any more.
    fn late(&mut self, _previous: &Sample, _out: &mut Sample, _closing: bool) -> bool {
        false
    }
}
