//! The tree of processes whose figures the kernel has handed over: what their files would say, without opening them.

use super::{Files, Members, Node, Place, Target, Tree, parse, parse::text};
use crate::sample::{
    Control, Delays, End, Exit, Host, Missing, Reading, Task,
    node::{Member, Value},
};
use std::{io, path::Path, rc::Rc};

/// A command line of that many bytes may have been longer: the sample cuts it off there.
const CUT_BYTES: usize = 4095;

impl Tree {
    /// The tree of a sample's processes, as [`Tree::read`] would read it from `root` at that moment. Of a process whose
    /// figures do not say everything, `stat` is read now; other members are read when they are asked for. What did not
    /// change since the sample `before` is taken from its tree.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn of(
        root: &Path,
        tasks: &[Task],
        host: &Host,
        before: Option<(&[Task], &Tree)>,
    ) -> io::Result<Tree> {
        let mut tree = Tree::empty(Files::open(root)?, Target::Process, tasks.len());
        let mut before = before.map(Before::new);
        for task in tasks.iter().filter(|task| task.is_process()) {
            let node =
                Node { at: Place::process(task.key.tgid), children: Vec::new(), members: Default::default() };
            if let Some(known) = before.as_mut().and_then(|before| before.unchanged(task)) {
                tree.nodes.push(Node { members: known, ..node });
                continue;
            }
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

impl Tree {
    /// Adds the processes of a sample that ended, where they would stand if they still lived.
    pub fn add_exited(&mut self, departed: &[Task], host: &Host) {
        for task in departed {
            let End::Exited(exit) = task.end else { continue };
            let node =
                Node { at: Place::process(task.key.tgid), children: Vec::new(), members: Default::default() };
            for member in Member::ALL {
                let values = match member {
                    Member::Stat => rest_of_stat(task, host),
                    // Nobody read it of one that was not there at a sample.
                    Member::Cmdline if task.cmdline.is_some() => {
                        parse::cmdline(task.cmdline.as_deref().unwrap_or_default())
                    }
                    Member::Exited => exited(task, exit),
                    // The number may be another process's by now.
                    _ => vec![Value::Missing(Missing::Gone); member.width()].into(),
                };
                let _ = node.members[member as usize].set(values);
            }
            self.nodes.push(node);
        }
        self.nodes.sort_by_key(Node::number);
        self.nodes.iter_mut().for_each(|node| node.children.clear());
        self.link();
    }
}

/// The fields of `stat` that are known of a process that ended.
fn rest_of_stat(task: &Task, host: &Host) -> Rc<[Value]> {
    /// pid, comm, state, ppid, then faults and times, and the start.
    const KNOWN: [usize; 14] = [0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15, 16, 21, 25];
    let mut whole = Task { delays: Ok(Delays::default()), ..task.clone() };
    whole.control = Ok(Control::default());
    let values = stat(&whole, host).unwrap_or_default();
    let known = |(at, value): (usize, &Value)| {
        if KNOWN.contains(&at) { value.clone() } else { Value::Missing(Missing::Gone) }
    };
    values.iter().enumerate().map(known).collect()
}

fn exited(task: &Task, exit: Exit) -> Rc<[Value]> {
    let or_missing = |reading: Reading<u64>| reading.map_or_else(Value::Missing, Value::unsigned);
    [
        Value::Integer(exit.code().into()),
        Value::Integer(exit.status.into()),
        Value::unsigned(exit.at_ns),
        Value::unsigned(task.cpu.user_ns),
        Value::unsigned(task.cpu.system_ns),
        Value::unsigned(task.memory.resident_bytes),
        or_missing(task.io.map(|io| io.read_bytes)),
        or_missing(task.io.map(|io| io.write_bytes)),
        or_missing(task.switches.map(|switches| switches.voluntary)),
        or_missing(task.switches.map(|switches| switches.involuntary)),
        or_missing(task.traffic.map(|traffic| traffic.rx_bytes)),
        or_missing(task.traffic.map(|traffic| traffic.tx_bytes)),
    ]
    .into()
}

/// The sample before and its tree, both ascending, each walked once.
struct Before<'a> {
    tasks: &'a [Task],
    nodes: &'a [Node],
}

impl<'a> Before<'a> {
    fn new((tasks, tree): (&'a [Task], &'a Tree)) -> Before<'a> {
        Before { tasks, nodes: &tree.nodes }
    }

    /// The members that follow from the figures of a process, if none of those moved.
    fn unchanged(&mut self, task: &Task) -> Option<Members> {
        let was = passed(&mut self.tasks, |was| was.key < task.key)?;
        let node = passed(&mut self.nodes, |node| node.number() < task.key.tgid)?;
        // Others were read from files at their time.
        if was != task || task.control.is_err() || node.number() != task.key.tgid || from_file(task) {
            return None;
        }
        let mut members = Members::default();
        for member in [Member::Stat, Member::Cmdline] {
            members[member as usize].clone_from(&node.members[member as usize]);
        }
        Some(members)
    }
}

/// Leaves out what comes before the one that is looked for; gives the first that does not.
fn passed<'a, T>(list: &mut &'a [T], before: impl Fn(&T) -> bool) -> Option<&'a T> {
    while let Some((first, rest)) = list.split_first() {
        if !before(first) {
            return Some(first);
        }
        *list = rest;
    }
    None
}

/// Whether the command line must be asked of the file: the sample does not tell an empty one from one that could not be
/// read, and cuts off long ones.
fn from_file(task: &Task) -> bool {
    match &task.cmdline {
        Some(line) => line.len() >= CUT_BYTES,
        None => !task.kernel_thread,
    }
}

/// What `stat` would say; none if that is not known.
fn stat(task: &Task, host: &Host) -> Option<Rc<[Value]>> {
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
    Some(Rc::new([
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

/// What `cmdline` would say; none if the file must be asked.
fn cmdline(task: &Task) -> Option<Rc<[Value]>> {
    (!from_file(task)).then(|| parse::cmdline(task.cmdline.as_deref().unwrap_or_default()))
}
