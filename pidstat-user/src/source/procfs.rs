//! The files of /proc: parsers that take bytes, and a reader that opens no more than is asked for.

pub mod access;
pub mod cgroup;
pub mod cost;
pub mod delayacct;
pub mod files;
pub mod groups;
pub mod host;
pub mod inspect;
pub mod interface;
pub mod io;
pub mod live;
pub mod machine;
pub mod node;
pub mod number;
pub mod passwd;
pub mod rare;
pub mod reader;
pub mod schedstat;
pub mod small;
pub mod smaps;
pub mod stat;
pub mod statm;
pub mod status;
pub mod system;
pub mod threads;
pub mod users;
pub mod vmstat;

pub use host::host;
pub use inspect::Inspector;
pub use live::ProcSource;
pub use reader::Reader;
pub use threads::ThreadCounters;
pub use users::Users;

/// Where the kernel's own files are.
pub const PROC_ROOT: &str = "/proc";
/// Where the kernel lists its devices.
pub const SYS_ROOT: &str = "/sys";
