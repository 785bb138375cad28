//! Puts what taskstats knows of delays into the rows of a sample.

use super::{Stats, Taskstats, Unavailable, Whom};
use crate::sample::{Missing, Task, Waits};

/// How the kernel is told to measure.
pub const REMEDY: &str = "sysctl kernel.task_delayacct=1 (or --delayacct, for this run) has it measure the rest, of \
                          processes that are started from then on";

/// Fills rows, sample by sample.
#[derive(Debug)]
pub struct Filler {
    line: Result<Taskstats, Unavailable>,
    /// Whether the rows say of every task that is not measured that it is not.
    exact: bool,
    /// Start of the oldest task that was certainly measured; whoever is younger was, too.
    measured_since: Option<u64>,
    whom: Vec<Whom>,
    /// Rows that were never delayed, or are not measured.
    doubtful: Vec<usize>,
}

impl Filler {
    /// Opens the line. With `exact` a row whose `delays` are there is one of a task that the kernel measures.
    pub fn open(exact: bool) -> Filler {
        Filler {
            line: Taskstats::open(),
            exact,
            measured_since: None,
            whom: Vec::new(),
            doubtful: Vec::new(),
        }
    }

    /// What the user should know: why there are none, or how to have them measured if the switch is off.
    pub fn note(&self, switched_on: Option<bool>) -> Option<String> {
        match (&self.line, switched_on) {
            (Err(why), _) => Some(format!("delays are not read but for the run queue's: {why}")),
            (Ok(_), Some(false)) => Some(format!(
                "kernel.task_delayacct is 0, so only run queue delays are measured of most processes; {REMEDY}"
            )),
            _ => None,
        }
    }

    /// Asks the kernel about every row.
    pub fn fill(&mut self, tasks: &mut [Task]) {
        let line = match &mut self.line {
            Ok(line) => line,
            Err(why) => {
                let missing = Missing::from(&*why);
                tasks.iter_mut().for_each(|task| task.waits = Err(missing));
                return;
            }
        };
        self.whom.clear();
        self.whom.extend(tasks.iter().map(|task| match task.key {
            key if key.tid == 0 => Whom::Process(key.tgid),
            key => Whom::Thread(key.tid),
        }));
        self.doubtful.clear();
        // Whoever gets no answer has ended.
        tasks.iter_mut().for_each(|task| task.waits = Err(Missing::Gone));
        let (since, doubtful) = (&mut self.measured_since, &mut self.doubtful);
        let asked = line.ask(&self.whom, |at, answer| {
            let Some(task) = tasks.get_mut(at) else { return };
            task.waits = answer.map(|stats| {
                if stats.measured() {
                    *since =
                        Some(since.map_or(task.key.start_ticks, |since| since.min(task.key.start_ticks)));
                } else {
                    doubtful.push(at);
                }
                waits(&stats)
            });
        });
        if let Err(error) = asked {
            self.line = Err(Unavailable::Failed(error));
        }
        for at in self.doubtful.drain(..) {
            let task = &mut tasks[at];
            let young = self.measured_since.is_some_and(|since| task.key.start_ticks >= since);
            if task.delays == Err(Missing::NotMeasured) || !(self.exact || young) {
                task.waits = Err(Missing::NotMeasured);
            }
        }
    }
}

fn waits(stats: &Stats) -> Waits {
    let total = |delay: Option<super::Delay>| delay.map(|delay| delay.total_ns);
    Waits {
        block_io_ns: stats.block_io.total_ns,
        swap_in_ns: stats.swap_in.total_ns,
        reclaim_ns: total(stats.reclaim),
        thrashing_ns: total(stats.thrashing),
        compaction_ns: total(stats.compaction),
        write_copy_ns: total(stats.write_copy),
        interrupt_ns: total(stats.interrupt),
    }
}
