//! Replaces what tells whose machine it was: the host's name, people's names, and arguments.

use std::collections::BTreeSet;

/// Instead of the host's name.
pub const HOST: &str = "host";
/// Instead of users' names, in the order of their numbers; then again, numbered.
const NAMES: [&str; 8] = ["alice", "berta", "carol", "dora", "erika", "frida", "greta", "hanna"];
/// Accounts from here on are people's; below, they are named after programs, whose names stay.
const PEOPLE: u32 = 1000;

/// What is replaced, and which users were met.
#[derive(Debug)]
pub struct Scrub {
    /// Longest first, so that no name hides in a longer one.
    secrets: Vec<(Vec<u8>, &'static str)>,
    keep_names: bool,
    owners: BTreeSet<u32>,
}

impl Scrub {
    /// Learns what must not be told.
    pub fn new(host: &str, passwd: &[u8], keep_names: bool) -> Scrub {
        let mut secrets = Vec::new();
        // The short name of a full one, too.
        for name in [host, host.split('.').next().unwrap_or(host)] {
            if !name.is_empty() && name != "localhost" {
                secrets.push((name.as_bytes().to_vec(), HOST));
            }
        }
        for line in passwd.split(|b| *b == b'\n') {
            let mut fields = line.split(|b| *b == b':');
            let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
            let uid = std::str::from_utf8(uid).ok().and_then(|uid| uid.parse::<u32>().ok());
            if uid.is_some_and(|uid| uid >= PEOPLE) && name != b"nobody" && !name.is_empty() {
                secrets.push((name.to_vec(), "user"));
            }
        }
        secrets.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Scrub { secrets, keep_names, owners: BTreeSet::from([0]) }
    }

    /// Any text, the host's and people's names replaced where they stand as words.
    pub fn text(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let begins = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
            let found = self.secrets.iter().find(|(name, _)| {
                let ends = || rest.get(name.len()).is_none_or(|next| !next.is_ascii_alphanumeric());
                begins && rest.starts_with(name) && ends()
            });
            match found {
                Some((name, instead)) => {
                    out.extend_from_slice(instead.as_bytes());
                    at += name.len();
                }
                None => {
                    out.push(rest[0]);
                    at += 1;
                }
            }
        }
        out
    }

    /// `stat`: the name stands in the outermost parentheses.
    pub fn stat(&self, bytes: &[u8]) -> Vec<u8> {
        let open = bytes.iter().position(|b| *b == b'(');
        let close = bytes.iter().rposition(|b| *b == b')');
        match (open, close) {
            (Some(open), Some(close)) if open < close => {
                [&bytes[..=open], &self.text(&bytes[open + 1..close]), &bytes[close..]].concat()
            }
            _ => bytes.to_vec(),
        }
    }

    /// `status`: the name is the first line.
    pub fn status(&self, bytes: &[u8]) -> Vec<u8> {
        let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
        [&self.text(&bytes[..end]), &bytes[end..]].concat()
    }

    /// `cmdline`: the program's base name, and a word for each argument, unless they are to be kept.
    pub fn cmdline(&self, bytes: &[u8]) -> Vec<u8> {
        if self.keep_names || bytes.is_empty() {
            return self.text(bytes);
        }
        let whole = bytes.strip_suffix(b"\0").unwrap_or(bytes);
        let mut arguments = whole.split(|b| *b == 0);
        // A program that writes its own title puts what it does behind a blank or a colon.
        let title = arguments.next().unwrap_or_default();
        let title = title.split(|b| *b == b' ' || *b == b':').next().unwrap_or_default();
        let mut out = self.text(title.rsplit(|b| *b == b'/').next().unwrap_or_default());
        out.push(0);
        for (number, argument) in arguments.enumerate() {
            let dashes = argument.iter().take(2).take_while(|b| **b == b'-').count();
            out.extend_from_slice(&argument[..dashes]);
            out.extend_from_slice(format!("arg{}\0", number + 1).as_bytes());
        }
        out
    }

    /// Remembers whose task it is, from `status`.
    pub fn saw_owner(&mut self, status: &[u8]) {
        let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"));
        let text = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
        self.owners.extend(text.split_ascii_whitespace().filter_map(|uid| uid.parse::<u32>().ok()));
    }

    /// An `etc/passwd` of everybody who was met: their numbers, and names from the list.
    pub fn passwd(&self) -> String {
        let mut text = String::new();
        for (number, uid) in self.owners.iter().enumerate() {
            let name = match number.checked_sub(1) {
                // Number 0 was there from the beginning and is root everywhere.
                None => "root".to_owned(),
                Some(at) if at < NAMES.len() => NAMES[at].to_owned(),
                Some(at) => format!("{}{}", NAMES[at % NAMES.len()], at / NAMES.len()),
            };
            text.push_str(&format!("{name}:x:{uid}:{uid}::/:/bin/sh\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0::/:/bin/sh\nman:x:6:6::/:\nzoe:x:1000:1000::/:\nnobody:x:65534:1::/:\n";

    #[test]
    fn names_go_and_the_rest_stays() {
        let scrub = Scrub::new("box.lan", PASSWD, true);
        assert_eq!(
            scrub.text(b"0::/zoe/box/boxes/man-box.lan.slice\n"),
            b"0::/user/host/boxes/man-host.slice\n"
        );
        assert_eq!(scrub.stat(b"5 (zoe) (a)) S 1 zoe\n"), b"5 (user) (a)) S 1 zoe\n");
        assert_eq!(scrub.status(b"Name:\tzoe\nUid:\t1\n"), b"Name:\tuser\nUid:\t1\n");
        assert_eq!(scrub.cmdline(b"/bin/x\0zoe@box\0"), b"/bin/x\0user@host\0");
    }

    #[test]
    fn arguments_go() {
        let scrub = Scrub::new("box", PASSWD, false);
        assert_eq!(scrub.cmdline(b"/bin/x\0--key=1\0-ps\0\0y\0"), b"x\0--arg1\0-arg2\0arg3\0arg4\0");
        assert_eq!(scrub.cmdline(b"sshd: zoe@pts/0\0"), b"sshd\0");
        assert_eq!(scrub.cmdline(b""), b"");
    }

    #[test]
    fn users_keep_their_numbers() {
        let mut scrub = Scrub::new("box", PASSWD, false);
        scrub.saw_owner(b"Name:\ta\nUid:\t1000\t0\t7\t1000\n");
        let passwd = scrub.passwd();
        assert_eq!(passwd.lines().count(), 3);
        assert!(passwd.contains("root:x:0:") && passwd.contains("berta:x:1000:"), "{passwd}");
    }
}
