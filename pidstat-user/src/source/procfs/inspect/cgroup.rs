//! `cgroup`: the control group of a task in each hierarchy.

use super::words::os;
use crate::sample::Tree;
use std::ffi::OsString;

/// One hierarchy's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The hierarchy's number; 0 is cgroup v2.
    pub hierarchy: u64,
    /// The controllers of a v1 hierarchy (`cpu`, `memory`, `name=systemd`); none for v2.
    pub controllers: Vec<String>,
    /// The group, from the root of the hierarchy as this PID's namespace sees it.
    pub path: OsString,
}

/// Reads the file; `None` if a line is none of it.
pub fn parse(bytes: &[u8]) -> Option<Vec<Membership>> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(membership).collect()
}

fn membership(line: &[u8]) -> Option<Membership> {
    let mut parts = line.splitn(3, |b| *b == b':');
    let hierarchy = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let controllers = String::from_utf8_lossy(parts.next()?);
    let controllers = controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(Membership { hierarchy, controllers, path: os(parts.next()?) })
}

/// `hierarchy`, `controllers` and `path`.
impl From<&Membership> for Tree {
    fn from(group: &Membership) -> Tree {
        Tree::record([
            ("hierarchy", group.hierarchy.into()),
            ("controllers", group.controllers.iter().map(String::as_str).collect()),
            ("path", group.path.to_string_lossy().as_ref().into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        let groups = parse(b"12:cpu,cpuacct:/docker/1\n1:name=systemd:/y\n0::/a:b\n").unwrap();
        assert_eq!(
            (groups[0].hierarchy, groups[0].controllers.as_slice()),
            (12, &["cpu".to_owned(), "cpuacct".into()][..])
        );
        assert_eq!((groups[2].controllers.len(), groups[2].path.as_os_str()), (0, "/a:b".as_ref()));
        assert_eq!(parse(b"x\n"), None);
    }
}
