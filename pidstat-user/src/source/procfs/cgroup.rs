//! `/proc/PID/cgroup`: one line for each hierarchy, `ID:CONTROLLERS:PATH`.

use crate::sample::Cgroup;
use std::{collections::HashMap, rc::Rc};

/// The path that says most. The only hierarchy of cgroup v2 is number 0; where v1 is mounted too it may be empty, and the
/// container is in the paths of v1, Kubernetes' before all.
pub fn path(bytes: &[u8]) -> Option<&[u8]> {
    let mut best: Option<(u8, &[u8])> = None;
    for line in bytes.split(|b| *b == b'\n') {
        let mut parts = line.splitn(3, |b| *b == b':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let has = |name: &[u8]| controllers.split(|b| *b == b',').any(|controller| controller == name);
        let rank = match () {
            () if path.starts_with(b"/kubepods") => 5,
            () if path == b"/" => 0,
            () if controllers.is_empty() => 4,
            () if has(b"memory") || has(b"cpu") => 3,
            () if has(b"name=systemd") => 2,
            () => 1,
        };
        if best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, path));
        }
    }
    best.map(|(_, path)| path)
}

/// The groups seen so far, so that each is read once, whatever number of tasks it has.
#[derive(Debug, Default)]
pub struct Cgroups {
    known: HashMap<Box<[u8]>, Rc<Cgroup>>,
}

/// More groups than live at any time; the map starts anew rather than grow for months.
const MOST: usize = 4096;

impl Cgroups {
    /// The group that a file tells of.
    pub fn of(&mut self, bytes: &[u8]) -> Option<Rc<Cgroup>> {
        let path = path(bytes)?;
        if let Some(known) = self.known.get(path) {
            return Some(Rc::clone(known));
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let group = Rc::new(Cgroup::new(path));
        self.known.insert(path.into(), Rc::clone(&group));
        Some(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_that_says_most_is_taken() {
        assert_eq!(path(b"0::/system.slice/ssh.service\n").unwrap(), b"/system.slice/ssh.service");
        assert_eq!(path(b"0::/a:b\n").unwrap(), b"/a:b");
        assert_eq!(
            path(b"12:pids:/x\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/y\n0::/\n").unwrap(),
            b"/docker/1"
        );
        assert_eq!(path(b"4:memory:/m\n3:cpuset:/kubepods/pod1\n0::/s\n").unwrap(), b"/kubepods/pod1");
        assert_eq!(path(b"3:cpuset:/\n").unwrap(), b"/");
        assert_eq!(path(b""), None);
        assert_eq!(path(b"nonsense\n0:"), None);
    }
}
