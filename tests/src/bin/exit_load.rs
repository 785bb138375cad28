//! Short-lived processes that do a known amount of everything; says on its output what wait4 said of each.
//!
//! `exit_load storm COUNT PARALLEL PORT [SECONDS]`, `exit_load run SCENARIO`: one line per ended child:
//! `PID utime_us stime_us minflt majflt nvcsw nivcsw maxrss_kib status`. What the processes write is known by ordinal.
#![expect(clippy::zombie_processes, reason = "wait4 reaps them, for its rusage")]

use std::{
    fs::File,
    io::{Read, Write},
    net::UdpSocket,
    os::unix::process::CommandExt,
    process::Command,
    thread,
    time::{Duration, Instant},
};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize| args.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    match args.get(1).map_or("", String::as_str) {
        "storm" => storm(number(2), number(3), &args[4], args.get(5).map(|_| Duration::from_secs(number(5)))),
        "job" => job(number(2), &args[3]),
        "run" => run(&args[2]),
        "zombie" => zombie(),
        "kid" => write_bytes(5),
        "handled" => reap(false),
        "ignored" => reap(true),
        "headless" => headless(),
        "execs" => execs(),
        "waits" => waits(),
        mode => panic!("unknown mode {mode:?}"),
    }
}

fn own() -> Command {
    Command::new(std::env::current_exe().expect("own path"))
}

/// Waits for any child and writes its line; false when there is none.
fn reaped(out: &mut Vec<u8>) -> bool {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for the call to fill; an rusage of zeros is a valid one should it fail.
    let (pid, usage) = unsafe {
        let pid = libc::wait4(-1, &raw mut status, 0, usage.as_mut_ptr());
        (pid, usage.assume_init())
    };
    if pid < 0 {
        return false;
    }
    let us = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    writeln!(
        out,
        "{pid} {} {} {} {} {} {} {} {status}",
        us(usage.ru_utime),
        us(usage.ru_stime),
        usage.ru_minflt,
        usage.ru_majflt,
        usage.ru_nvcsw,
        usage.ru_nivcsw,
        usage.ru_maxrss
    )
    .expect("memory");
    true
}

fn say(out: &[u8]) {
    std::io::stdout().write_all(out).expect("stdout");
}

fn storm(count: u64, parallel: u64, port: &str, time: Option<Duration>) {
    let start = Instant::now();
    let mut out = Vec::new();
    let mut running = 0;
    for ordinal in 0..count {
        if time.is_some_and(|time| start.elapsed() >= time) {
            break;
        }
        if running >= parallel && reaped(&mut out) {
            running -= 1;
        }
        own().args(["job", &ordinal.to_string(), port]).spawn().expect("a job");
        running += 1;
    }
    while reaped(&mut out) {}
    say(&out);
}

/// Writes `ordinal % 7 + 1` pages, sends `ordinal % 5` datagrams of 101 bytes, lives 1 to 50 ms, ends with `ordinal % 3`.
fn job(ordinal: u64, port: &str) {
    let start = Instant::now();
    name(&format!("j{ordinal}"));
    write_bytes(ordinal % 7 + 1);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for _ in 0..ordinal % 5 {
        let sent = socket.send_to(&[7; 101], format!("127.0.0.1:{port}"));
        assert_eq!(sent.expect("a datagram"), 101);
    }
    burn(Duration::from_micros(ordinal % 11 * 100));
    let life = Duration::from_millis(1 + ordinal % 50);
    thread::sleep(life.saturating_sub(start.elapsed()));
    std::process::exit(i32::try_from(ordinal % 3).unwrap_or(0));
}

fn name(text: &str) {
    let text = std::ffi::CString::new(text).expect("no zero");
    // SAFETY: the string ends in a zero and lives through the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, text.as_ptr()) };
}

fn write_bytes(pages: u64) {
    let mut null = File::create("/dev/null").expect("/dev/null");
    for _ in 0..pages {
        null.write_all(&[1; 4096]).expect("/dev/null");
    }
}

fn burn(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::black_box((0..100u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)));
    }
}

/// Runs one scenario as a child; its end is up to whoever closes the input.
fn run(scenario: &str) {
    let mut out = Vec::new();
    own().arg(scenario).spawn().expect("the scenario");
    if scenario == "zombie" {
        // Dead for long before anybody waits.
        thread::sleep(Duration::from_secs(3));
    }
    while reaped(&mut out) {}
    say(&out);
}

fn zombie() {
    burn(Duration::from_millis(30));
    write_bytes(4);
    std::process::exit(9);
}

/// Three children write five pages each; their parent writes three, some before and some after they are reaped.
fn reap(ignored: bool) {
    if ignored {
        // SAFETY: ignoring a signal needs no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    }
    write_bytes(1);
    for _ in 0..3 {
        own().arg("kid").spawn().expect("a child");
        thread::sleep(Duration::from_millis(250));
        write_bytes(1);
        if !ignored {
            reaped(&mut Vec::new());
        }
    }
    // With SIGCHLD ignored this waits for all, and then there is nobody to wait for.
    while reaped(&mut Vec::new()) {}
    // One more just before the end: it is freed at about the same time as its parent.
    own().arg("kid").spawn().expect("a child");
    while reaped(&mut Vec::new()) {}
}

/// The first thread ends, another works on and ends the process.
fn headless() {
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(300));
        burn(Duration::from_millis(40));
        write_bytes(6);
        thread::sleep(Duration::from_millis(1500));
        std::process::exit(7);
    });
    burn(Duration::from_millis(20));
    // SAFETY: ends this thread only, which holds nothing that the other one needs.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// Another thread than the first calls exec, and the program that it starts ends by itself.
fn execs() {
    burn(Duration::from_millis(20));
    write_bytes(2);
    let runner = thread::spawn(|| {
        burn(Duration::from_millis(20));
        own().arg("kid").exec()
    });
    panic!("{:?}", runner.join());
}

/// Threads that compete for a CPU and die; then it lives on until its input is closed.
fn waits() {
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(|| burn(Duration::from_millis(300)))).collect();
    for thread in threads {
        let _ = thread.join();
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}
