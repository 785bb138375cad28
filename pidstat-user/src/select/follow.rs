//! Processes that stay selected while they change: children, and restarts of the same command (`--follow`).

use super::Pattern;
use crate::{
    rate::Row,
    sample::{Sample, Task, TaskKey},
};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// What is followed, and whom that came to.
#[derive(Clone, Debug)]
pub struct Follow {
    from: From,
    /// The listed processes that were there at the first look, or what was started in their place.
    roots: Vec<Root>,
    /// Everybody chosen so far, the ended included: what they sent may be reported later.
    chosen: HashSet<TaskKey>,
    looked: bool,
}

/// Where following begins.
#[derive(Clone, Debug)]
pub enum From {
    /// At these processes.
    Pids(Vec<u32>),
    /// At every process whose name, or command line, matches.
    Name {
        /// The regular expression.
        pattern: Pattern,
        /// Whether the command line is tested where there is one.
        by_command_line: bool,
    },
}

/// A listed process.
#[derive(Clone, Debug)]
struct Root {
    key: TaskKey,
    name: Rc<[u8]>,
    command: Option<Rc<[u8]>>,
    /// Time since boot at which it was last there.
    seen_ns: u64,
}

/// Nanoseconds in a tick of start times.
const TICK_NS: u64 = 10_000_000;
/// More than are remembered when most of them have ended.
const MOST: usize = 100_000;

impl Follow {
    /// Nobody is chosen before the first look.
    pub fn new(from: From) -> Follow {
        Follow { from, roots: Vec::new(), chosen: HashSet::new(), looked: false }
    }

    /// The listed processes, before the first look.
    pub fn listed(&mut self) -> Option<&mut Vec<u32>> {
        match &mut self.from {
            From::Pids(pids) => Some(pids),
            From::Name { .. } => None,
        }
    }

    /// Whether the row's process is chosen.
    pub fn has(&self, row: &Row<'_>) -> bool {
        self.chosen.contains(&row.process.map_or(row.now.key, |process| process.key))
    }

    /// Whether none of the listed processes was there at the first look, so that there is nothing to follow.
    pub fn is_lost(&self) -> bool {
        matches!(self.from, From::Pids(_)) && self.looked && self.roots.is_empty()
    }

    /// Takes in who is there now.
    pub fn look(&mut self, sample: &Sample) {
        let processes: Vec<&Task> = sample.tasks.iter().filter(|task| task.is_process()).collect();
        match &self.from {
            From::Pids(pids) if !self.looked => {
                let listed = processes.iter().filter(|task| pids.binary_search(&task.key.tgid).is_ok());
                self.roots = listed.map(|task| Root::new(task, sample.uptime_ns)).collect();
            }
            From::Pids(_) => {
                for root in &mut self.roots {
                    root.look(&processes, sample.uptime_ns);
                }
            }
            From::Name { pattern, by_command_line } => {
                let matching = processes.iter().filter(|task| {
                    let line = task.cmdline.as_deref().filter(|_| *by_command_line);
                    pattern.is_match(line.unwrap_or_else(|| task.name()))
                });
                self.chosen.extend(matching.map(|task| task.key));
            }
        }
        self.looked = true;
        self.chosen.extend(self.roots.iter().map(|root| root.key));
        self.add_children(&processes);
        if self.chosen.len() > MOST {
            let live: HashSet<TaskKey> = processes.iter().map(|task| task.key).collect();
            self.chosen.retain(|key| live.contains(key));
        }
    }

    /// Chooses everybody whose parent is chosen, and theirs.
    fn add_children(&mut self, processes: &[&Task]) {
        let mut children: HashMap<u32, Vec<TaskKey>> = HashMap::new();
        for task in processes {
            children.entry(task.ppid).or_default().push(task.key);
        }
        let mut parents: Vec<u32> = processes
            .iter()
            .filter(|task| self.chosen.contains(&task.key))
            .map(|task| task.key.tgid)
            .collect();
        while let Some(parent) = parents.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                self.chosen.insert(child);
                parents.push(child.tgid);
            }
        }
    }
}

impl Root {
    fn new(task: &Task, now_ns: u64) -> Root {
        Root { key: task.key, name: task.name().into(), command: task.cmdline.clone(), seen_ns: now_ns }
    }

    /// Sees whether the process is still there, under whatever name; if not, whether it was started again: the oldest
    /// process of the same name and command line that began since it was last there.
    fn look(&mut self, processes: &[&Task], now_ns: u64) {
        if let Some(task) = processes.iter().find(|task| task.key == self.key) {
            *self = Root::new(task, now_ns);
            return;
        }
        let again = processes
            .iter()
            .filter(|task| task.name() == &self.name[..] && task.cmdline == self.command)
            .filter(|task| (task.key.start_ticks + 1).saturating_mul(TICK_NS) > self.seen_ns)
            .min_by_key(|task| task.key.start_ticks);
        if let Some(task) = again {
            *self = Root::new(task, now_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Comm, Missing};
    use regex::bytes::Regex;

    /// Processes by (pid, parent, start in seconds, name) at so many seconds since boot.
    fn sample(seconds: u64, processes: &[(u32, u32, u64, &str)]) -> Sample {
        let task = |(pid, ppid, start, name): &(u32, u32, u64, &str)| {
            let key = TaskKey { tgid: *pid, tid: 0, start_ticks: start * 100 };
            Task { ppid: *ppid, ..Task::blank(key, Comm::new(name.as_bytes()), Missing::NotAsked) }
        };
        Sample {
            uptime_ns: seconds * 1_000_000_000,
            tasks: processes.iter().map(task).collect(),
            ..Sample::default()
        }
    }

    fn chosen(follow: &Follow, sample: &Sample) -> Vec<u32> {
        let chosen = sample.tasks.iter().filter(|task| follow.chosen.contains(&task.key));
        chosen.map(|task| task.key.tgid).collect()
    }

    #[test]
    fn children_stay_though_their_parent_goes() {
        let mut follow = Follow::new(From::Pids(vec![10]));
        let first =
            sample(100, &[(1, 0, 0, "init"), (10, 1, 1, "make"), (12, 11, 3, "cc"), (11, 10, 2, "sh")]);
        follow.look(&first);
        assert_eq!(chosen(&follow, &first), [10, 12, 11]);
        let second =
            sample(101, &[(1, 0, 0, "init"), (12, 1, 3, "cc"), (13, 12, 100, "as"), (14, 1, 100, "other")]);
        follow.look(&second);
        assert_eq!(chosen(&follow, &second), [12, 13]);
    }

    #[test]
    fn a_restart_takes_the_place_of_what_ended() {
        let mut follow = Follow::new(From::Pids(vec![10]));
        follow.look(&sample(100, &[(10, 1, 1, "server"), (20, 1, 1, "server")]));
        let gone = sample(101, &[(20, 1, 1, "server")]);
        follow.look(&gone);
        assert!(chosen(&follow, &gone).is_empty(), "the other server is older");
        let again = sample(103, &[(20, 1, 1, "server"), (30, 1, 102, "server"), (31, 30, 102, "server")]);
        follow.look(&again);
        assert_eq!(chosen(&follow, &again), [30, 31]);
        let reused = sample(105, &[(10, 1, 104, "stranger"), (20, 1, 1, "server"), (30, 1, 102, "server")]);
        follow.look(&reused);
        assert_eq!(chosen(&follow, &reused), [30]);
    }

    #[test]
    fn names_choose_whoever_has_them_whenever() {
        let pattern = Regex::new("^serv").unwrap().into();
        let mut follow = Follow::new(From::Name { pattern, by_command_line: false });
        let first = sample(100, &[(10, 1, 1, "server"), (11, 10, 2, "helper"), (12, 1, 3, "other")]);
        follow.look(&first);
        assert_eq!(chosen(&follow, &first), [10, 11]);
        let second = sample(101, &[(11, 1, 2, "helper"), (13, 1, 100, "server")]);
        follow.look(&second);
        assert_eq!(chosen(&follow, &second), [11, 13]);
        assert!(!follow.is_lost());
    }

    #[test]
    fn a_list_of_nobody_is_lost() {
        let mut follow = Follow::new(From::Pids(vec![99]));
        assert!(!follow.is_lost());
        follow.look(&sample(100, &[(10, 1, 1, "server")]));
        assert!(follow.is_lost());
    }
}
