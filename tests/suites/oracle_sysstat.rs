//! The real pidstat 12.6.1 judges kpidstat: for every story and combination of options, identical bytes.

use pidstat_tests::oracle::{self, Ask};

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
