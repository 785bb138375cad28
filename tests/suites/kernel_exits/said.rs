//! What wait4 said of the processes of `exit_load`.

use std::{
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// One ended child.
#[derive(Clone, Debug)]
pub struct Said {
    pub pid: u32,
    pub cpu_us: u64,
    pub minor: u64,
    pub major: u64,
    pub voluntary: u64,
    pub involuntary: u64,
    pub peak_kib: u64,
    pub status: u64,
}

/// A running `exit_load`.
pub struct Load(Child);

impl Load {
    pub fn start(arguments: &[&str]) -> Load {
        let child = Command::new(exit_load())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("exit_load");
        Load(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended; its output fits into the pipe or is read by [`Load::said`].
    pub fn ended(&mut self) -> bool {
        self.0.try_wait().expect("wait").is_some()
    }

    /// Waits for a first line.
    pub fn ready(&mut self) {
        let mut line = [0; 6];
        self.0.stdout.as_mut().expect("its output").read_exact(&mut line).expect("its output");
        assert_eq!(&line, b"ready\n");
    }

    /// Ends whoever waits for the end of its input, and waits for it.
    pub fn finish(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("wait");
    }

    /// Its output, on another thread, so that it never waits for a reader.
    pub fn listen(&mut self) -> std::thread::JoinHandle<Vec<Said>> {
        let mut out = self.0.stdout.take().expect("its output");
        std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).expect("its output");
            text.lines().map(parse).collect()
        })
    }
}

fn parse(line: &str) -> Said {
    let n: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
    Said {
        pid: u32::try_from(n[0]).expect("a pid"),
        cpu_us: n[1] + n[2],
        minor: n[3],
        major: n[4],
        voluntary: n[5],
        involuntary: n[6],
        peak_kib: n[7],
        status: n[8],
    }
}

fn exit_load() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_exit_load"));
    if built.exists() {
        built
    } else {
        std::env::current_exe().expect("this binary").with_file_name("exit_load")
    }
}
