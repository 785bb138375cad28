//! Control groups of v2 by their id, which is the inode number of their directory: for sockets whose process is gone.

use super::rare;
use crate::sample::{Cgroup, Missing, Reading};
use std::{
    collections::HashMap,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    rc::Rc,
};

/// More groups than live at any time; the map starts anew rather than grow for months.
const MOST: usize = 1 << 16;

/// What was found so far.
#[derive(Debug)]
pub struct Groups {
    mount: Option<PathBuf>,
    known: HashMap<u64, Reading<Rc<Cgroup>>>,
}

impl Groups {
    /// Looks where the hierarchy is mounted.
    pub fn new(proc_root: &Path) -> Groups {
        Groups { mount: rare::cgroup2(proc_root).ok().flatten(), known: HashMap::new() }
    }

    /// The group with this id.
    ///
    /// # Errors
    /// `NotInSource` if the hierarchy is not mounted, `NotMeasured` for no id, `Gone` if there is no such group any more.
    pub fn of(&mut self, id: u64) -> Reading<Rc<Cgroup>> {
        let Some(mount) = &self.mount else { return Err(Missing::NotInSource) };
        if id == 0 {
            return Err(Missing::NotMeasured);
        }
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        // One walk finds all groups there are; an id that it does not find never comes back.
        walk(mount, mount, &mut self.known);
        self.known.entry(id).or_insert(Err(Missing::Gone)).clone()
    }
}

fn walk(mount: &Path, dir: &Path, known: &mut HashMap<u64, Reading<Rc<Cgroup>>>) {
    let Ok(about) = fs::symlink_metadata(dir) else { return };
    known.entry(about.ino()).or_insert_with(|| {
        let below = dir.strip_prefix(mount).unwrap_or(dir).as_os_str().as_bytes();
        Ok(Rc::new(Cgroup::new(&[b"/", below].concat())))
    });
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(mount, &entry.path(), known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_inode_number() {
        let mount = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef".repeat(4);
        let scope = mount.path().join(format!("system.slice/docker-{id}.scope"));
        fs::create_dir_all(&scope).unwrap();
        let mut groups = Groups { mount: Some(mount.path().to_owned()), known: HashMap::new() };
        let inode = fs::metadata(&scope).unwrap().ino();
        let group = groups.of(inode).unwrap();
        assert_eq!(group.container.as_deref(), Some(&b"docker/0123456789ab"[..]));
        assert_eq!(*groups.of(fs::metadata(mount.path()).unwrap().ino()).unwrap().path, *b"/");
        assert_eq!(groups.of(1 << 60), Err(Missing::Gone));
        assert_eq!(groups.of(0), Err(Missing::NotMeasured));
    }
}
