//! The real pidstat 12.6.1 judges kpidstat: for every story and combination of options, identical bytes.

use pidstat_tests::oracle::{self, Ask, Printed, Story};
use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A difference that is meant; the man page has each under its `name`.
struct Deliberate {
    name: &'static str,
    /// Whether it can show up.
    applies: fn(&Story, &Ask) -> bool,
    /// Turns what pidstat printed into what kpidstat should print instead; the second is kpidstat's, for the lines
    /// about which nothing else can be said than that they hold no garbage.
    corrected: fn(&[String], &[String]) -> Vec<String>,
}

const DELIBERATE: [Deliberate; 5] = [
    Deliberate {
        name: "tables without columns",
        applies: |_, ask| ask.line.contains("-T ALL -h"),
        corrected: |real, _| {
            let mut bare = false;
            let kept = real.iter().enumerate().filter(|(at, line)| {
                // A blank line belongs to the header below it, if there is one.
                let blank = line.as_str() == "\\n";
                let header = if blank { real.get(at + 1) } else { Some(*line) };
                let header = header.filter(|header| header.starts_with('#'));
                bare = match header {
                    Some(header) => header.ends_with("ID  Command\\n"),
                    None => bare && !blank && !line.starts_with('['),
                };
                !bare
            });
            kept.map(|(_, line)| line.clone()).collect()
        },
    },
    Deliberate {
        name: "wrapped numbers",
        applies: |story, _| ["pid_reused", "counter_goes_backwards", "guests"].contains(&story.name.as_str()),
        corrected: |real, ours| {
            if real.len() != ours.len() {
                return real.to_vec();
            }
            let lines = real.iter().zip(ours);
            lines
                .map(|(real, ours)| if wrapped(real) && !wrapped(ours) { ours } else { real }.clone())
                .collect()
        },
    },
    Deliberate {
        name: "-U NAME",
        applies: |_, ask| {
            ask.line.contains("-U root")
                || ask.line.contains("-U alice")
                || ask.line.contains("-U nosuchuser")
        },
        corrected: |real, _| real.iter().filter(|line| !of_nobody(line)).cloned().collect(),
    },
    Deliberate {
        name: "command lines after exec",
        applies: |story, ask| story.name == "command_lines" && ask.line.contains(" -l"),
        corrected: |real, _| {
            let late = real.iter().position(|line| line.starts_with("04:02:23")).unwrap_or(real.len());
            let lines = real.iter().enumerate();
            lines
                .map(
                    |(at, line)| {
                        if at < late { line.clone() } else { line.replace("before one", "after two") }
                    },
                )
                .collect()
        },
    },
    Deliberate {
        name: "-V",
        applies: |_, ask| ask.line.ends_with('V') || ask.line.ends_with("-V -p"),
        corrected: |real, ours| match (real, ours) {
            ([version, _, code], [_, name, _]) if name.starts_with("(kpidstat ") => {
                vec![version.clone(), name.clone(), code.clone()]
            }
            _ => real.to_vec(),
        },
    },
];

/// Whether a line holds a number that came from a difference below zero.
fn wrapped(line: &str) -> bool {
    let digits = |part: &str| part.len() >= 16 && part.bytes().all(|b| b.is_ascii_digit());
    line.split(|c: char| !c.is_ascii_digit()).any(digits)
        // In units, with or without colours.
        || ["P", "?"].iter().any(|unit| line.contains(&format!("0{unit} ")) || line.contains(&format!("m{unit}\\x1b")))
}

/// Whether a line is a row of a user without a name.
fn of_nobody(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let stamped = words.next().is_some_and(|stamp| stamp.contains(':') && !stamp.starts_with('['));
    stamped && words.next().is_some_and(|user| user.parse::<i64>().is_ok())
}

/// What one comparison came to.
enum Finding {
    Same,
    Meant(Vec<usize>),
    Different(String),
}

fn compare(story: &Story, ask: &Ask) -> Finding {
    let (real, ours) = (oracle::real(story, ask), oracle::ours(story, ask));
    if real == ours {
        return Finding::Same;
    }
    let (real, ours) = (real.lines(), ours.lines());
    let (mut corrected, mut met) = (real.clone(), Vec::new());
    for (number, meant) in DELIBERATE.iter().enumerate().filter(|(_, meant)| (meant.applies)(story, ask)) {
        let next = (meant.corrected)(&corrected, &ours);
        if next != corrected {
            met.push(number);
            corrected = next;
        }
    }
    if corrected == ours {
        return Finding::Meant(met);
    }
    let at = real.iter().zip(&ours).take_while(|(real, ours)| real == ours).count();
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
    Finding::Different(format!("{}: {}\n  - {}\n  + {}", story.name, ask.line, line(&real), line(&ours)))
}

#[test]
fn kpidstat_prints_the_same_bytes() {
    let (stories, asks) = (oracle::stories(), oracle::asks());
    assert!(
        stories.len() >= 12 && asks.len() >= 60,
        "{} stories, {} combinations",
        stories.len(),
        asks.len()
    );
    let cases: Vec<(&Story, &Ask)> =
        stories.iter().flat_map(|story| asks.iter().map(move |ask| (story, ask))).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Vec<Finding> {
        let ours = std::iter::from_fn(|| cases.get(next.fetch_add(1, Ordering::Relaxed)));
        ours.map(|(story, ask)| compare(story, ask)).collect()
    };
    let findings: Vec<Finding> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a comparison does not panic")).collect()
    });
    let mut met = [0; DELIBERATE.len()];
    let mut different = Vec::new();
    for finding in findings {
        match finding {
            Finding::Same => {}
            Finding::Meant(numbers) => numbers.into_iter().for_each(|number| met[number] += 1),
            Finding::Different(what) => different.push(what),
        }
    }
    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), cases.len(), different.join("\n"));
    for (meant, met) in DELIBERATE.iter().zip(met) {
        assert!(met > 0, "{}: nothing differs any more", meant.name);
    }
}

/// A process with threads that did something and is stopped since.
struct Stopped(Child);

impl Stopped {
    fn start() -> Stopped {
        let script = "
import threading, time
threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
sum(range(30_000_000))
print('done', flush=True)
time.sleep(1e6)
";
        let mut child =
            Command::new("python3").args(["-c", script]).stdout(Stdio::piped()).spawn().expect("python3");
        let mut said = [0; 5];
        child.stdout.take().expect("a pipe").read_exact(&mut said).expect("python works");
        let stopped = Stopped(child);
        let pid = libc::pid_t::try_from(stopped.0.id()).expect("a pid");
        // SAFETY: signals a child of ours that was not waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGSTOP) }, 0);
        // The signal has to arrive.
        std::thread::sleep(std::time::Duration::from_millis(100));
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stopped_process_looks_the_same_since_boot() {
    let stopped = Stopped::start();
    let pid = stopped.0.id().to_string();
    for line in ["-u", "-r", "-d", "-w", "-v", "-R", "-s", "-urdwvRs -t -U -l", "-T ALL -h", "-I --human -ur"]
    {
        let ask = Ask::parse(&format!("pidstat {line}"));
        // The clock goes on between the two, and with it the divisor; a few tries bring them close enough together.
        let mut tries = std::iter::repeat_with(|| oracle::live(&ask, &["-p", &pid])).take(20);
        let Some((theirs, _)) = tries.find(|(theirs, ours)| theirs == ours) else {
            let (theirs, ours) = oracle::live(&ask, &["-p", &pid]);
            panic!("pidstat {line}\n{:#?}\n{:#?}", theirs.lines(), ours.lines());
        };
        assert!(theirs.lines().len() > 3, "{line}: nothing was shown");
    }
}

/// The rows of a process and of its threads, without their time stamps.
fn rows_of(printed: &Printed, tids: &[String]) -> Vec<String> {
    let lines = printed.lines();
    let rows = lines
        .iter()
        .filter(|line| line.split_ascii_whitespace().any(|word| tids.iter().any(|tid| tid == word)));
    rows.map(|row| row[11.min(row.len())..].to_owned()).collect()
}

/// With every process asked for, kpidstat has its counters from the kernel where it may.
#[test]
fn a_stopped_process_looks_the_same_in_an_interval() {
    let stopped = Stopped::start();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", stopped.0.id())).expect("it has threads");
    let tids: Vec<String> =
        tasks.map(|task| task.expect("a thread").file_name().to_string_lossy().into_owned()).collect();
    assert!(tids.len() > 1);
    let ask = Ask::parse("pidstat -urdwvRs -t -U -l -p ALL 1 1");
    let (theirs, ours) = oracle::live(&ask, &[]);
    let (theirs, ours) = (rows_of(&theirs, &tids), rows_of(&ours, &tids));
    assert!(theirs.len() >= 7 * tids.len(), "{theirs:#?}");
    assert_eq!(theirs, ours);
}

/// The man page says what is different on purpose.
#[test]
fn every_deliberate_difference_is_documented() {
    let page = include_str!("../../pidstat-user/docs/sections.roff").replace("\\-", "-");
    for meant in &DELIBERATE {
        assert!(page.contains(meant.name), "{} is not in docs/sections.roff", meant.name);
    }
}

/// By hand from the files of the stories: what the judge has to say if the shim shows it what it should.
#[test]
fn the_judge_sees_the_stories() {
    let stories = oracle::stories();
    let said = |story: &str, line: &str| {
        let story = stories.iter().find(|known| known.name == story).expect("the story is there");
        oracle::real(story, &Ask::parse(line))
    };
    let banner = "Linux 6.12.0 (host) \t11/21/26 \t_x86_64_\t(2 CPU)\n";

    // Worker runs 40 ticks of user and 10 of system time in the first second and is gone in the second.
    let exits = said("process_exits", "pidstat -C worker 1");
    let expected = format!(
        "{banner}
04:02:21      UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command
04:02:22        0       150   40.00   10.00    0.00    0.00   50.00     0  worker

04:02:22      UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command

04:02:23      UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command


Average:      UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command
"
    );
    assert_eq!(String::from_utf8_lossy(&exits.out), expected);
    assert_eq!((exits.err.as_slice(), exits.code), (&b""[..], Some(0)));

    // The sys tree has 128 CPUs, and no more are counted than directories named cpuN.
    let many = said("many_cpus", "pidstat -p 200 -I");
    assert!(many.out.starts_with(banner.replace("(2 CPU)", "(128 CPU)").as_bytes()));

    // One instant: the first wait is interrupted, and nothing but the banner was printed.
    let one = said("one_instant", "pidstat 1");
    assert_eq!((one.out.as_slice(), one.code), (banner.as_bytes(), Some(0)));

    // The names are the instant's, not this machine's.
    let users = said("user_ids", "pidstat -U processing-daemon -p 120 -v");
    let rows = String::from_utf8_lossy(&users.out).into_owned();
    assert!(rows.contains(" processing-daemon       120       1      -1  of-1001\n"), "{rows}");

    // 16 KiB pages and 250 ticks a second: 50 ticks of 252 in 1.01 s, 500 pages of 16 KiB.
    let ticks = said("ticks", "pidstat -u -r 1 1");
    let rows = String::from_utf8_lossy(&ticks.out).into_owned();
    assert!(rows.contains("   19.84    3.97    0.00   13.89   23.81     0  busy\n"), "{rows}");
    assert!(rows.contains("    8016   0.05  busy\n"), "{rows}");

    // Refusals.
    let usage = said("steady", "pidstat --help");
    assert!(usage.err.starts_with(b"Usage: pidstat [ options ]") && usage.out.is_empty());
    assert_eq!(usage.code, Some(1));
}
