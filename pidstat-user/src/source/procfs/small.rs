//! Small files that are read whole and rarely, whatever a copied tree has in their place.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// More than any of them has.
const MOST_BYTES: u64 = 16 << 20;

/// Opens a file; a pipe that nobody writes to is not waited for.
///
/// # Errors
/// What the kernel says.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The bytes of a file, of one without an end the first 16 MiB.
///
/// # Errors
/// What the kernel says.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// What the kernel says, or that it is no text.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
