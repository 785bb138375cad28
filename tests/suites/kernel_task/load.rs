//! Starting and stopping the processes of `task_load`, and looking for what they left in the kernel.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running `task_load`; killed when dropped.
pub struct Load(Child);

impl Load {
    /// Starts it in a mode and waits until it is ready.
    pub fn start(mode: &str) -> Load {
        let mut child =
            Command::new(task_load()).arg(mode).stdout(Stdio::piped()).spawn().expect("task_load");
        let out = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("its output");
        assert_eq!(line, "ready\n", "task_load {mode}");
        Load(child)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The helper: where cargo built it, or beside this binary where both were carried to another machine.
pub fn task_load() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_task_load"));
    if built.exists() {
        built
    } else {
        std::env::current_exe().expect("this binary").with_file_name("task_load")
    }
}

/// Waits up to ten seconds for something to become true.
pub fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not become true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the kernel still has a program, map or link of this id.
pub fn bpf_id_exists(kind: &str, id: u32) -> bool {
    let command = match kind {
        "prog_id" => 13,
        "map_id" => 14,
        "link_id" => 30,
        _ => panic!("{kind}"),
    };
    let mut attr = [u64::from(id), 0];
    // SAFETY: the attribute is (id, next_id, open_flags), 12 bytes, and lives until the call returns.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), 12) };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{kind} {id}: {error}");
        return false;
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    unsafe { libc::close(i32::try_from(fd).expect("a descriptor")) };
    true
}
