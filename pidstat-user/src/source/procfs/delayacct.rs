//! Has the kernel measure delays for as long as a run lasts (`sys/kernel/task_delayacct`, Linux 5.14).
//!
//! A process of its own puts the switch back: it waits for the end of a pipe that the kernel closes however this program
//! ends, by kill -9 too.

use super::PROC_ROOT;
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    path::Path,
};

/// Why delays cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not root.
    #[error("--delayacct sets kernel.task_delayacct, which only root may")]
    NoPermission,
    /// No such switch.
    #[error(
        "this kernel has no kernel.task_delayacct (Linux 5.14): it measures delays always, never, or if booted with delayacct"
    )]
    NotInKernel,
    /// Something else failed.
    #[error("kernel.task_delayacct: {0}")]
    Failed(#[from] io::Error),
}

/// Delays are measured while this lives. Of what was started before, they are not.
#[derive(Debug)]
pub struct Measuring {
    /// The keeper, and the end of its pipe; none if the switch was on before.
    keeper: Option<(libc::pid_t, OwnedFd)>,
}

impl Measuring {
    /// Turns the switch on. Must be called while the program has one thread.
    ///
    /// # Errors
    /// Why it stays as it is.
    pub fn start() -> Result<Measuring, Refused> {
        Measuring::start_at(&Path::new(PROC_ROOT).join("sys/kernel/task_delayacct"))
    }

    fn start_at(path: &Path) -> Result<Measuring, Refused> {
        let opened = File::options().read(true).write(true).open(path);
        let mut switch = opened.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Refused::NoPermission,
            io::ErrorKind::NotFound => Refused::NotInKernel,
            _ => Refused::Failed(error),
        })?;
        let mut before = String::new();
        switch.read_to_string(&mut before)?;
        if before.trim() != "0" {
            return Ok(Measuring { keeper: None });
        }
        let keeper = keep(&switch)?;
        // From here on the keeper puts it back.
        let written = File::options().write(true).open(path).and_then(|mut file| file.write_all(b"1\n"));
        let measuring = Measuring { keeper: Some(keeper) };
        match written {
            Ok(()) => Ok(measuring),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(Refused::NoPermission),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        if let Some((keeper, pipe)) = self.keeper.take() {
            drop(pipe);
            // When this returns the switch is back.
            // SAFETY: the child was not waited for, so the number is still its own; no status is asked for.
            unsafe { libc::waitpid(keeper, std::ptr::null_mut(), 0) };
        }
    }
}

/// Starts the process that writes a 0 to `switch` when the pipe ends.
fn keep(switch: &File) -> io::Result<(libc::pid_t, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just made and nobody else owns them.
    let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    // SAFETY: the program has one thread (the caller's duty), and the child calls nothing but the kernel.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => wait_and_restore(read.as_raw_fd(), switch.as_raw_fd()),
        keeper => Ok((keeper, write)),
    }
}

/// The keeper's whole life.
fn wait_and_restore(pipe: RawFd, switch: RawFd) -> ! {
    // SAFETY: system calls on numbers and on memory that outlives them; no allocation, no lock, no Rust runtime.
    unsafe {
        // Neither Ctrl+C nor the end of the terminal reaches it.
        libc::setsid();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        // Nobody who reads what the program prints has to wait for us.
        let (low, high) = (pipe.min(switch), pipe.max(switch));
        let close = |from: RawFd, to: libc::c_uint| {
            if let Ok(from) = libc::c_uint::try_from(from)
                && from <= to
            {
                libc::syscall(libc::SYS_close_range, from, to, 0);
            }
        };
        let below = |fd: RawFd| libc::c_uint::try_from(fd).unwrap_or(1).wrapping_sub(1);
        if low > 0 {
            close(0, below(low));
        }
        close(low + 1, below(high));
        close(high + 1, libc::c_uint::MAX);
        let mut byte = 0u8;
        while libc::read(pipe, (&raw mut byte).cast(), 1) != 0 {
            if *libc::__errno_location() != libc::EINTR {
                break;
            }
        }
        libc::pwrite(switch, c"0\n".as_ptr().cast(), 2, 0);
        libc::_exit(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn read(file: &tempfile::NamedTempFile) -> String {
        std::fs::read_to_string(file.path()).unwrap().trim().to_owned()
    }

    #[test]
    fn the_switch_goes_back_and_stays_as_it_was_if_it_was_on() {
        for (before, during) in [("0\n", "1"), ("1\n", "1")] {
            let file = switch(before);
            let measuring = Measuring::start_at(file.path()).unwrap();
            assert_eq!(read(&file), during);
            assert_eq!(measuring.keeper.is_some(), before == "0\n");
            drop(measuring);
            assert_eq!(read(&file), before.trim());
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let nowhere = Measuring::start_at(Path::new("/nonexistent/task_delayacct"));
        assert!(matches!(nowhere, Err(Refused::NotInKernel)));
    }
}
