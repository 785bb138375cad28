//! `maps`: which addresses of a process are mapped to what.

use super::words::os;
use crate::sample::Tree;
use std::ffi::OsString;

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// `rwx`, each or `-`, then `p` for private or `s` for shared.
    pub permission: String,
    /// Where in the file it begins, in bytes.
    pub offset_bytes: u64,
    /// The device of the file, 0 without one.
    pub major: u32,
    /// The device of the file, 0 without one.
    pub minor: u32,
    /// The inode of the file, 0 without one.
    pub inode: u64,
    /// The file, ` (deleted)` behind it if it is, or a name in brackets like `[heap]`; `None` for anonymous memory. The
    /// kernel writes a line end in a name as `\012` and a backslash as it is.
    pub path: Option<OsString>,
}

/// Reads the file; `None` if a line is no mapping.
pub fn parse(bytes: &[u8]) -> Option<Vec<Mapping>> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(mapping).collect()
}

fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut parts = line.splitn(6, |b| *b == b' ');
    let mut word = || std::str::from_utf8(parts.next()?).ok();
    let (start, end) = word()?.split_once('-')?;
    let permission = word()?.to_owned();
    let offset = word()?;
    let (major, minor) = word()?.split_once(':')?;
    let inode = word()?.parse().ok()?;
    let path = parts.next().map(<[u8]>::trim_ascii_start).filter(|path| !path.is_empty());
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        permission,
        offset_bytes: u64::from_str_radix(offset, 16).ok()?,
        major: u32::from_str_radix(major, 16).ok()?,
        minor: u32::from_str_radix(minor, 16).ok()?,
        inode,
        path: path.map(os),
    })
}

/// procutils' names.
impl From<&Mapping> for Tree {
    fn from(mapping: &Mapping) -> Tree {
        let path =
            mapping.path.as_ref().map_or_else(|| "".into(), |path| path.to_string_lossy().into_owned());
        Tree::record([
            ("start", mapping.start.into()),
            ("end", mapping.end.into()),
            ("permission", mapping.permission.as_str().into()),
            ("pageoff", mapping.offset_bytes.into()),
            ("major_devid", mapping.major.into()),
            ("minor_devid", mapping.minor.into()),
            ("inode", mapping.inode.into()),
            ("path", path.into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_hexadecimal_and_paths_whole() {
        let maps = parse(
            b"55d0-55d1 r-xp 00001000 fe:1f 173521                     /usr/bin/a b (deleted)\n\
              7ffd-7ffe rw-p 00000000 00:00 0                          [stack]\n\
              ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n7000-7001 rw-p 00000000 00:00 0 \n",
        )
        .unwrap();
        assert_eq!((maps[0].start, maps[0].end, maps[0].offset_bytes), (0x55d0, 0x55d1, 0x1000));
        assert_eq!((maps[0].major, maps[0].minor, maps[0].inode), (0xfe, 0x1f, 173_521));
        assert_eq!(maps[0].path.as_ref().unwrap(), "/usr/bin/a b (deleted)");
        assert_eq!(maps[1].path.as_ref().unwrap(), "[stack]");
        assert_eq!((maps[2].end, maps[3].path.as_ref()), (0xffff_ffff_ff60_1000, None));
        assert_eq!(parse(b"").unwrap(), []);
        assert_eq!(parse(b"7000-7001 rw-p 0 0:0\n"), None);
    }
}
