//! Sums over a run of the amounts whose average is a mean, task by task.

use crate::sample::{Sample, Task, TaskKey};

/// What one task added up to over the samples in which it existed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Samples in which it existed.
    pub samples: u32,
    /// Of virtual memory, in KiB.
    pub virtual_kib: u64,
    /// Of resident memory, in KiB.
    pub resident_kib: u64,
    /// Of the stack mapping, in KiB.
    pub stack_size_kib: u64,
    /// Of the referenced stack, in KiB.
    pub stack_referenced_kib: u64,
    /// Of threads.
    pub threads: u64,
    /// Of open descriptors.
    pub fds: u64,
}

impl Sums {
    fn add(&mut self, task: &Task) {
        self.samples += 1;
        let add = |sum: &mut u64, part: u64| *sum = sum.saturating_add(part);
        add(&mut self.virtual_kib, task.memory.virtual_bytes >> 10);
        add(&mut self.resident_kib, task.memory.resident_bytes >> 10);
        add(&mut self.threads, u64::from(task.threads));
        if let Ok(stack) = task.stack {
            add(&mut self.stack_size_kib, stack.size_kib);
            add(&mut self.stack_referenced_kib, stack.referenced_kib);
        }
        add(&mut self.fds, task.fds.map_or(0, u64::from));
    }
}

/// The sums of every task that exists, in the order of the samples.
#[derive(Clone, Debug, Default)]
pub struct Averages {
    sums: Vec<(TaskKey, Sums)>,
}

impl Averages {
    /// Takes a sample in; tasks that are gone are forgotten, as they cannot be in the last sample.
    pub fn add(&mut self, sample: &Sample) {
        // Most samples have the tasks of the one before, at the same places.
        let mut same = 0;
        for ((key, sums), task) in self.sums.iter_mut().zip(&sample.tasks) {
            if *key != task.key {
                break;
            }
            sums.add(task);
            same += 1;
        }
        let mut old = self.sums.split_off(same).into_iter().peekable();
        for task in &sample.tasks[same..] {
            while old.next_if(|(key, _)| *key < task.key).is_some() {}
            let known = old.next_if(|(key, _)| *key == task.key);
            let mut sums = known.map_or_else(Sums::default, |(_, sums)| sums);
            sums.add(task);
            self.sums.push((task.key, sums));
        }
    }

    /// The sums of a task.
    pub fn of(&self, key: TaskKey) -> Option<&Sums> {
        self.sums.binary_search_by(|(other, _)| other.cmp(&key)).ok().map(|at| &self.sums[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Comm, Missing};

    #[test]
    fn sums_follow_a_task_and_forget_the_gone() {
        let mut task =
            Task::blank(TaskKey { tgid: 3, tid: 0, start_ticks: 1 }, Comm::default(), Missing::NotAsked);
        let mut averages = Averages::default();
        for kib in [10, 20] {
            task.memory.virtual_bytes = kib << 10;
            averages.add(&Sample { tasks: vec![task.clone()], ..Sample::default() });
        }
        let sums = averages.of(task.key).unwrap();
        assert_eq!((sums.samples, sums.virtual_kib), (2, 30));
        averages.add(&Sample::default());
        assert_eq!(averages.of(task.key), None);
    }
}
