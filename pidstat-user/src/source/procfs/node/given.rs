//! The tree of processes whose figures the kernel has handed over: what their files would say, without opening them.

use super::{Files, Node, Place, Target, Tree, parse, parse::text};
use crate::sample::{
    Host, Missing, Task,
    node::{Member, Value},
};
use std::{io, path::Path};

/// A command line of that many bytes may have been longer: the sample cuts it off there.
const CUT_BYTES: usize = 4095;

impl Tree {
    /// The tree of a sample's processes, as [`Tree::read`] would read it from `root` at that moment. Of a process whose
    /// figures do not say everything, `stat` is read now; other members are read when they are asked for.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn of(root: &Path, tasks: &[Task], host: &Host) -> io::Result<Tree> {
        let mut tree = Tree::empty(Files::open(root)?, Target::Process, tasks.len());
        for task in tasks.iter().filter(|task| task.is_process()) {
            let node =
                Node { at: Place::process(task.key.tgid), children: Vec::new(), members: Default::default() };
            let stat = match stat(task, host) {
                Some(stat) => stat,
                None => match tree.load(&node, Member::Stat) {
                    Ok(stat) if stat[0].integer().is_some() => stat,
                    Ok(_) => continue,
                    Err(why) => {
                        tree.count(Member::Stat, why);
                        continue;
                    }
                },
            };
            let _ = node.members[Member::Stat as usize].set(stat);
            if let Some(cmdline) = cmdline(task) {
                let _ = node.members[Member::Cmdline as usize].set(cmdline);
            }
            tree.nodes.push(node);
        }
        tree.link();
        Ok(tree)
    }
}

/// What `stat` would say; none if that is not known.
fn stat(task: &Task, host: &Host) -> Option<Box<[Value]>> {
    let control = task.control.ok()?;
    // The kernel prints 0 also where it measures nothing.
    let block_io_ns = match task.delays {
        Ok(delays) => delays.block_io_ns,
        Err(Missing::NotMeasured | Missing::NotInKernel) => 0,
        Err(_) => return None,
    };
    let tick_ns = 1_000_000_000 / host.clock_ticks.clamp(1, 1_000_000_000);
    let ticks = |ns: u64| Value::unsigned(ns / tick_ns);
    let (cpu, faults) = (&task.cpu, &task.faults);
    Some(Box::new([
        Value::Integer(task.key.tgid.into()),
        text(task.name()),
        text(&[task.state]),
        Value::Integer(task.ppid.into()),
        Value::Integer(control.group.into()),
        Value::Integer(control.session.into()),
        Value::Integer(control.terminal.into()),
        Value::Integer(control.foreground.into()),
        Value::Integer(control.flags.into()),
        Value::unsigned(faults.minor),
        Value::unsigned(faults.children_minor),
        Value::unsigned(faults.major),
        Value::unsigned(faults.children_major),
        ticks(cpu.user_ns),
        ticks(cpu.system_ns),
        ticks(cpu.children_user_ns),
        ticks(cpu.children_system_ns),
        Value::Integer(control.priority.into()),
        Value::Integer(control.nice.into()),
        Value::Integer(task.threads.into()),
        // Not used by the kernel since 2.6.17.
        Value::Integer(0),
        Value::unsigned(task.key.start_ticks),
        Value::unsigned(task.memory.virtual_bytes),
        Value::unsigned(task.memory.resident_bytes / host.page_bytes.max(1)),
        ticks(block_io_ns),
        ticks(cpu.guest_ns),
        ticks(cpu.children_guest_ns),
    ]))
}

/// What `cmdline` would say; none if the file must be asked: the sample does not tell an empty one from one that could not
/// be read.
fn cmdline(task: &Task) -> Option<Box<[Value]>> {
    match &task.cmdline {
        Some(line) if line.len() < CUT_BYTES => Some(parse::cmdline(line)),
        None if task.kernel_thread => Some(parse::cmdline(b"")),
        _ => None,
    }
}
