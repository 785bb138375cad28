//! What was promised, and whether it is kept.

use super::{
    arena::Population,
    contender::{Contender, EVERY_ROW, Reports},
    plot,
    query::{self, QUERIES},
    record::{self, RECORDINGS},
    results::{Results, named, own},
};

/// One promise.
pub struct Bar {
    /// In words.
    pub what: String,
    /// What was measured, with its unit; none where it could not be.
    pub measured: Option<String>,
    /// Who asked for it.
    pub asked: &'static str,
    /// Whether the bench fails without it; the others are goals.
    pub binding: bool,
    /// Whether it is kept.
    pub kept: bool,
}

impl Bar {
    /// That something takes at least so many times our CPU time.
    fn ratio(what: String, measured: Option<f64>, least: f64, asked: &'static str, binding: bool) -> Bar {
        Bar {
            what,
            measured: measured.map(|ratio| format!("{ratio:.1} times")),
            asked,
            binding,
            kept: measured.is_some_and(|ratio| ratio >= least),
        }
    }

    /// One word for it.
    pub fn word(&self) -> &'static str {
        match (&self.measured, self.kept) {
            (None, _) => "NOT MEASURED",
            (_, true) => "PASS",
            (_, false) => "FAIL",
        }
    }
}

/// The least ratios: against whom, at which population, how many times, whether it is binding.
const RATIOS: [(&str, Population, f64, bool); 8] = [
    ("pidstat -u -r -d -w", Population::Processes(1_000), 20.0, true),
    ("pidstat -u -r -d -w", Population::Processes(1_000), 30.0, false),
    ("pidstat -u -r -d -w", Population::Processes(10_000), 50.0, false),
    ("pidstat -u -r -d -w", Population::Processes(30_000), 100.0, false),
    ("pidstat -t -u", Population::Processes(1_000), 50.0, false),
    ("pidstat -t -u", Population::Threads(10_000), 100.0, false),
    ("psutil", Population::Processes(1_000), 60.0, false),
    ("tight", Population::Processes(1_000), 15.0, false),
];

/// Judges everything.
pub fn judge(results: &Results, contenders: &[Contender]) -> Vec<Bar> {
    let mut bars: Vec<Bar> = RATIOS
        .iter()
        .map(|(name, population, least, binding)| {
            let who = named(contenders, name);
            let ratio = who.and_then(|who| results.ratio(*population, who, contenders));
            let name = who.map_or(*name, |who| contenders[who].name.as_str());
            let what = format!("{name} costs at least {least} times our CPU time per sample at {population}");
            Bar::ratio(what, ratio, *least, asked(*binding), *binding)
        })
        .collect();
    bars.extend(QUERIES.iter().enumerate().map(|(number, (shown, _))| {
        /// How many times our CPU time Procpath takes at least.
        const LEAST: f64 = 10.0;
        let at = query::POPULATION;
        let mut what = format!("procpath query {shown} costs at least {LEAST} times our CPU time at {at}");
        if let Some(most) = query::most(&results.answers).filter(|_| shown.is_empty()) {
            what += &format!(
                " (and {most:.1} times that of opening, reading and closing the files of the answer, no more)"
            );
        }
        // The promise is of a query; printing every process is mostly the kernel's work on both sides.
        Bar::ratio(what, query::ratio(&results.answers, number), LEAST, "issue 6", number == 0)
    }));
    bars.extend(recordings(results));
    bars.push(rendering(results, contenders));
    let urdw = own(contenders, Reports::Urdw).unwrap_or_default();
    let mut less = |what: &str, measured: Option<f64>, most: f64, unit: &str, binding: bool| {
        bars.push(Bar {
            what: what.to_owned(),
            measured: measured.map(|figure| format!("{figure:.1} {unit}")),
            asked: asked(binding),
            binding,
            kept: measured.is_some_and(|figure| figure < most),
        });
    };
    let thousand = Population::Processes(1_000);
    less(
        "fewer than 60 system calls per sample of kpidstat -u -r -d -w at 1 000 processes",
        results.calls(urdw),
        60.0,
        "calls",
        true,
    );
    let resident =
        results.median(Population::Processes(10_000), urdw, |run| run.resident_kib as f64 / 1024.0);
    less(
        "less than 24 MiB resident after the third sample at 10 000 processes",
        resident,
        24.0,
        "MiB",
        false,
    );
    let first = results.least(thousand, urdw, |run| run.first_wall_ms);
    less(
        "first report within 100 ms of the start besides the interval (fastest round)",
        first,
        100.0,
        "ms",
        false,
    );
    for (query, format) in [("rss", "svg"), ("cpu", "svg"), ("rss", "png"), ("cpu", "png")] {
        let name = format!("kpidstat plot -q {query} -f x.{format}");
        let plot = results.plots.iter().find(|plot| plot.name == name && plot.samples == plot::SAMPLES[0]);
        bars.push(Bar {
            what: format!("{name} of 1 000 processes and 1 000 samples in less than a second of CPU time"),
            measured: plot.map(|plot| format!("{:.2} s", plot.cpu_s)),
            asked: "issue 6",
            binding: true,
            kept: plot.is_some_and(|plot| plot.cpu_s < 1.0),
        });
    }
    bars
}

/// What a recorded sample costs, and how often one can be taken.
fn recordings(results: &Results) -> impl Iterator<Item = Bar> {
    /// How many times our CPU time Procpath takes at least.
    const LEAST: f64 = 20.0;
    let cost = RECORDINGS.iter().enumerate().map(|(number, (shown, _))| {
        let at = record::POPULATION;
        let what =
            format!("a sample of procpath record {shown} costs at least {LEAST} times our CPU time at {at}");
        Bar::ratio(what, record::ratio(&results.recordings, number), LEAST, "issue 6", true)
    });
    let step = record::step_s(&results.recordings);
    let holds = Bar {
        what: format!("kpidstat record -i 0.1 takes a sample every 0.1 s at {}", record::POPULATION),
        measured: step.map(|step| format!("{:.1} ms", step * 1e3)),
        asked: "issue 6",
        binding: true,
        kept: step.is_some_and(|step| step <= record::HOLDS),
    };
    cost.chain([holds]).collect::<Vec<_>>().into_iter()
}

/// Rendering 10 000 rows of four reports, which is what printing every row adds, against collecting them with pidstat, whose
/// processes are all idle here, so that it prints next to none.
fn rendering(results: &Results, contenders: &[Contender]) -> Bar {
    let of = |name: &str| {
        let who = named(contenders, name)?;
        results.median(Population::Processes(10_000), who, |run| run.sample_ms)
    };
    let costs = of(EVERY_ROW)
        .zip(of("kpidstat -u -r -d -w"))
        .map(|(every, few)| every - few)
        .zip(of("pidstat -u -r -d -w"));
    Bar {
        what: "rendering 10 000 rows of -u -r -d -w costs less CPU time than collecting them takes pidstat"
            .to_owned(),
        measured: costs.map(|(ours, theirs)| format!("{ours:.1} against {theirs:.0} ms")),
        asked: "issue 3",
        binding: true,
        kept: costs.is_some_and(|(ours, theirs)| ours < theirs),
    }
}

/// The issue behind a promise about samples.
fn asked(binding: bool) -> &'static str {
    if binding { "issue 2" } else { "issue 5, goal" }
}
