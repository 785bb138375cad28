//! The sockets of a process: its descriptors by their inodes, and what the kernel tells of those.

use super::super::files::{Files, Place};
use crate::{
    sample::{
        Missing,
        node::{Member, Value},
    },
    source::sockdiag::{self, Socket, Sockets},
};
use std::{collections::HashMap, fs::File, rc::Rc};

/// What was asked so far: the sockets of each network namespace, by its number, or why they are not known.
#[derive(Debug, Default)]
pub(super) struct Told {
    namespaces: HashMap<Box<[u8]>, Result<Sockets, Missing>>,
}

impl Told {
    /// The values of `net` of one process.
    ///
    /// # Errors
    /// Why there are none: the descriptors cannot be listed, or the files are a copy.
    pub(super) fn read(&mut self, files: &mut Files, at: Place) -> Result<Rc<[Value]>, Missing> {
        if !files.real() {
            return Err(Missing::NotInSource);
        }
        let mut inodes = Vec::new();
        files.modes(at, Member::Fd.name(), |mode, inode| {
            if mode & libc::S_IFMT == libc::S_IFSOCK {
                inodes.push(inode);
            }
        })?;
        // A socket can have several descriptors.
        inodes.sort_unstable();
        inodes.dedup();
        let count = Value::Integer(inodes.len().try_into().unwrap_or(i64::MAX));
        if inodes.is_empty() {
            let mut none = vec![Value::Integer(0); Member::Net.width()];
            none[0] = count;
            return Ok(none.into());
        }
        Ok(match self.of(files, at) {
            Ok(sockets) => figures(count, inodes.iter().filter_map(|inode| sockets.get(inode))),
            Err(why) => {
                let mut unknown = vec![Value::Missing(*why); Member::Net.width()];
                unknown[0] = count;
                unknown.into()
            }
        })
    }

    /// The sockets of the namespace that a process is in.
    fn of(&mut self, files: &mut Files, at: Place) -> &Result<Sockets, Missing> {
        const NAMESPACE: &str = "ns/net";
        let link = |files: &mut Files, at| files.read_link(at, NAMESPACE).map(Box::from).unwrap_or_default();
        let name: Box<[u8]> = link(files, at);
        let ours: Box<[u8]> = link(files, Place::process(std::process::id()));
        self.namespaces.entry(name).or_insert_with_key(|name| {
            let told = if *name == ours {
                sockdiag::dump()
            } else {
                let namespace: File = files.open_kept(at, NAMESPACE)?.into();
                sockdiag::dump_of(namespace)
            };
            told.map_err(|error| match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => Missing::NoPermission,
                _ => Missing::NotInKernel,
            })
        })
    }
}

/// Counts and sums, in the order of the fields.
fn figures<'a>(count: Value, sockets: impl Iterator<Item = &'a Socket>) -> Rc<[Value]> {
    let (mut tcp, mut udp, mut unix) = (0, 0, 0);
    let (mut rx_bytes, mut tx_bytes, mut retransmits) = (0u64, Some(0u64), 0u64);
    for socket in sockets {
        match socket {
            Socket::Tcp(moved) => {
                tcp += 1;
                rx_bytes = rx_bytes.saturating_add(moved.rx_bytes);
                tx_bytes = tx_bytes.zip(moved.tx_bytes).map(|(sum, more)| sum.saturating_add(more));
                retransmits = retransmits.saturating_add(moved.retransmits);
            }
            Socket::Udp => udp += 1,
            Socket::Unix => unix += 1,
            Socket::Listening => {}
        }
    }
    [
        count,
        Value::Integer(tcp),
        Value::Integer(udp),
        Value::Integer(unix),
        Value::unsigned(rx_bytes),
        tx_bytes.map_or(Value::Missing(Missing::NotInKernel), Value::unsigned),
        Value::unsigned(retransmits),
    ]
    .into()
}
