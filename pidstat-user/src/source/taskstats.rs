//! The kernel's taskstats over generic netlink: delays of threads and processes, and the last word on threads that end.
//!
//! It needs CAP_NET_ADMIN in the initial user namespace. Numbers are those of the PID namespace of who asks.

mod exits;
pub mod layout;
pub mod message;
pub mod waits;

pub use exits::Exits;
pub use layout::{Delay, Stats};

use super::netlink::{Message, attributes, messages};
use crate::sample::{Missing, Reading};
use message::FAMILY_HEADER;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use std::io;

const FAMILY: &[u8] = b"TASKSTATS\0";
/// `TASKSTATS_CMD_ATTR_PID` and `TASKSTATS_CMD_ATTR_TGID`.
const ASK_THREAD: u16 = 1;
const ASK_PROCESS: u16 = 2;
/// `TASKSTATS_TYPE_STATS`, `TASKSTATS_TYPE_AGGR_PID` and `TASKSTATS_TYPE_AGGR_TGID`.
const STATS: u16 = 3;
const OF_THREAD: u16 = 4;
const OF_PROCESS: u16 = 5;
/// So many answers fit into the receive buffer that every kernel gives.
const AT_ONCE: usize = 48;

/// Why taskstats cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The kernel refused.
    #[error("the kernel gives taskstats to root only (CAP_NET_ADMIN)")]
    NoPermission,
    /// The family is not there.
    #[error("this kernel has no taskstats (CONFIG_TASKSTATS), or does not show it in this network namespace")]
    NotThere,
    /// Something else failed.
    #[error("taskstats: {0}")]
    Failed(#[from] io::Error),
}

impl From<&Unavailable> for Missing {
    fn from(why: &Unavailable) -> Missing {
        match why {
            Unavailable::NoPermission => Missing::NoPermission,
            Unavailable::NotThere => Missing::NotInKernel,
            Unavailable::Failed(_) => Missing::NotInSource,
        }
    }
}

/// Whom a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// One thread, by its number.
    Thread(u32),
    /// A process with all its threads, the ended included.
    Process(u32),
}

/// A line to the kernel.
pub struct Taskstats {
    line: Line,
}

impl std::fmt::Debug for Taskstats {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Taskstats").field("family", &self.line.family).finish_non_exhaustive()
    }
}

impl Taskstats {
    /// Opens a line, and makes sure that questions are answered.
    ///
    /// # Errors
    /// Why they are not.
    pub fn open() -> Result<Taskstats, Unavailable> {
        let mut opened = Taskstats { line: Line::open()? };
        let mut answer = Err(Unavailable::NotThere);
        opened.line.ask(&[Whom::Thread(std::process::id())], |_, outcome| answer = outcome)?;
        answer.map(|_| opened)
    }

    /// Asks about each of `whom` and hands every answer over with its place in the list: `Gone` if there is nobody of
    /// that number any more.
    ///
    /// # Errors
    /// When the line broke.
    pub fn ask(&mut self, whom: &[Whom], mut take: impl FnMut(usize, Reading<Stats>)) -> io::Result<()> {
        for (piece, some) in whom.chunks(AT_ONCE).enumerate() {
            self.line.ask(some, |at, answer| {
                take(
                    piece * AT_ONCE + at,
                    answer.map_err(|why| match why {
                        Unavailable::Failed(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                            Missing::Gone
                        }
                        why => Missing::from(&why),
                    }),
                );
            })?;
        }
        Ok(())
    }
}

/// A generic netlink socket that knows the family's number.
struct Line {
    socket: Socket,
    family: u16,
    sequence: u32,
    packet: Vec<u8>,
    answer: Vec<u8>,
}

impl Line {
    fn open() -> Result<Line, Unavailable> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let mut line = Line { socket, family: 0, sequence: 0, packet: Vec::new(), answer: Vec::new() };
        line.sequence += 1;
        let name = (message::FAMILY_NAME, FAMILY);
        message::request(&mut line.packet, message::CONTROL, message::GET_FAMILY, line.sequence, name);
        line.send()?;
        line.receive()?;
        line.family = match messages(&line.answer).next() {
            Some(Message::Data(message::CONTROL, _, rest)) => {
                let id = attributes(rest.get(FAMILY_HEADER..).unwrap_or_default())
                    .find(|(kind, _)| *kind == message::FAMILY_ID);
                let id = id.and_then(|(_, value)| value.first_chunk().copied());
                id.map(u16::from_ne_bytes).ok_or(Unavailable::NotThere)?
            }
            Some(Message::Outcome(number, _)) => return Err(refusal(number)),
            _ => return Err(Unavailable::NotThere),
        };
        Ok(line)
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = self.socket.send(&self.packet, 0);
        self.packet.clear();
        sent.map(|_| ())
    }

    fn receive(&mut self) -> io::Result<()> {
        self.answer.clear();
        // Room for an answer of any version to come.
        self.answer.reserve(16 << 10);
        loop {
            match self.socket.recv(&mut self.answer, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(|_| ()),
            }
        }
    }

    /// Asks a few questions at once and waits for all answers.
    fn ask(
        &mut self,
        whom: &[Whom],
        mut take: impl FnMut(usize, Result<Stats, Unavailable>),
    ) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1);
        for one in whom {
            self.sequence = self.sequence.wrapping_add(1);
            let (kind, number) = match one {
                Whom::Thread(tid) => (ASK_THREAD, tid),
                Whom::Process(tgid) => (ASK_PROCESS, tgid),
            };
            let attribute = (kind, &number.to_ne_bytes()[..]);
            message::request(&mut self.packet, self.family, message::GET_STATS, self.sequence, attribute);
        }
        self.send()?;
        let mut open = whom.len();
        while open > 0 {
            self.receive()?;
            for message in messages(&self.answer) {
                let (sequence, answer) = match message {
                    Message::Outcome(number, sequence) => (sequence, Err(refusal(number))),
                    Message::Data(_, sequence, rest) => {
                        (sequence, stats(rest).next().map(|(_, stats)| stats).ok_or(Unavailable::NotThere))
                    }
                };
                let at = sequence.wrapping_sub(first) as usize;
                if at < whom.len() {
                    open -= 1;
                    take(at, answer);
                }
            }
        }
        Ok(())
    }
}

/// The structures in a message, each with the kind of whom it is about.
fn stats(message: &[u8]) -> impl Iterator<Item = (u16, Stats)> {
    attributes(message.get(FAMILY_HEADER..).unwrap_or_default())
        .filter(|(kind, _)| matches!(*kind, OF_THREAD | OF_PROCESS))
        .filter_map(|(kind, inner)| {
            let (_, bytes) = attributes(inner).find(|(kind, _)| *kind == STATS)?;
            Some((kind, Stats::read(bytes)?))
        })
}

fn refusal(number: i32) -> Unavailable {
    match number {
        libc::EPERM | libc::EACCES => Unavailable::NoPermission,
        libc::ENOENT => Unavailable::NotThere,
        _ => Unavailable::Failed(io::Error::from_raw_os_error(number)),
    }
}
