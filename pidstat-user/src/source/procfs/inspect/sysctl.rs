//! `sys`: the settings of the kernel, all of them or those below a directory.

use super::MOST_BYTES;
use crate::{
    sample::Tree,
    source::procfs::files::{Extent, Files, Refusal},
};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A whole number, in the unit that its documentation in the kernel says.
    Number(i64),
    /// Anything else; tabs are blanks, the line end after the last line is gone.
    Text(String),
    /// A secret that was not asked for by its name.
    Withheld,
}

/// Settings by key, and the keys that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sysctls {
    /// Paths below the directory that was asked for, ascending, and what they hold.
    pub settings: Vec<(String, Setting)>,
    /// Keys that could not be read, and why: some are only for writing.
    pub unreadable: Vec<(String, String)>,
    /// Keys that were asked for and do not exist.
    pub unknown: Vec<String>,
}

/// Keys are secrets: whoever reads the whole tree to keep it should not keep these.
const SECRETS: [&str; 2] = ["net/ipv4/tcp_fastopen_key", "kernel/random/boot_secret"];
/// The kernel's tree is less deep, and has some thousand files for every network device; a hostile one ends here.
const MOST_DEPTH: u32 = 16;
const MOST_KEYS: usize = 1 << 20;

/// Masks in hexadecimal and lists, which are text even where they look like a number.
const TEXTS: [&str; 3] =
    ["core/flow_limit_cpu_bitmap", "core/rps_default_mask", "ipv4/ip_local_reserved_ports"];

/// Reads `sys/BELOW`: all of it, or only `keys`, files or directories.
pub fn read(files: &mut Files, below: &str, keys: &[String]) -> Sysctls {
    let mut walk = Walk { files, top: format!("sys/{below}"), found: Sysctls::default() };
    if keys.is_empty() {
        walk.visit("", MOST_DEPTH, false);
    }
    for key in keys {
        // `net.core.rmem_max`, as sysctl(8) writes it, would be ambiguous with names of devices that have dots.
        walk.visit(key.trim_matches('/'), MOST_DEPTH, true);
    }
    walk.found.settings.sort_by(|a, b| a.0.cmp(&b.0));
    walk.found.settings.dedup_by(|a, b| a.0 == b.0);
    walk.found
}

struct Walk<'a> {
    files: &'a mut Files,
    top: String,
    found: Sysctls,
}

impl Walk<'_> {
    /// Takes a file, or everything below a directory.
    fn visit(&mut self, key: &str, depth: u32, named: bool) {
        if key.split('/').any(|part| part == "..") {
            self.found.unknown.push(key.to_owned());
            return;
        }
        let path = match (self.top.trim_end_matches('/'), key) {
            (top, "") => top.to_owned(),
            (top, key) => format!("{top}/{key}"),
        };
        let mut names = Vec::new();
        let listed = self.files.list_system(&path, |name| {
            if name != b"." && name != b".." {
                names.extend(String::from_utf8(name.to_vec()).ok());
            }
        });
        match listed {
            Ok(()) => {
                names.sort_unstable();
                for name in names.iter().filter(|_| depth > 0) {
                    let below = if key.is_empty() { name.clone() } else { format!("{key}/{name}") };
                    self.visit(&below, depth - 1, false);
                }
            }
            Err(Refusal(libc::ENOTDIR)) => self.take(key, &path, named),
            Err(Refusal(libc::ENOENT)) if named => self.found.unknown.push(key.to_owned()),
            Err(refusal) => self.found.unreadable.push((key.to_owned(), reason(refusal))),
        }
    }

    fn take(&mut self, key: &str, path: &str, named: bool) {
        if self.found.settings.len() >= MOST_KEYS {
            return;
        }
        let secret = path.strip_prefix("sys/").is_some_and(|path| SECRETS.contains(&path));
        if secret && !named {
            self.found.settings.push((key.to_owned(), Setting::Withheld));
            return;
        }
        match self.files.read_system_up_to(path, Extent::AtMost(MOST_BYTES)) {
            Ok(bytes) => {
                let text = path.strip_prefix("sys/net/").is_some_and(|path| TEXTS.contains(&path));
                self.found.settings.push((key.to_owned(), setting(bytes, text)));
            }
            Err(refusal) => self.found.unreadable.push((key.to_owned(), reason(refusal))),
        }
    }
}

fn reason(refusal: Refusal) -> String {
    match refusal.0 {
        libc::EACCES | libc::EPERM => "permission denied".into(),
        libc::EINVAL => "only for writing".into(),
        libc::EIO => "nothing is set".into(),
        other => std::io::Error::from_raw_os_error(other).to_string(),
    }
}

fn setting(bytes: &[u8], always_text: bool) -> Setting {
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(bytes)).replace('\t', " ");
    let decimal = text.strip_prefix('-').unwrap_or(&text).bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if decimal && !always_text => Setting::Number(number),
        _ => Setting::Text(text),
    }
}

/// A secret is -1, as in procutils.
impl From<&Setting> for Tree {
    fn from(setting: &Setting) -> Tree {
        match setting {
            Setting::Number(number) => (*number).into(),
            Setting::Text(text) => text.as_str().into(),
            Setting::Withheld => Tree::Signed(-1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn numbers_are_numbers_and_the_rest_is_text() {
        assert_eq!(setting(b"212992\n", false), Setting::Number(212_992));
        assert_eq!(setting(b"-1\n", false), Setting::Number(-1));
        assert_eq!(setting(b"10\n", true), Setting::Text("10".into()));
        for (text, shown) in
            [("4096\t87380\t6291456\n", "4096 87380 6291456"), ("\n", ""), ("+1\n", "+1"), ("a\nb\n", "a\nb")]
        {
            assert_eq!(setting(text.as_bytes(), false), Setting::Text(shown.into()));
        }
    }

    #[test]
    fn a_tree_is_walked_once_and_never_left() {
        let root = tempfile::tempdir().unwrap();
        let net = root.path().join("sys/net");
        fs::create_dir_all(net.join("ipv4/conf")).unwrap();
        fs::write(net.join("ipv4/tcp_fastopen_key"), "secret\n").unwrap();
        fs::write(net.join("ipv4/conf/a"), "1\n").unwrap();
        symlink("..", net.join("ipv4/conf/round")).unwrap();
        let mut files = Files::open(root.path()).unwrap();
        let all = read(&mut files, "net", &[]);
        let expected =
            [("ipv4/conf/a".into(), Setting::Number(1)), ("ipv4/tcp_fastopen_key".into(), Setting::Withheld)];
        assert_eq!(all.settings, expected);
        let named =
            read(&mut files, "net", &["ipv4/tcp_fastopen_key".into(), "ipv4/none".into(), "../../x".into()]);
        assert_eq!(named.settings, [("ipv4/tcp_fastopen_key".into(), Setting::Text("secret".into()))]);
        assert_eq!(named.unknown, ["ipv4/none", "../../x"]);
    }
}
