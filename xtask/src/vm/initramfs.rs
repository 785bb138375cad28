//! Writes the guest's root as a cpio archive in the kernel's "newc" format
//! (<https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>).

use anyhow::{Context, Result};
use std::{fs, path::Path};

const DIRECTORY: u32 = 0o040_755;
const REGULAR: u32 = 0o100_000;
const DEVICE: u32 = 0o020_600;

/// An archive with these directories and these files: name, what it is copied from, permissions.
///
/// # Errors
/// When a file cannot be read or is too large for the format.
pub fn archive(directories: &[&str], files: &[(String, &Path, u32)]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for name in directories {
        archive.entry(name, DIRECTORY, (0, 0), &[])?;
    }
    // The kernel opens this for init before init can mount devtmpfs.
    archive.entry("dev/console", DEVICE, (5, 1), &[])?;
    for (name, from, mode) in files {
        let data = fs::read(from).with_context(|| format!("{}", from.display()))?;
        archive.entry(name, REGULAR | mode, (0, 0), &data)?;
    }
    archive.entry("TRAILER!!!", 0, (0, 0), &[])?;
    Ok(archive.bytes)
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) -> Result<()> {
        self.inode += 1;
        let size = u32::try_from(data.len()).with_context(|| format!("{name} is too large"))?;
        let name_size = u32::try_from(name.len() + 1).context("a name is too long")?;
        self.bytes.extend(b"070701");
        // inode, mode, uid, gid, links, mtime, size, device (2), device of a node (2), size of the name, checksum
        for field in [self.inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0] {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(data);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::archive;

    #[test]
    fn entries_are_aligned_and_the_trailer_closes() {
        let bytes = archive(&["a", "abc"], &[]).expect("nothing is read");
        assert_eq!(bytes.len() % 4, 0);
        let starts: Vec<usize> =
            bytes.windows(6).enumerate().filter(|(_, w)| w == b"070701").map(|(at, _)| at).collect();
        assert_eq!(starts, [0, 112, 228, 352]);
        assert!(bytes.windows(11).any(|w| w == b"TRAILER!!!\0"));
        // Size of the name, the twelfth field: "abc" and its zero.
        assert_eq!(&bytes[112 + 6 + 11 * 8..][..8], b"00000004");
    }
}
