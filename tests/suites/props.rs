//! Properties of the parsers of kernel files: no bytes can make them panic, and what the kernel prints they read back.

use pidstat_user::{
    clock::{Clock, Instant},
    sample::{Facts, Io, Missing, Sample, Sched, Stack, Want},
    source::{
        Source,
        procfs::{
            ProcSource, io, number, passwd, schedstat, smaps,
            stat::{self, Stat},
            statm::{self, Statm},
            status::{self, Status},
            system,
        },
    },
};
use proptest::{collection::vec, prelude::*};

/// Gives the bytes to every parser.
fn parse_all(bytes: &[u8]) {
    let _ = (stat::parse(bytes), status::parse(bytes), io::parse(bytes), schedstat::parse(bytes));
    let _ =
        (smaps::parse(bytes), statm::parse(bytes), system::uptime_ns(bytes), system::total_cpu_ticks(bytes));
    let _ = (system::cpus_in_stat(bytes), system::is_cpu(bytes), system::mem_total_kib(bytes));
    let _ = (passwd::name(bytes, 0), passwd::entries(bytes).count(), number::entry(bytes));
    let _ = (number::first(bytes), number::Numbers::new(bytes).count());
}

/// Text that looks like the kernel's until somewhere it does not.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::sample::select(vec![
        &b"7 (a b) S 1 1 1 0 -1 64 1 2 3 4 5 6 7 8 20 0 1 0 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44\n"[..],
        b"Name:\ta\nUid:\t1\t2\t3\t4\nNSpid:\t1\t2\nThreads:\t3\nvoluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t2\n",
        b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n",
        b"7ffd-7ffe rw-p 0 00:00 0 [stack]\nSize: 132 kB\nRss: 1 kB\nReferenced: 12 kB\n",
        b"1 2 3 4 5 6 7\n",
        b"1315.72 2377.21\n",
        b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4\nintr 5\n",
        b"MemTotal: 5 kB\nMemFree: 4 kB\n",
        b"root:x:0:0:root:/root:/bin/sh\n",
    ]);
    (whole, vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<prop::sample::Index>()).prop_map(
        |(text, changes, cut)| {
            let mut bytes = text.to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            bytes
        },
    )
}

prop_compose! {
    fn a_stat()(name in vec(any::<u8>(), 0..64), state in b'A'..=b'Z', n in any::<[u64; 16]>(), m in any::<[u32; 6]>())
        -> (Vec<u8>, Stat<'static>)
    {
        (name, Stat {
            name: b"", state, ppid: m[0], flags: m[1], threads: m[2], processor: m[3], rt_priority: m[4], policy: m[5],
            minor_faults: n[0], children_minor_faults: n[1], major_faults: n[2], children_major_faults: n[3],
            user_ticks: n[4], system_ticks: n[5], children_user_ticks: n[6], children_system_ticks: n[7],
            start_ticks: n[8], virtual_bytes: n[9], resident_pages: n[10], block_io_ticks: n[11],
            guest_ticks: n[12], children_guest_ticks: n[13],
        })
    }
}

/// As do_task_stat() of the kernel's fs/proc/array.c prints it.
fn print_stat(name: &[u8], s: &Stat<'_>) -> Vec<u8> {
    let tail = format!(
        ") {} {} 3 4 0 -1 {} {} {} {} {} {} {} {} {} 20 -5 {} 0 {} {} {} 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 \
         17 {} {} {} {} {} {} 0 0 0 0 0 0 0 0\n",
        char::from(s.state),
        s.ppid,
        s.flags,
        s.minor_faults,
        s.children_minor_faults,
        s.major_faults,
        s.children_major_faults,
        s.user_ticks,
        s.system_ticks,
        s.children_user_ticks,
        s.children_system_ticks,
        s.threads,
        s.start_ticks,
        s.virtual_bytes,
        s.resident_pages,
        s.processor,
        s.rt_priority,
        s.policy,
        s.block_io_ticks,
        s.guest_ticks,
        s.children_guest_ticks,
    );
    [b"4711 (", name, tail.as_bytes()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..600)) {
        parse_all(&bytes);
    }

    #[test]
    fn no_damage_panics(bytes in damaged()) {
        parse_all(&bytes);
    }

    #[test]
    fn stat_reads_back((name, stat) in a_stat()) {
        let text = print_stat(&name, &stat);
        prop_assert_eq!(stat::parse(&text), Some(Stat { name: &name, ..stat }));
    }

    #[test]
    fn status_reads_back(
        uid: u32, effective: u32, pids in vec(any::<u32>(), 1..4), threads: u32, peak: u64, voluntary: u64, involuntary: u64,
    ) {
        let chain: String = pids.iter().map(|pid| format!("\t{pid}")).collect();
        let text = format!(
            "Name:\tUid:\nUmask:\t0022\nUid:\t{uid}\t{effective}\t0\t0\nNStgid:\t1\nNSpid:{chain}\nNSpgid:\t1\nVmPeak:\t{peak:8} kB\nThreads:\t{threads}\n\
             voluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t{involuntary}\n"
        );
        prop_assert_eq!(status::parse(text.as_bytes()), Status {
            uid: Some(uid), effective_uid: Some(effective), ns_pid: pids.last().copied(), threads: Some(threads), peak_kib: Some(peak),
            voluntary: Some(voluntary), involuntary: Some(involuntary),
        });
    }

    #[test]
    fn io_reads_back(n: [u64; 7]) {
        let io = Io {
            rchar_bytes: n[0], wchar_bytes: n[1], read_calls: n[2], write_calls: n[3],
            read_bytes: n[4], write_bytes: n[5], cancelled_write_bytes: n[6],
        };
        let text = format!(
            "rchar: {}\nwchar: {}\nsyscr: {}\nsyscw: {}\nread_bytes: {}\nwrite_bytes: {}\ncancelled_write_bytes: {}\n",
            n[0], n[1], n[2], n[3], n[4], n[5], n[6]
        );
        prop_assert_eq!(io::parse(text.as_bytes()), Some(io));
    }

    #[test]
    fn the_short_files_read_back(a: u64, b: u64, c: u64, d: u64, e: u64) {
        let text = format!("{a} {b} {c}\n");
        prop_assert_eq!(schedstat::parse(text.as_bytes()), Some(Sched { run_ns: a, wait_ns: b, timeslices: c }));
        let text = format!("{a} {b} {c} {d} 0 {e} 0\n");
        prop_assert_eq!(statm::parse(text.as_bytes()), Some(Statm {
            size_pages: a, resident_pages: b, shared_pages: c, text_pages: d, data_pages: e,
        }));
        let text = format!("00-01 r-xp 0 00:00 0\nSize: 9 kB\n02-03 rw-p 0 00:00 0   [stack]\nSize:  {a} kB\nReferenced: {b} kB\n");
        prop_assert_eq!(smaps::parse(text.as_bytes()), Some(Stack { size_kib: a, referenced_kib: b }));
        let text = format!("MemTotal:       {a} kB\n");
        prop_assert_eq!(system::mem_total_kib(text.as_bytes()), Some(a));
    }

    #[test]
    fn uptime_reads_back(seconds in 0..10_000_000_000u64, hundredths in 0..100u64, idle: u32) {
        let text = format!("{seconds}.{hundredths:02} {idle}.00\n");
        prop_assert_eq!(system::uptime_ns(text.as_bytes()), Some(seconds * 1_000_000_000 + hundredths * 10_000_000));
    }

    #[test]
    fn cpu_time_is_the_sum_without_guests(n in prop::array::uniform10(0..u64::MAX / 8)) {
        let ticks: String = n.iter().map(|ticks| format!(" {ticks}")).collect();
        let text = format!("cpu {ticks}\ncpu0 1 1 1 1\n");
        prop_assert_eq!(system::total_cpu_ticks(text.as_bytes()), Some(n[..8].iter().sum()));
    }

    #[test]
    fn users_read_back(users in prop::collection::btree_map(any::<u32>(), "[a-z_][a-z0-9_-]{0,30}", 0..8)) {
        let text: String = users.iter().map(|(uid, name)| format!("{name}:x:{uid}:0:,:/:/bin/sh\n")).collect();
        for (uid, name) in &users {
            prop_assert_eq!(passwd::name(text.as_bytes(), *uid), Some(name.as_bytes()));
        }
    }

    #[test]
    fn pushed_numbers_are_entries(value: u32) {
        let mut text = Vec::new();
        number::push(&mut text, value);
        prop_assert_eq!(&text, &value.to_string().into_bytes());
        prop_assert_eq!(number::entry(&text), Some(value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever a proc directory holds, there is a sample or an error, and the rows are in order.
    #[test]
    fn no_directory_panics(files in vec((0..4u32, 0..7usize, damaged()), 0..12), threads: bool, sum_threads: bool) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("uptime"), "5.00 0\n").unwrap();
        std::fs::write(root.path().join("stat"), "cpu  1 2 3 4\n").unwrap();
        let names = ["stat", "status", "io", "schedstat", "smaps", "cmdline", "fd"];
        for (pid, name, bytes) in files {
            for directory in [root.path().join(format!("{pid}")), root.path().join(format!("{pid}/task/{pid}"))] {
                std::fs::create_dir_all(&directory).unwrap();
                std::fs::write(directory.join(names[name]), &bytes).unwrap();
            }
        }
        let facts = Facts::OWNER | Facts::SCHED | Facts::SWITCHES | Facts::IO | Facts::DELAYS | Facts::STACK
            | Facts::FDS | Facts::CMDLINE | Facts::USER;
        let want = Want { facts, threads, sum_threads, ..Want::default() };
        let mut source = ProcSource::open_at(root.path(), want).unwrap();
        let mut sample = Sample::default();
        for _ in 0..2 {
            source.sample(&Clock::Fake(Instant::default()), None, &mut sample).unwrap();
            prop_assert!(sample.tasks.is_sorted_by_key(|task| task.key));
            prop_assert!(sample.tasks.iter().all(|task| task.fds != Err(Missing::NotAsked)));
        }
    }
}
