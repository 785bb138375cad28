//! `fd` and `fdinfo`: the open files of a process.

use super::words::os;
use crate::{
    sample::Tree,
    source::procfs::{
        files::{Extent, Files, Place},
        number::Numbers,
    },
};
use std::{ffi::OsString, os::unix::ffi::OsStrExt as _};

/// An open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its number.
    pub number: u32,
    /// What the kernel calls it: a path (` (deleted)` behind it if it is), or `socket:[INODE]`, `pipe:[INODE]`,
    /// `anon_inode:NAME`; `None` if this user may not know.
    pub target: Option<OsString>,
    /// What it is.
    pub kind: Kind,
    /// The inode in `socket:[INODE]` and `pipe:[INODE]`.
    pub inode: Option<u64>,
    /// Where the next read or write happens, in bytes from the start (`fdinfo`).
    pub position_bytes: Option<u64>,
    /// open(2)'s flags (`fdinfo`).
    pub flags: Option<u32>,
}

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file, deleted or not.
    Regular,
    /// A socket.
    Socket,
    /// Something without a file: eventfd, epoll, a BPF map.
    Anonymous,
    /// A pipe, named or not.
    Pipe,
    /// A directory.
    Directory,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// Not known: the kernel did not say, or the file of a copy is not the one it was.
    Other,
}

impl Kind {
    /// In a word; the first three are pypidstat's, and so is `other`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Regular => "regular",
            Kind::Socket => "socket",
            Kind::Anonymous => "anon_inode",
            Kind::Pipe => "pipe",
            Kind::Directory => "directory",
            Kind::Character => "character",
            Kind::Block => "block",
            Kind::Other => "other",
        }
    }

    fn of_mode(mode: u32) -> Kind {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Kind::Regular,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFIFO => Kind::Pipe,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFCHR => Kind::Character,
            libc::S_IFBLK => Kind::Block,
            // An anonymous inode has no type.
            0 => Kind::Anonymous,
            _ => Kind::Other,
        }
    }
}

/// Reads one; `None` if it was closed meanwhile.
pub fn read(files: &mut Files, at: Place, number: u32) -> Option<Descriptor> {
    let link = format!("fd/{number}");
    let target = match files.read_link(at, &link) {
        Ok(target) => Some(os(target)),
        Err(refusal) if matches!(refusal.0, libc::EACCES | libc::EPERM) => None,
        Err(_) => return None,
    };
    let text = target.as_ref().map_or(&b""[..], |target| target.as_bytes());
    let bracketed = |prefix: &[u8]| {
        let inode = text.strip_prefix(prefix)?.strip_suffix(b"]")?;
        std::str::from_utf8(inode).ok()?.parse::<u64>().ok()
    };
    let (socket, pipe) = (bracketed(b"socket:["), bracketed(b"pipe:["));
    let kind = match () {
        () if socket.is_some() => Kind::Socket,
        () if pipe.is_some() => Kind::Pipe,
        () if text.starts_with(b"anon_inode:") => Kind::Anonymous,
        // In a copy the link leads to a file of the machine where the copy is read, which says nothing.
        () if files.real() && !text.is_empty() => files.mode(at, &link).map_or(Kind::Other, Kind::of_mode),
        () => Kind::Other,
    };
    let info =
        files.read(at, &format!("fdinfo/{number}"), Extent::AtMost(MOST_INFO_BYTES)).unwrap_or_default();
    let line = |key: &[u8]| info.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(key));
    let position_bytes = line(b"pos:").and_then(|value| Numbers::new(value).next());
    let octal = |value: &[u8]| u32::from_str_radix(std::str::from_utf8(value).ok()?.trim(), 8).ok();
    let flags = line(b"flags:").and_then(octal);
    Some(Descriptor { number, target, kind, inode: socket.or(pipe), position_bytes, flags })
}

/// The two lines are the first; an epoll's watches follow them by the thousand.
const MOST_INFO_BYTES: usize = 4096;

/// pypidstat's names, and the position and the flags. `ctime`, the moment of opening, is what no file of the kernel
/// tells: pypidstat shows the moment when somebody first looked.
impl Descriptor {
    /// One row: its number, the process, and the rest.
    pub fn row(&self, pid: u32) -> Tree {
        Tree::record([
            ("fd", self.number.into()),
            ("pid", pid.into()),
            ("ctime", Tree::Nothing),
            ("file", self.target.as_ref().map(|target| target.to_string_lossy().into_owned()).into()),
            ("type", self.kind.name().into()),
            ("inode", self.inode.into()),
            ("position", self.position_bytes.into()),
            ("flags", self.flags.map(|flags| format!("0{flags:o}")).into()),
        ])
    }
}
