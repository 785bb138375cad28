//! Bytes and packets of every process where namespaces, age, ends and losses matter, against workloads that know what they
//! moved; `kernel_paths` has the ways to move them. Needs root; nothing is skipped.

use pidstat_tests::{
    owners,
    traffic::{self as bench, Bench, Report},
};
use pidstat_user::{
    kernel::net::{Options, PidNamespace},
    sample::{NetChoice, Traffic},
};

const FAMILIES: [&str; 3] = ["4", "6", "mapped"];

#[test]
fn other_network_namespaces() {
    let mut bench = Bench::open(Options::default());
    for case in ["stream", "udp", "short"] {
        let reports = bench.run(&[case, "4", "netns"]);
        bench.compare(case, &reports);
    }
    bench.nothing_lost();
}

#[test]
fn every_single_sample_is_exact() {
    let mut bench = Bench::open(Options::default());
    let mut load = bench::Load::start(&["steps", "4"]);
    for step in 0..11 {
        let report = load.report();
        bench.collect();
        bench.compare(&format!("step {step}"), &[report]);
        load.go();
    }
    load.finish();
}

#[test]
fn sockets_older_than_the_tool() {
    for family in FAMILIES {
        let mut load = bench::Load::start(&["old", family]);
        assert_eq!(load.line(), "ready");
        let mut bench = Bench::open(Options::default());
        load.go();
        let report = load.report();
        bench.collect();
        bench.compare(&format!("old {family}"), &[report]);
        load.finish();
        bench.nothing_lost();
    }
}

#[test]
fn a_reader_in_a_pid_namespace_sees_its_own_numbers() {
    let mut load = bench::Load::start(&["old", "4", "pidns"]);
    assert_eq!(load.line(), "ready");
    let mut bench = Bench::open_in(PidNamespace { level: 1, inum: load.pid_namespace() }, Options::default());
    load.go();
    let report = load.report();
    bench.collect();
    assert_eq!(report.pid, 1);
    let own = bench.net.owners().find(|owner| owner.pid == 1).expect("process 1 of the namespace");
    assert_eq!((own.traffic.tx_bytes, own.traffic.rx_bytes), (report.tx, report.rx));
    assert!(own.tgid > 1 && own.comm.as_bytes() == b"netload", "{own:?}");
    let tgid = own.tgid;
    load.finish();
    bench.run(&["stream", "4"]);
    let rest: Vec<_> = bench.net.owners().filter(|owner| owner.tgid != tgid).collect();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!((rest[0].pid, rest[0].comm.as_bytes()), (0, &b"[outside]"[..]));
    assert!(rest[0].traffic.tx_bytes >= 1_000_003 + 997);
}

#[test]
fn segments_are_those_of_tcp_info() {
    for (case, family) in
        [("segments", "4"), ("segments", "6"), ("segments", "mapped"), ("segments-twice", "4")]
    {
        let mut bench = Bench::open(Options::default());
        let mut load = bench::Load::start(&[case, family]);
        let report = load.report();
        bench.collect();
        let traffic = bench.traffic(report.pid);
        let [tx_segments, rx_segments] = [report.tx_messages, report.rx_messages];
        assert!(tx_segments > 0 && rx_segments > 0);
        assert_eq!((traffic.tx_packets, traffic.rx_packets), (tx_segments, rx_segments), "{case} {family}");
        load.go();
        load.finish();
    }
}

#[test]
fn ended_processes_keep_their_sums_and_are_forgotten_later() {
    let mut bench = Bench::open(Options::default());
    let reports = bench.run(&["stream", "4"]);
    bench.compare("stream", &reports);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while reports.iter().any(|r| bench.knows(r.pid)) {
        assert!(std::time::Instant::now() < deadline, "still there");
        bench.collect();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn samples_carry_the_traffic_of_living_and_ended_processes() {
    use pidstat_user::{
        clock::Clock,
        sample::{Facts, Pids, Sample, Traffic, Want},
        source::{Source, ebpf::EbpfSource},
    };
    let want =
        Want { facts: Facts::TRAFFIC, pids: Pids::All, threads: true, sum_threads: true, ..Want::default() };
    let mut source = EbpfSource::open("/proc".as_ref(), "/sys".as_ref(), &want).expect("the eBPF source");
    let mut sample = Sample::default();
    let mut sums = std::collections::HashMap::<u32, Traffic>::new();
    let mut load = bench::Load::start(&["stream", "4"]);
    loop {
        let running = load.running();
        source.sample(&Clock::Real, None, &mut sample).expect("sample");
        assert_eq!(sample.origin.net_rung, Some(Ok("tracepoint")));
        for task in sample.tasks.iter().chain(&sample.departed) {
            assert_eq!(task.traffic.is_ok(), task.is_process(), "{task:?}");
            if let Ok(traffic) = task.traffic {
                sums.insert(task.key.tgid, traffic);
            }
        }
        if !running {
            break;
        }
    }
    for report in load.finish() {
        let sum = sums[&report.pid];
        assert_eq!((sum.tx_bytes, sum.rx_bytes), (report.tx, report.rx), "{report:?}");
    }
}

#[test]
fn watchers_beside_each_other_take_no_connections_from_their_processes() {
    for other in [NetChoice::Sampled, NetChoice::Tracepoint] {
        owners::told_beside_another([NetChoice::Sampled, other], "many", 4)
            .unwrap_or_else(|why| panic!("beside {}: {why}", other.name()));
    }
}

#[test]
fn subflows_belong_to_who_uses_the_mptcp_socket() {
    owners::of_subflows(NetChoice::Tracepoint).unwrap();
}

/// What is in the row of what had no room.
fn overflow(bench: &Bench) -> Traffic {
    let row = bench.net.owners().find(|owner| owner.comm.as_bytes() == b"[overflow]");
    row.map(|row| row.traffic).unwrap_or_default()
}

#[test]
fn what_a_full_flow_map_has_no_room_for_is_a_row() {
    for unix in [false, true] {
        let mut bench = Bench::open(Options { flows: 16, unix, ..Options::default() });
        let reports = bench.run_unseen(&["udp-churn", "4"]);
        bench.collect();
        let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
        let counted = reports.iter().map(|r| bench.traffic(r.pid)).fold([0; 4], |sum, one| {
            let one = [one.tx_bytes, one.rx_bytes, one.tx_packets, one.rx_packets];
            std::array::from_fn(|at| sum[at] + one[at])
        });
        let moved = [sum(|r| r.tx), sum(|r| r.rx), sum(|r| r.tx_messages), sum(|r| r.rx_messages)];
        assert!(bench.losses.flow_insert_failed > 0 && counted[0] < moved[0], "{counted:?} of {moved:?}");
        let row = overflow(&bench);
        let row = [row.tx_bytes, row.rx_bytes, row.tx_packets, row.rx_packets];
        // Other processes of the machine have their part in it.
        for at in 0..4 {
            assert!(counted[at] + row[at] >= moved[at], "{counted:?} and {row:?} of {moved:?}");
        }
        let mut rows = Vec::new();
        bench.net.connections(0, &mut rows);
        let shown: Vec<_> = rows
            .iter()
            .filter(|one| one.user.comm.as_bytes() == b"[overflow]")
            .map(|one| one.moved)
            .collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!([shown[0].tx_bytes, shown[0].rx_bytes], [row[0], row[1]]);
        assert_eq!([shown[0].tx_packets(), shown[0].rx_packets()], [row[2], row[3]]);
    }
}

#[test]
fn what_the_ring_has_no_room_for_goes_where_flows_are() {
    let mut bench = Bench::open(Options { ring_bytes: 4096, ..Options::default() });
    for round in 0..2 {
        let reports = bench.run_unseen(&["short", "4"]);
        bench.collect();
        bench.compare(&format!("round {round}"), &reports);
        bench.nothing_lost();
        let (used, _) = bench.net.fill_of_flows();
        assert!(used < 1000, "{used} flows are left of the records");
    }
}

#[test]
fn what_neither_has_room_for_is_a_row() {
    let mut bench = Bench::open(Options { ring_bytes: 4096, flows: 16, ..Options::default() });
    let reports = bench.run_unseen(&["short", "4"]);
    bench.collect();
    let sent: u64 = reports.iter().map(|r| r.tx).sum();
    let counted: u64 = reports.iter().map(|r| bench.traffic(r.pid).tx_bytes).sum();
    assert!(bench.losses.ring_full > 0 && counted < sent, "{counted} of {sent}, {:?}", bench.losses);
    let row = overflow(&bench);
    assert!(counted + row.tx_bytes >= sent && row.tx_packets > 0, "{counted} and {row:?} of {sent}");
    assert_eq!(row.tx_bytes, bench.net.lost().inet.tx_bytes);
}

#[test]
fn the_ring_wakes_its_reader() {
    // 64 KiB wake from 16 KiB on, which is 85 connections.
    let mut bench = Bench::open(Options { ring_bytes: 65_536, ..Options::default() });
    let reports = bench.run_draining(&["short", "4"]);
    bench.compare("short", &reports);
    assert_eq!(bench.losses.ring_full, 0);
}

#[test]
fn kill_9_leaves_nothing_behind() {
    for rung in ["tracepoint", "sampled"] {
        bench::kill_leaves_nothing(rung).unwrap_or_else(|why| panic!("{rung}: {why}"));
    }
}

/// Both ways to take an entry out of a map: the one call of 5.14, and the two of older kernels.
#[test]
fn entries_are_taken_once_by_one_call_and_by_two() {
    use pidstat_user::kernel::entry;
    use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
    // SAFETY: laid out as the kernel's map_create (map_type, key_size, value_size, max_entries) and map_update_elem (map_fd,
    // key, value, flags); key and value live through the calls and are as large as the map's.
    let map = unsafe {
        let create = [1u64 | 8 << 32, 8 | 4 << 32, 0, 0, 0, 0];
        let fd = libc::syscall(libc::SYS_bpf, 0, create.as_ptr(), size_of_val(&create));
        assert!(fd >= 0, "map: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as libc::c_int)
    };
    for key in [7u64, 11] {
        let value = key * 3;
        let raw = map.as_raw_fd().unsigned_abs();
        let attr = [u64::from(raw), (&raw const key) as u64, (&raw const value) as u64, 0];
        // SAFETY: as above.
        let done = unsafe { libc::syscall(libc::SYS_bpf, 2, attr.as_ptr(), size_of_val(&attr)) };
        assert_eq!(done, 0, "insert: {}", std::io::Error::last_os_error());
    }
    // SAFETY: keys and values of the map are u64.
    unsafe {
        assert_eq!(entry::take::<u64, u64>(map.as_fd(), &7).unwrap(), Some(21));
        assert_eq!(entry::take::<u64, u64>(map.as_fd(), &7).unwrap(), None);
        assert_eq!(entry::take_in_two_steps::<u64, u64>(map.as_fd(), &11).unwrap(), Some(33));
        assert_eq!(entry::take_in_two_steps::<u64, u64>(map.as_fd(), &11).unwrap(), None);
    }
}
