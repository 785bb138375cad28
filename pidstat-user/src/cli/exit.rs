//! Exit codes; the voice `pidstat` has sysstat's instead.

/// What was asked for was done.
pub const OK: u8 = 0;
/// A run-time error.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// Nothing that was asked for exists.
pub const NOTHING_MATCHED: u8 = 3;
/// A privilege or a kernel feature is missing and there is no fallback.
pub const UNSUPPORTED: u8 = 4;
