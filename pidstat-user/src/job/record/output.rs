//! Where samples go: into one file, or into one after the other.

use crate::{
    cli::record::RecordArgs,
    column::Report,
    sample::node::{Column, Member},
    sink::{
        recording::Taken,
        sqlite::{RecordError, Recorder},
    },
    source::procfs::node::Unread,
};
use std::{collections::HashSet, path::Path};

/// The file that is being written.
pub struct Output {
    recorder: Recorder,
    /// Members of which it was said that they cannot be read.
    said: HashSet<Member>,
}

impl Output {
    /// Opens the file.
    pub fn open(
        _args: &RecordArgs,
        path: &Path,
        columns: &[Column],
        meta: &[(&'static str, String)],
        reports: Option<&[&'static Report]>,
    ) -> Result<Output, RecordError> {
        Ok(Output { recorder: Recorder::open(path, columns, meta, reports)?, said: HashSet::new() })
    }

    /// Says once of a member that it cannot be read.
    pub fn unread(&mut self, member: Member, unread: Unread) {
        if unread.refused > 0 && self.said.insert(member) {
            eprintln!(
                "kpidstat: {} of {} processes may not be read by this user and is empty",
                member.name(),
                unread.refused
            );
        }
    }

    /// Writes a sample.
    pub fn write(&mut self, taken: &Taken<'_>) -> Result<(), RecordError> {
        self.recorder.write(taken)
    }

    /// Closes the file.
    pub fn close(self) {
        self.recorder.close();
    }
}
