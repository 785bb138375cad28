//! Questions to one network namespace: whose socket has these ends (sock_diag), and which addresses and devices it has.

use crate::{
    sample::{Missing, Reading, Stream, socket::TCP},
    source::netlink::{HEADER, Message, attributes, messages, u16_at, u32_at},
};
use netlink_sys::{
    Socket, SocketAddr as Kernel,
    protocols::{NETLINK_ROUTE, NETLINK_SOCK_DIAG},
};
use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// Lengths of `inet_diag_req_v2` and of `inet_diag_msg`.
const QUESTION: usize = 56;
const ANSWER: usize = 72;
/// `INET_DIAG_INFO`, as a bit of a question and as an attribute, and `INET_DIAG_CGROUP_ID`.
const ASK_INFO: u8 = 1 << 1;
const INFO: u16 = 2;
const CGROUP: u16 = 21;
/// `RTM_GETLINK`, `RTM_NEWLINK`, `RTM_GETADDR` and `RTM_NEWADDR`.
const GET_LINK: u16 = 18;
const NEW_LINK: u16 = 16;
const GET_ADDRESS: u16 = 22;
const NEW_ADDRESS: u16 = 20;
/// `IFLA_MASTER`, `IFA_ADDRESS` and `IFA_LOCAL`.
const MASTER: u16 = 10;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;

/// What the kernel says of a socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its cookie.
    pub cookie: u64,
    /// Inode number; 0 if no descriptor has it: it waits to be accepted, or for its last packets to die.
    pub inode: u64,
    /// State as include/net/tcp_states.h numbers it.
    pub state: u8,
    /// Its own end, and the other; none while it is connected to nobody.
    pub local: SocketAddr,
    /// See `local`.
    pub remote: Option<SocketAddr>,
    /// How it stands, if it is TCP.
    pub stream: Reading<Stream>,
    /// Id of its control group; 0 if not known.
    pub cgroup_id: u64,
}

/// Lines into one network namespace; they stay there wherever the thread goes.
pub struct Diag {
    sockets: Socket,
    routes: Socket,
    answer: Vec<u8>,
    sequence: u32,
}

impl std::fmt::Debug for Diag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diag").finish_non_exhaustive()
    }
}

impl Diag {
    /// Opens them in the namespace of the calling thread.
    ///
    /// # Errors
    /// The kernel has no sock_diag.
    pub fn open() -> io::Result<Diag> {
        let open = |protocol| {
            let mut socket = Socket::new(protocol)?;
            socket.bind_auto()?;
            socket.connect(&Kernel::new(0, 0))?;
            Ok::<Socket, io::Error>(socket)
        };
        Ok(Diag {
            sockets: open(NETLINK_SOCK_DIAG)?,
            routes: open(NETLINK_ROUTE)?,
            answer: Vec::new(),
            sequence: 0,
        })
    }

    /// The socket that takes what comes from `remote` to `local`; with a remote port 0, the one that listens.
    pub fn socket(&mut self, protocol: u16, local: SocketAddr, remote: SocketAddr) -> Option<Found> {
        let mut question = [0; HEADER + QUESTION];
        let sequence = self.head(&mut question, BY_FAMILY, REQUEST);
        let at = &mut question[HEADER..];
        at[0] = family(local);
        at[1] = protocol.to_le_bytes()[0];
        at[2] = if protocol == TCP { ASK_INFO } else { 0 };
        at[4..8].fill(0xff);
        // UDP is asked as the packet has it, everything else as the socket does.
        let (first, second) = if protocol == TCP { (local, remote) } else { (remote, local) };
        at[8..10].copy_from_slice(&first.port().to_be_bytes());
        at[10..12].copy_from_slice(&second.port().to_be_bytes());
        octets(first.ip(), &mut at[12..28]);
        octets(second.ip(), &mut at[28..44]);
        let device = [local, remote].into_iter().find_map(|end| match end {
            SocketAddr::V6(end) if end.scope_id() != 0 => Some(end.scope_id()),
            _ => None,
        });
        at[44..48].copy_from_slice(&device.unwrap_or(0).to_ne_bytes());
        // No cookie.
        at[48..56].fill(0xff);
        self.sockets.send(&question, 0).ok()?;
        loop {
            receive(&self.sockets, &mut self.answer).ok()?;
            for message in messages(&self.answer) {
                match message {
                    Message::Data(BY_FAMILY, answered, body) if answered == sequence => return found(body),
                    Message::Outcome(_, answered) if answered == sequence => return None,
                    // The end of an older question.
                    Message::Data(..) | Message::Outcome(..) => {}
                }
            }
        }
    }

    /// The addresses of the namespace's own devices, and the devices that are part of another.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn places(&mut self) -> io::Result<(HashSet<IpAddr>, HashSet<u32>)> {
        let (mut addresses, mut parts) = (HashSet::new(), HashSet::new());
        self.dump(GET_ADDRESS, 8, |kind, body| {
            let own = |wanted| {
                attributes(body.get(8..)?).find(|(kind, _)| *kind == wanted).and_then(|(_, ip)| ip_of(ip))
            };
            // Between two ends of a line the address is the other's.
            if kind == NEW_ADDRESS {
                addresses.extend(own(LOCAL).or_else(|| own(ADDRESS)));
            }
        })?;
        self.dump(GET_LINK, 16, |kind, body| {
            let is_part = || attributes(body.get(16..)?).any(|(kind, _)| kind == MASTER).then_some(());
            if kind == NEW_LINK && is_part().is_some() {
                parts.extend(u32_at(body, 4));
            }
        })?;
        Ok((addresses, parts))
    }

    /// Asks for all there are; the family's own header of `length` bytes is all zeros.
    fn dump(&mut self, kind: u16, length: usize, mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let mut question = vec![0; HEADER + length];
        let sequence = self.head(&mut question, kind, REQUEST | DUMP);
        self.routes.send(&question, 0)?;
        loop {
            receive(&self.routes, &mut self.answer)?;
            for message in messages(&self.answer) {
                match message {
                    Message::Data(DONE, answered, _) if answered == sequence => return Ok(()),
                    Message::Data(kind, answered, body) if answered == sequence => take(kind, body),
                    Message::Outcome(number, answered) if answered == sequence => {
                        return Err(io::Error::from_raw_os_error(number));
                    }
                    Message::Data(..) | Message::Outcome(..) => {}
                }
            }
        }
    }

    /// Writes `nlmsghdr`; says the question's number.
    fn head(&mut self, question: &mut [u8], kind: u16, flags: u16) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        let length = question.len() as u32;
        question[..4].copy_from_slice(&length.to_ne_bytes());
        question[4..6].copy_from_slice(&kind.to_ne_bytes());
        question[6..8].copy_from_slice(&flags.to_ne_bytes());
        question[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        self.sequence
    }
}

fn receive(from: &Socket, answer: &mut Vec<u8>) -> io::Result<()> {
    answer.clear();
    answer.reserve(64 << 10);
    loop {
        match from.recv(answer, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(|_| ()),
        }
    }
}

fn family(address: SocketAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    family.to_le_bytes()[0]
}

fn octets(address: IpAddr, to: &mut [u8]) {
    match address {
        IpAddr::V4(address) => to[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => to.copy_from_slice(&address.octets()),
    }
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(*bytes.first_chunk()?).into()),
        16 => Some(Ipv6Addr::from(*bytes.first_chunk()?).into()),
        _ => None,
    }
}

/// Reads an `inet_diag_msg` and what stands behind it.
fn found(body: &[u8]) -> Option<Found> {
    let rest = body.get(ANSWER..)?;
    let port = |at: usize| u16_at(body, at).map(u16::from_be);
    let address = |at: usize| {
        let width = if i32::from(body[0]) == libc::AF_INET6 { 16 } else { 4 };
        body.get(at..at + width).and_then(ip_of).map(|address| address.to_canonical())
    };
    let word = |at: usize| u32_at(body, at);
    let remote = SocketAddr::new(address(24)?, port(6)?);
    let (unread, unacknowledged) = (word(56)?, word(60)?);
    let mut found = Found {
        cookie: u64::from(word(44)?) | u64::from(word(48)?) << 32,
        inode: word(68)?.into(),
        state: body[1],
        local: SocketAddr::new(address(8)?, port(4)?),
        remote: (remote.port() != 0).then_some(remote),
        stream: Err(Missing::DoesNotApply),
        cgroup_id: 0,
    };
    for (kind, value) in attributes(rest) {
        let word = |at: usize| u32_at(value, at).unwrap_or(0);
        match kind {
            // struct tcp_info.
            INFO => {
                let unsent = word(144).min(unacknowledged);
                found.stream = Ok(Stream {
                    rtt_us: word(68),
                    cwnd_segments: word(80),
                    unread_bytes: unread,
                    unsent_bytes: unsent,
                    unacked_bytes: unacknowledged - unsent,
                });
            }
            CGROUP => found.cgroup_id = u64::from(word(0)) | u64::from(word(4)) << 32,
            _ => {}
        }
    }
    Some(found)
}
