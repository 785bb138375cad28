//! `cargo xtask bench`: what a sample costs, ours and others', interleaved in one run; fails where a promise is broken.

mod arena;
mod bars;
mod contender;
mod duel;
mod lives;
mod measure;
mod network;
mod page;
mod plot;
mod query;
mod record;
mod results;
mod share;
mod sockets;
mod switching;
mod table;

use crate::command::{self, output, say};
use anyhow::{Result, bail};
use arena::Population;
use contender::{Contender, Field, Reports, URDW};
use measure::{Run, Walk};
use page::Page;
use results::Results;
use share::Share;
use std::{
    fmt::Display,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Whoever takes longer for one run is left out from then on.
const LONGEST: Duration = Duration::from_secs(100);

/// Where the whole bench leaves its results.
const DOC: &str = "pidstat-user/docs/bench.md";

/// One population, and what is measured there.
struct Station {
    population: Population,
    /// Its share of the time.
    seconds: u64,
    /// The most rounds.
    rounds: usize,
    /// Samples of our own program after the first report, and of others.
    samples: (usize, usize),
    who: fn(&Contender) -> bool,
    /// Whose system calls are counted.
    calls: fn(&Contender) -> bool,
}

fn everyone(_: &Contender) -> bool {
    true
}

fn nobody(_: &Contender) -> bool {
    false
}

fn sysstat(who: &Contender) -> bool {
    who.own || who.name.starts_with("pidstat")
}

/// At 30 000 processes these would take all the time there is.
fn at_the_edge(who: &Contender) -> bool {
    who.reports != Reports::Tu && swift(who)
}

fn swift(who: &Contender) -> bool {
    !who.name.starts_with("procpath") && !who.name.starts_with("atop")
}

/// `pidstat -t` takes a minute for its first report at 10 000 processes, and above 10 000 tasks it gives up.
fn hasty(who: &Contender) -> bool {
    who.own || who.reports != Reports::Tu
}

const QUICK: [Station; 5] = [
    Station {
        population: Population::Processes(100),
        seconds: 15,
        rounds: 1,
        samples: (2, 2),
        who: |who| sysstat(who) && who.reports == Reports::Urdw,
        calls: nobody,
    },
    Station {
        population: Population::Processes(1_000),
        seconds: 50,
        rounds: 2,
        samples: (4, 3),
        who: swift,
        calls: |who| who.name.ends_with(URDW),
    },
    Station {
        population: Population::Processes(10_000),
        seconds: 35,
        rounds: 1,
        samples: (3, 2),
        who: |who| swift(who) && who.reports == Reports::Urdw,
        calls: nobody,
    },
    Station {
        population: Population::Processes(30_000),
        seconds: 25,
        rounds: 1,
        samples: (3, 1),
        who: |who| who.name.ends_with(URDW),
        calls: nobody,
    },
    Station {
        population: Population::Threads(10_000),
        seconds: 15,
        rounds: 1,
        samples: (3, 2),
        who: |who| sysstat(who) && who.reports == Reports::Tu,
        calls: nobody,
    },
];

const WHOLE: [Station; 5] = [
    Station {
        population: Population::Processes(100),
        seconds: 160,
        rounds: 2,
        samples: (10, 4),
        who: everyone,
        calls: nobody,
    },
    Station {
        population: Population::Processes(1_000),
        seconds: 280,
        rounds: 3,
        samples: (10, 4),
        who: everyone,
        calls: everyone,
    },
    Station {
        population: Population::Processes(10_000),
        seconds: 220,
        rounds: 2,
        samples: (10, 3),
        who: hasty,
        calls: nobody,
    },
    Station {
        population: Population::Processes(30_000),
        seconds: 200,
        rounds: 2,
        samples: (10, 2),
        who: at_the_edge,
        calls: nobody,
    },
    Station {
        population: Population::Threads(10_000),
        seconds: 150,
        rounds: 3,
        samples: (10, 3),
        who: |who| sysstat(who) && who.reports != Reports::U,
        calls: nobody,
    },
];

/// Measures one part of the bench in its share of the time.
type Play = fn(&Path, &Share) -> Result<Page>;

/// Parts that stand for themselves, with what `--only` calls them and their seconds in a quick bench and in a whole one.
const PAGES: [(&str, Play, (u64, u64)); 6] = [
    ("network", network::play, (40, 620)),
    ("sockets", sockets::play, (15, 45)),
    ("sched", switching::sched, (10, 70)),
    ("latency", switching::latency, (20, 180)),
    ("lives", lives::play, (20, 85)),
    ("soak", lives::soak, (10, 70)),
];

/// Measures, prints the table, and keeps it in the documentation unless `quick`. With `only`, the contenders whose name has
/// that in it; with `at`, only populations of that size; either way nothing is judged.
///
/// # Errors
/// A promise that is binding is broken, or it could not be measured.
pub fn bench(quick: bool, only: Option<&str>, at: Option<usize>) -> Result<()> {
    if !command::is_root() {
        bail!("the bench needs namespaces and eBPF; run it as root");
    }
    let mut field = contender::gather()?;
    let part = only.is_some() || at.is_some();
    // These are measured by themselves.
    let apart = ["query", "record", "plot"];
    field
        .contenders
        .retain(|contender| only.is_none_or(|only| !apart.contains(&only) && contender.name.contains(only)));
    let began = Instant::now();
    let so_far =
        |what: &dyn Display| say(format_args!("bench: {what} ({} s so far)", began.elapsed().as_secs()));
    let mut results = Results { missing: field.absent.clone(), ..Results::default() };
    let stations: &[Station] = if quick { &QUICK } else { &WHOLE };
    let stations: Vec<&Station> =
        stations.iter().filter(|station| at.is_none_or(|at| station.population.size() == at)).collect();
    for station in stations.iter().filter(|_| !field.contenders.is_empty()) {
        so_far(&station.population);
        measure_at(station, &field, quick, &mut results)?;
    }
    let queries = at.is_none_or(|at| at == query::POPULATION.size());
    if queries && only.is_none_or(|only| only == "query") {
        so_far(&"queries of the process tree");
        match query::play(&field.kpidstat, if quick { 1 } else { 7 }) {
            Ok(answers) => results.answers = answers,
            Err(why) => results.missing.push(("queries".to_owned(), format!("{why:#}"))),
        }
    }
    if queries && only.is_none_or(|only| only == "record") {
        so_far(&"recordings of the process tree");
        match record::play(&field.kpidstat, quick) {
            Ok(recordings) => results.recordings = recordings,
            Err(why) => results.missing.push(("recordings".to_owned(), format!("{why:#}"))),
        }
    }
    // `--only plot` is about these alone.
    if !part || (only == Some("plot") && at.is_none()) {
        so_far(&"plots");
        match plot::measure(&field.kpidstat, quick) {
            Ok(plots) => results.plots = plots,
            Err(why) => results.missing.push(("plots".to_owned(), format!("{why:#}"))),
        }
    }
    for (name, play, seconds) in PAGES {
        if at.is_some() || only.is_some_and(|only| only != name) {
            continue;
        }
        so_far(&name);
        let share = Share::of(if quick { seconds.0 } else { seconds.1 }, quick);
        match play(&field.kpidstat, &share) {
            Ok(page) => {
                results.missing.extend(page.absent.iter().cloned());
                results.pages.push(page);
            }
            Err(why) => results.missing.push((name.to_owned(), format!("{why:#}"))),
        }
    }
    let mut bars = if part { Vec::new() } else { bars::judge(&results, &field.contenders) };
    bars.extend(results.pages.iter_mut().flat_map(|page| std::mem::take(&mut page.bars)));
    let populations: Vec<Population> = stations.iter().map(|station| station.population).collect();
    let text = head(quick)? + &table::render(&results, &field.contenders, &populations, &bars);
    println!("{text}");
    if !quick && !part {
        fs::write(command::root().join(DOC), text)?;
        say(format_args!("bench: written to {DOC}"));
    }
    say(format_args!("bench: {} s", began.elapsed().as_secs()));
    let broken: Vec<&str> =
        bars.iter().filter(|bar| bar.binding && !bar.kept).map(|bar| bar.what.as_str()).collect();
    if !broken.is_empty() {
        bail!("broken: {}", broken.join("; "));
    }
    Ok(())
}

/// Measures at one population. What fails is noted by name; the others go on.
fn measure_at(station: &Station, field: &Field, quick: bool, results: &mut Results) -> Result<()> {
    let contenders = &field.contenders;
    let share = Share::of(station.seconds, quick);
    let said = arena::within(station.population, false, |out| {
        let mut walk = Walk::new();
        let mut failed = vec![false; contenders.len()];
        for _ in share.rounds(station.rounds) {
            for (number, contender) in contenders.iter().enumerate() {
                if !(station.who)(contender) || failed[number] {
                    continue;
                }
                let samples = if contender.own { station.samples.0 } else { station.samples.1 };
                match measure::run(contender, samples, &mut walk, LONGEST) {
                    Ok(run) => writeln!(
                        out,
                        "run\t{number}\t{}\t{}\t{}\t{}\t{}",
                        run.sample_ms, run.first_cpu_ms, run.first_wall_ms, run.resident_kib, run.peak_kib
                    )?,
                    Err(why) => {
                        failed[number] = true;
                        writeln!(out, "failed\t{number}\t{why:#}")?;
                    }
                }
            }
        }
        for (number, contender) in contenders.iter().enumerate().filter(|(_, who)| (station.calls)(who)) {
            match measure::calls(contender, 2) {
                Ok(calls) => writeln!(out, "calls\t{number}\t{calls}")?,
                Err(why) => writeln!(out, "failed\t{number}\t{why:#}")?,
            }
        }
        Ok(())
    });
    let said = match said {
        Ok(said) => said,
        Err(why) => {
            results.missing.push((station.population.to_string(), format!("{why:#}")));
            return Ok(());
        }
    };
    for line in said.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["run", number, sample, cpu, wall, resident, peak] => {
                let run = Run {
                    sample_ms: sample.parse()?,
                    first_cpu_ms: cpu.parse()?,
                    first_wall_ms: wall.parse()?,
                    resident_kib: resident.parse()?,
                    peak_kib: peak.parse()?,
                };
                results.runs.push((station.population, number.parse()?, run));
            }
            ["calls", number, calls] => results.calls.push((number.parse()?, calls.parse()?)),
            ["failed", number, why] => {
                let name = &contenders[number.parse::<usize>()?].name;
                results.missing.push((name.clone(), format!("{}: {why}", station.population)));
            }
            _ => bail!("the arena said {line:?}"),
        }
    }
    Ok(())
}

/// Title, machine, and how it was measured.
fn head(quick: bool) -> Result<String> {
    let date = output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let kernel = output(Command::new("uname").args(["-r", "-m"]))?;
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model.trim());
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let option = if quick { " --quick" } else { "" };
    Ok(format!(
        "# What it costs\n\n\
         Made by `cargo xtask bench{option}` on {}, {count} CPUs ({model}), {} GiB, Linux {}.\n\n\
         Each program really reports, into a pipe, at an interval of one second, in a PID namespace of its own with so \
         many sleeping processes around it, all on one CPU. The programs take turns, and every figure is the median of \
         the rounds. CPU time is user and system time from the program's own CPU clock, which counts nanoseconds; a \
         sample is (T(k) - T(1)) / (k - 1), T(n) being the time used when the n-th report was out. Before every sample \
         a neighbour on the same CPU walks 96 MiB of memory, so that the caches are cold, as they are on a busy \
         machine once a second.{} System calls are the difference of two runs under strace -f -c. Elapsed times suffer from \
         whatever else the machine does; CPU times hardly do.\n\n\
         What watching costs others: a game is played alone, with the watcher, and alone again, on one CPU, many times; the \
         change is that of each triple, and the figure the median of them. Nobody's changes are what chance makes. The \
         players' time has the kernel's work on their behalf in it, counting and capturing included; the watcher's own \
         time is beside it. Promises of this kind bind the whole bench alone: a quick one has too few rounds.\n\n",
        date.trim_end(),
        kib >> 20,
        kernel.trim_end(),
        if quick {
            ""
        } else {
            " Ours has ten samples in each run, so that its look at the whole of /proc, every ten seconds, is in the mean."
        }
    ))
}
