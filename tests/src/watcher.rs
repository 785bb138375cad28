//! kpidstat under way: started, watched until it has shown something, ended by a signal.

use crate::tool;
use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// kpidstat under way.
#[derive(Debug)]
pub struct Watcher {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Watcher {
    /// Starts it, and returns when it has shown its first sample.
    ///
    /// # Panics
    /// When it shows nothing within 20 seconds.
    pub fn start(arguments: &[&str]) -> Watcher {
        Watcher::of(&mut tool::command(arguments))
    }

    /// The same of a command that runs it.
    ///
    /// # Panics
    /// As [`Watcher::start`].
    pub fn of(command: &mut Command) -> Watcher {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&shown);
        let reader = thread::spawn(move || {
            let mut piece = [0; 65_536];
            while let Ok(length @ 1..) = stdout.read(&mut piece) {
                into.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        let watcher = Watcher { child, shown, reader };
        let deadline = Instant::now() + Duration::from_secs(20);
        // Text repeats the word in its header, JSON has it in every sample, nethogs' trace says that.
        while !["PID", "timestamp", "epoch_ns", "Refreshing"].iter().any(|word| watcher.has_shown(word)) {
            assert!(Instant::now() < deadline, "no sample within 20 s");
            thread::sleep(Duration::from_millis(20));
        }
        watcher
    }

    /// Sends it a signal that does not end it.
    ///
    /// # Panics
    /// When it cannot be signalled.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    fn has_shown(&self, word: &str) -> bool {
        self.shown.lock().unwrap().windows(word.len()).any(|window| window == word.as_bytes())
    }

    /// Waits until it has shown so many lines more, which are samples where it prints NDJSON.
    ///
    /// # Panics
    /// When it does not within 20 seconds.
    pub fn await_samples(&self, count: usize) {
        let lines = || self.shown.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
        let wanted = lines() + count;
        let deadline = Instant::now() + Duration::from_secs(20);
        while lines() < wanted {
            assert!(Instant::now() < deadline, "no {count} samples within 20 s");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it by a signal and returns everything it showed, and its exit code.
    ///
    /// # Panics
    /// When it cannot be signalled.
    pub fn end(mut self, signal: i32) -> (Vec<u8>, Option<i32>) {
        self.signal(signal);
        let code = self.child.wait().unwrap().code();
        self.reader.join().unwrap();
        (std::mem::take(&mut *self.shown.lock().unwrap()), code)
    }
}
