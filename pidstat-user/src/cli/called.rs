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
    if let Some((_, to)) = NAMES.iter().find(|(called, _)| name == Some((*called).as_ref())) {
        arguments.splice(1..1, to.iter().map(Into::into));
    }
    arguments
}
