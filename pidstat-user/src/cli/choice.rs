//! `--where`, `--columns`, `--sort`, `--top`: names that were typed turned into columns, conditions and an order.

use super::{
    args::{Args, ScopeArg},
    plan::Usage,
};
use crate::{
    column::{Column, REPORTS, Report, Scope},
    sample::{Exited, FoldTo, Pids},
    select::{
        Filter, Follow, Name, Order, Sort,
        expr::{Condition, Relation, Term, parse},
        follow::From,
        name::{RowNames, column},
    },
};

/// What `--exited` asks for.
pub(super) fn exited(args: &Args, reports: &[&Report]) -> Result<Exited, Usage> {
    let exited = match args.exited.as_deref() {
        None | Some("show") => Exited::Show,
        Some("hide") => Exited::Hide,
        Some("fold" | "fold:parent") => Exited::Fold(FoldTo::Parent),
        Some("fold:cgroup") => Exited::Fold(FoldTo::Cgroup),
        Some("fold:command") => Exited::Fold(FoldTo::Command),
        Some(other) => {
            return Err(Usage(format!(
                "--exited is show, hide, fold, fold:cgroup or fold:command, not {other:?}"
            )));
        }
    };
    let children = reports.iter().any(|report| report.scope == Scope::Children);
    if exited == Exited::Fold(FoldTo::Parent) && children {
        return Err(Usage(
            "-T CHILD has the ended children in their parent already; use it without --exited fold".into(),
        ));
    }
    Ok(exited)
}

/// What rows are sorted by when only their number was given.
const SORT_OF_TOP: &str = "cpu_pct";

/// The condition of `--where`.
pub(super) fn condition(args: &Args) -> Result<Option<Condition<Name>>, Usage> {
    let mut parts = Vec::new();
    for (id, text) in places(args) {
        // An id is shown, and known, by its first digits.
        let id_digits = text.len() > SHORT_ID && text.bytes().all(|b| b.is_ascii_hexdigit());
        let text = if id_digits && id == "container" { &text[..SHORT_ID] } else { text };
        if !text.is_empty() {
            let name = Term::Name(Name::find(id).map_err(Usage)?);
            parts.push(Condition::Compare(Term::Text(text.into()), vec![(Relation::In, name)]));
        }
    }
    if let Some(text) = &args.condition {
        let parsed = parse(text, &RowNames);
        parts.push(parsed.map_err(|error| Usage(format!("--where: {}", error.shown(text))))?);
    }
    Ok(match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Condition::All(parts)),
    })
}

/// Digits of a container's id that are shown.
const SHORT_ID: usize = 12;

/// The columns that have options of their own, and what was typed there.
fn places(args: &Args) -> impl Iterator<Item = (&'static str, &str)> {
    let options = [("container", &args.container), ("cgroup", &args.cgroup)];
    options.into_iter().filter_map(|(id, text)| Some((id, text.as_deref()?)))
}

/// The columns that every table gets, unless they are among the chosen ones.
pub(super) fn extra(args: &Args, chosen: Option<&[&'static Column]>) -> Result<Vec<&'static Column>, Usage> {
    let there = |id| chosen.is_some_and(|chosen| chosen.iter().any(|column| column.id == id));
    places(args).filter(|(id, _)| !there(*id)).map(|(id, _)| column(id).map_err(Usage)).collect()
}

/// What documents have besides beside traffic: where the process belongs.
pub(super) fn beside_traffic(args: &Args, extra: &[&'static Column]) -> Result<Vec<&'static Column>, Usage> {
    if args.network == 0 || args.output.is_none() || !args.columns.is_empty() {
        return Ok(Vec::new());
    }
    let there = |id: &str| extra.iter().any(|column| column.id == id);
    ["container", "pod", "unit"]
        .into_iter()
        .filter(|id| !there(id))
        .map(|id| column(id).map_err(Usage))
        .collect()
}

/// The columns of `--columns`; `letters` is how many reports were asked for.
pub(super) fn columns(args: &Args, letters: u32) -> Result<Option<Vec<&'static Column>>, Usage> {
    if args.columns.is_empty() {
        return Ok(None);
    }
    if letters > 0 || !args.scope.is_empty() {
        return Err(Usage(
            "--columns chooses among the columns of all reports, so -u, -r, ... and -T cannot be used with it".into(),
        ));
    }
    let mut chosen: Vec<&'static Column> = Vec::new();
    for text in &args.columns {
        let column = column(text.trim()).map_err(|what| Usage(format!("--columns: {what}")))?;
        if chosen.iter().any(|other| other.id == column.id) {
            return Err(Usage(format!("--columns: {} is there twice", column.id)));
        }
        chosen.push(column);
    }
    Ok(Some(chosen))
}

/// The reports that have any of these columns; they say which tasks are active.
pub(super) fn reports_of(columns: &[&'static Column]) -> Vec<&'static Report> {
    let has = |report: &Report| {
        report.columns.iter().any(|column| columns.iter().any(|chosen| chosen.id == column.id))
    };
    REPORTS.iter().filter(|report| has(report)).copied().collect()
}

/// Has the source read every process where rows are about more than those that are listed; the list is left to the filter.
pub(super) fn widen(args: &Args, pids: Option<Pids>, filter: &mut Filter) -> Result<Option<Pids>, Usage> {
    if !args.tree {
        return Ok(pids);
    }
    if args.threads > 0 {
        return Err(Usage("--tree sums whole processes; -t cannot be used with it".into()));
    }
    if args.scope.iter().any(|scope| *scope != ScopeArg::Task) {
        return Err(Usage("--tree has the children already; -T CHILD would count them twice".into()));
    }
    if let Some(Pids::Only(list)) = pids {
        filter.pids = Some(list);
    }
    Ok(None)
}

/// Makes of `-p` or `-C` what `--follow` follows; then neither the source nor the filter chooses by them.
pub(super) fn follow(
    args: &Args,
    has_interval: bool,
    pids: Option<Pids>,
    filter: &mut Filter,
) -> Result<(Option<Follow>, Option<Pids>), Usage> {
    if !args.follow {
        return Ok((None, pids));
    }
    if !has_interval {
        return Err(Usage("--follow needs an interval".into()));
    }
    let listed = match (&pids, filter.pids.take()) {
        (Some(Pids::Only(list)), _) => Some(list.clone()),
        (_, list) => list,
    };
    let from = match (listed, filter.name.take()) {
        (Some(pids), None) => From::Pids(pids),
        (None, Some(pattern)) => From::Name { pattern, by_command_line: filter.by_command_line },
        _ => return Err(Usage("--follow needs either -p with process ids or -C".into())),
    };
    Ok((Some(Follow::new(from)), None))
}

/// The order of `--sort` and `--top`.
pub(super) fn order(args: &Args) -> Result<Order, Usage> {
    let top = args.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX));
    let text = match &args.sort {
        Some(text) => text.as_str(),
        None if top.is_some() => SORT_OF_TOP,
        None => return Ok(Order::default()),
    };
    let (name, ascending) = match (text.strip_prefix('-'), text.rsplit_once(':')) {
        (Some(name), _) => (name, true),
        (None, Some((name, "asc"))) => (name, true),
        (None, Some((name, "desc"))) => (name, false),
        (None, _) => (text, false),
    };
    let by = Name::find(name).map_err(|what| Usage(format!("--sort: {what}")))?;
    Ok(Order { sort: Some(Sort { by, ascending }), top })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn args(words: &[&str]) -> Args {
        Args::try_read(std::iter::once("kpidstat").chain(words.iter().copied()).map(OsString::from)).unwrap()
    }

    #[test]
    fn a_sort_key_has_a_direction() {
        let order = |text: &str| {
            let sort = order(&args(&["--sort", text, "1"])).unwrap().sort.unwrap();
            (sort.by.id(), sort.ascending)
        };
        assert_eq!(order("%CPU"), ("cpu_pct", false));
        assert_eq!(order("-rss_kib"), ("rss_kib", true));
        assert_eq!(order("RSS:asc"), ("rss_kib", true));
        assert_eq!(order("comm:desc"), ("comm", false));
    }

    #[test]
    fn a_number_alone_goes_by_cpu() {
        let order = order(&args(&["--top", "3", "1"])).unwrap();
        assert_eq!((order.sort.unwrap().by.id(), order.top), ("cpu_pct", Some(3)));
    }

    #[test]
    fn columns_come_in_the_order_given_and_once() {
        let ids = |list: &str, letters| {
            let columns = columns(&args(&["--columns", list, "1"]), letters)?;
            Ok::<_, Usage>(columns.unwrap().iter().map(|column| column.id).collect::<Vec<_>>())
        };
        assert_eq!(ids("RSS,cpu_pct", 0).unwrap(), ["rss_kib", "cpu_pct"]);
        assert!(ids("RSS,rss_kib", 0).unwrap_err().to_string().ends_with("rss_kib is there twice"));
        assert!(ids("rsskib", 0).unwrap_err().to_string().ends_with("did you mean rss_kib?"));
        assert!(ids("RSS", 1).is_err());
    }
}
