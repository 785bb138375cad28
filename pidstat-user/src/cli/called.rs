//! The names of other programs that a link to this one may have: each stands for a subcommand.

use std::{ffi::OsString, path::Path};

/// Names, and the subcommand that takes their options; a name without one takes subcommands of its own, as ours does.
const NAMES: [(&str, Option<&str>); 3] =
    [("linuxprocfs", Some("csv")), ("linuxprocfs.py", Some("csv")), ("procpath", None)];

/// Puts the subcommand in that the program's name stands for.
pub(super) fn translate(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().and_then(|path| Path::new(path).file_name());
    let command = NAMES.iter().find(|(called, _)| name == Some((*called).as_ref())).and_then(|(_, to)| *to);
    if let Some(command) = command {
        arguments.insert(1, command.into());
    }
    arguments
}
