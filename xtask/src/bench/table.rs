//! The results as Markdown.

use super::{
    arena::Population,
    bars::Bar,
    contender::Contender,
    plot,
    query::{self, QUERIES},
    record::{self, RECORDINGS},
    results::Results,
};
use std::fmt::Write as _;

/// A Markdown table of the rows that have a figure; nothing where there is none.
fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let rows: Vec<&Vec<String>> =
        rows.iter().filter(|row| row.iter().skip(1).any(|cell| !cell.contains('–'))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> =
        (0..head.len()).map(|at| if at == 0 { "---" } else { "--:" }.to_owned()).collect();
    let mut text = line(head) + &line(&rule);
    for row in rows {
        text += &line(row);
    }
    text
}

/// Everything below the title.
pub fn render(
    results: &Results,
    contenders: &[Contender],
    populations: &[Population],
    bars: &[Bar],
) -> String {
    let mut text = String::new();
    let mut section = |title: &str, body: &str| {
        if !body.is_empty() {
            let _ = write!(text, "## {title}\n\n{body}\n");
        }
    };
    let of = |figure: &dyn Fn(Population, usize) -> Option<String>| {
        let head: Vec<String> =
            std::iter::once(String::new()).chain(populations.iter().map(Population::to_string)).collect();
        let rows: Vec<Vec<String>> = (0..contenders.len())
            .map(|who| {
                let cells = populations.iter().map(|at| figure(*at, who).unwrap_or_else(|| "–".to_owned()));
                std::iter::once(format!("`{}`", contenders[who].name)).chain(cells).collect()
            })
            .collect();
        table(&head, &rows)
    };
    let cost = of(&|at, who| {
        let ms = results.median(at, who, |run| run.sample_ms)?;
        let shown = if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") };
        let ratio = results.ratio(at, who, contenders).filter(|_| !contenders[who].own);
        Some(ratio.map_or_else(|| format!("**{shown}**"), |ratio| format!("{shown} ({ratio:.0}x)")))
    });
    section("CPU time per sample (times ours)", &cost);
    let memory = of(&|at, who| {
        let resident = results.median(at, who, |run| run.resident_kib as f64 / 1024.0)?;
        let peak = results.median(at, who, |run| run.peak_kib as f64 / 1024.0)?;
        (peak > 0.0).then(|| format!("{resident:.1} ({peak:.1})"))
    });
    section("Resident memory after the third report, and the most, in MiB", &memory);
    let start = of(&|at, who| {
        let wall = results.median(at, who, |run| run.first_wall_ms)?;
        let cpu = results.median(at, who, |run| run.first_cpu_ms)?;
        Some(if wall > 0.0 { format!("{wall:.0} ms ({cpu:.0} ms)") } else { format!("({cpu:.0} ms)") })
    });
    section("From the start to the first report besides the interval: elapsed, and CPU time", &start);
    let calls: Vec<Vec<String>> = (0..contenders.len())
        .filter_map(|who| {
            Some(vec![format!("`{}`", contenders[who].name), format!("{:.0}", results.calls(who)?)])
        })
        .collect();
    section(
        "System calls per sample at 1 000 processes",
        &table(&[String::new(), "calls".to_owned()], &calls),
    );
    section(&format!("CPU time of a query at {}, start included", query::POPULATION), &queries(results));
    section(
        &format!("CPU time of a recorded sample at {}, every 0.1 s", record::POPULATION),
        &recordings(results),
    );
    let head = ["", "processes x samples", "CPU time", "elapsed"].map(str::to_owned);
    section("A plot of a recording", &table(&head, &plot::rows(&results.plots)));
    for page in &results.pages {
        section(&page.title, &table(&page.head, &page.rows));
    }
    let judged: Vec<Vec<String>> = bars
        .iter()
        .map(|bar| {
            let measured = bar.measured.clone().unwrap_or_else(|| "–".to_owned());
            vec![bar.what.clone(), bar.asked.to_owned(), measured, bar.word().to_owned()]
        })
        .collect();
    let head = ["what", "asked by", "measured", ""].map(str::to_owned);
    section("What was promised", &table(&head, &judged));
    if !results.missing.is_empty() {
        let lines: String =
            results.missing.iter().map(|(what, why)| format!("* `{what}`: {why}\n")).collect();
        section("Not measured", &lines);
    }
    text
}

fn queries(results: &Results) -> String {
    let ms = |number, own| query::cpu_ms(&results.answers, number, own);
    beside_procpath("query", QUERIES.map(|(shown, _)| shown).into_iter().enumerate(), ms)
}

fn recordings(results: &Results) -> String {
    let ms = |number, own| record::cpu_ms(&results.recordings, number, own);
    beside_procpath("record", RECORDINGS.map(|(shown, _)| shown).into_iter().enumerate(), ms)
}

/// Ours beside Procpath's in milliseconds.
fn beside_procpath<'a>(
    verb: &str,
    runs: impl Iterator<Item = (usize, &'a str)>,
    ms: impl Fn(usize, bool) -> Option<f64>,
) -> String {
    let head = ["", "kpidstat", "procpath"].map(str::to_owned);
    let rows: Vec<Vec<String>> = runs
        .map(|(number, shown)| {
            let (ours, theirs) = (ms(number, true), ms(number, false));
            let text = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1} ms"));
            let ratio = ours.zip(theirs).map(|(ours, theirs)| format!(" ({:.0}x)", theirs / ours));
            let name = format!("`{}`", format!("{verb} {shown}").trim_end());
            vec![name, format!("**{}**", text(ours)), text(theirs) + &ratio.unwrap_or_default()]
        })
        .collect();
    table(&head, &rows)
}
