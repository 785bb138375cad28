//! A process that does something of every kind that `-u -r -d -w` show, and then keeps still.

use anyhow::{Context, Result, ensure};
use std::{
    env,
    fs::File,
    hint::black_box,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// The argument that makes this program a load.
pub const ARGUMENT: &str = "load";

/// A load that has done its work; it ends with its handle.
pub struct Load(Child);

impl Load {
    /// CPU time in user mode that it used at least.
    pub const USER_NS: u64 = 200_000_000;
    /// Pages that it touched.
    pub const PAGES: u64 = 2_003;
    /// Times that it slept.
    pub const SLEEPS: u64 = 23;
    /// Times that it wrote 4096 bytes.
    pub const WRITES: u64 = 101;

    /// Starts it and waits until it has done everything.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn start() -> Result<Self> {
        let own = env::current_exe().context("this program")?;
        let child = Command::new(own).arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut load = Self(child);
        let mut word = [0; 4];
        load.0
            .stdout
            .take()
            .context("stdout was piped")?
            .read_exact(&mut word)
            .context("the load ended early")?;
        ensure!(&word == b"done", "the load says {word:?}");
        Ok(load)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Both fail when it has ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The load itself.
///
/// # Errors
/// When a file cannot be written.
pub fn work() -> Result<()> {
    while user_ns() < Load::USER_NS {
        black_box((0..100_000_u64).fold(0, |sum, n| black_box(sum ^ n)));
    }
    // SAFETY: prctl with this option takes numbers only.
    let small = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    ensure!(small == 0, "without huge pages each page is a fault: {}", std::io::Error::last_os_error());
    let mut pages = vec![0_u8; usize::try_from(Load::PAGES * 4096)?];
    for page in pages.chunks_mut(4096) {
        page[0] = 1;
    }
    for _ in 0..Load::SLEEPS {
        thread::sleep(Duration::from_millis(1));
    }
    let mut file = File::create("/tmp/load")?;
    for _ in 0..Load::WRITES {
        file.write_all(&pages[..4096])?;
    }
    let mut out = std::io::stdout();
    out.write_all(b"done")?;
    out.flush()?;
    // Until the other end is closed.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    black_box(pages);
    Ok(())
}

fn user_ns() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to an rusage, which is integers only, so that zeroes are valid should the call fail.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = usage.ru_utime;
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_usec * 1_000).unwrap_or(0)
}
