//! Files that somebody wrote by hand: playbooks and SQL.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// More than anybody writes.
const MOST_BYTES: u64 = 16 << 20;

/// The text of such a file, which may be a pipe.
///
/// # Errors
/// What the kernel says, that it is no text, or that nobody wrote so much.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 16 MiB"));
    }
    Ok(text)
}
