//! `play` as a person interrupts it: one signal ends the section that runs, and nothing more is begun.

use pidstat_tests::tool;
use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

const BOOK: &str = "
[a:watch]
interval: 0.1
repeat: 1
command: echo watched

[b:record]
database_file: b.sqlite
interval: 0.05
pid_list: 1
reports: -

[c:watch]
interval: 60
command: echo $$ > c.pid; exec sleep 60

[d:query]
query: $..pid
";

struct Player(Child);

impl Player {
    fn start(folder: &Path, arguments: &[&str]) -> Player {
        fs::write(folder.join("book.ini"), BOOK).unwrap();
        let mut command = tool::command(&["play", "-f", "book.ini"]);
        command.args(arguments).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
        Player(command.spawn().unwrap())
    }

    fn signal(&self, number: i32) {
        // SAFETY: sends a signal to a child that was not waited for yet, so its number is its own.
        unsafe { libc::kill(self.0.id().cast_signed(), number) };
    }

    /// The exit code, and what was said on both ways out.
    fn end(self) -> (Option<i32>, String) {
        let output = self.0.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }
}

fn wait_for(path: &Path) {
    let end = Instant::now() + Duration::from_secs(30);
    while fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        assert!(Instant::now() < end, "{} did not come", path.display());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_signal_ends_the_section_and_the_playbook() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let folder = tempfile::tempdir().unwrap();
        // The watch before it ended by itself, and left the signals as they were.
        let player = Player::start(folder.path(), &["*"]);
        wait_for(&folder.path().join("b.sqlite"));
        thread::sleep(Duration::from_millis(200));
        player.signal(signal);
        let (code, said) = player.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("watched") && said.contains("section b:record"), "{said}");
        assert!(!said.contains("section c:watch"), "{said}");
        assert!(!folder.path().join("b.sqlite-wal").exists(), "the recording was closed");

        // The recording before it ended by itself, too.
        let player = Player::start(folder.path(), &["-o", "recnum=1", "b:*"]);
        assert_eq!(player.end().0, Some(0));
        let player = Player::start(folder.path(), &["[c-d]:*"]);
        wait_for(&folder.path().join("c.pid"));
        player.signal(signal);
        let (code, said) = player.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("section c:watch") && !said.contains("section d:query"), "{said}");
        fs::remove_file(folder.path().join("c.pid")).unwrap();
    }
}

#[test]
fn sections_follow_each_other_until_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = Player::start(folder.path(), &["-o", "query=$..nothing[", "d:*", "a:*"]).end();
    assert!(code == Some(2) && said.contains('^') && !said.contains("a:watch"), "{said}");
    let (code, said) = Player::start(folder.path(), &["a:*", "d:*"]).end();
    assert!(code == Some(0) && said.find("watched") < said.find("section d:query"), "{said}");
    assert!(said.contains(&format!(", {}", std::process::id())), "{said}");
}
