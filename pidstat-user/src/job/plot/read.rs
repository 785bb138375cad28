//! Reads the lines of a query out of a recording.

use super::query::{Measure, Query};
use crate::{
    rate::recorded::{Recorded, Step},
    sink::plot::{MOMENTS, Point},
    source::database,
};
use rusqlite::{Connection, Row, ToSql, types::ValueRef};
use std::collections::HashMap;

/// What is left out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Seconds since the epoch.
    pub after: Option<f64>,
    /// Seconds since the epoch.
    pub before: Option<f64>,
    /// Process ids; none is all.
    pub pids: Vec<i64>,
    /// Rows of a custom query beyond so many are an error; none is no limit.
    pub most_rows: Option<usize>,
}

/// Who a line is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A process id.
    Pid(i64),
    /// Whatever a custom query calls it.
    Name(String),
}

/// One subject's values.
#[derive(Clone, Debug)]
pub struct Series {
    /// Whose.
    pub subject: Subject,
    /// Its command, if the recording says it.
    pub comm: String,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The recording lacks what the query needs.
    #[error("'{title}' requires the following procfiles missing in the database: {files}")]
    Files {
        /// The query.
        title: String,
        /// What was not recorded.
        files: String,
    },
    /// It was not made by our recorder, or without this report.
    #[error(
        "'{title}' requires what kpidstat record writes, with --reports that have it: there is no {column} in a table rate"
    )]
    Report {
        /// The query.
        title: String,
        /// What is not there.
        column: String,
    },
    /// The recording does not say how long a tick is.
    #[error("the database has no {0} in its table meta")]
    Meta(&'static str),
    /// SQLite refused.
    #[error("SQL error: {}", database::words(.0))]
    Sql(#[from] rusqlite::Error),
    /// A custom query without a column.
    #[error("the custom query has no column {0}; it needs ts, pid and value")]
    Column(&'static str),
    /// A custom query that never ends, or nearly so.
    #[error("the query has more than {0} rows")]
    Rows(usize),
    /// A custom query with a parameter that nobody fills.
    #[error("the custom query has the parameter {0}; there are :after, :before and :pid_list")]
    Parameter(String),
}

/// The columns of the recorded rows, if what a query needs is among them.
///
/// # Errors
/// When the recording lacks something.
pub fn there(database: &Connection, query: &Query<'_>) -> Result<Vec<String>, ReadError> {
    let columns = database::columns(database, "record")?;
    let missing: Vec<&str> = query.missing(&columns).collect();
    if !missing.is_empty() {
        return Err(ReadError::Files { title: query.title.into(), files: missing.join(", ") });
    }
    if let Measure::Interval(column, _) = query.measure
        && !database::columns(database, "rate")?.iter().any(|there| there == column)
    {
        return Err(ReadError::Report { title: query.title.into(), column: column.into() });
    }
    Ok(columns)
}

/// The lines of a query over the recorded rows, by process id.
///
/// # Errors
/// When the recording lacks something, or SQLite refuses.
pub fn lines(database: &Connection, query: &Query<'_>, filter: &Filter) -> Result<Vec<Series>, ReadError> {
    let columns = there(database, query)?;
    let ticks_per_second = match query.measure {
        Measure::TicksPct(_) => Some(meta(database, "clock_ticks")?),
        _ => None,
    };
    let mut statement = database.prepare(&query.rows(&columns))?;
    bind(&mut statement, filter)?;
    let mut gathered = Gathered::default();
    let mut counters: Vec<Recorded> = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let (Some(ts), Ok(pid)) = (moment(row, 0)?, row.get_ref(1)?.as_i64()) else { continue };
        let start = row.get_ref(2)?.as_i64().ok();
        let (number, one) = gathered.of(Subject::Pid(pid), start);
        if let Ok(comm) = row.get_ref(3)?.as_bytes()
            && one.comm.as_bytes() != comm
        {
            one.comm = String::from_utf8_lossy(comm).into_owned();
        }
        let value = row.get_ref(4)?;
        let value = match query.measure {
            Measure::Gauge(_) | Measure::Interval(..) => number_of(value),
            Measure::PerSecond(_) | Measure::TicksPct(_) | Measure::NsPct(_) => {
                if counters.len() <= number {
                    counters.resize(number + 1, Recorded::default());
                }
                match counters[number].step(start, ts, value.as_i64().ok()) {
                    // In the order of Procpath's SQL, so that the bits are the same.
                    Step::Counted(count, seconds) => match (ticks_per_second, query.measure) {
                        (Some(ticks_per_second), _) => 100.0 * count / ticks_per_second / seconds,
                        (None, Measure::NsPct(_)) => count / 1e7 / seconds,
                        (None, _) => count / seconds,
                    },
                    Step::First | Step::Missing => f64::NAN,
                }
            }
        };
        if filter.after.is_none_or(|after| after <= ts) && filter.before.is_none_or(|before| ts <= before) {
            one.push(ts, value);
        }
    }
    let mut lines = gathered.lines();
    if matches!(query.measure, Measure::Interval(..)) {
        fill(database, filter, &mut lines)?;
    }
    lines.sort_by(|a, b| a.subject.cmp(&b.subject));
    Ok(lines)
}

/// Adds the intervals in which a process did nothing, of which the table `rate` has no row: those between two of its
/// rows, and one on either side.
fn fill(database: &Connection, filter: &Filter, lines: &mut [Series]) -> Result<(), ReadError> {
    let mut statement = database.prepare("SELECT ts FROM sample ORDER BY sample_id")?;
    let mut samples: Vec<f64> = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let chosen = |ts: &f64| {
            filter.after.is_none_or(|after| after <= *ts) && filter.before.is_none_or(|before| *ts <= before)
        };
        samples.extend(moment(row, 0)?.filter(chosen));
    }
    // The clock may have been set back.
    samples.sort_by(f64::total_cmp);
    for line in lines {
        let (Some(first), Some(last)) = (line.points.first(), line.points.last()) else { continue };
        let from = samples.partition_point(|ts| *ts < first.ts).saturating_sub(1);
        let to = (samples.partition_point(|ts| *ts <= last.ts) + 1).min(samples.len());
        let mut known = std::mem::take(&mut line.points).into_iter().peekable();
        for ts in &samples[from.min(to)..to] {
            let mut some = false;
            while let Some(point) = known.next_if(|point| point.ts <= *ts) {
                line.points.push(point);
                some = true;
            }
            if !some {
                line.points.push(Point { ts: *ts, value: 0.0 });
            }
        }
        line.points.extend(known);
    }
    Ok(())
}

/// The lines of a custom query, in its order, for each of its columns of values.
///
/// # Errors
/// When it has not the columns it needs, or SQLite refuses.
pub fn custom<const N: usize>(
    database: &Connection,
    sql: &str,
    values: [&'static str; N],
    filter: &Filter,
) -> Result<[Vec<Series>; N], ReadError> {
    let mut statement = database.prepare(sql)?;
    let find = |name: &'static str| {
        statement.column_names().position(|column| column == name).ok_or(ReadError::Column(name))
    };
    let [ts, pid] = [find("ts")?, find("pid")?];
    let mut columns = [0; N];
    for (column, name) in columns.iter_mut().zip(values) {
        *column = find(name)?;
    }
    bind(&mut statement, filter)?;
    let mut gathered = [(); N].map(|()| Gathered::default());
    let mut rows = statement.raw_query();
    let mut count = 0_usize;
    while let Some(row) = rows.next()? {
        count += 1;
        if let Some(most) = filter.most_rows.filter(|most| count > *most) {
            return Err(ReadError::Rows(most));
        }
        let Some(ts) = moment(row, ts)? else { continue };
        let subject = match row.get_ref(pid)? {
            ValueRef::Integer(pid) => Subject::Pid(pid),
            ValueRef::Real(number) => Subject::Name(number.to_string()),
            ValueRef::Text(text) => Subject::Name(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Null | ValueRef::Blob(_) => continue,
        };
        for (gathered, column) in gathered.iter_mut().zip(columns) {
            let value = number_of(row.get_ref(column)?);
            gathered.of(subject.clone(), None).1.push(ts, value);
        }
    }
    Ok(gathered.map(|gathered| {
        let mut lines = gathered.lines();
        for line in &mut lines {
            line.points.sort_by(|a, b| a.ts.total_cmp(&b.ts));
        }
        lines
    }))
}

/// A number of the table meta.
fn meta(database: &Connection, key: &'static str) -> Result<f64, ReadError> {
    let value = database
        .query_row("SELECT value FROM meta WHERE key = ?", [key], |row| Ok(number_of(row.get_ref(0)?)));
    match value {
        Ok(value) if value > 0.0 => Ok(value),
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => Err(ReadError::Meta(key)),
        Err(error) => Err(error.into()),
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, filter: &Filter) -> Result<(), ReadError> {
    let pids: Vec<String> = filter.pids.iter().map(i64::to_string).collect();
    let pids = (!pids.is_empty()).then(|| format!(",{},", pids.join(",")));
    for number in 1..=statement.parameter_count() {
        let value: &dyn ToSql = match statement.parameter_name(number) {
            Some(":after") => &filter.after,
            Some(":before") => &filter.before,
            Some(":pid_list") => &pids,
            other => return Err(ReadError::Parameter(other.unwrap_or("?").into())),
        };
        statement.raw_bind_parameter(number, value)?;
    }
    Ok(())
}

/// A row's time, if a recorder can have written it.
pub fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<f64>> {
    Ok(Some(number_of(row.get_ref(column)?)).filter(|ts| MOMENTS.contains(ts)))
}

/// A number, or NaN: not measured, or no number.
pub fn number_of(value: ValueRef<'_>) -> f64 {
    let number = match value {
        ValueRef::Integer(number) => number as f64,
        ValueRef::Real(number) => number,
        ValueRef::Text(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(f64::NAN)
        }
        ValueRef::Null | ValueRef::Blob(_) => f64::NAN,
    };
    if number.is_finite() { number } else { f64::NAN }
}

/// Lines under way.
#[derive(Default)]
struct Gathered {
    known: HashMap<Subject, usize>,
    lines: Vec<Series>,
    starts: Vec<Option<i64>>,
}

impl Gathered {
    /// The line of a subject. Another start is another process with the same id: its line begins behind a gap.
    fn of(&mut self, subject: Subject, start: Option<i64>) -> (usize, &mut Series) {
        let number = *self.known.entry(subject.clone()).or_insert_with(|| {
            self.lines.push(Series { subject, comm: String::new(), points: Vec::new() });
            self.starts.push(start);
            self.lines.len() - 1
        });
        let line = &mut self.lines[number];
        if self.starts[number] != start {
            self.starts[number] = start;
            if let Some(last) = line.points.last().copied() {
                line.push(last.ts, f64::NAN);
            }
        }
        (number, line)
    }

    /// All with something to show.
    fn lines(self) -> Vec<Series> {
        self.lines.into_iter().filter(|line| !line.points.is_empty()).collect()
    }
}

impl Series {
    /// Adds a value. A gap neither begins a line nor follows another one.
    fn push(&mut self, ts: f64, value: f64) {
        if value.is_nan() && self.points.last().is_none_or(|last| last.value.is_nan()) {
            return;
        }
        self.points.push(Point { ts, value });
    }
}
