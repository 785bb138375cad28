//! Opening, reading and listing below one proc directory, with memory that is used again for every file.

use super::number;
use crate::sample::Missing;
use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
};

/// The error number of a file that could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub i32);

impl From<Refusal> for Missing {
    fn from(refusal: Refusal) -> Missing {
        match refusal.0 {
            libc::EACCES | libc::EPERM => Missing::NoPermission,
            // ENOENT before the open, ESRCH after it; whatever else happens to a file of /proc, there is no task to show.
            _ => Missing::Gone,
        }
    }
}

/// Which task's directory: `PID` or, with a thread, `PID/task/TID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The process.
    pub pid: u32,
    /// The thread, or 0.
    pub tid: u32,
}

impl Place {
    /// The directory of a whole process.
    pub fn process(pid: u32) -> Place {
        Place { pid, tid: 0 }
    }
}

/// How much of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One record: the kernel hands it over in one read if there is room, so no second read asks for the end.
    Record,
    /// Everything up to the end, or [`MOST_BYTES`].
    Whole,
    /// At most so many bytes.
    AtMost(usize),
    /// One record of at most so many bytes.
    RecordAtMost(usize),
}

/// A proc directory kept open.
#[derive(Debug)]
pub struct Files {
    root: OwnedFd,
    real: bool,
    path: Vec<u8>,
    bytes: Vec<u8>,
    listing: Vec<u8>,
}

/// Enough for every `status`, so that one read has it.
const RECORD_BYTES: usize = 8 * 1024;
/// More than any file has that the kernel makes; one without an end in a copied tree ends here.
pub const MOST_BYTES: usize = 64 << 20;
/// The largest record is a `status` with 65536 groups.
const MOST_RECORD_BYTES: usize = 1 << 20;
/// Enough for some 1000 entries of `/proc` per call.
const LISTING_BYTES: usize = 32 * 1024;

impl Files {
    /// Opens the directory.
    pub fn open(root: &Path) -> io::Result<Files> {
        let root: OwnedFd = File::open(root)?.into();
        Ok(Files {
            real: is_procfs(root.as_raw_fd())?,
            root,
            path: Vec::with_capacity(64),
            bytes: vec![0; RECORD_BYTES],
            listing: vec![0; LISTING_BYTES],
        })
    }

    /// Whether the kernel made these files, or somebody recorded them.
    pub fn real(&self) -> bool {
        self.real
    }

    /// Reads a file of a task.
    pub fn read(&mut self, at: Place, file: &str, extent: Extent) -> Result<&[u8], Refusal> {
        self.path_of(at, file);
        self.read_path(extent)
    }

    /// The first bytes of what was read last.
    pub fn last(&self, length: usize) -> &[u8] {
        &self.bytes[..length.min(self.bytes.len())]
    }

    /// Reads a file that stands beside the tasks.
    pub fn read_system(&mut self, file: &str) -> Result<&[u8], Refusal> {
        self.read_system_up_to(file, Extent::Whole)
    }

    /// Reads so much of a file that stands beside the tasks.
    pub fn read_system_up_to(&mut self, file: &str, extent: Extent) -> Result<&[u8], Refusal> {
        self.path.clear();
        self.path.extend_from_slice(file.as_bytes());
        self.read_path(extent)
    }

    /// Says whether a file of a task is there now.
    pub fn exists(&mut self, at: Place, file: &str) -> bool {
        self.path_of(at, file);
        self.path.push(0);
        // SAFETY: the path ends with the NUL just pushed, and the directory is open for as long as `self` lives.
        unsafe { libc::faccessat(self.root.as_raw_fd(), self.path.as_ptr().cast(), libc::F_OK, 0) == 0 }
    }

    /// Calls `each` with the name of every entry of the root itself, in the order of the directory.
    pub fn list_root(&mut self, each: impl FnMut(&[u8])) -> Result<(), Refusal> {
        // SAFETY: seeking has no memory effect; the descriptor is open for as long as `self` lives.
        if unsafe { libc::lseek(self.root.as_raw_fd(), 0, libc::SEEK_SET) } < 0 {
            return Err(last_refusal());
        }
        list(self.root.as_raw_fd(), &mut self.listing, each)
    }

    /// Calls `each` with the name of every entry of a directory of a task.
    pub fn list(&mut self, at: Place, directory: &str, each: impl FnMut(&[u8])) -> Result<(), Refusal> {
        self.path_of(at, directory);
        let fd = self.open_path(libc::O_DIRECTORY)?;
        list(fd.as_raw_fd(), &mut self.listing, each)
    }

    /// Calls `each` with the name of every entry of a directory that stands beside the tasks.
    pub fn list_system(&mut self, directory: &str, each: impl FnMut(&[u8])) -> Result<(), Refusal> {
        self.path.clear();
        self.path.extend_from_slice(directory.as_bytes());
        // A link in a recorded tree could lead round in a circle; the kernel has none among these.
        let fd = self.open_path(libc::O_DIRECTORY | libc::O_NOFOLLOW)?;
        list(fd.as_raw_fd(), &mut self.listing, each)
    }

    /// Where a link of a task leads.
    pub fn read_link(&mut self, at: Place, link: &str) -> Result<&[u8], Refusal> {
        self.path_of(at, link);
        self.path.push(0);
        // SAFETY: the path ends with the NUL just pushed, the directory is open for as long as `self` lives, and the
        // kernel writes at most `bytes.len()` bytes into `bytes`.
        let length = unsafe {
            libc::readlinkat(
                self.root.as_raw_fd(),
                self.path.as_ptr().cast(),
                self.bytes.as_mut_ptr().cast(),
                self.bytes.len(),
            )
        };
        let length = usize::try_from(length).map_err(|_| last_refusal())?;
        Ok(&self.bytes[..length])
    }

    /// Calls `each` with where every link in a directory of a task leads. Those that are gone meanwhile are left out.
    pub fn links(&mut self, at: Place, directory: &str, mut each: impl FnMut(&[u8])) -> Result<(), Refusal> {
        /// Sockets and pipes are shorter; a path that is cut is neither.
        const TARGET_BYTES: usize = 64;
        self.path_of(at, directory);
        let fd = self.open_path(libc::O_DIRECTORY)?;
        let mut path = Vec::new();
        list(fd.as_raw_fd(), &mut self.listing, |name| {
            path.clear();
            path.extend_from_slice(name);
            path.push(0);
            let mut target = [0u8; TARGET_BYTES];
            // SAFETY: the path ends with a NUL, the directory is open, and the kernel writes at most the length it is given.
            let length = unsafe {
                libc::readlinkat(
                    fd.as_raw_fd(),
                    path.as_ptr().cast(),
                    target.as_mut_ptr().cast(),
                    TARGET_BYTES,
                )
            };
            if let Ok(length) = usize::try_from(length) {
                each(&target[..length]);
            }
        })
    }

    /// The `st_mode` of what a link of a task leads to.
    pub fn mode(&mut self, at: Place, link: &str) -> Result<u32, Refusal> {
        self.path_of(at, link);
        self.path.push(0);
        mode(self.root.as_raw_fd(), &self.path).map(|(mode, _)| mode)
    }

    /// Opens a file of a task, to be kept.
    pub fn open_kept(&mut self, at: Place, file: &str) -> Result<OwnedFd, Refusal> {
        self.path_of(at, file);
        self.open_path(0)
    }

    /// Calls `each` with the mode and the inode number of what every entry of a directory of a task leads to. Entries that
    /// are gone or lead nowhere are left out.
    pub fn modes(
        &mut self,
        at: Place,
        directory: &str,
        mut each: impl FnMut(u32, u64),
    ) -> Result<(), Refusal> {
        self.path_of(at, directory);
        let fd = self.open_path(libc::O_DIRECTORY)?;
        let mut refused = Ok(());
        let mut path = Vec::new();
        list(fd.as_raw_fd(), &mut self.listing, |name| {
            if name == b"." || name == b".." {
                return;
            }
            path.clear();
            path.extend_from_slice(name);
            path.push(0);
            match mode(fd.as_raw_fd(), &path) {
                Ok((mode, inode)) => each(mode, inode),
                Err(Refusal(libc::EACCES)) => refused = Err(Refusal(libc::EACCES)),
                Err(_) => {}
            }
        })?;
        refused
    }

    fn path_of(&mut self, at: Place, file: &str) {
        self.path.clear();
        number::push(&mut self.path, at.pid);
        if at.tid != 0 {
            self.path.extend_from_slice(b"/task/");
            number::push(&mut self.path, at.tid);
        }
        self.path.push(b'/');
        self.path.extend_from_slice(file.as_bytes());
    }

    fn open_path(&mut self, flags: libc::c_int) -> Result<OwnedFd, Refusal> {
        self.path.push(0);
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | flags;
        // SAFETY: the path ends with the NUL just pushed, and the directory is open for as long as `self` lives.
        let fd = unsafe { libc::openat(self.root.as_raw_fd(), self.path.as_ptr().cast(), flags) };
        if fd < 0 {
            return Err(last_refusal());
        }
        // SAFETY: openat just returned this descriptor and nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn read_path(&mut self, extent: Extent) -> Result<&[u8], Refusal> {
        // A fifo in a recorded tree must not hang the run; the flag means nothing to a file.
        let fd = self.open_path(libc::O_NONBLOCK)?;
        let length = fill(fd.as_raw_fd(), &mut self.bytes, extent)?;
        Ok(&self.bytes[..length])
    }
}

/// Reads into `bytes`, which grows as needed and is never shrunk; gives the length.
fn fill(fd: RawFd, bytes: &mut Vec<u8>, extent: Extent) -> Result<usize, Refusal> {
    let most = match extent {
        Extent::Record => MOST_RECORD_BYTES,
        Extent::Whole => MOST_BYTES,
        Extent::AtMost(most) | Extent::RecordAtMost(most) => most,
    };
    let mut length = 0;
    loop {
        let end = most.min(bytes.len());
        let room = &mut bytes[length..end];
        // SAFETY: `room` is valid for writes of its length.
        let got = unsafe { libc::read(fd, room.as_mut_ptr().cast(), room.len()) };
        let Ok(got) = usize::try_from(got) else {
            match last_refusal() {
                Refusal(libc::EINTR) => continue,
                refusal => return Err(refusal),
            }
        };
        let filled = got == room.len();
        length += got;
        match extent {
            _ if got == 0 || length >= most => return Ok(length),
            Extent::Record | Extent::RecordAtMost(_) if !filled => return Ok(length),
            _ => {}
        }
        if length == bytes.len() {
            bytes.resize(length * 2, 0);
        }
    }
}

/// The `st_mode` and `st_ino` of what a path below an open directory leads to; the path ends with a NUL.
fn mode(directory: RawFd, path: &[u8]) -> Result<(u32, u64), Refusal> {
    let path = CStr::from_bytes_until_nul(path).map_err(|_| Refusal(libc::EINVAL))?;
    let mut about = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the path is a string that ends with a NUL, and `about` is room for one stat, which the call fills.
    if unsafe { libc::fstatat(directory, path.as_ptr(), about.as_mut_ptr(), 0) } != 0 {
        return Err(last_refusal());
    }
    // SAFETY: the call succeeded, so it filled the whole structure.
    let about = unsafe { about.assume_init() };
    Ok((about.st_mode, about.st_ino))
}

/// Walks a directory by getdents64(2).
fn list(fd: RawFd, buffer: &mut [u8], mut each: impl FnMut(&[u8])) -> Result<(), Refusal> {
    loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
        let got = unsafe { libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len()) };
        match usize::try_from(got) {
            Err(_) => return Err(last_refusal()),
            Ok(0) => return Ok(()),
            Ok(length) => entries(&buffer[..length], &mut each),
        }
    }
}

/// Takes `struct linux_dirent64` records apart: 8 bytes inode, 8 offset, 2 length of the record, 1 type, then the name.
fn entries(mut records: &[u8], each: &mut impl FnMut(&[u8])) {
    const NAME_AT: usize = 19;
    while records.len() > NAME_AT {
        let length = usize::from(u16::from_ne_bytes([records[16], records[17]]));
        if length <= NAME_AT || length > records.len() {
            return; // not a record; the kernel never writes this
        }
        let (record, rest) = records.split_at(length);
        let name = record[NAME_AT..].split(|b| *b == 0).next().unwrap_or_default();
        each(name);
        records = rest;
    }
}

/// Whether a descriptor lies on a real procfs, by the magic number of its file system.
pub fn is_procfs(fd: RawFd) -> io::Result<bool> {
    let mut about = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `about` is room for one statfs, which the call fills.
    if unsafe { libc::fstatfs(fd, about.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it filled the whole structure.
    Ok(unsafe { about.assume_init() }.f_type == libc::PROC_SUPER_MAGIC)
}

fn last_refusal() -> Refusal {
    Refusal(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_lie_about_their_length_end_the_walk() {
        let mut record = vec![0; 24];
        record[16] = 24;
        record[19..22].copy_from_slice(b"123");
        let mut names = Vec::new();
        entries(&record.repeat(2), &mut |name: &[u8]| names.push(name.to_vec()));
        assert_eq!(names, [b"123", b"123"]);
        for length in [0, 19, 25] {
            record[16] = length;
            entries(&record, &mut |_: &[u8]| panic!("{length}"));
        }
    }

    #[test]
    fn a_file_without_an_end_has_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("7")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("7/stat")).unwrap();
        let mut files = Files::open(dir.path()).unwrap();
        for (extent, most) in [(Extent::Record, MOST_RECORD_BYTES), (Extent::Whole, MOST_BYTES)] {
            assert_eq!(files.read(Place::process(7), "stat", extent).unwrap().len(), most);
        }
    }

    #[test]
    fn long_files_arrive_whole() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("7")).unwrap();
        let text = vec![b'x'; 3 * RECORD_BYTES + 5];
        std::fs::write(dir.path().join("7/status"), &text).unwrap();
        let mut files = Files::open(dir.path()).unwrap();
        assert!(!files.real());
        for extent in [Extent::Record, Extent::Whole] {
            assert_eq!(files.read(Place::process(7), "status", extent).unwrap(), text);
        }
        assert_eq!(files.read(Place::process(7), "status", Extent::AtMost(9)).unwrap(), b"xxxxxxxxx");
        assert_eq!(files.read(Place::process(8), "status", Extent::Whole), Err(Refusal(libc::ENOENT)));
        assert_eq!(files.read(Place { pid: 7, tid: 1 }, "status", Extent::Whole), Err(Refusal(libc::ENOENT)));
    }
}
