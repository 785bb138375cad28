//! The names of other programs that a link to this one may have: each stands for a subcommand.

use std::{ffi::OsString, path::Path};

/// Names, and the subcommand that takes their options; a name without one takes subcommands of its own, as ours does.
const NAMES: [(&str, &[&str]); 5] = [
    ("iotop", &["io"]),
    ("linuxprocfs", &["csv"]),
    ("linuxprocfs.py", &["csv"]),
    ("nethogs", &["net", "--nethogs"]),
    ("procpath", &[]),
];

/// Puts the subcommand in that the program's name stands for.
pub(super) fn translate(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().and_then(|path| Path::new(path).file_name());
    let procpath = name == Some("procpath".as_ref());
    if let Some((_, to)) =
        NAMES.iter().find(|(called, to)| name == Some((*called).as_ref()) && !to.is_empty())
    {
        // The usage line then says what can be typed.
        arguments.splice(0..1, std::iter::once("kpidstat").chain(to.iter().copied()).map(OsString::from));
    }
    if procpath {
        level_behind_command(&mut arguments);
        // It has no report of its own, and its -h is not sysstat's.
        if arguments.get(1).is_none_or(|first| first == "-h") {
            arguments.splice(1.., [OsString::from("--help")]);
        }
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
        assert_eq!(translated("linuxprocfs.py -t"), "kpidstat csv -t");
    }

    #[test]
    fn procpath_alone_is_a_question_for_help() {
        assert_eq!(translated("procpath"), "procpath --help");
        assert_eq!(translated("procpath -h"), "procpath --help");
        assert_eq!(translated("procpath query -h"), "procpath query -h");
        assert_eq!(translated("kpidstat -h"), "kpidstat -h");
    }
}
