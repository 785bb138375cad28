//! Questions of the page, and their answers: the list of views, rows of a statement, pictures.

use super::{
    drawing, guard,
    view::{Kind, View, views as all_views},
};
use crate::{
    cli::plot::PlotArgs,
    job::plot::{self, PlotError, Source, query::QUERIES, read},
    sink::plot::svg::{self, Medium},
    source::database,
};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Value, json};
use std::{collections::HashMap, path::Path, time::Instant};

/// What was asked, by name.
pub type Wish = HashMap<String, String>;

/// Type and text, or why not.
pub type Answer = Result<(&'static str, String), String>;

/// The pictures' script.
pub const SCRIPT: &str = svg::SCRIPT;

const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";

/// Rows that a page shows.
const MOST_SHOWN: usize = 5_000;
/// Characters of one value that a page shows.
const MOST_LETTERS: usize = 2_000;
/// Rows that a picture is made from.
const MOST_DRAWN: usize = 3_000_000;

/// The pictures' style sheet.
pub fn style() -> String {
    svg::style_sheet()
}

/// The recording, and what there is to see of it.
pub fn views(path: &Path) -> Answer {
    let database = guard::open(path).map_err(|error| error.to_string())?;
    let one = |sql: &str| -> Value {
        let value = database.query_row(sql, [], |row| Ok(shown(row.get_ref(0)?)));
        // A recording need not have everything.
        value.unwrap_or(Value::Null)
    };
    let views: Vec<Value> = all_views()
        .into_iter()
        .map(|View { id, title, kind, sql }| {
            let query = QUERIES.iter().find(|query| query.name == Some(id));
            let there = query.is_none_or(|query| read::there(&database, query).is_ok());
            json!({"id": id, "title": title, "kind": kind.key(), "sql": sql, "there": there})
        })
        .collect();
    let answer = json!({
        "file": path.file_name().unwrap_or_default().to_string_lossy(),
        "node": one("SELECT value FROM meta WHERE key = 'platform_node'"),
        "first": one("SELECT min(ts) FROM record"),
        "last": one("SELECT max(ts) FROM record"),
        "samples": one("SELECT count(DISTINCT ts) FROM record"),
        "processes": one("SELECT count(DISTINCT stat_pid) FROM record"),
        "views": views,
    });
    Ok((JSON, answer.to_string()))
}

/// The rows of a statement.
pub fn rows(path: &Path, wish: &Wish) -> Answer {
    let database = guard::open(path).map_err(|error| error.to_string())?;
    let sql = wish.get("sql").ok_or("no sql")?;
    let begun = Instant::now();
    let answer = table(&database, sql).map_err(|error| database::words(&error))?;
    let (columns, rows, more) = answer;
    let ms = begun.elapsed().as_millis();
    Ok((JSON, json!({"columns": columns, "rows": rows, "more": more, "ms": ms}).to_string()))
}

type Table = (Vec<String>, Vec<Vec<Value>>, bool);

fn table(database: &Connection, sql: &str) -> rusqlite::Result<Table> {
    let mut statement = database.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = Vec::new();
    // Parameters that nobody fills are NULL, which is what the queries take for "all".
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if found.len() == MOST_SHOWN {
            return Ok((columns, found, true));
        }
        let cells = (0..columns.len()).map(|at| Ok(shown(row.get_ref(at)?)));
        found.push(cells.collect::<rusqlite::Result<_>>()?);
    }
    Ok((columns, found, false))
}

/// A cell as JSON has it.
fn shown(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        // JavaScript's numbers end here.
        ValueRef::Integer(number) if number.unsigned_abs() < 1 << 53 => number.into(),
        ValueRef::Integer(number) => number.to_string().into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(&text[..text.len().min(4 * MOST_LETTERS)]);
            text.chars().take(MOST_LETTERS).collect::<String>().into()
        }
        ValueRef::Blob(bytes) => format!("({} bytes)", bytes.len()).into(),
    }
}

/// A picture of a view, of a view with another statement, or of a statement.
pub fn picture(path: &Path, wish: &Wish) -> Answer {
    let database = guard::open(path).map_err(|error| error.to_string())?;
    let args = arguments(path, wish)?;
    let given = wish.get("sql").filter(|sql| !sql.trim().is_empty());
    let view = match wish.get("view") {
        Some(id) => Some(all_views().into_iter().find(|view| view.id == id).ok_or("no such view")?),
        None => None,
    };
    let medium = match wish.get("whole") {
        Some(_) => Medium::File,
        None => Medium::Page { style: "plot.css", script: "plot.js" },
    };
    let filter = read::Filter {
        after: args.after,
        before: args.before,
        pids: args.pid_list.clone(),
        most_rows: Some(MOST_DRAWN),
    };
    let said = |error: read::ReadError| match error {
        read::ReadError::Sql(error) => database::words(&error),
        other => other.to_string(),
    };
    let text = match &view {
        Some(view) if view.kind != Kind::Lines => {
            let sql = given.unwrap_or(&view.sql);
            drawing::draw(&database, view, sql, &filter, medium).map_err(said)?
        }
        _ => {
            let query =
                view.as_ref().and_then(|view| QUERIES.iter().find(|query| query.name == Some(view.id)));
            let source = match (query, given) {
                (_, Some(sql)) => Source::Sql(sql.clone()),
                (Some(query), None) => Source::Rows(*query),
                (None, None) => return Err("neither view nor sql".into()),
            };
            let mut args = args;
            args.title = view.map(|view| view.title.to_owned());
            let chart =
                plot::draw(&database, &[source], &args, Some(MOST_DRAWN)).map_err(|error| match error {
                    PlotError::Read(error) => said(error),
                    other => other.to_string(),
                })?;
            svg::draw(&chart, medium)
        }
    };
    Ok((SVG, text))
}

/// What the page's fields ask for, checked as the command line's options are.
fn arguments(path: &Path, wish: &Wish) -> Result<PlotArgs, String> {
    use clap::Parser;
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        plot: PlotArgs,
    }
    let mut line = vec!["plot".to_owned(), "--database-file=-".to_owned()];
    for (field, option) in [
        ("after", "after"),
        ("before", "before"),
        ("pids", "pid-list"),
        ("window", "moving-average-window"),
        ("epsilon", "epsilon"),
    ] {
        if let Some(value) = wish.get(field).filter(|value| !value.trim().is_empty()) {
            line.push(format!("--{option}={}", value.trim()));
        }
    }
    if wish.get("log").is_some_and(|log| log == "1") {
        line.push("--logarithmic".to_owned());
    }
    let line = Line::try_parse_from(line).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })?;
    Ok(PlotArgs { database_file: path.to_owned(), no_dots: true, ..line.plot })
}
