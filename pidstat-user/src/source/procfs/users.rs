//! Names of users, looked up once each.

use super::{passwd, small};
use std::{collections::HashMap, path::Path, rc::Rc};

/// User ids and their names, from this machine's databases or from a recorded `etc/passwd`.
#[derive(Debug, Default)]
pub struct Users {
    recorded: bool,
    names: HashMap<u32, Option<Rc<str>>>,
}

impl Users {
    /// This machine's users: whatever getpwuid(3) knows (files, LDAP, ...).
    pub fn machine() -> Users {
        Users::default()
    }

    /// The users of `passwd` in the directory `etc_root`, and nobody else; this machine's if there is no such file.
    pub fn recorded(etc_root: &Path) -> Users {
        let Ok(bytes) = small::read(&etc_root.join("passwd")) else { return Users::machine() };
        let mut names = HashMap::new();
        for (name, uid) in passwd::entries(&bytes) {
            // The first entry wins, as in getpwuid(3).
            names.entry(uid).or_insert_with(|| Some(String::from_utf8_lossy(name).into()));
        }
        Users { recorded: true, names }
    }

    /// The id of a name, or `None` if nobody is called so.
    pub fn id(&self, name: &str) -> Option<u32> {
        if self.recorded {
            let known = self.names.iter().find(|(_, known)| known.as_deref() == Some(name));
            return known.map(|(uid, _)| *uid);
        }
        let name = std::ffi::CString::new(name).ok()?;
        // SAFETY: the name ends in a NUL; what comes back is read before anybody can ask again, in this thread.
        unsafe { libc::getpwnam(name.as_ptr()).as_ref().map(|entry| entry.pw_uid) }
    }

    /// The name, or `None` if nobody has this id.
    pub fn name(&mut self, uid: u32) -> Option<Rc<str>> {
        if self.recorded {
            return self.names.get(&uid).cloned().flatten();
        }
        self.names.entry(uid).or_insert_with(|| ask(uid)).clone()
    }
}

/// getpwuid_r(3) with as much room as it asks for.
fn ask(uid: u32) -> Option<Rc<str>> {
    const MOST_BYTES: usize = 1 << 20;
    let mut room = vec![0 as libc::c_char; 1024];
    loop {
        let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: every pointer is to live memory of the right type, and `room.len()` is the length of `room`.
        let error = unsafe {
            libc::getpwuid_r(uid, entry.as_mut_ptr(), room.as_mut_ptr(), room.len(), &raw mut found)
        };
        if error == libc::ERANGE && room.len() < MOST_BYTES {
            room.resize(room.len() * 4, 0);
            continue;
        }
        if error != 0 || found.is_null() {
            return None;
        }
        // SAFETY: the call succeeded and `found` is not null, so `entry` is filled and `pw_name` is a string in `room`,
        // which lives until after the copy below.
        let name = unsafe { std::ffi::CStr::from_ptr(entry.assume_init_ref().pw_name) };
        return Some(name.to_string_lossy().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_knows_root() {
        let mut users = Users::machine();
        assert_eq!(users.name(0).as_deref(), Some("root"));
        assert_eq!(users.name(4_294_967_290), None);
    }

    #[test]
    fn a_recorded_file_is_all_there_is() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Users::recorded(dir.path()).name(0).as_deref(), Some("root"));
        std::fs::write(dir.path().join("passwd"), "anna:x:7:7::/:\nberta:x:7:7::/:\n").unwrap();
        let mut users = Users::recorded(dir.path());
        assert_eq!(users.name(7).as_deref(), Some("anna"));
        assert_eq!(users.name(0), None);
    }
}
