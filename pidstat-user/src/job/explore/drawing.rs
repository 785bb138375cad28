//! The views that are not lines: areas on each other, lives of processes, their tree.

use super::view::{Kind, View};
use crate::{
    job::plot::read::{self, Filter, ReadError, Series, Subject, moment, number_of},
    sink::plot::{
        Chart, Formatter, Group, Line, Point,
        strips::{self, Piece, Strip, Strips},
        svg::{self, Medium},
        tree::{self, Node},
    },
};
use rusqlite::{Connection, Row, types::ValueRef};
use std::collections::HashMap;

/// Areas that have a colour of their own; what is smaller is drawn as one.
const MOST_AREAS: usize = 13;
/// Moments of a stack; more would be narrower than a pixel.
const MOST_MOMENTS: usize = 1_000;
/// Rows of a picture of processes.
const MOST_PROCESSES: usize = 3_000;

/// Draws a view from the rows of a statement.
///
/// # Errors
/// When the statement has not the columns that the view needs, or SQLite refuses.
pub fn draw(
    database: &Connection,
    view: &View,
    sql: &str,
    filter: &Filter,
    medium: Medium<'_>,
) -> Result<String, ReadError> {
    match view.kind {
        Kind::Lines | Kind::Areas => {
            let [series] = read::custom(database, sql, ["value"], filter)?;
            let mut chart = chart(view);
            chart.note = "by name of the command · times in UTC".into();
            stack(&mut chart, view.title, series, filter);
            Ok(svg::draw(&chart, medium))
        }
        Kind::Disk => {
            let [read, write, wait] = read::custom(database, sql, ["read", "write", "wait"], filter)?;
            let mut chart = chart(view);
            chart.note =
                "by name of the command: read above, written below, waiting dashed · times in UTC".into();
            stack(&mut chart, "Read (+) and written (-), B/s", read, filter);
            stack(&mut chart, "Written, B/s", write, filter);
            chart.groups.push(Group { title: "IO wait, %".into(), right: true, stacked: false });
            let waiting =
                wait.into_iter().filter(|series| series.points.iter().any(|point| point.value > 0.0));
            for series in waiting.take(MOST_AREAS) {
                let points = series.points.into_iter().filter(|point| chosen(point, filter)).collect();
                let (group, identity) = (chart.groups.len() - 1, identity(&chart, &series.subject));
                let name = name_of(&series.subject);
                chart.lines.push(Line {
                    group,
                    identity,
                    name,
                    detail: String::new(),
                    points,
                    floor: Vec::new(),
                });
            }
            Ok(svg::draw(&chart, medium))
        }
        Kind::Lives => {
            let mut processes = processes(database, sql)?;
            processes.sort_by_key(|process| process.pid);
            let rows = processes.iter().map(|process| strip(process, 0, None, 0.45)).collect();
            Ok(strips::draw(
                &picture(view, "from the first to the last sample of each process", rows),
                medium,
            ))
        }
        Kind::Busy => busy(database, view, sql, medium),
        Kind::Tree => {
            let nodes = in_order(processes(database, sql)?);
            let nodes: Vec<Node> = nodes
                .into_iter()
                .map(|(process, _, parent)| Node { name: process.label(), hint: process.hint(), parent })
                .collect();
            let note = format!("{} processes; a band is as wide as what hangs on it", nodes.len());
            Ok(tree::draw(view.title, &note, &nodes, medium))
        }
        Kind::Forest => {
            let nodes = in_order(processes(database, sql)?);
            let most = nodes.iter().map(|(process, ..)| process.rss_mib).fold(1.0, f64::max);
            let hottest = nodes.iter().map(|(process, ..)| process.cpu_pct).fold(1.0, f64::max);
            let rows = nodes
                .iter()
                .map(|(process, depth, parent)| {
                    let mut row = strip(process, *depth, *parent, (process.rss_mib / most).sqrt());
                    for piece in &mut row.pieces {
                        piece.heat = (process.cpu_pct / hottest).sqrt();
                    }
                    row
                })
                .collect();
            let mut strips = picture(view, "colour: CPU on average; thickness: memory", rows);
            strips.scale = Some(("0 %".into(), format!("{hottest:.0} % CPU")));
            Ok(strips::draw(&strips, medium))
        }
    }
}

fn chart(view: &View) -> Chart {
    Chart {
        title: view.title.into(),
        note: String::new(),
        groups: Vec::new(),
        lines: Vec::new(),
        logarithmic: false,
        relative_time: false,
        dots: false,
        style: None,
        formatter: Formatter::default(),
    }
}

fn picture(view: &View, note: &str, rows: Vec<Strip>) -> Strips {
    let note = format!("{} processes · {note} · times in UTC", rows.len());
    Strips { title: view.title.into(), note, scale: None, rows }
}

fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::Pid(pid) => pid.to_string(),
        Subject::Name(name) => name.clone(),
    }
}

/// The colour that a name already has, or the next one.
fn identity(chart: &Chart, subject: &Subject) -> usize {
    let name = name_of(subject);
    let known = chart.lines.iter().find(|line| line.name == name);
    known.map_or_else(
        || chart.lines.iter().map(|line| line.identity + 1).max().unwrap_or(0),
        |line| line.identity,
    )
}

fn chosen(point: &Point, filter: &Filter) -> bool {
    filter.after.is_none_or(|after| after <= point.ts)
        && filter.before.is_none_or(|before| point.ts <= before)
}

/// Adds a group whose lines stand on each other, the largest at the bottom. A name without a row at some moment had no
/// process then, so it adds nothing.
fn stack(chart: &mut Chart, title: &str, mut series: Vec<Series>, filter: &Filter) {
    for one in &mut series {
        one.points.retain(|point| point.value.is_finite() && chosen(point, filter));
    }
    let size = |one: &Series| one.points.iter().map(|point| point.value.abs()).sum::<f64>();
    series.retain(|one| size(one) > 0.0);
    series.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let mut moments: Vec<f64> =
        series.iter().flat_map(|one| one.points.iter().map(|point| point.ts)).collect();
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    // Where there are too many, each stands for several, with their mean.
    let every = moments.len().div_ceil(MOST_MOMENTS).max(1);
    let starts: Vec<f64> = moments.iter().copied().step_by(every).collect();
    let slot = |ts: f64| starts.partition_point(|start| *start <= ts).saturating_sub(1);
    let mut sizes = vec![0.0; starts.len()];
    for ts in &moments {
        sizes[slot(*ts)] += 1.0;
    }
    let group = chart.groups.len();
    chart.groups.push(Group { title: title.into(), right: false, stacked: true });
    let rest = series.split_off(series.len().min(MOST_AREAS));
    let mut areas: Vec<(Subject, Vec<Series>)> =
        series.into_iter().map(|one| (one.subject.clone(), vec![one])).collect();
    if !rest.is_empty() {
        areas.push((Subject::Name(format!("{} others", rest.len())), rest));
    }
    let mut floor = vec![0.0; starts.len()];
    for (subject, parts) in areas {
        let mut height = vec![0.0; starts.len()];
        for point in parts.iter().flat_map(|one| &one.points) {
            let slot = slot(point.ts);
            height[slot] += point.value / sizes[slot];
        }
        let top: Vec<f64> = floor.iter().zip(&height).map(|(floor, height)| floor + height).collect();
        let points = starts.iter().zip(&top).map(|(ts, value)| Point { ts: *ts, value: *value }).collect();
        let identity = identity(chart, &subject);
        let name = name_of(&subject);
        chart.lines.push(Line { group, identity, name, detail: String::new(), points, floor });
        floor = top;
    }
}

/// A process over the whole recording.
#[derive(Clone, Debug)]
struct Process {
    pid: i64,
    ppid: i64,
    comm: String,
    cmdline: String,
    first: f64,
    last: f64,
    rss_mib: f64,
    cpu_pct: f64,
}

impl Process {
    fn label(&self) -> String {
        format!("{} {}", self.pid, self.comm)
    }

    fn hint(&self) -> String {
        let cmdline: String = self.cmdline.chars().take(200).collect();
        let mut hint = format!("{}\n{cmdline}\nparent {}", self.label(), self.ppid);
        if self.rss_mib.is_finite() {
            hint += &format!("\nat most {:.1} MiB resident", self.rss_mib);
        }
        if self.cpu_pct.is_finite() && self.cpu_pct > 0.0 {
            hint += &format!("\n{:.2} % CPU on average", self.cpu_pct);
        }
        hint
    }
}

/// The places of columns by name.
fn places<const N: usize>(
    statement: &rusqlite::Statement<'_>,
    names: [&'static str; N],
) -> Result<[usize; N], ReadError> {
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(names) {
        *place = statement.column_names().position(|column| column == name).ok_or(ReadError::Column(name))?;
    }
    Ok(places)
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    })
}

fn processes(database: &Connection, sql: &str) -> Result<Vec<Process>, ReadError> {
    let mut statement = database.prepare(sql)?;
    let [pid, ppid, comm, cmdline, first, last, rss, cpu] =
        places(&statement, ["pid", "ppid", "comm", "cmdline", "first", "last", "rss_mib", "cpu_pct"])?;
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (Ok(pid), Some(first), Some(last)) =
            (row.get_ref(pid)?.as_i64(), moment(row, first)?, moment(row, last)?)
        else {
            continue;
        };
        if found.len() == MOST_PROCESSES {
            break;
        }
        let number = |column| -> rusqlite::Result<f64> { Ok(number_of(row.get_ref(column)?)) };
        found.push(Process {
            pid,
            ppid: row.get_ref(ppid)?.as_i64().unwrap_or(0),
            comm: text(row, comm)?,
            cmdline: text(row, cmdline)?,
            first,
            last,
            rss_mib: number(rss)?,
            cpu_pct: number(cpu)?,
        });
    }
    Ok(found)
}

/// Every process behind its parent, with its depth and its parent's place; by pid among brothers. Of several processes
/// that had a parent's number, the last is taken that began before the child did.
fn in_order(mut processes: Vec<Process>) -> Vec<(Process, usize, Option<usize>)> {
    processes.sort_by(|a, b| a.pid.cmp(&b.pid).then(a.first.total_cmp(&b.first)));
    let parent_of = |child: &Process| {
        let from = processes.partition_point(|process| process.pid < child.ppid);
        let same = processes[from..].iter().take_while(|process| process.pid == child.ppid).count();
        let before = processes[from..from + same].iter().rposition(|process| process.first <= child.first);
        (same > 0).then(|| from + before.unwrap_or(0))
    };
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (number, process) in processes.iter().enumerate() {
        // Nobody is its own parent, whatever a file says.
        let parent = parent_of(process).filter(|parent| *parent != number);
        children.entry(parent).or_default().push(number);
    }
    let mut ordered = Vec::with_capacity(processes.len());
    let mut pending: Vec<(usize, usize, Option<usize>)> = Vec::new();
    // Roots first; a ring of parents, which only a forged file has, is entered at its first process.
    let mut seen = vec![false; processes.len()];
    let roots: Vec<usize> = children.remove(&None).unwrap_or_default();
    for root in roots.into_iter().chain(0..processes.len()) {
        pending.push((root, 0, None));
        while let Some((number, depth, parent)) = pending.pop() {
            if std::mem::replace(&mut seen[number], true) {
                continue;
            }
            let place = ordered.len();
            ordered.push((number, depth, parent));
            let below = children.remove(&Some(number)).unwrap_or_default();
            pending.extend(below.into_iter().rev().map(|child| (child, depth + 1, Some(place))));
        }
    }
    ordered.into_iter().map(|(number, depth, parent)| (processes[number].clone(), depth, parent)).collect()
}

fn strip(process: &Process, depth: usize, parent: Option<usize>, weight: f64) -> Strip {
    let pieces = vec![Piece { from: process.first, to: process.last, heat: 0.6 }];
    Strip { name: process.label(), hint: process.hint(), depth, parent, weight, pieces }
}

/// A strip for each process that used a CPU, coloured by how busy it was and as thick as its priority is high.
fn busy(database: &Connection, view: &View, sql: &str, medium: Medium<'_>) -> Result<String, ReadError> {
    let mut statement = database.prepare(sql)?;
    let [ts, since, pid, comm, priority, cpu] =
        places(&statement, ["ts", "since", "pid", "comm", "priority", "cpu_pct"])?;
    let mut rows = statement.raw_query();
    let mut found: Vec<Strip> = Vec::new();
    let mut places: HashMap<(i64, String), usize> = HashMap::new();
    let mut hottest: f64 = 1.0;
    let mut sums: Vec<(f64, f64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (Ok(pid), Some(to), Some(from)) =
            (row.get_ref(pid)?.as_i64(), moment(row, ts)?, moment(row, since)?)
        else {
            continue;
        };
        let cpu_pct = number_of(row.get_ref(cpu)?);
        if cpu_pct.is_nan() || cpu_pct <= 0.0 {
            continue;
        }
        let comm = text(row, comm)?;
        let next = found.len();
        let number = *places.entry((pid, comm.clone())).or_insert(next);
        if number == next {
            if next == MOST_PROCESSES {
                break;
            }
            let nice = number_of(row.get_ref(priority)?);
            // 20 is what everybody has; realtime priorities are below zero.
            let weight = if nice.is_nan() { 0.5 } else { (1.0 - nice / 40.0).clamp(0.1, 1.0) };
            let name = format!("{pid} {comm}");
            let hint = format!("{name}\npriority {nice}");
            found.push(Strip { name, hint, depth: 0, parent: None, weight, pieces: Vec::new() });
            sums.push((0.0, 0.0));
        }
        hottest = hottest.max(cpu_pct);
        sums[number].0 += cpu_pct * (to - from);
        sums[number].1 = sums[number].1.max(cpu_pct);
        found[number].pieces.push(Piece { from, to, heat: cpu_pct });
    }
    for (strip, (sum, most)) in found.iter_mut().zip(sums) {
        strip.hint += &format!("\n{:.2} s of CPU, at most {most:.1} %", sum / 100.0);
        for piece in &mut strip.pieces {
            piece.heat = (piece.heat / hottest).sqrt();
        }
    }
    let mut strips = picture(view, "colour: CPU; thickness: priority", found);
    strips.scale = Some(("0 %".into(), format!("{hottest:.0} % CPU")));
    Ok(strips::draw(&strips, medium))
}
