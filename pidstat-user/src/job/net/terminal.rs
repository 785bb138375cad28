//! The terminal: its size, and its keys one by one.

use std::{io, os::fd::AsRawFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Columns and rows of the terminal that standard output is.
pub(super) fn size() -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a valid winsize for the call to fill; it is read only after the call said it did.
    let answered = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) } == 0;
    (answered && size.ws_row > 0 && size.ws_col > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Keys as they are typed, neither shown nor gathered to lines. Dropping it puts the terminal back.
pub(super) struct Keys {
    before: libc::termios,
    input: AsyncFd<io::Stdin>,
}

impl Keys {
    /// Takes the terminal that standard input is.
    ///
    /// # Errors
    /// It is none, or the kernel refused.
    pub(super) fn open() -> io::Result<Keys> {
        // SAFETY: all zeros are a valid termios, and the call fills it.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: a valid termios to fill.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut typed = before;
        typed.c_lflag &= !(libc::ICANON | libc::ECHO);
        // A read that finds nothing returns at once, so that it never blocks the loop.
        (typed.c_cc[libc::VMIN], typed.c_cc[libc::VTIME]) = (0, 0);
        // SAFETY: a valid termios to read.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const typed) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: standard input stays open as long as the process.
        let input = unsafe { AsyncFd::register_with_interest(io::stdin(), Interest::READABLE) };
        Ok(Keys { before, input: input.map_err(io::Error::from)? })
    }

    /// The next key; `q` once nothing can be typed any more.
    pub(super) async fn next(&mut self) -> u8 {
        loop {
            let Ok(mut ready) = self.input.readable().await else { return b'q' };
            let mut key = [0];
            // SAFETY: the kernel writes at most one byte into `key`.
            let read = unsafe { libc::read(ready.get_inner().as_raw_fd(), key.as_mut_ptr().cast(), 1) };
            if read == 1 {
                return key[0];
            }
            ready.clear_ready();
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // SAFETY: a valid termios that the kernel gave.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, &raw const self.before) };
    }
}
