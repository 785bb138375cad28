//! Processes with a known shape for the task suite: churning, dead, headless, waiting, or holding the kernel side open.

use pidstat_user::{
    clock::Clock,
    sample::{Facts, Pids, Sample, Want},
    source::{Source, ebpf::EbpfSource},
};
use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    match mode.as_str() {
        "churn" => churn(),
        "mixed" => mixed(),
        "active" => active(),
        "zombie" => zombie(),
        "headless" => headless(),
        "forks" => forks(),
        "execs" => execs(),
        "hold" => hold(),
        "show" => show(),
        _ => panic!("unknown mode {mode:?}"),
    }
}

fn ready() {
    println!("ready");
    std::io::stdout().flush().expect("stdout");
}

fn forever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn burn(time: Duration) {
    let start = Instant::now();
    let mut x = 0u64;
    while start.elapsed() < time {
        for i in 0..1000 {
            x = std::hint::black_box(x.wrapping_add(i));
        }
    }
}

fn use_files(times: usize) {
    let mut buffer = [0u8; 4096];
    for _ in 0..times {
        File::open("/dev/zero").and_then(|mut file| file.read(&mut buffer)).expect("/dev/zero");
        File::create("/dev/null").and_then(|mut file| file.write(&buffer)).expect("/dev/null");
    }
}

/// Threads come and go all the time, each with some CPU time, faults and I/O.
fn churn() -> ! {
    ready();
    loop {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                thread::spawn(|| {
                    burn(Duration::from_micros(700));
                    use_files(1);
                })
            })
            .collect();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// Dead threads with CPU time and I/O, a reaped child, live threads with odd names; then it only waits.
fn mixed() -> ! {
    let dead: Vec<_> = (1..6)
        .map(|n| {
            thread::spawn(move || {
                burn(Duration::from_millis(17 * n));
                use_files(20 * n as usize);
                std::hint::black_box(vec![1u8; (n as usize) << 18]);
            })
        })
        .collect();
    for thread in dead {
        let _ = thread.join();
    }
    let mut dd = Command::new("dd");
    let dd = dd.args(["if=/dev/zero", "of=/dev/null", "bs=64k", "count=3000"]);
    assert!(dd.stderr(std::process::Stdio::null()).status().expect("dd").success());
    for n in 0..3 {
        let live = move || {
            burn(Duration::from_millis(20 + 23 * n));
            use_files(30);
            forever()
        };
        thread::Builder::new().name(format!("liv {n}) x")).spawn(live).expect("thread");
    }
    thread::sleep(Duration::from_millis(500));
    ready();
    forever()
}

/// Two threads that never rest.
fn active() -> ! {
    for _ in 0..2 {
        thread::spawn(|| {
            loop {
                burn(Duration::from_millis(3));
                use_files(10);
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
    ready();
    forever()
}

/// A child that nobody waits for, in a process with real-time priority.
fn zombie() -> ! {
    // SAFETY: the process has one thread, and the child calls nothing but _exit.
    unsafe {
        if libc::fork() == 0 {
            libc::_exit(3);
        }
    }
    let param = libc::sched_param { sched_priority: 7 };
    // SAFETY: `param` is valid for the call to read.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    ready();
    forever()
}

/// The first thread ends, another lives on.
fn headless() -> ! {
    thread::spawn(|| {
        use_files(5);
        thread::sleep(Duration::from_millis(100));
        ready();
        forever()
    });
    // SAFETY: ends this thread only, which holds nothing that the other one needs.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended")
}

/// Children are born and die all the time.
fn forks() -> ! {
    ready();
    loop {
        let _ = Command::new("true").status();
    }
}

/// Another thread than the first calls exec, which kills all others and gives it the first one's number.
fn execs() -> ! {
    let round: u64 = std::env::args().nth(2).map_or(0, |n| n.parse().expect("a number"));
    if round == 0 {
        ready();
    }
    let bystanders = round % 3;
    for _ in 0..bystanders {
        thread::spawn(|| {
            loop {
                burn(Duration::from_micros(300));
                thread::sleep(Duration::from_micros(300));
            }
        });
    }
    thread::sleep(Duration::from_millis(5));
    let runner = thread::spawn(move || {
        use std::os::unix::process::CommandExt;
        burn(Duration::from_millis(1 + round % 4));
        let own = std::env::current_exe().expect("own path");
        Command::new(own).args(["execs", &(round + 1).to_string()]).exec()
    });
    panic!("{:?}", runner.join());
}

fn everything() -> Want {
    let facts = Facts::SCHED | Facts::SWITCHES | Facts::IO | Facts::DELAYS | Facts::OWNER;
    Want { facts, pids: Pids::All, threads: false, sum_threads: true, ..Want::default() }
}

fn open() -> EbpfSource {
    EbpfSource::open(Path::new("/proc"), Path::new("/sys"), &everything()).expect("eBPF loads")
}

/// Keeps the kernel side open until it is killed.
fn hold() -> ! {
    let mut source = open();
    let mut sample = Sample::default();
    source.sample(&Clock::Real, None, &mut sample).expect("a sample");
    ready();
    forever()
}

/// Prints every process: its number, its parent's and its name.
fn show() {
    let mut child = Command::new("sleep").arg("100").spawn().expect("sleep");
    thread::sleep(Duration::from_millis(50));
    pidstat_user::source::ebpf::usable(Path::new("/proc")).expect("our own procfs");
    let mut sample = Sample::default();
    open().sample(&Clock::Real, None, &mut sample).expect("a sample");
    for task in &sample.tasks {
        println!("{} {} {}", task.key.tgid, task.ppid, String::from_utf8_lossy(task.name()));
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
}
