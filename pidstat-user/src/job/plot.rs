//! `kpidstat plot`: lines over time out of a recording.

pub mod query;
pub mod read;
mod smooth;

use super::script;
use crate::{
    cli::{exit, plot::PlotArgs},
    sink::plot::{Chart, Formatter, Group, Line, STYLES, Style, csv, png, svg},
    source::database::{self, DatabaseError},
};
use query::{Measure, QUERIES, Query};
use read::{Filter, ReadError, Series, Subject};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long statements of a user's may take over a recording of whatever size.
const MOST_TIME: Duration = Duration::from_secs(120);
/// Rows of a custom query.
const MOST_ROWS: usize = 10_000_000;

/// What ends it.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The recording is not read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It has no such lines.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file with SQL is not read.
    #[error("cannot read {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The picture is not written.
    #[error("cannot write {path}: {error}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// No PNG.
    #[error("{0}")]
    Png(String),
}

/// What is plotted: a query over the rows, or SQL of the user's own.
#[derive(Debug)]
pub enum Source<'a> {
    /// A built-in query or an expression.
    Rows(Query<'a>),
    /// The text of a file.
    Sql(String),
}

/// Runs it and says the exit code.
pub fn run(args: &PlotArgs) -> u8 {
    match plot(args) {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("kpidstat: {error}");
            if matches!(error, PlotError::Usage(_)) { exit::USAGE } else { exit::FAILED }
        }
    }
}

fn plot(args: &PlotArgs) -> Result<(), PlotError> {
    let chart = chart(args)?;
    if chart.lines.is_empty() {
        eprintln!(
            "kpidstat: no data: the recording has no values for this plot, or the selection leaves none"
        );
    }
    let extension = args.plot_file.extension().map(|extension| extension.to_ascii_lowercase());
    let extension = extension.as_ref().and_then(|extension| extension.to_str()).unwrap_or_default();
    let content = if args.png || (extension == "png" && !args.csv) {
        png::draw(&chart).map_err(PlotError::Png)?
    } else if args.csv || extension == "csv" {
        let mut content = Vec::new();
        csv::write(&chart, &mut content)
            .map_err(|error| PlotError::Output { path: args.plot_file.clone(), error })?;
        content
    } else {
        svg::draw(&chart, svg::Medium::File).into_bytes()
    };
    write(&args.plot_file, &content)
        .map_err(|error| PlotError::Output { path: args.plot_file.clone(), error })
}

/// Reads, smooths and dresses the lines that a command line asks for.
///
/// # Errors
/// When the command line makes no sense or the recording does not have them.
pub fn chart(args: &PlotArgs) -> Result<Chart, PlotError> {
    let sources = sources(args)?;
    // Mistakes in names come before mistakes in files.
    let (_, _) = (style(args)?, formatter(args)?);
    let views = sources.iter().any(|source| matches!(source, Source::Sql(_)));
    let mut database = database::open(&args.database_file, views)?;
    if sources.iter().any(|source| !matches!(source, Source::Rows(Query { name: Some(_), .. }))) {
        database::bound(&mut database, MOST_TIME).map_err(ReadError::from)?;
    }
    draw(&database, &sources, args, Some(MOST_ROWS))
}

/// The same from what is already open; a custom query may have so many rows.
///
/// # Errors
/// When the command line makes no sense or the recording does not have the lines.
pub fn draw(
    database: &Connection,
    sources: &[Source<'_>],
    args: &PlotArgs,
    most_rows: Option<usize>,
) -> Result<Chart, PlotError> {
    let (style, formatter) = (style(args)?, formatter(args)?);
    let filter = Filter { after: args.after, before: args.before, pids: args.pid_list.clone(), most_rows };
    let mut groups = Vec::new();
    let mut lines = Vec::new();
    let mut identities: HashMap<Subject, usize> = HashMap::new();
    for (number, source) in sources.iter().enumerate() {
        let (title, name, series) = match source {
            Source::Rows(query) => (query.title, query.name, read::lines(database, query, &filter)?),
            Source::Sql(sql) => ("Custom query", None, {
                let [series] = read::custom(database, sql, ["value"], &filter)?;
                series
            }),
        };
        let name = name.map_or_else(|| format!("№{}", number + 1), str::to_owned);
        for Series { subject, comm, mut points } in series {
            if let Some(window) = args.moving_average_window {
                points = smooth::average(&points, window);
            }
            if let Some(epsilon) = args.epsilon.filter(|epsilon| *epsilon > 0.0) {
                points = smooth::simplify(&points, epsilon);
            }
            if points.iter().all(|point| point.value.is_nan()) {
                continue;
            }
            let next = identities.len();
            let line_name = match &subject {
                Subject::Pid(pid) => format!("{name} {pid}"),
                Subject::Name(subject) => format!("{name} {subject}"),
            };
            let identity = *identities.entry(subject).or_insert(next);
            lines.push(Line {
                group: groups.len(),
                identity,
                name: line_name,
                detail: comm,
                points,
                floor: Vec::new(),
            });
        }
        groups.push(Group {
            title: title.to_owned(),
            right: number > 0 && !args.share_y_axis,
            stacked: false,
        });
    }
    rank(&mut lines, identities.len());
    Ok(Chart {
        title: args.title.clone().unwrap_or_else(|| title(&groups, args.share_y_axis)),
        note: note(database, args, identities.len()),
        groups,
        lines,
        logarithmic: args.logarithmic,
        relative_time: args.relative_time,
        dots: !args.no_dots,
        style,
        formatter,
    })
}

/// Where there are more processes than colours, those that reach highest get different ones.
fn rank(lines: &mut [Line], identities: usize) {
    const FEW: usize = 7;
    if identities <= FEW {
        return;
    }
    let mut peaks = vec![f64::NEG_INFINITY; identities];
    // Quantities of different size cannot be compared: the first one decides.
    for line in lines.iter().filter(|line| line.group == 0) {
        peaks[line.identity] = line.points.iter().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max);
    }
    let mut order: Vec<usize> = (0..identities).collect();
    order.sort_by(|a, b| peaks[*b].total_cmp(&peaks[*a]));
    let mut ranks = vec![0; identities];
    for (rank, identity) in order.into_iter().enumerate() {
        ranks[identity] = rank;
    }
    for line in lines {
        line.identity = ranks[line.identity];
    }
}

/// What is plotted, in Procpath's order: built-in queries, expressions, files.
fn sources(args: &PlotArgs) -> Result<Vec<Source<'_>>, PlotError> {
    let mut sources = Vec::new();
    for name in &args.query_names {
        let query = QUERIES.iter().find(|query| query.name == Some(name));
        let query = query.ok_or_else(|| {
            let names: Vec<&str> = QUERIES.iter().filter_map(|query| query.name).collect();
            PlotError::Usage(format!("Unknown query {name}; there are {}", names.join(", ")))
        })?;
        sources.push(Source::Rows(*query));
    }
    for value in &args.custom_value_exprs {
        let measure = Measure::Gauge(value);
        sources.push(Source::Rows(Query { name: None, title: "Custom expression", files: &[], measure }));
    }
    for path in &args.custom_query_files {
        let sql = script::read(path);
        sources.push(Source::Sql(sql.map_err(|error| PlotError::File { path: path.clone(), error })?));
    }
    if sources.is_empty() {
        return Err(PlotError::Usage("No query to plot; say which with -q".into()));
    }
    if sources.len() > 2 && !args.share_y_axis {
        return Err(PlotError::Usage(
            "More than 2 queries to plot on 2 Y axes; -s lets them share one".into(),
        ));
    }
    Ok(sources)
}

fn style(args: &PlotArgs) -> Result<Option<&'static Style>, PlotError> {
    let Some(name) = &args.style else { return Ok(None) };
    let names: Vec<&str> = STYLES.iter().map(|style| style.name).collect();
    let style = Style::named(name);
    style
        .map(Some)
        .ok_or_else(|| PlotError::Usage(format!("Unknown style {name}; there are {}", names.join(", "))))
}

fn formatter(args: &PlotArgs) -> Result<Formatter, PlotError> {
    let Some(name) = &args.formatter else { return Ok(Formatter::default()) };
    Formatter::named(name).ok_or_else(|| {
        PlotError::Usage(format!("Unknown formatter {name}; there are {}", Formatter::NAMES.join(", ")))
    })
}

/// Procpath's titles.
fn title(groups: &[Group], share: bool) -> String {
    match groups {
        [one] if !share => one.title.clone(),
        [one, two] if !share => format!("{} vs {}", one.title, two.title),
        all => {
            let numbered = all.iter().enumerate().map(|(at, group)| format!("{}. {}", at + 1, group.title));
            numbered.collect::<Vec<_>>().join("; ")
        }
    }
}

/// What the small line under the title says: where it was recorded, how many processes, what was done to the lines.
fn note(database: &Connection, args: &PlotArgs, subjects: usize) -> String {
    let node = database.query_row("SELECT value FROM meta WHERE key = 'platform_node'", [], |row| row.get(0));
    // A recording need not say it.
    let mut parts: Vec<String> = node.into_iter().collect();
    parts.push(if subjects == 1 { "1 process".into() } else { format!("{subjects} processes") });
    if !args.relative_time {
        parts.push("times in UTC".into());
    }
    if let Some(window) = args.moving_average_window.filter(|window| *window > 1) {
        parts.push(format!("mean of {window} points"));
    }
    if let Some(epsilon) = args.epsilon.filter(|epsilon| *epsilon > 0.0) {
        parts.push(format!("simplified by {epsilon}"));
    }
    parts.join(" · ")
}

/// Writes a file so that it is there whole or, if that fails, as it was before.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if path == Path::new("-") {
        return io::Write::write_all(&mut io::stdout().lock(), content);
    }
    // A device or a pipe cannot be replaced.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return fs::write(path, content);
    }
    // A link stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}~", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = fs::write(&beside, content).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // It may not even have been made.
        let _ = fs::remove_file(&beside);
    }
    written
}
