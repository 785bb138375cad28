//! The sockets of a network namespace by the numbers of their inodes, as the kernel's sock_diag tells of them: no eBPF, and
//! no privilege.

use super::netlink::{HEADER, Message, attributes, messages, u32_at};
use netlink_sys::{Socket as Netlink, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use std::{collections::HashMap, fs::File, io, os::fd::AsRawFd as _, rc::Rc, thread};

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// A TCP connection, or one that is to become one.
    Tcp(Connection),
    /// TCP, waiting for others to connect.
    Listening,
    /// UDP.
    Udp,
    /// UNIX, of any type.
    Unix,
}

/// What a TCP connection moved since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Bytes received in order, read or not.
    pub rx_bytes: u64,
    /// Bytes sent, each once. What still waits to be sent for the first time is not among them.
    ///
    /// None before Linux 4.19, which did not count it.
    pub tx_bytes: Option<u64>,
    /// Segments sent again.
    pub retransmits: u64,
}

/// Sockets by inode number.
pub type Sockets = HashMap<u64, Socket>;

/// Asks for all sockets of the namespace that this thread is in.
///
/// # Errors
/// What the kernel said; it may have been built without sock_diag.
pub fn dump() -> io::Result<Sockets> {
    let mut netlink = Netlink::new(NETLINK_SOCK_DIAG)?;
    netlink.bind_auto()?;
    netlink.connect(&SocketAddr::new(0, 0))?;
    let mut sockets = Sockets::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [libc::IPPROTO_TCP, libc::IPPROTO_UDP] {
            ask(&netlink, &inet(family, protocol), |body| {
                sockets.extend(inet_socket(body, protocol));
            })?;
        }
    }
    ask(&netlink, &unix(0), |body| {
        sockets.extend(u32_at(body, 4).map(|inode| (u64::from(inode), Socket::Unix)));
    })?;
    // Of orphans, which no process has.
    sockets.remove(&0);
    Ok(sockets)
}

/// What the UNIX sockets of this thread's namespace are called, by cookie: the path or abstract name that one is bound to, or
/// behind `->` the one that its peer is.
///
/// # Errors
/// As [`dump`].
pub fn unix_names() -> io::Result<HashMap<u64, Rc<str>>> {
    let mut netlink = Netlink::new(NETLINK_SOCK_DIAG)?;
    netlink.bind_auto()?;
    netlink.connect(&SocketAddr::new(0, 0))?;
    let mut found = Vec::new();
    ask(&netlink, &unix(SHOW_NAME | SHOW_PEER), |body| found.extend(unix_socket(body)))?;
    let by_inode: HashMap<u32, Rc<str>> =
        found.iter().filter_map(|one| Some((one.inode, one.name.clone()?))).collect();
    let name = |one: Unix| {
        let peer = || by_inode.get(&one.peer?).map(|name| format!("-> {name}").into());
        one.name.or_else(peer).map(|name| (one.cookie, name))
    };
    Ok(found.into_iter().filter_map(name).collect())
}

/// The same for another namespace, by an open file of it. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// As [`dump`], and when the namespace may not be entered.
pub fn dump_of(namespace: File) -> io::Result<Sockets> {
    // A thread of its own: it never comes back from there.
    let there = thread::Builder::new().spawn(move || {
        // SAFETY: the descriptor is open; the call changes this thread's namespace alone.
        if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        dump()
    })?;
    there.join().unwrap_or_else(|_| Err(io::Error::other("sock_diag: the thread ended")))
}

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_ALL: u16 = 0x301;
const DONE: u16 = 3;
/// `INET_DIAG_INFO`: the attribute with a `tcp_info`.
const INFO: u16 = 2;
/// Lengths of `inet_diag_req_v2`, of `unix_diag_req` and of `inet_diag_msg`.
const INET_REQUEST: usize = 56;
const UNIX_REQUEST: usize = 24;
const INET_MESSAGE: usize = 72;
/// Length of `unix_diag_msg`.
const UNIX_MESSAGE: usize = 16;
/// `UDIAG_SHOW_NAME` and `UDIAG_SHOW_PEER`, and the attributes they bring.
const SHOW_NAME: u32 = 1;
const SHOW_PEER: u32 = 4;
const NAME: u16 = 0;
const PEER: u16 = 2;
/// `TCP_LISTEN`.
const LISTEN: u8 = 10;

fn request(body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER + body.len());
    packet.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    packet.extend(BY_FAMILY.to_ne_bytes());
    packet.extend(REQUEST_ALL.to_ne_bytes());
    packet.extend([0; 8]);
    packet.extend(body);
    packet
}

/// All states; `tcp_info` of connections.
fn inet(family: i32, protocol: i32) -> Vec<u8> {
    let mut body = [0; INET_REQUEST];
    body[0] = family as u8;
    body[1] = protocol as u8;
    body[2] = if protocol == libc::IPPROTO_TCP { 1 << (INFO - 1) } else { 0 };
    body[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    request(&body)
}

fn unix(show: u32) -> Vec<u8> {
    let mut body = [0; UNIX_REQUEST];
    body[0] = libc::AF_UNIX as u8;
    body[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    body[12..16].copy_from_slice(&show.to_ne_bytes());
    request(&body)
}

/// A UNIX socket that is asked what it is called.
#[derive(Debug, PartialEq, Eq)]
struct Unix {
    inode: u32,
    cookie: u64,
    name: Option<Rc<str>>,
    /// The peer's inode.
    peer: Option<u32>,
}

/// A socket of a `unix_diag_msg`.
fn unix_socket(body: &[u8]) -> Option<Unix> {
    let (low, high) = (u32_at(body, 8)?, u32_at(body, 12)?);
    let mut one = Unix {
        inode: u32_at(body, 4)?,
        cookie: u64::from(low) | u64::from(high) << 32,
        name: None,
        peer: None,
    };
    for (kind, value) in attributes(body.get(UNIX_MESSAGE..)?) {
        match kind {
            NAME => one.name = name_of(value),
            PEER => one.peer = u32_at(value, 0),
            _ => {}
        }
    }
    Some(one)
}

/// A path ends with a NUL, an abstract name begins with one. Nothing in it may write on a terminal.
fn name_of(bytes: &[u8]) -> Option<Rc<str>> {
    let (head, rest) = match bytes {
        [0, rest @ ..] => ("@", rest),
        path => ("", path.split(|byte| *byte == 0).next()?),
    };
    let text = String::from_utf8_lossy(rest);
    let shown: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    (!shown.is_empty()).then(|| format!("{head}{shown}").into())
}

/// Sends a request and hands over what every answer has behind its header.
fn ask(netlink: &Netlink, request: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<()> {
    netlink.send(request, 0)?;
    let mut packet = Vec::with_capacity(64 << 10);
    loop {
        packet.clear();
        match netlink.recv(&mut packet, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        for message in messages(&packet) {
            match message {
                Message::Outcome(number, _) => return Err(io::Error::from_raw_os_error(number)),
                Message::Data(DONE, ..) => return Ok(()),
                Message::Data(_, _, body) => take(body),
            }
        }
    }
}

/// A socket of an `inet_diag_msg`.
fn inet_socket(body: &[u8], protocol: i32) -> Option<(u64, Socket)> {
    let inode = u32_at(body, INET_MESSAGE - 4)?.into();
    let socket = match body.get(1)? {
        _ if protocol == libc::IPPROTO_UDP => Socket::Udp,
        &LISTEN => Socket::Listening,
        _ => {
            let info = attributes(body.get(INET_MESSAGE..)?).find(|(kind, _)| *kind == INFO);
            Socket::Tcp(info.map_or_else(Connection::default, |(_, info)| moved(info)))
        }
    };
    Some((inode, socket))
}

/// What a `tcp_info` says, as far as this kernel's goes.
fn moved(info: &[u8]) -> Connection {
    const TOTAL_RETRANSMITS: usize = 100;
    const BYTES_RECEIVED: usize = 128;
    const BYTES_SENT: usize = 200;
    const BYTES_RETRANSMITTED: usize = 208;
    let bytes = |at: usize| info.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    Connection {
        rx_bytes: bytes(BYTES_RECEIVED).unwrap_or(0),
        tx_bytes: bytes(BYTES_SENT)
            .zip(bytes(BYTES_RETRANSMITTED))
            .map(|(all, again)| all.saturating_sub(again)),
        retransmits: u32_at(info, TOTAL_RETRANSMITS).unwrap_or(0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unix_sockets_are_shown_as_ss_shows_them() {
        assert_eq!(name_of(b"/run/a b\0").as_deref(), Some("/run/a b"));
        assert_eq!(name_of(b"\0/tmp/.X11-unix/X0").as_deref(), Some("@/tmp/.X11-unix/X0"));
        assert_eq!(name_of(b"\0a\0b\x1b").as_deref(), Some("@a?b?"));
        assert_eq!((name_of(b""), name_of(b"\0\0").as_deref()), (None, Some("@?")));
        assert_eq!(unix_socket(&[0; 15]), None);
    }

    #[test]
    fn an_older_kernels_figures_are_not_made_up() {
        let mut info = [0; 216];
        info[200..208].copy_from_slice(&10u64.to_ne_bytes());
        info[208..216].copy_from_slice(&3u64.to_ne_bytes());
        info[128..136].copy_from_slice(&5u64.to_ne_bytes());
        assert_eq!(moved(&info), Connection { rx_bytes: 5, tx_bytes: Some(7), retransmits: 0 });
        assert_eq!(moved(&info[..136]).tx_bytes, None);
        assert_eq!(moved(&[]), Connection::default());
    }
}
