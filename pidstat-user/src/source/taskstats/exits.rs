//! The last word of every thread that ends, sent by the kernel as it happens.

use super::{Line, OF_THREAD, Stats, Unavailable, message, messages, refusal, stats};
use crate::source::netlink::Message;
use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

/// `TASKSTATS_CMD_ATTR_REGISTER_CPUMASK`.
const LISTEN_ON: u16 = 3;
/// For several thousand threads that end between two looks.
const BUFFER_BYTES: libc::c_int = 8 << 20;

/// Threads that ended since the last look.
pub struct Exits {
    line: Line,
    /// Times the kernel had no room for a message; how many were lost it does not say.
    pub overflows: u64,
}

impl std::fmt::Debug for Exits {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Exits").field("overflows", &self.overflows).finish_non_exhaustive()
    }
}

impl Exits {
    /// Listens to all CPUs; `cpus` is the list of those that can be there, like `0-3`
    /// (`/sys/devices/system/cpu/possible`).
    ///
    /// # Errors
    /// Why the kernel does not send.
    pub fn open(cpus: &str) -> Result<Exits, Unavailable> {
        let mut line = Line::open()?;
        let size = BUFFER_BYTES;
        for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
            // SAFETY: the option's value is an int that lives through the call. The larger one needs a privilege, and
            // whichever is refused leaves the buffer as it was.
            unsafe {
                libc::setsockopt(
                    line.socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const size).cast(),
                    4,
                );
            }
        }
        let list = [cpus.trim().as_bytes(), b"\0"].concat();
        line.sequence += 1;
        message::request(
            &mut line.packet,
            line.family,
            message::GET_STATS,
            line.sequence,
            (LISTEN_ON, &list),
        );
        message::acknowledge(&mut line.packet, 0);
        line.send()?;
        line.receive()?;
        let outcome = messages(&line.answer).find_map(|message| match message {
            Message::Outcome(number, _) => Some(number),
            Message::Data(..) => None,
        });
        match outcome {
            Some(0) => Ok(Exits { line, overflows: 0 }),
            Some(number) => Err(refusal(number)),
            None => Err(Unavailable::NotThere),
        }
    }

    /// A descriptor that is readable when threads have ended.
    pub fn wakeup(&self) -> BorrowedFd<'_> {
        self.line.socket.as_fd()
    }

    /// Hands over every thread that ended since the last call.
    ///
    /// # Errors
    /// When the line broke.
    pub fn drain(&mut self, mut take: impl FnMut(Stats)) -> io::Result<()> {
        loop {
            self.line.answer.clear();
            self.line.answer.reserve(16 << 10);
            match self.line.socket.recv(&mut self.line.answer, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.overflows += 1;
                    continue;
                }
                Err(error) => return Err(error),
            }
            for message in messages(&self.line.answer) {
                if let Message::Data(_, _, rest) = message {
                    stats(rest).filter(|(kind, _)| *kind == OF_THREAD).for_each(|(_, stats)| take(stats));
                }
            }
        }
    }
}
