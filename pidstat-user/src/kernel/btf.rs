//! Reads the kernel's own type information (BTF): where a field lies, how large a type is, whether a hook exists.
//!
//! The bytes come from the kernel, yet nothing in here trusts them: every offset and count is checked, a cycle of types
//! ends, and garbage yields an error or `None`, never a panic.

mod excerpt;
mod mapped;

pub use mapped::kernel_bytes;

use bytes::Bytes;
use memchr::memmem;
use std::{cell::RefCell, collections::HashMap, ops::Range};

/// Why bytes are not usable as BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The magic number, or the byte order, is not this machine's.
    #[error("not BTF of this machine's byte order")]
    NotBtf,
    /// A section or a type reaches past the end.
    #[error("BTF ends early, at byte {0}")]
    Truncated(usize),
    /// A newer kernel's kind of type, of unknown length.
    #[error("BTF has a type of unknown kind {0}")]
    UnknownKind(u32),
}

/// The kinds that can be asked for by name; the numbers are those of `include/uapi/linux/btf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A structure.
    Struct = 4,
    /// A union.
    Union = 5,
    /// A typedef; `btf_trace_NAME` is the one behind a tracepoint.
    Typedef = 8,
    /// A function that can be hooked; `bpf_iter_NAME` is the one behind an iterator.
    Func = 12,
}

const PTR: u32 = 2;
const FUNC_PROTO: u32 = 13;
/// How deep anonymous members, and chains of typedefs and qualifiers, are followed.
const DEPTH: u32 = 32;

/// The type information of one kernel.
///
/// Some thirty of its hundred thousand names are ever asked for, so there is no index of them: a name is searched for in the
/// strings, which is fast, and its place there among those of the types.
#[derive(Debug)]
pub struct Btf {
    data: Bytes,
    /// Position of each type, by id; id 0 is void.
    types: Vec<u32>,
    /// Where the names of types stand in the strings, of the kinds that can be asked for.
    names: Vec<u32>,
    /// The types of these names.
    named: Vec<u32>,
    /// What was asked for so far.
    found: RefCell<HashMap<String, Vec<u32>>>,
    strings: Range<usize>,
}

/// One type's fixed part.
#[derive(Clone, Copy)]
struct Head {
    at: usize,
    kind: u32,
    len: u32,
    flag: bool,
    /// Size of the type, or the id of the type it refers to.
    size_or_type: u32,
}

impl Btf {
    /// Takes over the bytes of `/sys/kernel/btf/vmlinux` and looks where its types are.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(data: impl Into<Bytes>) -> Result<Btf, BtfError> {
        let data = data.into();
        let word = |at: usize| u32_at(&data, at).ok_or(BtfError::Truncated(at));
        if word(0)? & 0xffff != 0xeb9f {
            return Err(BtfError::NotBtf);
        }
        let header = word(4)? as usize;
        let section = |at: usize| -> Result<Range<usize>, BtfError> {
            let start = header.checked_add(word(at)? as usize).ok_or(BtfError::Truncated(at))?;
            let end = start.checked_add(word(at + 4)? as usize).ok_or(BtfError::Truncated(at))?;
            if end > data.len() {
                return Err(BtfError::Truncated(data.len()));
            }
            Ok(start..end)
        };
        let (body, strings) = (section(8)?, section(16)?);
        // Most types are of two to four words and a half of them has a name.
        let mut types = Vec::with_capacity(body.len() / 32);
        types.push(0);
        let (mut names, mut named) =
            (Vec::with_capacity(body.len() / 64), Vec::with_capacity(body.len() / 64));
        let mut at = body.start;
        while at < body.end {
            let head = head_at(&data, at).ok_or(BtfError::Truncated(at))?;
            let tail = match head.kind {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => 12 * head.len as usize,
                6 | 13 => 8 * head.len as usize,
                2 | 7..=12 | 16 | 18 => 0,
                unknown => return Err(BtfError::UnknownKind(unknown)),
            };
            let Ok(position) = u32::try_from(at) else { return Err(BtfError::Truncated(at)) };
            if matches!(head.kind, 4 | 5 | 8 | 12) {
                names.push(word(at)?);
                named.push(u32::try_from(types.len()).map_err(|_| BtfError::Truncated(at))?);
            }
            types.push(position);
            at += 12 + tail;
            if at > body.end {
                return Err(BtfError::Truncated(at));
            }
        }
        Ok(Btf { data, types, names, named, found: RefCell::default(), strings })
    }

    /// Byte offset of a member, by dotted path through nested members, looking through anonymous structs and unions.
    /// `None` where the kernel has no such type or member; bit fields have no byte offset.
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        self.member(structure, path).map(|(offset, _)| offset)
    }

    /// The first of several spellings that exists; a field that was renamed keeps its meaning.
    pub fn offset_of_any(&self, structure: &str, paths: &[&str]) -> Option<u32> {
        paths.iter().find_map(|path| self.offset(structure, path))
    }

    /// Size in bytes of a struct or union.
    pub fn size(&self, structure: &str) -> Option<u32> {
        self.aggregate(structure).and_then(|id| self.head(id)).map(|head| head.size_or_type)
    }

    /// Says whether there is a type of this kind and name.
    pub fn has(&self, kind: Kind, name: &str) -> bool {
        self.find(kind, name).is_some()
    }

    /// Number of parameters of a function, or of the function that a typedef points to (`btf_trace_X`, whose first
    /// parameter is the `void *` that programs do not see).
    pub fn params(&self, kind: Kind, name: &str) -> Option<u32> {
        let mut id = self.find(kind, name)?;
        for _ in 0..DEPTH {
            let head = self.head(id)?;
            match head.kind {
                FUNC_PROTO => return Some(head.len),
                PTR | 8..=12 | 18 => id = head.size_or_type,
                _ => return None,
            }
        }
        None
    }

    fn member(&self, structure: &str, path: &str) -> Option<(u32, u32)> {
        let mut id = self.aggregate(structure)?;
        let mut bits = 0u32;
        for part in path.split('.') {
            let (at, of) = self.member_of(id, part.as_bytes(), DEPTH)?;
            bits = bits.checked_add(at)?;
            id = of;
        }
        bits.is_multiple_of(8).then_some((bits / 8, id))
    }

    fn aggregate(&self, name: &str) -> Option<u32> {
        self.find(Kind::Struct, name).or_else(|| self.find(Kind::Union, name))
    }

    /// Bit offset and type of a member.
    fn member_of(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let head = self.head(self.strip(id)?)?;
        if depth == 0 || (head.kind != Kind::Struct as u32 && head.kind != Kind::Union as u32) {
            return None;
        }
        for index in 0..head.len as usize {
            let at = head.at + 12 + 12 * index;
            let offset = u32_at(&self.data, at + 8)?;
            let offset = if head.flag { offset & 0x00ff_ffff } else { offset };
            let of = u32_at(&self.data, at + 4)?;
            let this = self.name(at)?;
            if this == name {
                return Some((offset, of));
            }
            if this.is_empty()
                && let Some((inner, of)) = self.member_of(of, name, depth - 1)
            {
                return Some((offset.checked_add(inner)?, of));
            }
        }
        None
    }

    /// Follows typedefs and qualifiers to what they stand for.
    fn strip(&self, mut id: u32) -> Option<u32> {
        for _ in 0..DEPTH {
            let head = self.head(id)?;
            if !matches!(head.kind, 8..=11 | 18) {
                return Some(id);
            }
            id = head.size_or_type;
        }
        None
    }

    fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        let mut found = self.found.borrow_mut();
        if !found.contains_key(name) {
            found.insert(name.to_owned(), self.search(name));
        }
        let of_kind = |id: &&u32| self.head(**id).is_some_and(|head| head.kind == kind as u32);
        found.get(name)?.iter().find(of_kind).copied()
    }

    /// The types of a name.
    fn search(&self, name: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let Some(strings) = self.data.get(self.strings.clone()) else { return ids };
        if name.is_empty() {
            return ids;
        }
        let text = [name.as_bytes(), b"\0"].concat();
        for at in memmem::find_iter(strings, &text) {
            // Mostly it is the end of another name, to which no type points.
            let same = self.names.iter().zip(&self.named).filter(|(place, _)| **place as usize == at);
            ids.extend(same.map(|(_, id)| *id));
        }
        ids
    }

    fn head(&self, id: u32) -> Option<Head> {
        if id == 0 {
            return None;
        }
        head_at(&self.data, *self.types.get(id as usize)? as usize)
    }

    /// The name whose string offset stands at `at`.
    fn name(&self, at: usize) -> Option<&[u8]> {
        let strings = self.data.get(self.strings.clone())?;
        let rest = strings.get(u32_at(&self.data, at)? as usize..)?;
        std::ffi::CStr::from_bytes_until_nul(rest).ok().map(std::ffi::CStr::to_bytes)
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?))
}

fn head_at(data: &[u8], at: usize) -> Option<Head> {
    let info = u32_at(data, at + 4)?;
    Some(Head {
        at,
        kind: info >> 24 & 31,
        len: info & 0xffff,
        flag: info >> 31 != 0,
        size_or_type: u32_at(data, at + 8)?,
    })
}

#[cfg(test)]
mod tests;
