//! Which process has a socket: descriptors of all processes by inode number, looked at no more than is needed.
//!
//! A look at all descriptors is dear. So whoever opened a connection last is asked first, then the processes that were
//! born last, and everybody only when a sample is taken.

use crate::{
    sample::{Facts, Host, Missing, TaskKey, Want, socket::User},
    source::procfs::Reader,
};
use std::{
    collections::{HashMap, VecDeque},
    io,
    path::Path,
    time::{Duration, Instant},
};

/// Processes that are asked first.
const RECENT: usize = 8;
/// Numbers below the last one that was given out, which are asked next.
const YOUNG: u32 = 16;
/// Which part of the time may go into looking between two samples.
const SHARE: u32 = 8;
/// Inodes that are remembered; more sockets than live at a time on nearly every machine.
const MOST: usize = 1 << 18;
/// Rounds after which a process' network namespace is looked at again.
const NAMESPACE_AGAIN: u32 = 8;

/// A process with its name.
pub type Owner = (TaskKey, User);

/// The book of descriptors.
#[derive(Debug)]
pub struct Owners {
    reader: Reader,
    host: Host,
    of_inode: HashMap<u64, Owner>,
    recent: VecDeque<u32>,
    /// Time that may still be spent before the next sample, and when that was last made more.
    left: Duration,
    earned: Instant,
    pids: Vec<u32>,
    /// The namespace of each process, and in which round it was looked at.
    spaces: HashMap<u32, (u32, u32)>,
    round: u32,
}

impl Owners {
    /// For the processes of a proc directory.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(proc_root: &Path, host: Host) -> io::Result<Owners> {
        Ok(Owners {
            reader: Reader::open(proc_root)?,
            host,
            of_inode: HashMap::new(),
            recent: VecDeque::new(),
            left: Duration::from_millis(20),
            earned: Instant::now(),
            pids: Vec::new(),
            spaces: HashMap::new(),
            round: 0,
        })
    }

    /// Who has a socket, if that is known or found at once.
    pub fn of(&mut self, inode: u64) -> Option<Owner> {
        if let Some(owner) = self.of_inode.get(&inode) {
            return Some(*owner);
        }
        let begun = Instant::now();
        let earned = begun.duration_since(std::mem::replace(&mut self.earned, begun)) / SHARE;
        self.left = (self.left + earned).min(Duration::from_millis(100));
        if self.left.is_zero() {
            return None;
        }
        let last = self.reader.last_pid().unwrap_or(0);
        let recent: Vec<u32> = self.recent.iter().copied().collect();
        // A number may be a thread's: it has a directory, too.
        let young: Vec<u32> = (last.saturating_sub(YOUNG)..=last)
            .rev()
            .filter_map(|number| self.reader.process_of(number))
            .collect();
        let mut found = None;
        for pid in recent.into_iter().chain(young) {
            self.look(pid);
            found = self.of_inode.get(&inode).copied();
            if found.is_some() || begun.elapsed() > self.left {
                break;
            }
        }
        self.left = self.left.saturating_sub(begun.elapsed());
        if let Some((key, _)) = found {
            self.recent.retain(|pid| *pid != key.tgid);
            self.recent.push_front(key.tgid);
            self.recent.truncate(RECENT);
        }
        found
    }

    /// Looks at every descriptor of every process.
    pub fn look_everywhere(&mut self) {
        // What is gone goes with it.
        self.of_inode.clear();
        let mut pids = std::mem::take(&mut self.pids);
        if self.reader.pids(&mut pids).is_ok() {
            for pid in &pids {
                self.look(*pid);
            }
        }
        self.pids = pids;
    }

    /// Takes over which sockets a process has.
    fn look(&mut self, pid: u32) {
        let mut inodes = Vec::new();
        if self.reader.sockets(pid, |inode| inodes.push(inode)).is_err() || inodes.is_empty() {
            return;
        }
        // A process that was replaced by another of its number has other inodes.
        let known =
            inodes.iter().find_map(|inode| self.of_inode.get(inode)).filter(|owner| owner.0.tgid == pid);
        let owner = known.copied().or_else(|| self.identity(pid));
        let Some(owner) = owner else { return };
        if self.of_inode.len() + inodes.len() > MOST {
            self.of_inode.clear();
        }
        self.of_inode.extend(inodes.into_iter().map(|inode| (inode, owner)));
    }

    fn identity(&mut self, pid: u32) -> Option<Owner> {
        let want = Want { facts: Facts::OWNER, ..Want::default() };
        let task = self.reader.row(pid, &want, &self.host).ok()?;
        Some((task.key, User { comm: task.comm, uid: task.uid }))
    }

    /// Every network namespace that a process is in, and such a process.
    pub fn spaces(&mut self) -> HashMap<u32, u32> {
        self.round += 1;
        let mut pids = std::mem::take(&mut self.pids);
        let mut found = HashMap::new();
        if self.reader.pids(&mut pids).is_ok() {
            for pid in &pids {
                let known = self.spaces.get(pid).copied();
                let due = known.is_none_or(|(_, round)| round + NAMESPACE_AGAIN <= self.round);
                let space = match known {
                    Some((space, _)) if !due => Ok(space),
                    _ => self.reader.network_namespace(*pid).inspect(|space| {
                        // Not all in the same round.
                        let early = if known.is_none() { pid % NAMESPACE_AGAIN } else { 0 };
                        self.spaces.insert(*pid, (*space, self.round.saturating_sub(early)));
                    }),
                };
                if let Ok(space) = space {
                    found.insert(space, *pid);
                }
            }
            self.spaces.retain(|pid, _| pids.binary_search(pid).is_ok());
        }
        self.pids = pids;
        found
    }

    /// The reader, for whoever wants other files.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Whether this user may see the descriptors of others.
    pub fn sees_all(&mut self) -> bool {
        self.reader.sockets(1, |_| {}) != Err(Missing::NoPermission)
    }
}
