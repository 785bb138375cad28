//! `mountinfo` and `mountstats`: what is mounted where.

use super::words::os;
use crate::sample::{Tree, tree::Name};
use std::{ffi::OsString, path::PathBuf};

/// A line of `mountinfo`. Blanks and backslashes that the kernel escaped are themselves again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The mount.
    pub id: u64,
    /// The mount it is mounted on.
    pub parent: u64,
    /// The device, major and minor in decimal.
    pub device: (String, String),
    /// Which directory of the file system is its root here.
    pub root: PathBuf,
    /// Where it is mounted, seen from the root of the process.
    pub point: PathBuf,
    /// Options of this mount: `rw,relatime`.
    pub options: String,
    /// The peer group that it shares mounts with; `None` for a private mount.
    pub shared: Option<u64>,
    /// The peer group that it receives mounts from.
    pub master: Option<u64>,
    /// The nearest peer group below the root of the process that it receives mounts from.
    pub propagate_from: Option<u64>,
    /// Whether it cannot be bound elsewhere.
    pub unbindable: bool,
    /// The file system's type, a subtype behind a dot.
    pub kind: String,
    /// What is mounted, as the file system names it.
    pub source: OsString,
    /// Options of the file system.
    pub super_options: String,
}

/// A mount in `mountstats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountStats {
    /// What is mounted; `None` where the kernel says "no device".
    pub device: Option<OsString>,
    /// Where.
    pub point: PathBuf,
    /// The file system's type.
    pub kind: String,
    /// What the file system tells more (NFS), line by line, blanks around each taken off.
    pub statistics: Vec<String>,
}

/// Reads `mountinfo`; `None` if a line is no mount.
pub fn info(bytes: &[u8]) -> Option<Vec<Mount>> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|b| *b == b' ');
    let id = number(words.next()?)?;
    let parent = number(words.next()?)?;
    let device = lossy(words.next()?);
    let (major, minor) = device.split_once(':')?;
    let mut mount = Mount {
        id,
        parent,
        device: (major.to_owned(), minor.to_owned()),
        root: unescape(words.next()?).into(),
        point: unescape(words.next()?).into(),
        options: lossy(words.next()?),
        shared: None,
        master: None,
        propagate_from: None,
        unbindable: false,
        kind: String::new(),
        source: OsString::new(),
        super_options: String::new(),
    };
    loop {
        // Up to a hyphen stand as many optional fields as apply; newer kernels may have ones that nobody knows yet.
        let word = words.next()?;
        let group = |prefix: &[u8]| word.strip_prefix(prefix).and_then(number);
        match word {
            b"-" => break,
            b"unbindable" => mount.unbindable = true,
            _ => {
                mount.shared = mount.shared.or(group(b"shared:"));
                mount.master = mount.master.or(group(b"master:"));
                mount.propagate_from = mount.propagate_from.or(group(b"propagate_from:"));
            }
        }
    }
    mount.kind = lossy(words.next()?);
    mount.source = unescape(words.next()?);
    mount.super_options = lossy(words.next()?);
    Some(mount)
}

/// Reads `mountstats`; `None` if it does not begin with a mount or one is cut.
pub fn stats(bytes: &[u8]) -> Option<Vec<MountStats>> {
    let mut mounts: Vec<MountStats> = Vec::new();
    for line in bytes.split(|b| *b == b'\n') {
        let line = line.trim_ascii();
        let device = line.strip_prefix(b"device ");
        if device.is_some() || line.starts_with(b"no device mounted on ") {
            let mut words = device.unwrap_or(line).split(|b| *b == b' ');
            let name = words.next()?;
            let mut skip = |count| (0..count).try_for_each(|_| words.next().map(drop));
            // "mounted on", or "device mounted on"; then "with fstype".
            skip(if device.is_some() { 2 } else { 3 })?;
            let point = unescape(words.next()?).into();
            (words.next()? == b"with" && words.next()? == b"fstype").then_some(())?;
            let kind = lossy(words.next()?);
            let more = words.map(lossy).collect::<Vec<_>>().join(" ");
            let statistics = if more.is_empty() { Vec::new() } else { vec![more] };
            mounts.push(MountStats { device: device.map(|_| unescape(name)), point, kind, statistics });
        } else if !line.is_empty() {
            mounts.last_mut()?.statistics.push(lossy(line));
        }
    }
    Some(mounts)
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn lossy(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// Turns `\040` and the like back: the kernel escapes blanks, tabs, line ends, `#` and backslashes so.
fn unescape(word: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.first_chunk::<3>().filter(|digits| digits.iter().all(|b| matches!(b, b'0'..=b'7')));
        match octal {
            Some([a @ b'0'..=b'3', b, c]) if *first == b'\\' => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    os(&plain)
}

impl Mount {
    /// One row with all of procutils' names.
    pub fn row(&self) -> Tree {
        Tree::record([
            ("mnt_id", self.id.into()),
            ("parent_mnt_pid", self.parent.into()),
            ("major_s_dev", self.device.0.as_str().into()),
            ("minor_s_dev", self.device.1.as_str().into()),
            ("root", self.root.to_string_lossy().as_ref().into()),
            ("mnt_path", self.point.to_string_lossy().as_ref().into()),
            ("mnt_opts", self.options.as_str().into()),
            ("shared", self.shared.into()),
            ("master", self.master.into()),
            ("propagate_from", self.propagate_from.into()),
            ("unbindable", self.unbindable.then_some(true).into()),
            ("type", self.kind.as_str().into()),
            ("devname", self.source.to_string_lossy().as_ref().into()),
            ("sb_opts", self.super_options.as_str().into()),
        ])
    }
}

/// procutils' names; optional fields that do not apply are left out.
impl From<&Mount> for Tree {
    fn from(mount: &Mount) -> Tree {
        let Tree::Record(mut fields) = mount.row() else { return Tree::Nothing };
        fields.retain(|(_, value)| *value != Tree::Nothing);
        Tree::Record(fields)
    }
}

/// procutils' form: one name, the device, for `fstype`, `path`, and `stats` where there are any.
impl From<&MountStats> for Tree {
    fn from(mount: &MountStats) -> Tree {
        let device =
            mount.device.as_ref().map_or("no device".into(), |device| device.to_string_lossy().into_owned());
        Tree::Record(vec![(Name::Owned(device), mount.about())])
    }
}

impl MountStats {
    fn about(&self) -> Tree {
        let mut fields = vec![
            (Name::Borrowed("fstype"), self.kind.as_str().into()),
            (Name::Borrowed("path"), self.point.to_string_lossy().as_ref().into()),
        ];
        if !self.statistics.is_empty() {
            fields.push((Name::Borrowed("stats"), self.statistics.iter().map(String::as_str).collect()));
        }
        Tree::Record(fields)
    }

    /// The same in one flat row.
    pub fn row(&self) -> Tree {
        Tree::record([
            ("device", self.device.as_ref().map(|device| device.to_string_lossy().into_owned()).into()),
            ("fstype", self.kind.as_str().into()),
            ("path", self.point.to_string_lossy().as_ref().into()),
            ("stats", self.statistics.join("\n").into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_are_optional_and_options_whole() {
        let mounts = info(
            b"17 21 0:5 / /dev rw,relatime shared:2 - devtmpfs devtmpfs rw,size=4039144k\n\
              36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 propagate_from:7 unbindable new:1 - ext3 /dev/r\\011t rw\n\
              1 1 0:1 / / rw - rootfs  rw\n",
        )
        .unwrap();
        assert_eq!(
            (mounts[0].options.as_str(), mounts[0].shared, mounts[0].master),
            ("rw,relatime", Some(2), None)
        );
        assert_eq!(mounts[1].point, PathBuf::from("/mnt 2\\x"));
        assert_eq!(
            (mounts[1].master, mounts[1].propagate_from, mounts[1].unbindable),
            (Some(1), Some(7), true)
        );
        assert_eq!(mounts[1].source, "/dev/r\tt");
        assert_eq!((mounts[2].source.len(), mounts[2].super_options.as_str()), (0, "rw"));
        assert_eq!(info(b"17 21 0:5 / /dev rw shared:2\n"), None);
    }

    #[test]
    fn only_octal_numbers_of_a_byte_are_escapes() {
        for (escaped, plain) in
            [("a\\040b", "a b"), ("\\", "\\"), ("\\04", "\\04"), ("\\400", "\\400"), ("\\089", "\\089")]
        {
            assert_eq!(unescape(escaped.as_bytes()), plain, "{escaped}");
        }
    }

    #[test]
    fn statistics_stay_with_their_mount() {
        let mounts = stats(
            b"device proc mounted on /proc with fstype proc\nno device mounted on /a\\040b with fstype tmpfs\n\
              device h:/x mounted on /n with fstype nfs4 statvers=1.1\n\topts:\trw\n\tage:\t9\n\ndevice t mounted on /t with fstype t\n",
        )
        .unwrap();
        assert_eq!((mounts[0].device.as_deref(), mounts[0].kind.as_str()), (Some("proc".as_ref()), "proc"));
        assert_eq!((mounts[1].device.as_deref(), mounts[1].point.as_path()), (None, "/a b".as_ref()));
        assert_eq!(mounts[2].statistics, ["statvers=1.1", "opts:\trw", "age:\t9"]);
        assert_eq!(mounts[3].point, PathBuf::from("/t"));
        assert_eq!(stats(b"opts: rw\n"), None);
        assert_eq!(stats(b"device a mounted on /x\n"), None);
    }
}
