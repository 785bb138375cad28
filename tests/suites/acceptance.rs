//! The documented examples of the programs that kpidstat takes over, typed as their documentation types them.
//!
//! Numbered as the acceptance list of the reference; G5 belongs to the live views, G15 (iotop) needs root and stands in
//! `kernel_io`, G16 (nethogs) in `kernel_connection`.

use pidstat_tests::{procpath, tool};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A folder whose programs have the old names, and where the commands run.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        for name in ["kpidstat", "pidstat.py", "pypidstat", "linuxprocfs.py", "procpath", "iotop"] {
            symlink(tool::kpidstat(), folder.path().join(name)).unwrap();
        }
        Desk(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// A line from the documentation, for `sh`.
    fn command(&self, line: &str) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.0.path()).env_clear();
        command.env("PATH", path).env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env("HOME", self.0.path());
        tool::interruptible(&mut command);
        command.stdin(Stdio::null());
        command
    }

    /// What it prints; it must end well.
    fn says(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Processes that end with the test.
struct Family(Child);

impl Family {
    /// A shell with a child and a grandchild, all asleep.
    fn asleep() -> Family {
        let script = "sh -c 'sleep 1000 & wait' & wait";
        let mut command = Command::new("sh");
        // A group of its own, so that all can be ended at once.
        let family = Family(command.args(["-c", script]).process_group(0).spawn().unwrap());
        while family.members().len() < 3 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        family
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The parent and everyone below, by their parents in /proc: parent first.
    fn members(&self) -> Vec<u32> {
        let mut all = vec![self.pid()];
        let mut next = 0;
        while next < all.len() {
            let pid = all[next];
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
            next += 1;
        }
        all
    }

    /// Resident MiB of all, by /proc/PID/stat, which is where the examples have it from.
    fn resident_mib(&self) -> f64 {
        let pages = |pid: &u32| -> u64 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(21).unwrap().parse().unwrap()
        };
        self.members().iter().map(pages).sum::<u64>() as f64 / 1024.0 * 4.0
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // SAFETY: the group is that of our child, which was not waited for yet, so the number is still its own.
        unsafe { libc::killpg(libc::pid_t::try_from(self.pid()).unwrap(), libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

#[test]
fn g1_pypidstats_help_has_its_options() {
    let help = Desk::new().says("pidstat.py --help");
    let usage: String = help.lines().take_while(|line| !line.is_empty()).collect();
    for option in [
        "[-h]",
        "[-v]",
        "[-u]",
        "[-r]",
        "[-w]",
        "[-d]",
        "[-n]",
        "[-l]",
        "[-p ",
        "[--comm_regex ",
        "[--dev ",
        "[--ignore]",
    ] {
        assert!(usage.contains(option), "{option}: {usage}");
    }
    assert!(usage.contains("itv") && usage.contains("count"), "{usage}");
}

#[test]
fn g2_pypidstats_table_of_proxies() {
    let desk = Desk::new();
    let mut load = Command::new("taskset")
        .args(["-c", "0", "sh", "-c", "while :; do :; done", "a proxy"])
        .spawn()
        .unwrap();
    // The example's interval is 2; ten of those would take the patience of whoever runs the tests.
    let shown = desk.says("pidstat.py --comm_regex .*proxy.* --ignore -u -r -w -d -l 0.2 10");
    load.kill().unwrap();
    load.wait().unwrap();
    let header = "Time                 PID    User    %usr   %sys   %guest %wait  %CPU   CPU_ID  minflt/s majflt/s \
                  VSZ      RSS      VmPeak(KB)   %MEM  kB_rd/s  kB_wr/s  kB_cwr/s  iodelay  cswch/s  nvcswch/s Command";
    let mut lines = shown.lines();
    assert_eq!(lines.next().unwrap().trim_end(), header);
    let rows: Vec<&str> = lines.filter(|line| line.contains(&format!(" {} ", load.id()))).collect();
    assert_eq!(rows.len(), 10, "{shown}");
    for row in rows {
        // Date, time, PID, user, five shares, then the CPU: the shell is bound to the first.
        assert_eq!(row.split_whitespace().nth(9), Some("0"), "{row}");
        assert!(row.contains("while :; do :; done a proxy"), "{row}");
    }
}

/// The keys of procutils' README.
const STAT: &str = "arg_end arg_start blkio_ticks blocked_sig cgtime cmaj_flt cmin_flt cstime cutime eip end_code end_data \
                    env_end env_start esp exit_code exit_signal flags gtim maj_flt min_flt mm nice num_threads \
                    pending_sig pgid pid policy ppid priority rsslim rt_priority sid sigcatch_sig sigign_sig start_brk \
                    start_code start_data start_stack start_time state stime task tcomm tty_nr tty_pgrp utime vsize wchan";
const STATUS: &str = "CapBnd CapEff CapInh CapPrm Cpus_allowed Cpus_allowed_list FDSize Gid Groups Mems_allowed \
                      Mems_allowed_list Name PPid Pid Seccomp ShdPnd SigBlk SigCgt SigIgn SigPnd SigQ State Tgid Threads \
                      TracerPid Uid VmData VmExe VmHWM VmLck VmLib VmPTE VmPeak VmPin VmRSS VmSize VmStk VmSwap \
                      nonvoluntary_ctxt_switches voluntary_ctxt_switches";
const MOUNT: &str =
    "devname major_s_dev minor_s_dev mnt_id mnt_opts mnt_path parent_mnt_pid root sb_opts type";

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn g3_procutils_readers_of_our_own_process() {
    let desk = Desk::new();
    let read = |reader: &str| -> Value {
        serde_json::from_str(&desk.says(&format!("kpidstat proc {reader} SELF -o json"))).unwrap()
    };
    let set = |names: &'static str| names.split_whitespace().collect::<BTreeSet<&str>>();
    let stat = read("stat");
    assert_eq!(keys(&stat), set(STAT));
    for (key, value) in stat.as_object().unwrap() {
        assert!(value.is_i64() || value.is_u64() || key == "tcomm" || key == "state", "{key}: {value}");
    }
    assert_eq!((&stat["tcomm"], &stat["state"]), (&"(kpidstat)".into(), &"running".into()));
    assert_eq!(keys(&read("statm")), set("data resident shared size text"));
    let status = read("status");
    assert!(keys(&status).is_superset(&set(STATUS)), "{status}");
    assert!(status.as_object().unwrap().values().all(Value::is_string));
    let mounts = read("mountinfo");
    for mount in mounts.as_array().unwrap() {
        assert!(keys(mount).is_superset(&set(MOUNT)), "{mount}");
        assert!(
            mount["mnt_id"].is_u64() && mount["parent_mnt_pid"].is_u64() && mount["major_s_dev"].is_string()
        );
        assert!(mount["mnt_opts"].as_str().unwrap().split(',').all(|option| option != "relatim"));
        assert!(mount.get("shared").is_none_or(Value::is_u64));
    }
    for mount in read("mountstats").as_array().unwrap() {
        let (_, about) = mount.as_object().unwrap().iter().next().unwrap();
        assert!(
            mount.as_object().unwrap().len() == 1 && about["fstype"].is_string() && about["path"].is_string()
        );
    }
    let io = read("io");
    assert_eq!(keys(&io), set("cancelled_write_bytes rchar read_bytes syscr syscw wchar write_bytes"));
    assert!(io.as_object().unwrap().values().all(Value::is_u64));
    for mapping in read("maps").as_array().unwrap() {
        assert_eq!(keys(mapping), set("end inode major_devid minor_devid pageoff path permission start"));
        assert!(mapping["start"].as_u64() < mapping["end"].as_u64());
    }
    let net: Value = serde_json::from_str(&desk.says("kpidstat proc net -o json")).unwrap();
    for key in
        "bpf_jit_enable busy_poll busy_read dev_weight flow_limit_table_len message_burst message_cost \
                netdev_budget netdev_max_backlog netdev_tstamp_prequeue optmem_max rmem_default"
            .split_whitespace()
    {
        // An ordinary user may not read all of them, and a network namespace has not all of them.
        let there = fs::read(Path::new("/proc/sys/net/core").join(key)).is_ok();
        assert_eq!(net[format!("core/{key}")].is_i64(), there, "{key}");
    }
    assert!(desk.says("kpidstat proc statm SELF").starts_with("{'data': "));
}

#[test]
fn g4_linuxprocfs_options() {
    let desk = Desk::new();
    let help = desk.says("linuxprocfs.py -h");
    for option in [
        "-s, --stat",
        "-S, --status",
        "-i, --io",
        "-t, --titles",
        "-r, --repeat",
        "-w, --sleep",
        "-p, --processes",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
    let family = Family::asleep();
    let pid = family.pid();
    let titled = desk.says("linuxprocfs.py -t");
    assert!(titled.starts_with("pid,comm,state,ppid,pgrp,session,tty_nr,tpgid,flags,minflt,"), "{titled}");
    let columns = titled.lines().next().unwrap().split(',').count();
    assert_eq!(
        (columns, titled.lines().next().unwrap().ends_with(",guest_time,cguest_time,error")),
        (45, true)
    );
    assert!(titled.lines().any(|line| line.starts_with(&format!("{pid},sh,S,"))));
    assert!(desk.says("linuxprocfs.py -S").contains(",sh,"));
    let io = desk.says(&format!("linuxprocfs.py -i {pid}"));
    assert_eq!((io.lines().count(), io.split(',').nth(2)), (1, Some(pid.to_string().as_str())));
    let processes = desk.says("linuxprocfs.py -p").lines().count();
    assert!(processes <= desk.says("linuxprocfs.py").lines().count());
    let repeated = desk.says(&format!("timeout -s INT 2.5 linuxprocfs.py -r -w 1 {pid}; test $? = 124"));
    assert_eq!(repeated.lines().count(), 3, "{repeated}");
    assert_eq!(desk.says(&format!("linuxprocfs.py {pid} {}", family.members()[1])).lines().count(), 2);
}

#[test]
fn g6_to_g8_a_subtree_its_document_and_its_size() {
    let (desk, family) = (Desk::new(), Family::asleep());
    let pid = family.pid();
    let pids = desk.says(&format!("procpath query -d , '$..children[?(@.stat.pid == {pid})]..pid'"));
    let members: Vec<String> = family.members().iter().map(u32::to_string).collect();
    assert_eq!(pids, format!("{}\n", members.join(",")));
    let document = desk.says(&format!("procpath query -i 2 '$..children[?(@.stat.pid == {pid})]'"));
    assert!(document.starts_with("[\n  {\n    \"children\": [\n"), "{document}");
    let nodes: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((nodes.as_array().unwrap().len(), &nodes[0]["stat"]["pid"]), (1, &pid.into()));
    let size = desk.says(&format!(
        "procpath query '$..children[?(@.stat.pid == {pid})]' | jq '[.. | .stat? | objects | .rss] | add / 1024 * 4'"
    ));
    assert_eq!(size.trim().parse::<f64>().unwrap(), family.resident_mib());
}

#[test]
fn g9_a_recording_and_sqlite3_give_the_resident_size() {
    let (desk, family) = (Desk::new(), Family::asleep());
    let pid = family.pid();
    desk.says(&format!("procpath record -d out.sqlite -r 1 '$..children[?(@.stat.pid == {pid})]'"));
    let sum = desk.says("sqlite3 out.sqlite 'SELECT SUM(stat_rss) / 1024.0 * 4 FROM record'");
    assert_eq!(sum.trim().parse::<f64>().unwrap(), family.resident_mib());
}

#[test]
fn g10_two_containers_recorded_and_drawn_the_old_way() {
    let (desk, one, two) = (Desk::new(), Family::asleep(), Family::asleep());
    // `echo` stands for `docker inspect -f "{{.State.Pid}}" NAME`.
    let record = format!(
        "exec procpath record -e C1='echo {}' -e C2='echo {}' -i 1 -v 30 -d out.sqlite \
         '$..children[?(@.stat.pid in [$C1, $C2])]'",
        one.pid(),
        two.pid()
    );
    let mut recorder = desk.command(&record).spawn().unwrap();
    let samples = "sqlite3 out.sqlite 'SELECT count(DISTINCT ts) FROM record' 2> sqlite || true";
    while !desk.says(samples).trim().parse::<u32>().is_ok_and(|samples| samples >= 2) {
        assert!(recorder.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // Ctrl+C.
    // SAFETY: sends a signal to a child that was not waited for yet, so its number is its own.
    unsafe { libc::kill(recorder.id().cast_signed(), libc::SIGINT) };
    assert!(recorder.wait().unwrap().success());
    desk.says(
        "sqlite3 out.sqlite \"SELECT stat_pid, group_concat(stat_rss / 1024.0 * 4) FROM record GROUP BY stat_pid\" \
         | sed -z 's/\\n/\\n\\n\\n/g' | sed 's/|/\\n/' | sed 's/,/\\n/g' > special_fmt",
    );
    let series = fs::read_to_string(desk.path("special_fmt")).unwrap();
    let expected: BTreeSet<String> =
        [one.members(), two.members()].concat().iter().map(u32::to_string).collect();
    let drawn: BTreeSet<String> =
        series.split("\n\n\n").filter_map(|part| part.lines().next()).map(str::to_owned).collect();
    assert_eq!(drawn, expected);
    assert!(
        series.split("\n\n\n").filter(|part| !part.trim().is_empty()).all(|part| part.lines().count() >= 3),
        "{series}"
    );
    let plot = desk.says(
        "GNUTERM=svg gnuplot -p -e \"plot for [i=0:*] 'special_fmt' index i with lines title columnheader(1)\"",
    );
    assert!(expected.iter().all(|pid| plot.contains(pid)), "{plot}");
}

#[test]
fn g11_to_g13_a_recording_is_plotted_and_asked() {
    let (desk, family) = (Desk::new(), Family::asleep());
    let pid = family.pid();
    desk.says(&format!("procpath record -i 0.02 -d out.sqlite -r 30 '$..children[?(@.stat.pid == {pid})]'"));
    desk.says("procpath plot -d out.sqlite -f rss.svg -q rss -e 0.5 -w 10");
    let drawn = fs::read_to_string(desk.path("rss.svg")).unwrap();
    assert!(drawn.contains("<svg") && drawn.contains(&pid.to_string()), "{drawn}");
    desk.says("procpath plot -d out.sqlite -o out.svg -q cpu -q rss");
    let drawn = fs::read_to_string(desk.path("out.svg")).unwrap();
    assert!(drawn.contains("CPU Usage, %") && drawn.contains("Resident Set Size, MiB"), "{drawn}");
    let total = desk.says(&format!(
        "procpath query '$..children[?(@.stat.pid == {pid})]' 'SELECT SUM(stat_rss) / 1024.0 * 4 total FROM record'"
    ));
    let total: Value = serde_json::from_str(&total).unwrap();
    assert_eq!(total, serde_json::json!([{ "total": family.resident_mib() }]));
    // The two texts of Procpath 0.2.0's documentation: times of the day, meta's values as text, window functions.
    let rss = desk.says(
        "sqlite3 out.sqlite \"SELECT datetime(ts, 'unixepoch', 'localtime') ts, stat_pid, stat_rss / 1024.0 / 1024 * \
         (SELECT value FROM meta WHERE key = 'page_size') value FROM record ORDER BY stat_pid, record_id\"",
    );
    assert_eq!(rss.lines().count(), 90);
    let of_parent = rss.lines().find(|line| line.split('|').nth(1) == Some(&pid.to_string())).unwrap();
    assert!(of_parent.rsplit('|').next().unwrap().parse::<f64>().unwrap() > 0.1, "{of_parent}");
    let cpu = desk.says(
        "sqlite3 out.sqlite \"WITH diff AS (SELECT record_id, ts, stat_pid, stat_utime + stat_stime - \
         LAG(stat_utime + stat_stime) OVER (PARTITION BY stat_pid ORDER BY record_id) tick_diff, \
         ts - LAG(ts) OVER (PARTITION BY stat_pid ORDER BY record_id) ts_diff FROM record) \
         SELECT datetime(ts, 'unixepoch', 'localtime') ts, stat_pid, \
         100.0 * tick_diff / (SELECT value FROM meta WHERE key = 'clock_ticks') / ts_diff value \
         FROM diff WHERE tick_diff IS NOT NULL ORDER BY stat_pid, record_id\"",
    );
    assert_eq!(cpu.lines().count(), 87);
    assert!(cpu.lines().all(|line| line.rsplit('|').next().unwrap().parse::<f64>().unwrap() >= 0.0), "{cpu}");
}

#[test]
fn g14_a_playbook_is_resolved_as_procpath_resolves_it() {
    let desk = Desk::new();
    let book = tool::root().join("tests/oracle/playbook.ini");
    let real = procpath::python().with_file_name("procpath");
    let line = format!("play -n -f {} 'group1:*' group2:watch stack_rss:status:query", book.display());
    let ours = desk.says(&format!("procpath {line}"));
    assert_eq!(ours, desk.says(&format!("{} {line}", real.display())));
    for word in
        ["docker ps -f status=running", "smemstat -q -o", "py-spy record --subprocesses", "status_vmrss"]
    {
        assert!(ours.contains(word), "{word}: {ours}");
    }
}

/// What the old names answer when they are asked what they are.
#[test]
fn old_names_have_help_of_their_own() {
    let desk = Desk::new();
    for line in ["procpath -h", "procpath", "procpath --help"] {
        let help = desk.says(line);
        assert!(
            ["query", "record", "plot", "watch", "play", "explore"].iter().all(|verb| help.contains(verb)),
            "{line}"
        );
    }
    assert!(desk.says("procpath query -h").contains("JSONPATH"));
    assert!(desk.says("iotop -h").contains("Usage: kpidstat io [OPTIONS]"));
    assert!(desk.says("linuxprocfs.py -h").contains("Usage: kpidstat csv"));
    assert!(desk.says("iotop --version").starts_with("kpidstat "));
}
