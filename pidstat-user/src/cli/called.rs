//! The names of other programs that a link to this one may have: each stands for a subcommand.

use std::{ffi::OsString, path::Path};

/// Names, and the subcommand that takes their options; a name without one takes subcommands of its own, as ours does.
const NAMES: [(&str, &[&str]); 4] = [
    ("linuxprocfs", &["csv"]),
    ("linuxprocfs.py", &["csv"]),
    ("nethogs", &["net", "--nethogs"]),
    ("procpath", &[]),
];

/// Puts the subcommand in that the program's name stands for.
pub(super) fn translate(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().and_then(|path| Path::new(path).file_name());
    let procpath = name == Some("procpath".as_ref());
    if let Some((_, to)) = NAMES.iter().find(|(called, _)| name == Some((*called).as_ref())) {
        arguments.splice(1..1, to.iter().map(Into::into));
    }
    if procpath {
        level_behind_command(&mut arguments);
    }
    arguments
}

/// Procpath has `--logging-level` before the subcommand; ours is an option of those that warn.
fn level_behind_command(arguments: &mut Vec<OsString>) {
    const OPTION: &str = "--logging-level";
    let Some(first) = arguments.get(1).and_then(|first| first.to_str()) else { return };
    let length = match first.strip_prefix(OPTION) {
        Some("") => 2,
        Some(rest) if rest.starts_with('=') => 1,
        _ => return,
    };
    if arguments.len() > 1 + length {
        let level: Vec<OsString> = arguments.drain(1..=length).collect();
        if arguments[1] == "query" || arguments[1] == "watch" {
            arguments.splice(2..2, level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let arguments = translate(line.split(' ').map(OsString::from).collect());
        arguments.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn procpaths_level_stands_before_its_command() {
        assert_eq!(
            translated("/bin/procpath --logging-level ERROR query x"),
            "/bin/procpath query --logging-level ERROR x"
        );
        assert_eq!(translated("procpath --logging-level=ERROR record -r 1"), "procpath record -r 1");
        assert_eq!(translated("procpath query --logging-level"), "procpath query --logging-level");
        assert_eq!(translated("linuxprocfs.py -t"), "linuxprocfs.py csv -t");
    }
}
