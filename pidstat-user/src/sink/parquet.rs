//! Recordings as Parquet: the table `record` in groups of rows, readable after each of them.
//!
//! A Parquet file ends with a footer that says where everything is. Each group is written over the footer before it, with a
//! new footer behind it, in one call; the old one stands beside the file meanwhile, so that a recorder that is killed in this
//! very moment leaves what the next one needs to put the file right.

mod cells;

use super::{
    recording::Taken,
    sqlite::{RecordError, Usual, lock_out_others, seconds},
};
use crate::sample::node::Column;
use cells::{Cells, schema};
use parquet::{
    basic::Compression,
    data_type::{DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        metadata::{
            FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
            RowGroupMetaData,
        },
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::SchemaDescriptor,
};
use std::{
    fs::{self, File, OpenOptions},
    io, mem,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Samples in a group of rows. A killed recorder loses no more than these.
const GROUP_SAMPLES: usize = 100;
/// Rows after which a group is full, whatever samples they are of: they are kept in memory until it is written.
const GROUP_ROWS: usize = 100_000;
/// Rows that no file has.
const MOST_ROWS: i64 = 1 << 48;
/// What a file begins and ends with.
const MAGIC_BYTES: u64 = 4;

/// A file under way.
pub struct Parquet {
    path: PathBuf,
    file: File,
    /// Encodes groups at the offsets that they will have.
    encoder: SerializedFileWriter<Vec<u8>>,
    /// The groups that were in the file when it was opened.
    earlier: Vec<RowGroupMetaData>,
    /// Rows of all finished groups.
    finished_rows: i64,
    /// Where the groups end and the footer begins.
    end: u64,
    footer: Vec<u8>,
    /// The group that is not written yet: `ts`, and the columns of the tree.
    moments: Vec<f64>,
    cells: Vec<Cells>,
    samples: usize,
}

impl Parquet {
    /// Opens or makes the file and keeps every other recorder away.
    ///
    /// # Errors
    /// It cannot be had, or it holds something else than these columns.
    pub fn open(path: &Path, columns: &[Column], meta: &[(&'static str, String)]) -> Usual<Parquet> {
        let io = |error| RecordError::of_io(path, error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        lock_out_others(&file, path)?;
        put_right(&file, path).map_err(io)?;
        let schema = Arc::new(schema(columns).map_err(|error| io(other(error)))?);
        let (earlier, end) = groups(&file, &SchemaDescriptor::new(schema.clone())).map_err(io)?;
        let meta = meta.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(format!("kpidstat {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(meta.collect()))
            .build();
        let encoder = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties));
        let mut parquet = Parquet {
            path: path.into(),
            file,
            encoder: encoder.map_err(|error| io(other(error)))?,
            finished_rows: rows(&earlier),
            earlier,
            end,
            footer: Vec::new(),
            moments: Vec::new(),
            cells: columns.iter().map(Cells::new).collect(),
            samples: 0,
        };
        parquet.begin().map_err(io)?;
        Ok(parquet)
    }

    /// Makes a new file one without rows, or the encoder go on where an old one ends.
    fn begin(&mut self) -> io::Result<()> {
        if self.end == 0 {
            return self.put();
        }
        const PIECE: u64 = 1 << 20;
        let mut known = MAGIC_BYTES;
        while known < self.end {
            let piece = PIECE.min(self.end - known);
            self.encoder.write_all(&vec![0; piece as usize])?;
            self.encoder.flush()?;
            self.encoder.inner_mut().clear();
            known += piece;
        }
        // Of a new file this is the beginning.
        self.encoder.flush()?;
        self.encoder.inner_mut().clear();
        self.footer = vec![0; (self.file.metadata()?.len() - self.end) as usize];
        self.file.read_exact_at(&mut self.footer, self.end)
    }

    /// Takes a sample; writes a group when it is full.
    ///
    /// # Errors
    /// What kept the group from being written; the file is as it was.
    pub fn write(&mut self, taken: &Taken<'_>) -> Usual<()> {
        for row in taken.rows() {
            self.moments.push(seconds(taken.epoch_ns));
            for (cells, value) in self.cells.iter_mut().zip(row) {
                cells.add(value);
            }
        }
        self.samples += 1;
        if self.samples < GROUP_SAMPLES && self.moments.len() < GROUP_ROWS {
            return Ok(());
        }
        self.finish()
    }

    /// Writes the rows that were taken so far.
    ///
    /// # Errors
    /// What kept them from being written; the file is as it was.
    pub fn finish(&mut self) -> Usual<()> {
        self.samples = 0;
        if self.moments.is_empty() {
            return Ok(());
        }
        let written = self.encode().map_err(other).and_then(|()| self.put());
        written.map_err(|error| RecordError::of_io(&self.path, error))
    }

    /// Bytes of the finished groups.
    pub fn size_bytes(&self) -> u64 {
        self.end + self.footer.len() as u64
    }

    /// Makes a group of the rows.
    fn encode(&mut self) -> Result<(), ParquetError> {
        let rows = self.moments.len() as i64;
        let ids: Vec<i64> = (self.finished_rows + 1..=self.finished_rows + rows).collect();
        let mut group = self.encoder.next_row_group()?;
        let missing = || ParquetError::General("a column is missing".into());
        let mut column = group.next_column()?.ok_or_else(missing)?;
        column.typed::<Int64Type>().write_batch(&ids, None, None)?;
        column.close()?;
        let mut column = group.next_column()?.ok_or_else(missing)?;
        column.typed::<DoubleType>().write_batch(&self.moments, None, None)?;
        column.close()?;
        for cells in &mut self.cells {
            cells.write(group.next_column()?.ok_or_else(missing)?)?;
        }
        group.close()?;
        self.moments.clear();
        self.finished_rows += rows;
        Ok(())
    }

    /// Writes what was encoded, and a footer that knows of it.
    fn put(&mut self) -> io::Result<()> {
        self.encoder.flush()?;
        let mut bytes = mem::take(self.encoder.inner_mut());
        let groups = bytes.len();
        self.write_footer(&mut bytes).map_err(other)?;
        let kept = beside(&self.path);
        if !self.footer.is_empty() {
            let mut old = self.end.to_le_bytes().to_vec();
            old.extend_from_slice(&self.footer);
            fs::write(&kept, old).inspect_err(|_| drop(fs::remove_file(&kept)))?;
        }
        if let Err(error) = self.file.write_all_at(&bytes, self.end) {
            // As it was; this needs no room.
            let length = self.end + self.footer.len() as u64;
            self.file.write_all_at(&self.footer, self.end).and_then(|()| self.file.set_len(length))?;
            drop(fs::remove_file(&kept));
            return Err(error);
        }
        if !self.footer.is_empty() {
            fs::remove_file(&kept)?;
        }
        self.footer = bytes.split_off(groups);
        self.end += groups as u64;
        Ok(())
    }

    fn write_footer(&self, out: &mut Vec<u8>) -> Result<(), ParquetError> {
        let properties = self.encoder.properties();
        let about = FileMetaData::new(
            properties.writer_version().as_num(),
            self.finished_rows,
            Some(properties.created_by().to_owned()),
            properties.key_value_metadata().cloned(),
            Arc::new(SchemaDescriptor::new(self.encoder.schema_descr().root_schema_ptr())),
            None,
        );
        let groups = self.earlier.iter().chain(self.encoder.flushed_row_groups()).cloned();
        let numbered =
            groups.zip(0..).map(|(group, number)| group.into_builder().set_ordinal(number).build());
        let metadata = ParquetMetaData::new(about, numbered.collect::<Result<_, _>>()?);
        ParquetMetaDataWriter::new(out, &metadata).finish()
    }
}

/// The groups of a file and where its footer begins; none of a new file.
fn groups(file: &File, wanted: &SchemaDescriptor) -> io::Result<(Vec<RowGroupMetaData>, u64)> {
    if file.metadata()?.len() == 0 {
        return Ok((Vec::new(), 0));
    }
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file);
    let metadata = metadata
        .map_err(|_| io::Error::other("it is there and is no Parquet file; remove it or name another"))?;
    let columns = |schema: &SchemaDescriptor| -> Vec<_> {
        let columns = schema.columns().iter();
        columns
            .map(|column| {
                (column.name().to_owned(), column.physical_type(), column.logical_type_ref().cloned())
            })
            .collect()
    };
    if columns(metadata.file_metadata().schema_descr()) != columns(wanted) {
        return Err(io::Error::other(
            "it is there and has other columns; name another, or give the same --procfile-list",
        ));
    }
    let groups = metadata.row_groups().to_vec();
    if !(0..MOST_ROWS).contains(&rows(&groups)) || groups.iter().any(|group| group.num_rows() < 0) {
        return Err(io::Error::other("it is there and its numbers of rows make no sense; name another"));
    }
    Ok((groups, end_of_groups(file)?))
}

/// How many rows groups have together.
fn rows(groups: &[RowGroupMetaData]) -> i64 {
    groups.iter().map(RowGroupMetaData::num_rows).fold(0, i64::saturating_add)
}

/// Where the footer begins, by the length that stands at the end of it.
fn end_of_groups(file: &File) -> io::Result<u64> {
    let mut tail = [0; 8];
    let length = file.metadata()?.len();
    file.read_exact_at(&mut tail, length.saturating_sub(8))?;
    let [a, b, c, d, ..] = tail;
    Ok(length.saturating_sub(u64::from(u32::from_le_bytes([a, b, c, d])) + 8))
}

/// Where the old footer stands while a group is written.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-footer");
    name.into()
}

/// Takes back the group that a killed recorder left half written.
fn put_right(file: &File, path: &Path) -> io::Result<()> {
    let kept = beside(path);
    let Ok(old) = fs::read(&kept) else { return Ok(()) };
    if let Some((end, footer)) = old.split_first_chunk() {
        let end = u64::from_le_bytes(*end);
        // Killed before it wrote, while it wrote, or after it.
        let written =
            ParquetMetaDataReader::new().parse_and_finish(file).is_ok() && end_of_groups(file)? > end;
        if !written {
            file.set_len(end)?;
            file.write_all_at(footer, end)?;
        }
    }
    fs::remove_file(&kept)
}

fn other(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::node::{Member, Value, columns};

    fn record(file: &mut Parquet, columns: &[Column], samples: usize) {
        let values = [Value::Text("a".into()), Value::Integer(-1)];
        for number in 0..samples {
            let values: Vec<&Value> =
                columns.iter().zip(values.iter().cycle()).map(|(_, value)| value).collect();
            file.write(&Taken { epoch_ns: number as i64, columns, values: &values, counters: None }).unwrap();
        }
    }

    /// A recorder that is killed while it writes leaves the first bytes of the new group over the old footer.
    #[test]
    fn half_a_group_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.parquet");
        let columns = columns(&[Member::Cmdline, Member::Io]);
        let mut file = Parquet::open(&path, &columns, &[]).unwrap();
        record(&mut file, &columns, GROUP_SAMPLES);
        let whole = fs::read(&path).unwrap();
        for torn in [0, 1, 50, file.footer.len() + 7] {
            let mut old = file.end.to_le_bytes().to_vec();
            old.extend_from_slice(&file.footer);
            fs::write(beside(&path), &old).unwrap();
            file.file.write_all_at(&vec![7; torn], file.end).unwrap();
            drop(file);
            file = Parquet::open(&path, &columns, &[]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "{torn}");
            assert!(!beside(&path).exists());
        }
        record(&mut file, &columns, 3);
        file.finish().unwrap();
        let read = ParquetMetaDataReader::new().parse_and_finish(&file.file).unwrap();
        let rows: Vec<i64> = read.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
        assert_eq!(
            (rows, file.size_bytes()),
            (vec![GROUP_SAMPLES as i64, 3], fs::read(&path).unwrap().len() as u64)
        );
    }

    /// The file that is continued may be anybody's.
    #[test]
    fn a_footer_of_any_bytes_is_refused_or_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.parquet");
        let columns = columns(&[Member::Cmdline, Member::Io]);
        let mut file = Parquet::open(&path, &columns, &[("key", "value".into())]).unwrap();
        record(&mut file, &columns, GROUP_SAMPLES);
        let end = file.end as usize;
        drop(file);
        let whole = fs::read(&path).unwrap();
        let mut seed = 1_u64;
        let mut any = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let mut refused = 0;
        for _ in 0..1_000 {
            let mut bytes = whole.clone();
            for _ in 0..=any(3) {
                let at = end + any(bytes.len() - end);
                bytes[at] = any(256) as u8;
            }
            fs::write(&path, &bytes).unwrap();
            refused += usize::from(Parquet::open(&path, &columns, &[]).is_err());
        }
        assert!(refused > 100, "{refused}");
    }
}
