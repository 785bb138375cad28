//! The process tree of one instant: every process or thread, who is whose child, and members that are read when looked at.
//!
//! [`Tree::read`] reads `stat` of every process, nothing else. Whatever else a node has is read when it is first asked
//! for, once, so that a query which selects by `stat` opens no other file, and an answer of three processes opens theirs
//! only.
//!
//! Where the kernel has handed the figures over already, [`Tree::of`] makes the same of them and opens no file at all.
//!
//! The flat table of the tree, which recordings hold and SQL reads, has the columns of [`columns`] and a row for every node
//! of [`Tree::flat`]; the cell of both is [`Tree::value`]:
//!
//! ```
//! use pidstat_user::{sample::node::{columns, Member}, source::procfs::node::{Target, Tree}};
//! # fn main() -> std::io::Result<()> {
//! let tree = Tree::read(pidstat_user::source::procfs::PROC_ROOT.as_ref(), Target::Process)?;
//! let columns = columns(&[Member::Stat, Member::Cmdline]);
//! for node in tree.flat(tree.roots()) {
//!     let row: Vec<_> = columns.iter().map(|column| tree.value(node, column)).collect();
//! #   assert_eq!(row.len(), 28);
//! }
//! # Ok(())
//! # }
//! ```

mod branch;
mod given;
mod members;
mod parse;
mod sockets;

use super::{
    files::{Files, Place, Refusal},
    number,
};
use crate::sample::{
    Missing,
    node::{Column, Member, Value},
};
use sockets::Told;
use std::{
    cell::{Cell, OnceCell, RefCell},
    io,
    path::Path,
    rc::Rc,
};

pub use crate::sample::node::columns;

/// What the nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Processes, from `PID/FILE`.
    #[default]
    Process,
    /// Threads, from `PID/task/TID/FILE`. They are siblings of their process's main thread, and all children of the
    /// process are the main thread's.
    Thread,
}

/// A node, by its place in [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// How often a member could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// The kernel refused it: [`Missing::NoPermission`].
    pub refused: u32,
    /// The process ended first: [`Missing::Gone`].
    pub gone: u32,
}

/// The process tree of one instant.
#[derive(Debug)]
pub struct Tree {
    files: RefCell<Files>,
    sockets: RefCell<Told>,
    target: Target,
    nodes: Vec<Node>,
    roots: Vec<NodeId>,
    unread: [Cell<Unread>; Member::ALL.len()],
}

#[derive(Debug)]
struct Node {
    at: Place,
    children: Vec<NodeId>,
    members: Members,
}

/// The members that were looked at; shared with the tree of the sample before, where nothing changed.
type Members = [OnceCell<Rc<[Value]>>; Member::ALL.len()];

impl Tree {
    /// Reads `stat` of everything below a proc directory: `/proc`, or a copy of one. A process that ends meanwhile, or
    /// whose `stat` cannot be read or is no whole line, has no node.
    ///
    /// A node is the child of the node whose number is its `ppid`; without one it is a root. Nodes stand in the order of
    /// the directory, which in a real procfs is that of the numbers; threads always in that of the numbers.
    ///
    /// # Errors
    /// The directory cannot be opened or listed.
    pub fn read(root: &Path, target: Target) -> io::Result<Tree> {
        let mut files = Files::open(root)?;
        let places = places(&mut files, target)?;
        let mut tree = Tree::empty(files, target, places.len());
        for at in places {
            let node = Node { at, children: Vec::new(), members: Default::default() };
            match tree.load(&node, Member::Stat) {
                Ok(stat) if stat[0].integer().is_some() => {
                    let _ = node.members[Member::Stat as usize].set(stat);
                    tree.nodes.push(node);
                }
                Ok(_) => {}
                Err(why) => tree.count(Member::Stat, why),
            }
        }
        tree.link();
        Ok(tree)
    }

    /// A tree of nothing yet.
    fn empty(files: Files, target: Target, room: usize) -> Tree {
        Tree {
            files: RefCell::new(files),
            sockets: RefCell::default(),
            target,
            nodes: Vec::with_capacity(room),
            roots: Vec::new(),
            unread: Default::default(),
        }
    }

    /// Leaves the node of a number out, and with it nothing else: its children become roots.
    pub fn without(mut self, number: u32) -> Tree {
        self.nodes.retain(|node| node.number() != number);
        self.nodes.iter_mut().for_each(|node| node.children.clear());
        self.link();
        self
    }

    /// The nodes without a parent, in order.
    pub fn roots(&self) -> &[NodeId] {
        &self.roots
    }

    /// The children of a node, in order.
    pub fn children(&self, node: NodeId) -> &[NodeId] {
        &self.node(node).children
    }

    /// The number of nodes, those included that no root leads to.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The process, or the thread, that a node is.
    pub fn number(&self, node: NodeId) -> u32 {
        self.node(node).number()
    }

    /// All values of a member, one for each of its fields, or one if it is a text; read now if it was not before. If the
    /// file cannot be had, all are [`Value::Missing`] with the reason, and [`Tree::unread`] counts it.
    pub fn values(&self, node: NodeId, member: Member) -> &[Value] {
        let node = self.node(node);
        node.members[member as usize].get_or_init(|| {
            self.load(node, member).unwrap_or_else(|why| {
                self.count(member, why);
                vec![Value::Missing(why); member.width()].into()
            })
        })
    }

    /// The cell of a node's row in a column of [`columns`].
    pub fn value(&self, node: NodeId, column: &Column) -> &Value {
        &self.values(node, column.member)[column.at]
    }

    /// These nodes and all their descendants, each once, every parent before its children: the rows of the flat table.
    pub fn flat(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        let mut flat = Vec::with_capacity(self.nodes.len());
        let mut stack: Vec<NodeId> = nodes.iter().rev().copied().collect();
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut seen[node.0 as usize], true) {
                flat.push(node);
                stack.extend(self.children(node).iter().rev());
            }
        }
        flat
    }

    /// How often a member could not be read so far.
    pub fn unread(&self, member: Member) -> Unread {
        self.unread[member as usize].get()
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    fn load(&self, node: &Node, member: Member) -> Result<Rc<[Value]>, Missing> {
        let mut files = self.files.borrow_mut();
        if member == Member::Net {
            return self.sockets.borrow_mut().read(&mut files, node.at);
        }
        members::read(
            &mut files,
            node.at,
            self.target,
            member,
            node.members[Member::Stat as usize].get().map(|stat| &**stat),
        )
    }

    fn count(&self, member: Member, why: Missing) {
        let cell = &self.unread[member as usize];
        let mut unread = cell.get();
        match why {
            Missing::NoPermission => unread.refused += 1,
            Missing::Gone => unread.gone += 1,
            _ => return,
        }
        cell.set(unread);
    }

    /// The number of each node's parent; 0 if it has none.
    fn parent_number(&self, id: NodeId) -> u32 {
        /// The place of `ppid` among the fields of `stat`.
        const PPID: usize = 3;
        let stat = self.node(id).members[Member::Stat as usize].get();
        let ppid = stat.and_then(|stat| stat[PPID].integer());
        ppid.and_then(|ppid| u32::try_from(ppid).ok()).unwrap_or(0)
    }

    /// Finds everybody's parent.
    fn link(&mut self) {
        let mut numbers: Vec<(u32, NodeId)> = self.ids().map(|id| (self.number(id), id)).collect();
        numbers.sort_by_key(|(number, _)| *number);
        self.roots.clear();
        for id in self.ids() {
            let parent = self.parent_number(id);
            // Of two nodes with one number, which no kernel shows, the last is the parent.
            let after = numbers.partition_point(|(number, _)| *number <= parent);
            match numbers[..after].last().filter(|(number, _)| *number == parent) {
                Some((_, parent)) => self.nodes[parent.0 as usize].children.push(id),
                None => self.roots.push(id),
            }
        }
    }
}

impl Node {
    fn number(&self) -> u32 {
        if self.at.tid == 0 { self.at.pid } else { self.at.tid }
    }
}

/// Where the files of every node are.
fn places(files: &mut Files, target: Target) -> io::Result<Vec<Place>> {
    let io = |refusal: Refusal| io::Error::from_raw_os_error(refusal.0);
    let mut places = Vec::new();
    files.list_root(|name| places.extend(number::entry(name).map(Place::process))).map_err(io)?;
    if target == Target::Process {
        return Ok(places);
    }
    let mut threads = Vec::new();
    for Place { pid, .. } in places {
        // Whose threads cannot be listed has ended.
        let _ = files.list(Place::process(pid), "task", |name| {
            threads.extend(number::entry(name).map(|tid| Place { pid, tid }));
        });
    }
    threads.sort_by_key(|place| place.tid);
    Ok(threads)
}

#[cfg(test)]
mod tests;
