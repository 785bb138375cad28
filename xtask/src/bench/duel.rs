//! What watching costs those who are watched: a game is played alone, with a watcher, and alone again, many times over.
//!
//! The change is that of each triple, and the figure is the median over the rounds: what else the machine does then moves
//! all three alike, or falls out. One watcher is nobody, whose changes are what chance makes of them.

use super::{
    arena::{self, Population},
    measure::cpu_ms,
    results::median,
};
use crate::command::{self, output};
use anyhow::{Context, Result, bail};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Something that is played; returns its figure.
pub struct Game {
    /// Its name, and the unit of its figure.
    pub name: &'static str,
    pub play: fn() -> Result<f64>,
}

/// Someone who watches, as one would type it; `kpidstat` is the one that was built, `nobody` is nobody.
pub type Watcher = &'static str;

/// One game with one watcher.
#[derive(Clone, Copy, Debug)]
struct Round {
    watcher: usize,
    game: usize,
    /// Mean of the figures without the watcher, before and after.
    alone: f64,
    watched: f64,
    /// CPU time of the watcher while the game went on.
    own_ms: f64,
    /// How long the game took.
    wall_ms: f64,
}

/// Everything that was played.
pub struct Duel {
    rounds: Vec<Round>,
    /// Which watcher is absent, and why.
    pub absent: Vec<(String, String)>,
}

impl Duel {
    /// Plays these rounds, in each of them every game with every watcher.
    ///
    /// # Errors
    /// A game could not be played.
    pub fn play(
        kpidstat: &Path,
        population: Population,
        watchers: &[Watcher],
        games: &[Game],
        rounds: impl Iterator<Item = usize>,
    ) -> Result<Duel> {
        let said = arena::within(population, true, |out| {
            let mut absent = vec![false; watchers.len()];
            for round in rounds {
                for step in 0..watchers.len() {
                    // Each round begins with another one, and with another game.
                    let number = (step + round) % watchers.len();
                    if absent[number] {
                        continue;
                    }
                    let alone = || games.iter().map(|game| (game.play)()).collect::<Result<Vec<f64>>>();
                    let before = alone()?;
                    let mut watcher = match Watching::start(watchers[number], kpidstat) {
                        Ok(watcher) => watcher,
                        Err(why) => {
                            absent[number] = true;
                            writeln!(out, "absent\t{number}\t{why:#}")?;
                            continue;
                        }
                    };
                    let mut with = vec![(0.0, 0.0, 0.0); games.len()];
                    for step in 0..games.len() {
                        let game = (step + round) % games.len();
                        let (used, began) = (watcher.cpu_ms()?, Instant::now());
                        let figure = (games[game].play)()?;
                        let wall_ms = began.elapsed().as_secs_f64() * 1e3;
                        // What was captured is worked on after it happened.
                        thread::sleep(Duration::from_millis(200));
                        with[game] = (figure, watcher.cpu_ms()? - used, wall_ms);
                    }
                    drop(watcher);
                    let after = alone()?;
                    for (game, (watched, own_ms, wall_ms)) in with.into_iter().enumerate() {
                        let alone = f64::midpoint(before[game], after[game]);
                        writeln!(out, "round\t{number}\t{game}\t{alone}\t{watched}\t{own_ms}\t{wall_ms}")?;
                    }
                }
            }
            Ok(())
        })?;
        let mut duel = Duel { rounds: Vec::new(), absent: Vec::new() };
        for line in said.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            match words.as_slice() {
                ["round", watcher, game, alone, watched, own_ms, wall_ms] => duel.rounds.push(Round {
                    watcher: watcher.parse()?,
                    game: game.parse()?,
                    alone: alone.parse()?,
                    watched: watched.parse()?,
                    own_ms: own_ms.parse()?,
                    wall_ms: wall_ms.parse()?,
                }),
                ["absent", watcher, why] => {
                    duel.absent.push((watchers[watcher.parse::<usize>()?].to_owned(), (*why).to_owned()));
                }
                _ => bail!("the arena said {line:?}"),
            }
        }
        Ok(duel)
    }

    fn of(&self, watcher: usize, game: usize, figure: impl Fn(&Round) -> f64) -> Vec<f64> {
        let rounds = self.rounds.iter().filter(|round| round.watcher == watcher && round.game == game);
        rounds.map(figure).collect()
    }

    /// Median of the figure with a watcher.
    pub fn watched(&self, watcher: usize, game: usize) -> Option<f64> {
        median(self.of(watcher, game, |round| round.watched))
    }

    /// By how many percent the watcher raises a game's figure.
    pub fn change_pct(&self, watcher: usize, game: usize) -> Option<f64> {
        median(self.of(watcher, game, Round::change_pct))
    }

    /// How far the median of so many changes may lie from zero by chance, in percent: twice its standard error, by the
    /// spread of the changes that nobody made.
    pub fn noise_pct(&self, nobody: usize, game: usize) -> Option<f64> {
        let deviations: Vec<f64> = self.of(nobody, game, |round| round.change_pct().abs());
        let count = deviations.len();
        // The median deviation of a normal distribution is 0.674 standard deviations; a median's error is 1.25 of a mean's.
        Some(2.0 * 1.25 * median(deviations)? / 0.674 / (count as f64).sqrt())
    }

    /// CPU time of the watcher itself as a share of a core while the game went on, in percent.
    pub fn own_pct(&self, watcher: usize, game: usize) -> Option<f64> {
        let own: f64 = self.of(watcher, game, |round| round.own_ms).iter().sum();
        let wall: f64 = self.of(watcher, game, |round| round.wall_ms).iter().sum();
        (wall > 0.0).then(|| own / wall * 100.0)
    }

    /// A table: each watcher's change of each game, and its own share of a core.
    pub fn table(&self, watchers: &[Watcher], games: &[Game]) -> (Vec<String>, Vec<Vec<String>>) {
        let mut head = vec!["who watches".to_owned()];
        for game in games {
            head.extend([game.name.to_owned(), "the watcher itself".to_owned()]);
        }
        let dash = || "–".to_owned();
        let rows = watchers.iter().enumerate().map(|(watcher, name)| {
            let mut row = vec![format!("`{name}`")];
            for game in 0..games.len() {
                let figures = self.watched(watcher, game).zip(self.change_pct(watcher, game));
                row.push(
                    figures.map_or_else(dash, |(figure, change)| format!("{figure:.2} ({change:+.1} %)")),
                );
                let own = self.own_pct(watcher, game).filter(|own| *own > 0.0);
                row.push(own.map_or_else(dash, |own| format!("{own:.2} % of a core")));
            }
            row
        });
        (head, rows.collect())
    }
}

impl Round {
    fn change_pct(&self) -> f64 {
        (self.watched / self.alone - 1.0) * 100.0
    }
}

/// A watcher at work; nobody has no process.
struct Watching(Option<Child>);

impl Watching {
    /// Starts it and returns when it watches.
    fn start(name: Watcher, kpidstat: &Path) -> Result<Watching> {
        let mut words = name.split(' ');
        let mut command = match words.next().unwrap_or_default() {
            "nobody" => {
                thread::sleep(STARTING);
                return Ok(Watching(None));
            }
            "kpidstat" => Command::new(kpidstat),
            other if !command::has(other) => bail!("it is not installed"),
            other => Command::new(other),
        };
        command.args(words);
        if command.get_program() == kpidstat {
            if !name.ends_with("--net pcap 1") {
                // eBPF or nothing: a run that fell back must not count.
                command.args(["--source", "ebpf"]);
            }
            if name.contains(" -n") {
                rung(&command)?;
            }
        }
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watching = Watching(Some(quiet.spawn().with_context(|| name.to_owned())?));
        thread::sleep(STARTING);
        if let Some(child) = &mut watching.0
            && let Some(status) = child.try_wait()?
        {
            bail!("it ended at once ({status})");
        }
        Ok(watching)
    }

    fn cpu_ms(&mut self) -> Result<f64> {
        match &self.0 {
            Some(child) => cpu_ms(libc::pid_t::try_from(child.id())?),
            None => Ok(0.0),
        }
    }
}

/// How long a watcher may take until it watches.
const STARTING: Duration = Duration::from_millis(800);

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Makes sure that our own program counts traffic here when it is started so.
fn rung(like: &Command) -> Result<()> {
    let mut command = Command::new(like.get_program());
    // Its arguments are options and the interval.
    let options = like.get_args().filter(|word| *word != "1");
    let said = output(command.args(options).args(["-o", "ndjson", "0.1", "1"]))?;
    if said.contains("\"net_rung\": \"") {
        return Ok(());
    }
    let reason = said.split("\"net_reason\": \"").nth(1).and_then(|rest| rest.split('"').next());
    bail!("no rung: {}", reason.unwrap_or("this build counts no traffic"));
}

/// CPU time of two players, in microseconds.
///
/// # Errors
/// They could not be started.
pub fn both(
    one: impl FnOnce() -> std::io::Result<()>,
    other: impl FnOnce() -> std::io::Result<()>,
) -> Result<f64> {
    let failed = |done: std::io::Result<()>| {
        if let Err(why) = done {
            eprintln!("xtask: {why}");
        }
    };
    let one = arena::fork(|| failed(one()))?;
    let other = arena::fork(|| failed(other()))?;
    Ok((arena::wait(one) + arena::wait(other)) * 1e3)
}
