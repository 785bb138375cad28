//! Where samples go: into one file, or into one after the other.

#[cfg(feature = "parquet")]
use crate::sink::parquet::Parquet;
use crate::{
    cli::record::{RecordArgs, RecordFormat},
    column::Report,
    sample::node::{Column, Member},
    sink::{
        lines::Lines,
        recording::Taken,
        sqlite::{RecordError, Recorder},
    },
    source::procfs::node::Unread,
};
use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io, mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The file that is being written, and when the next begins.
pub struct Output {
    form: Form,
    path: PathBuf,
    writer: Option<Writer>,
    begun: Instant,
    rotate: Option<Duration>,
    max_bytes: Option<u64>,
    keep: Option<u32>,
    /// Members of which it was said that they cannot be read.
    said: HashSet<Member>,
    warned: bool,
}

/// What every file is opened with.
struct Form {
    format: RecordFormat,
    columns: Vec<Column>,
    meta: Vec<(&'static str, String)>,
    reports: Option<Vec<&'static Report>>,
}

enum Writer {
    Sqlite(Recorder),
    Lines(Lines),
    #[cfg(feature = "parquet")]
    Parquet(Box<Parquet>),
}

impl Output {
    /// Opens the file.
    pub fn open(
        args: &RecordArgs,
        (path, format): (&Path, RecordFormat),
        columns: &[Column],
        meta: Vec<(&'static str, String)>,
        reports: Option<&[&'static Report]>,
    ) -> Result<Output, RecordError> {
        let form = Form { format, columns: columns.into(), meta, reports: reports.map(Into::into) };
        let writer = form.open(path)?;
        Ok(Output {
            form,
            path: path.into(),
            writer: Some(writer),
            begun: Instant::now(),
            rotate: args.rotate,
            max_bytes: args.max_size,
            keep: args.keep,
            said: HashSet::new(),
            warned: false,
        })
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

    /// Says once what a query's filters could say nothing of.
    pub fn warn(&mut self, what: &str) {
        if !mem::replace(&mut self.warned, true) {
            eprintln!("kpidstat: {what}");
        }
    }

    /// Writes a sample; begins a new file afterwards if it is time.
    pub fn write(&mut self, taken: &Taken<'_>) -> Result<(), RecordError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(taken)?;
        let old = self.rotate.is_some_and(|after| self.begun.elapsed() >= after);
        let large = match self.max_bytes {
            Some(most) => writer.size_bytes()? >= most,
            None => false,
        };
        if old || large { self.turn() } else { Ok(()) }
    }

    /// Puts the file away as `FILE.1`, the one before as `FILE.2`, and begins a new one.
    fn turn(&mut self) -> Result<(), RecordError> {
        self.close_file()?;
        let io = |error| RecordError::Io { path: self.path.clone(), error };
        put_away(&self.path, self.keep).map_err(io)?;
        self.writer = Some(self.form.open(&self.path)?);
        self.begun = Instant::now();
        Ok(())
    }

    fn close_file(&mut self) -> Result<(), RecordError> {
        match self.writer.take() {
            Some(Writer::Sqlite(recorder)) => recorder.close(),
            #[cfg(feature = "parquet")]
            Some(Writer::Parquet(mut parquet)) => parquet.finish()?,
            Some(Writer::Lines(_)) | None => {}
        }
        Ok(())
    }

    /// Closes the file.
    pub fn close(mut self) -> Result<(), RecordError> {
        self.close_file()
    }
}

impl Form {
    fn open(&self, path: &Path) -> Result<Writer, RecordError> {
        let reports = self.reports.as_deref();
        Ok(match self.format {
            RecordFormat::Sqlite => Writer::Sqlite(Recorder::open(path, &self.columns, &self.meta, reports)?),
            RecordFormat::Ndjson => Writer::Lines(Lines::open(path, reports)?),
            #[cfg(feature = "parquet")]
            RecordFormat::Parquet => {
                Writer::Parquet(Box::new(Parquet::open(path, &self.columns, &self.meta)?))
            }
            #[cfg(not(feature = "parquet"))]
            RecordFormat::Parquet => unreachable!("refused before anything was opened"),
        })
    }
}

impl Writer {
    fn write(&mut self, taken: &Taken<'_>) -> Result<(), RecordError> {
        match self {
            Writer::Sqlite(recorder) => recorder.write(taken),
            Writer::Lines(lines) => lines.write(taken),
            #[cfg(feature = "parquet")]
            Writer::Parquet(parquet) => parquet.write(taken),
        }
    }

    fn size_bytes(&self) -> Result<u64, RecordError> {
        match self {
            Writer::Sqlite(recorder) => recorder.size_bytes(),
            Writer::Lines(lines) => Ok(lines.size_bytes()),
            #[cfg(feature = "parquet")]
            Writer::Parquet(parquet) => Ok(parquet.size_bytes()),
        }
    }
}

/// Files that belong to a database and to nothing else.
const BESIDE: [&str; 2] = ["", "-wal"];

/// Moves `FILE` to `FILE.1`, `FILE.1` to `FILE.2` and so on; of the old ones `keep` stay.
fn put_away(path: &Path, keep: Option<u32>) -> io::Result<()> {
    let numbered = |number: u32, beside: &str| -> PathBuf {
        let mut name: OsString = path.into();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.push(beside);
        name.into()
    };
    let mut last = 0;
    while numbered(last + 1, "").exists() {
        last += 1;
    }
    for number in (0..=last).rev() {
        for beside in BESIDE {
            let from = numbered(number, beside);
            if !from.exists() {
                continue;
            }
            if keep.is_some_and(|keep| number >= keep) {
                fs::remove_file(&from)?;
            } else {
                fs::rename(&from, numbered(number + 1, beside))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_are_counted_from_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.sqlite");
        let there = || {
            let mut there: Vec<String> = fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| {
                    let path = entry.unwrap().path();
                    let name = path.file_name().unwrap().to_str().unwrap();
                    format!("{name}={}", fs::read_to_string(&path).unwrap())
                })
                .collect();
            there.sort();
            there.join(" ")
        };
        for text in ["a", "b", "c"] {
            fs::write(&path, text).unwrap();
            put_away(&path, Some(2)).unwrap();
        }
        assert_eq!(there(), "out.sqlite.1=c out.sqlite.2=b");
        fs::write(&path, "d").unwrap();
        fs::write(dir.path().join("out.sqlite-wal"), "w").unwrap();
        put_away(&path, None).unwrap();
        assert_eq!(there(), "out.sqlite.1-wal=w out.sqlite.1=d out.sqlite.2=c out.sqlite.3=b");
        fs::write(&path, "e").unwrap();
        put_away(&path, Some(0)).unwrap();
        assert_eq!(there(), "");
    }
}
