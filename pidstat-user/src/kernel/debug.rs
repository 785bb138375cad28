//! What the kernel programs log with `--debug-bpf`, on standard error.

use super::reason::Reason;
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// Lines from the kernel side of one object; [`EbpfLogger::flush`] prints what has arrived.
pub type KernelLog = EbpfLogger<&'static dyn Log>;

/// Prints each line with the program's source line.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (file, line) = (record.file().unwrap_or("?"), record.line().unwrap_or(0));
        eprintln!("kpidstat: kernel: {file}:{line}: {}", record.args());
    }

    fn flush(&self) {}
}

/// Starts reading an object's log.
///
/// # Errors
/// The object has none, or its ring cannot be mapped.
pub fn open(object: &mut Ebpf) -> Result<KernelLog, Reason> {
    static STDERR: Stderr = Stderr;
    let logger: &'static dyn Log = &STDERR;
    EbpfLogger::init_with_logger(object, logger)
        .map_err(|error| Reason::Other(format!("kernel log: {error}")))
}
