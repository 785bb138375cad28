//! Writes whole samples into a recording: all its tables in one transaction, or none of them.

use super::{File, Rows, Usual, connection, exited, rate, record, sample, seconds};
use crate::{column::Report, rate::stirred::stirred, sample::node::Column, sink::recording::Taken};
use std::path::Path;

/// A recording under way.
pub struct Recorder {
    file: File,
    /// The reports whose columns `rate` has; none if the file has Procpath's tables alone.
    reports: Option<Vec<&'static Report>>,
    /// Whether this file has the sample before.
    continued: bool,
}

impl Recorder {
    /// Opens or makes the file and whatever tables and columns it lacks.
    ///
    /// # Errors
    /// It cannot be had, or is something else.
    pub fn open(
        path: &Path,
        columns: &[Column],
        meta: &[(&'static str, String)],
        reports: Option<&[&'static Report]>,
    ) -> Usual<Recorder> {
        let mut file = File::open(path)?;
        file.with(|connection| record::create(connection, columns, meta))?;
        if let Some(reports) = reports {
            file.atomically(|database| {
                sample::create(database)?;
                exited::create(database)?;
                connection::create(database)?;
                rate::create(database, reports)
            })?;
        }
        Ok(Recorder { file, reports: reports.map(Into::into), continued: false })
    }

    /// Writes a sample.
    ///
    /// # Errors
    /// What kept it from being written; the file is as it was.
    pub fn write(&mut self, taken: &Taken<'_>) -> Usual<()> {
        let (continued, reports) = (self.continued, self.reports.as_deref());
        let ts = seconds(taken.epoch_ns);
        self.file.atomically(|database| {
            if !taken.is_empty() {
                let mut rows = Rows::new(database, taken.columns, ts)?;
                for row in taken.rows() {
                    rows.add(row.iter().copied())?;
                }
            }
            if let (Some(counters), Some(reports)) = (&taken.counters, reports) {
                let number = sample::write(database, counters.before.filter(|_| continued), counters.now)?;
                rate::write(database, (number, ts), reports, &counters.rows)?;
                connection::write(
                    database,
                    (number, ts),
                    &stirred(counters.before, counters.now, !continued),
                )?;
                exited::write(database, (number, ts), counters.now)?;
            }
            Ok(())
        })?;
        self.continued = true;
        Ok(())
    }

    /// Bytes of the finished samples.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn size_bytes(&self) -> Usual<u64> {
        self.file.size_bytes()
    }

    /// Closes it as one plain file.
    pub fn close(self) {
        self.file.close();
    }
}
