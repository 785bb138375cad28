//! Reads the figures of the whole machine, from files that stay open where the kernel makes them.

use super::{files::is_procfs, small, system};
use crate::{
    sample::{Machine as Figures, Missing, Reading},
    source::SourceError,
};
use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::{Path, PathBuf},
};

/// Enough for all of `stat` on large machines.
const WHOLE_BYTES: usize = 1 << 18;

/// `uptime`, `stat` and `meminfo` of one proc directory.
#[derive(Debug)]
pub struct Machine {
    uptime: Held,
    stat: Held,
    meminfo: Held,
    diskstats: Held,
    bytes: Vec<u8>,
    mem_total_kib: Option<Reading<u64>>,
}

impl Machine {
    /// Names the files below `root`; they are opened when they are first wanted.
    pub fn new(root: &Path) -> Machine {
        Machine {
            uptime: Held::new(root.join("uptime")),
            stat: Held::new(root.join("stat")),
            meminfo: Held::new(root.join("meminfo")),
            diskstats: Held::new(root.join("diskstats")),
            bytes: vec![0; 4096],
            mem_total_kib: None,
        }
    }

    /// `uptime` in nanoseconds, exact to the hundredth of a second that the file has.
    pub fn uptime_ns(&mut self) -> Result<u64, SourceError> {
        self.uptime.value(&mut self.bytes, system::uptime_ns)
    }

    /// Clock ticks of all CPUs together, from the first line of `stat`.
    pub fn total_cpu_ticks(&mut self) -> Result<u64, SourceError> {
        self.stat.value(&mut self.bytes, system::total_cpu_ticks)
    }

    /// What the machine did so far, for a kernel with so long a clock tick; nothing is said of tasks.
    ///
    /// # Errors
    /// `NotInKernel` where a file has not what should be in it.
    pub fn figures(&mut self, tick_ns: u64) -> Reading<Figures> {
        // The line of interrupts, before that of switches, can be long.
        self.bytes.resize(self.bytes.len().max(WHOLE_BYTES), 0);
        let length = self.stat.read(&mut self.bytes).map_err(|_| Missing::NotInKernel)?;
        let (ticks, switches) = system::machine(&self.bytes[..length]).ok_or(Missing::NotInKernel)?;
        let length = self.diskstats.read(&mut self.bytes).map_err(|_| Missing::NotInKernel)?;
        let (read_bytes, written_bytes) = system::disk_bytes(&self.bytes[..length]);
        let [busy_ns, interrupt_ns, steal_ns, idle_ns] = ticks.map(|ticks| ticks.saturating_mul(tick_ns));
        Ok(Figures {
            busy_ns,
            interrupt_ns,
            steal_ns,
            idle_ns,
            switches,
            read_bytes,
            written_bytes,
            tasks_ns: 0,
        })
    }

    /// Installed memory in KiB, read once. Nothing but %MEM needs it, so its absence does not end a run.
    pub fn mem_total_kib(&mut self) -> Reading<u64> {
        let (meminfo, bytes) = (&mut self.meminfo, &mut self.bytes);
        *self.mem_total_kib.get_or_insert_with(|| match meminfo.value(bytes, system::mem_total_kib) {
            Err(SourceError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Missing::NoPermission)
            }
            other => other.map_err(|_| Missing::NotInKernel),
        })
    }
}

/// One file. The kernel's are kept open and read from their beginning, which makes them anew; recorded ones may be
/// replaced by others between two samples, so they are opened each time.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    file: Option<File>,
}

impl Held {
    fn new(path: PathBuf) -> Held {
        Held { path, file: None }
    }

    fn value(&mut self, bytes: &mut [u8], parse: impl Fn(&[u8]) -> Option<u64>) -> Result<u64, SourceError> {
        let read = self.read(bytes).and_then(|length| {
            parse(&bytes[..length]).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the number that should be in it is not there")
            })
        });
        read.map_err(|error| SourceError::Unreadable { path: self.path.display().to_string(), error })
    }

    /// What is wanted stands in the first lines of each file, so as much as fits is enough.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let file = match self.file.take() {
            Some(file) => file,
            None => small::open(&self.path)?,
        };
        let mut length = 0;
        loop {
            match file.read_at(&mut bytes[length..], length as u64) {
                Ok(0) => break,
                Ok(got) => length += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if is_procfs(file.as_raw_fd())? {
            self.file = Some(file);
        }
        Ok(length)
    }
}
