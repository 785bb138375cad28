//! The procfs crate reads the same bytes of every task of this machine and must get the same numbers.

use pidstat_user::{
    clock::Clock,
    sample::{Facts, Pids, Sample, Want},
    source::{
        Source,
        procfs::{PROC_ROOT, ProcSource, Reader, host, io, schedstat, stat, statm, status},
    },
};
use procfs::{
    FromRead,
    process::{Schedstat, StatM},
};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

/// Names the calling thread, with bytes that no text has.
fn call_myself(name: &std::ffi::CStr) {
    // SAFETY: PR_SET_NAME reads at most 16 bytes of the string, which ends with a NUL.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }, 0);
}

/// The directory of every process and thread there is now.
fn tasks() -> Vec<PathBuf> {
    let numbers = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()))
            .map(|entry| entry.path())
            .collect()
    };
    let processes = numbers(Path::new(PROC_ROOT));
    let threads: Vec<PathBuf> = processes.iter().flat_map(|process| numbers(&process.join("task"))).collect();
    [processes, threads].concat()
}

fn some(value: Option<u64>) -> u64 {
    value.expect("a field that this kernel has")
}

fn compare_stat(bytes: &[u8]) {
    let (ours, theirs) = (stat::parse(bytes).unwrap(), procfs::process::Stat::from_read(bytes).unwrap());
    let signed = |value: i64| u64::try_from(value).unwrap();
    assert_eq!(String::from_utf8_lossy(ours.name), theirs.comm);
    assert_eq!((char::from(ours.state), u64::from(ours.ppid)), (theirs.state, signed(theirs.ppid.into())));
    assert_eq!((ours.flags, u64::from(ours.threads)), (theirs.flags, signed(theirs.num_threads)));
    assert_eq!((ours.minor_faults, ours.children_minor_faults), (theirs.minflt, theirs.cminflt));
    assert_eq!((ours.major_faults, ours.children_major_faults), (theirs.majflt, theirs.cmajflt));
    assert_eq!((ours.user_ticks, ours.system_ticks), (theirs.utime, theirs.stime));
    assert_eq!(ours.children_user_ticks, signed(theirs.cutime));
    assert_eq!(ours.children_system_ticks, signed(theirs.cstime));
    assert_eq!((ours.start_ticks, ours.virtual_bytes), (theirs.starttime, theirs.vsize));
    assert_eq!(ours.resident_pages, theirs.rss);
    assert_eq!(i64::from(ours.processor), i64::from(theirs.processor.unwrap()));
    assert_eq!((Some(ours.rt_priority), Some(ours.policy)), (theirs.rt_priority, theirs.policy));
    assert_eq!(
        (ours.block_io_ticks, ours.guest_ticks),
        (some(theirs.delayacct_blkio_ticks), some(theirs.guest_time))
    );
    assert_eq!(ours.children_guest_ticks, signed(theirs.cguest_time.unwrap()));
}

fn compare_status(bytes: &[u8]) {
    let ours = status::parse(bytes);
    // The crate refuses a name that is not UTF-8, which the kernel prints as it is.
    let theirs = procfs::process::Status::from_read(String::from_utf8_lossy(bytes).as_bytes()).unwrap();
    assert_eq!((ours.uid, ours.threads.map(u64::from)), (Some(theirs.ruid), Some(theirs.threads)));
    let innermost = theirs.nspid.unwrap().last().map(|pid| pid.unsigned_abs());
    assert_eq!(ours.ns_pid, innermost);
    assert_eq!(
        (ours.voluntary, ours.involuntary),
        (theirs.voluntary_ctxt_switches, theirs.nonvoluntary_ctxt_switches)
    );
}

fn compare_io(bytes: &[u8]) {
    let (ours, theirs) = (io::parse(bytes).unwrap(), procfs::process::Io::from_read(bytes).unwrap());
    assert_eq!((ours.rchar_bytes, ours.wchar_bytes), (theirs.rchar, theirs.wchar));
    assert_eq!((ours.read_calls, ours.write_calls), (theirs.syscr, theirs.syscw));
    assert_eq!((ours.read_bytes, ours.write_bytes), (theirs.read_bytes, theirs.write_bytes));
    assert_eq!(ours.cancelled_write_bytes, theirs.cancelled_write_bytes);
}

fn compare_schedstat(bytes: &[u8]) {
    let (ours, theirs) = (schedstat::parse(bytes).unwrap(), Schedstat::from_read(bytes).unwrap());
    assert_eq!((ours.run_ns, ours.wait_ns), (theirs.sum_exec_runtime, theirs.run_delay));
    assert_eq!(ours.timeslices, theirs.pcount);
}

fn compare_statm(bytes: &[u8]) {
    let (ours, theirs) = (statm::parse(bytes).unwrap(), StatM::from_read(bytes).unwrap());
    assert_eq!((ours.size_pages, ours.resident_pages), (theirs.size, theirs.resident));
    assert_eq!(
        (ours.shared_pages, ours.text_pages, ours.data_pages),
        (theirs.shared, theirs.text, theirs.data)
    );
}

#[test]
fn same_bytes_same_numbers() {
    let barrier = Arc::new(Barrier::new(4));
    let names = [c") S 1 (", c"two\nlines", c"\xff\xfe bytes"];
    let threads: Vec<_> = names
        .into_iter()
        .map(|name| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                call_myself(name);
                barrier.wait();
                barrier.wait();
            })
        })
        .collect();
    barrier.wait();
    type Compare = fn(&[u8]);
    let files: [(&str, Compare); 5] = [
        ("stat", compare_stat),
        ("status", compare_status),
        ("io", compare_io),
        ("schedstat", compare_schedstat),
        ("statm", compare_statm),
    ];
    let mut compared = HashMap::new();
    for task in tasks() {
        for (file, compare) in files {
            // The task may have ended, or be another user's.
            if let Ok(bytes) = fs::read(task.join(file)) {
                compare(&bytes);
                *compared.entry(file).or_insert(0) += 1;
            }
        }
    }
    barrier.wait();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for (file, _) in files {
        assert!(compared[file] >= 2 * 4, "{file} of this process alone are more than {compared:?}");
    }
}

/// A process that does nothing, killed when the test is over.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn start() -> Sleeper {
        let sleeper = Sleeper(std::process::Command::new("sleep").arg("1000").spawn().unwrap());
        thread::sleep(Duration::from_millis(200)); // until it sleeps
        sleeper
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_row_is_what_the_crate_reads_of_a_quiet_process() {
    let sleeper = Sleeper::start();
    let pid = sleeper.0.id();
    let facts = Facts::OWNER
        | Facts::SCHED
        | Facts::SWITCHES
        | Facts::IO
        | Facts::STACK
        | Facts::FDS
        | Facts::CMDLINE;
    let want = Want { facts, ..Want::default() };
    let mut reader = Reader::open(Path::new(PROC_ROOT)).unwrap();
    let machine = host(Path::new(PROC_ROOT), Path::new("/sys"));
    let row = reader.process(pid, &want, &machine).unwrap();
    let process = procfs::process::Process::new(i32::try_from(pid).unwrap()).unwrap();
    let (stat, status) = (process.stat().unwrap(), process.status().unwrap());
    assert_eq!((row.key.tgid, row.key.tid, row.key.start_ticks), (pid, 0, stat.starttime));
    assert_eq!((row.uid, row.ppid, row.threads), (status.ruid, std::process::id(), 1));
    assert_eq!(row.name(), b"sleep");
    assert_eq!(row.cmdline.as_deref(), Some(&b"sleep 1000"[..]));
    assert_eq!(row.memory.virtual_bytes, stat.vsize);
    assert_eq!(row.memory.resident_bytes, stat.rss * machine.page_bytes);
    assert_eq!((row.faults.minor, row.faults.major), (stat.minflt, stat.majflt));
    assert_eq!(row.cpu.user_ns, stat.utime * (1_000_000_000 / machine.clock_ticks));
    let switches = row.switches.unwrap();
    assert_eq!(Some(switches.voluntary), status.voluntary_ctxt_switches);
    assert_eq!(Some(switches.involuntary), status.nonvoluntary_ctxt_switches);
    assert_eq!(row.io.unwrap().rchar_bytes, process.io().unwrap().rchar);
    assert_eq!(row.sched.unwrap().run_ns, process.schedstat().unwrap().sum_exec_runtime);
    assert_eq!(row.fds.unwrap() as usize, process.fd_count().unwrap());
    let stack = row.stack.unwrap();
    assert_eq!(Some(stack.size_kib), status.vmstk);
    assert!(stack.referenced_kib > 0 && stack.referenced_kib <= stack.size_kib);
}

#[test]
fn every_process_is_listed() {
    let sleeper = Sleeper::start();
    let mut reader = Reader::open(Path::new(PROC_ROOT)).unwrap();
    let mut pids = Vec::new();
    for _ in 0..2 {
        reader.pids(&mut pids).unwrap();
        assert!(pids.is_sorted() && pids.contains(&1) && pids.contains(&std::process::id()));
        assert!(pids.contains(&sleeper.0.id()));
    }
}

#[test]
fn a_sum_keeps_the_switches_of_a_thread_that_ended() {
    const SLEEPS: u64 = 211;
    let mut source = ProcSource::open(Want {
        facts: Facts::SWITCHES | Facts::SCHED,
        pids: Pids::Only(vec![std::process::id()]),
        sum_threads: true,
        ..Want::default()
    })
    .unwrap();
    let mut voluntary = || {
        let mut sample = Sample::default();
        source.sample(&Clock::Real, None, &mut sample).unwrap();
        sample.tasks[0].switches.unwrap().voluntary
    };
    let barrier = Arc::new(Barrier::new(2));
    let worker = thread::spawn({
        let barrier = Arc::clone(&barrier);
        move || {
            barrier.wait();
            (0..SLEEPS).for_each(|_| thread::sleep(Duration::from_micros(50)));
            barrier.wait();
            barrier.wait();
        }
    });
    let before = voluntary();
    barrier.wait();
    barrier.wait();
    let during = voluntary();
    assert!(during - before >= SLEEPS, "{before} {during}");
    barrier.wait();
    worker.join().unwrap();
    assert!(voluntary() >= during);
}

/// What getrusage(2) counts of the whole process, threads that ended included.
fn switches_of_this_process() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `usage` is room for one rusage, which the call fills.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    u64::try_from(usage.ru_nvcsw).unwrap()
}

#[test]
fn under_churn_a_sum_never_falls_and_never_counts_twice() {
    let mut source = ProcSource::open(Want {
        facts: Facts::SWITCHES,
        pids: Pids::Only(vec![std::process::id()]),
        sum_threads: true,
        ..Want::default()
    })
    .unwrap();
    let until = std::time::Instant::now() + Duration::from_millis(800);
    let busy: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                while std::time::Instant::now() < until {
                    let short: Vec<_> =
                        (0..4).map(|_| thread::spawn(|| thread::sleep(Duration::from_micros(200)))).collect();
                    short.into_iter().for_each(|thread| thread.join().unwrap());
                }
            })
        })
        .collect();
    let (mut sample, mut last, mut samples) = (Sample::default(), 0, 0);
    while std::time::Instant::now() < until {
        source.sample(&Clock::Real, None, &mut sample).unwrap();
        let sum = sample.tasks[0].switches.unwrap().voluntary;
        let all = switches_of_this_process();
        assert!(last <= sum && sum <= all, "{last} <= {sum} <= {all} in sample {samples}");
        last = sum;
        samples += 1;
    }
    busy.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(samples > 20, "{samples}");
}
