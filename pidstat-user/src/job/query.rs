//! `query`: finds processes in the tree, and prints them or what SQL makes of them.

mod exited;
mod print;
mod sql;

use super::{
    environment::Variables,
    forest::{Forest, QueryError},
};
use crate::{
    cli::{
        exit,
        query::{Compat, Level, QueryArgs},
    },
    clock::Clock,
    kernel::Reason,
    sample::node::Member,
    source::{
        SourceError, database,
        procfs::{self, node::Tree},
    },
};
pub(super) use print::plain;

use print::Form;
use sql::Table;
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// What ends a query.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Query(#[from] QueryError),
    #[error("SQL error: {0}")]
    Sql(String),
    #[error("cannot read {0}: {1}")]
    Tree(PathBuf, io::Error),
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error("--exited needs eBPF, which cannot be used: {0}; {remedy}", remedy = .0.remedy())]
    Unsupported(Reason),
    #[error("{0}")]
    Source(#[from] SourceError),
}

/// Answers, and says the exit code.
pub fn run(args: &QueryArgs) -> u8 {
    let printed = answer(args).and_then(|text| {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Trouble::Output)
    });
    let Err(trouble) = printed else { return exit::OK };
    eprintln!("kpidstat: {trouble}");
    match trouble {
        Trouble::Usage(_) | Trouble::Query(QueryError::Syntax(..)) => exit::USAGE,
        Trouble::Unsupported(_) => exit::UNSUPPORTED,
        _ => exit::FAILED,
    }
}

/// Reads the tree of the options, without ourselves where it is this machine's.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn read(args: &crate::cli::tree::TreeArgs) -> io::Result<Tree> {
    let tree = Tree::read(&args.procfs, args.target.into())?;
    let mine = args.procfs == Path::new(procfs::PROC_ROOT);
    Ok(if mine { tree.without(std::process::id()) } else { tree })
}

fn answer(args: &QueryArgs) -> Result<String, Trouble> {
    args.tree.check().map_err(Trouble::Usage)?;
    let epoch_ns = Clock::Real.now().epoch_ns;
    let ended = args.exited.map(|time| exited::during(time, &args.tree)).transpose()?;
    let mut tree = read(&args.tree).map_err(|error| Trouble::Tree(args.tree.procfs.clone(), error))?;
    if let Some((sample, host)) = &ended {
        tree.add_exited(&sample.departed, host);
    }
    let variables = Variables::evaluate(&args.environment);
    let warn = |what: String| {
        if args.level <= Level::Warning {
            eprintln!("kpidstat: {what}");
        }
    };
    let mut forest = Forest::new(&tree, &args.tree.members);
    if args.compat == Some(Compat::Old) {
        forest = forest.of_process_1();
    }
    let form = Form::Json(args.indent);
    let delimiter = args.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let found = match args.query.as_deref().filter(|query| !query.is_empty()) {
        Some(query) => forest.find(&variables.in_query(query), args.dialect.into(), warn)?,
        None if args.compat.is_some() => vec![forest.top()],
        None => tree.roots().iter().map(|root| super::forest::Place::Node(*root)).collect(),
    };
    let text = if let Some(sql) = args.sql.as_deref().filter(|sql| !sql.is_empty()) {
        let nodes = tree.flat(&forest.nodes(&found)?);
        let table = Table {
            tree: &tree,
            nodes: &nodes,
            procfs: &args.tree.procfs,
            target: args.tree.target.into(),
            epoch_ns,
        };
        let rows = table
            .ask(&variables.in_sql(sql), &args.tree.members)
            .map_err(|error| Trouble::Sql(database::words(&error)))?;
        match delimiter {
            Some(delimiter) => {
                let rows: Vec<String> = rows.iter().map(|row| print::row(row, Form::Python, 0)).collect();
                rows.join(delimiter)
            }
            None => print::rows(&rows, form),
        }
    } else {
        match delimiter {
            Some(delimiter) => {
                let found: Vec<String> = found.iter().map(|place| plain(&forest, *place)).collect();
                found.join(delimiter)
            }
            None if args.compat.is_some() && args.query.is_none() => {
                print::place(&forest, forest.top(), form)
            }
            None => print::places(&forest, &found, form),
        }
    };
    unread(&tree, args.level);
    let nothing = text.is_empty() && args.compat.is_none();
    Ok(if nothing { text } else { text + "\n" })
}

/// Says once of each member what could not be read.
fn unread(tree: &Tree, level: Level) {
    for member in Member::ALL {
        let unread = tree.unread(member);
        if unread.refused > 0 && level <= Level::Warning {
            eprintln!(
                "kpidstat: {} is null for {} of the processes: no permission; root may read it",
                member.name(),
                unread.refused
            );
        }
        if unread.gone > 0 && level <= Level::Debug {
            eprintln!("kpidstat: {} is null for {} of the processes: they ended", member.name(), unread.gone);
        }
    }
}
