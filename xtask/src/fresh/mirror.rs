//! Where this machine gets Debian from: read from its apt sources, in either format.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The release that the README speaks of.
pub const SUITE: &str = "bookworm";

/// The key that signs it, where apt sources name none.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A place that has the release.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where it is.
    pub uri: String,
    /// The key that signs it.
    pub keyring: PathBuf,
}

/// Reads the machine's apt sources.
///
/// # Errors
/// When none of them has the release.
pub fn mirror() -> Result<Mirror> {
    let apt = Path::new("/etc/apt");
    let mut files = vec![apt.join("sources.list")];
    files.extend(
        fs::read_dir(apt.join("sources.list.d")).into_iter().flatten().flatten().map(|file| file.path()),
    );
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).ok()?;
        match path.extension()?.to_str()? {
            "sources" => deb822(&text),
            "list" => one_line(&text),
            _ => None,
        }
    };
    files.iter().find_map(read).with_context(|| format!("no apt source of this machine has {SUITE}"))
}

/// `Types: deb`, `URIs: …`, one stanza per source.
fn deb822(text: &str) -> Option<Mirror> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            let fields =
                stanza.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
            fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let has =
            |name: &str, word: &str| field(name).is_some_and(|v| v.split_whitespace().any(|w| w == word));
        if field("Enabled").is_some_and(|v| v.eq_ignore_ascii_case("no")) || !has("Types", "deb") {
            return None;
        }
        if !has("Suites", SUITE) || !has("Components", "main") {
            return None;
        }
        let keyring = field("Signed-By").filter(|value| value.starts_with('/')).unwrap_or(KEYRING);
        Some(Mirror { uri: field("URIs")?.split_whitespace().next()?.to_owned(), keyring: keyring.into() })
    })
}

/// `deb [signed-by=…] URI SUITE COMPONENT…`.
fn one_line(text: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let mut rest = line.trim().strip_prefix("deb ")?.trim();
        let mut keyring = KEYRING;
        if let Some((options, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let signed = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
            keyring = signed.unwrap_or(KEYRING);
            rest = after.trim();
        }
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let fits = suite == SUITE && words.any(|component| component == "main");
        fits.then(|| Mirror { uri: uri.to_owned(), keyring: keyring.into() })
    })
}

#[cfg(test)]
mod tests {
    use super::{KEYRING, Mirror, deb822, one_line};

    #[test]
    fn both_formats_are_read_and_other_suites_are_passed_over() {
        let of = |uri: &str, keyring: &str| Some(Mirror { uri: uri.into(), keyring: keyring.into() });
        let stanzas = "Types: deb\nURIs: http://a.test/s\nSuites: bookworm-security\nComponents: main\n\n\
                       Types: deb\n# URIs: http://no.test\nURIs: http://b.test/debian\n\
                       Suites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By: /k.gpg\n";
        assert_eq!(deb822(stanzas), of("http://b.test/debian", "/k.gpg"));
        assert_eq!(deb822("Types: deb-src\nURIs: x\nSuites: bookworm\nComponents: main\n"), None);
        let lines = "# deb http://no.test bookworm main\ndeb http://a.test/s bookworm-security main\n\
                     deb [arch=amd64 signed-by=/k.gpg] http://b.test/debian bookworm main\n";
        assert_eq!(one_line(lines), of("http://b.test/debian", "/k.gpg"));
        assert_eq!(one_line("deb http://b.test/debian bookworm main\n"), of("http://b.test/debian", KEYRING));
    }
}
