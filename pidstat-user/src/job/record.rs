//! `record`: samples of the process tree into a file, on a fixed schedule, until it is told to stop.

mod counted;
mod output;
mod warning;

use super::{
    environment::Variables,
    forest::{Forest, QueryError},
    meta::meta,
};
use crate::{
    cli::{
        exit,
        record::{RecordArgs, RecordFormat},
    },
    clock::Clock,
    engine::{
        Failure,
        wait::{Signals, Ticks},
    },
    sample::node::{Column, Member, columns, members},
    select::jsonpath::Dialect,
    sink::{End, recording::Taken, sqlite::RecordError},
    source::{
        SourceError,
        procfs::{self, node::Tree},
    },
};
use counted::Counted;
use output::Output;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Instant,
};
use warning::Overruns;

/// What ends a recording early.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("{0}")]
    Failure(#[from] Failure),
    #[error("{0}")]
    Query(#[from] QueryError),
    #[error("cannot read {0}: {1}")]
    Tree(PathBuf, std::io::Error),
    #[error(
        "this kpidstat was built without Parquet; build one with: cargo build --release --package pidstat-user --features parquet"
    )]
    Unbuilt,
}

/// Records, and says the exit code.
pub fn run(args: &RecordArgs) -> u8 {
    // A file that may not grow is an error of the write that is told, not the end of the process.
    // SAFETY: to ignore a signal needs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(record(args)),
        Err(error) => Err(Failure::System(error).into()),
    };
    let Err(trouble) = ended else { return exit::OK };
    eprintln!("kpidstat: {trouble}");
    match trouble {
        Trouble::Usage(_) | Trouble::Query(QueryError::Syntax(..)) => exit::USAGE,
        Trouble::Failure(Failure::Unsupported(_)) => exit::UNSUPPORTED,
        _ => exit::FAILED,
    }
}

async fn record(args: &RecordArgs) -> Result<(), Trouble> {
    args.tree.check().map_err(Trouble::Usage)?;
    if args.tree.members.contains(&Member::Exited) {
        return Err(Trouble::Usage("--procfile-list: processes that ended are in the table exited".into()));
    }
    let mut signals = Signals::unless_ignored().map_err(Failure::System)?;
    let columns = columns(&args.tree.members);
    let mut variables = Variables::evaluate(&args.environment);
    let database = PathBuf::from(variables.fill(&args.database));
    let format = args.format.unwrap_or_else(|| RecordFormat::of(&database));
    if format == RecordFormat::Parquet && !cfg!(feature = "parquet") {
        return Err(Trouble::Unbuilt);
    }
    let (mut counted, mut clock) = Counted::open(args, format)?;
    let meta = meta(counted.source().host(), &args.tree.procfs, args.tree.target.into(), &args.tree.members);
    let mut output = Output::open(args, (&database, format), &columns, meta, counted.reports())?;
    let mut ticks = Ticks::new(&clock, args.interval, counted.wakeup()?).map_err(Failure::System)?;
    let mut overruns = Overruns::default();
    let wanted = args.count.filter(|count| *count > 0);
    for number in 1.. {
        let begun = Instant::now();
        if number > 1 && args.reevaluate.is_some_and(|every| every > 0 && (number + 1) % every == 0) {
            variables = Variables::evaluate(&args.environment);
        }
        match sample(args, &variables, &columns, &mut counted, &clock, &mut output, number - 1) {
            // The instants that were played back are over.
            Err(Trouble::Failure(Failure::Source(SourceError::Exhausted))) => break,
            Err(trouble) => {
                // What went wrong first is what is told.
                drop(output.close());
                return Err(trouble);
            }
            Ok(rows) if rows == 0 && args.stop_without_result => break,
            Ok(_) => {}
        }
        if wanted == Some(number) {
            break;
        }
        overruns.look(begun.elapsed(), args.interval);
        if ticks.next(&mut clock, &mut signals, counted.source()).await == End::Interrupted {
            break;
        }
    }
    output.close()?;
    Ok(())
}

/// Takes and writes one sample; says how many rows `record` got.
fn sample(
    args: &RecordArgs,
    variables: &Variables,
    columns: &[Column],
    counted: &mut Counted,
    clock: &Clock,
    output: &mut Output,
    instant: u64,
) -> Result<usize, Trouble> {
    let root = match &args.root {
        Some(root) => {
            let instant = root.join(instant.to_string());
            if !instant.is_dir() {
                return Err(Failure::Source(SourceError::Exhausted).into());
            }
            instant.join("proc")
        }
        None => args.tree.procfs.clone(),
    };
    let epoch_ns = counted.take(clock)?;
    if args.count == Some(instant + 1) {
        counted.wait_for_late();
    }
    let read = counted.tree(&root).unwrap_or_else(|| Tree::read(&root, args.tree.target.into()));
    let mut tree = read.map_err(|error| Trouble::Tree(root.clone(), error))?;
    let myself = (root == Path::new(procfs::PROC_ROOT)).then(std::process::id);
    if let Some(myself) = myself {
        tree = tree.without(myself);
    }
    if let Some(list) = &args.pids {
        tree.keep_branches(&numbers(&variables.fill(list))?);
    }
    let nodes = match query(args) {
        Some(query) => {
            let forest = Forest::new(&tree, &args.tree.members);
            let warn = |what: String| output.warn(&what);
            let found = forest.find(&variables.in_query(query), Dialect::Both, warn)?;
            tree.flat(&forest.nodes(&found)?)
        }
        None => tree.flat(tree.roots()),
    };
    if args.pids.is_some() || query(args).is_some() {
        let chosen: HashSet<u32> = nodes.iter().map(|node| tree.number(*node)).collect();
        counted.keep(|number| chosen.contains(&number));
    } else if let Some(myself) = myself {
        counted.keep(|number| number != myself);
    }
    let (listed, mut values) = (members(columns), Vec::with_capacity(nodes.len() * columns.len()));
    for node in &nodes {
        listed.iter().for_each(|member| values.extend(tree.values(*node, *member)));
    }
    for member in Member::ALL {
        output.unread(member, tree.unread(member));
    }
    output.write(&Taken { epoch_ns, columns, values: &values, counters: counted.compared() })?;
    let rows = nodes.len();
    counted.done(tree);
    Ok(rows)
}

/// The query; an empty one is none.
fn query(args: &RecordArgs) -> Option<&str> {
    args.query.as_deref().filter(|query| !query.is_empty())
}

/// The numbers of `-p`; a comma too many does not matter.
fn numbers(list: &str) -> Result<Vec<u32>, Trouble> {
    let numbers = list.split(',').map(str::trim).filter(|number| !number.is_empty());
    numbers
        .map(|number| {
            number.parse().map_err(|_| Trouble::Usage(format!("--pid-list: {number:?} is no process id")))
        })
        .collect()
}
