//! `kpidstat plot` as a person meets it: what it writes, what it refuses, and what a hostile recording achieves.

use pidstat_tests::tool;
use rusqlite::Connection;
use std::{fs, path::Path, process::Output};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A recording of three processes over ten seconds in Procpath's tables; the first one's name is given.
fn recording(path: &Path, comm: &str) {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE record (record_id INTEGER PRIMARY KEY NOT NULL, ts REAL NOT NULL, cmdline TEXT,
                 stat_pid INTEGER, stat_comm TEXT, stat_utime INTEGER, stat_stime INTEGER, stat_starttime INTEGER,
                 stat_rss INTEGER);
             CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
             INSERT INTO meta VALUES ('page_size', '4096'), ('clock_ticks', '100'), ('platform_node', 'host'),
                 ('procfile_list', '[\"stat\", \"cmdline\"]');",
        )
        .unwrap();
    let mut insert = database
        .prepare(
            "INSERT INTO record (ts, cmdline, stat_pid, stat_comm, stat_utime, stat_stime, stat_starttime, stat_rss)
             VALUES (?, '', ?, ?, ?, 0, ?, ?)",
        )
        .unwrap();
    for second in 0..10 {
        for pid in 1..=3_i64 {
            // The third process ends, and another one gets its number.
            let start = if pid == 3 && second >= 5 { 900 } else { pid };
            let ticks = if start == 900 { 1 } else { second * pid * 10 };
            let name = if pid == 1 { comm } else { "other" };
            insert
                .execute((1_795_262_400.0 + second as f64, pid, name, ticks, start, 256 * pid + second))
                .unwrap();
        }
    }
}

fn plot(dir: &Path, arguments: &[&str]) -> Output {
    tool::command(&["plot"]).args(arguments).current_dir(dir).output().unwrap()
}

/// Standard error and exit code of a refusal.
fn refused(dir: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let output = plot(dir, arguments);
    assert!(!dir.join("plot.svg").exists(), "{arguments:?} wrote a plot");
    (text(&output.stderr), output.status.code())
}

#[test]
fn the_documented_commands_work_as_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    recording(&dir.path().join("out.sqlite"), "sh");
    for line in [
        "-d out.sqlite -f rss.svg -q rss -e 0.5 -w 10",
        "-d out.sqlite -o out.svg -q cpu -q rss",
        "--database-file out.sqlite --plot-file all.svg --query-name cpu --query-name rss --custom-value-expr stat_stime \
         --share-y-axis --logarithmic --style LightGreenStyle --formatter integer --title T --no-dots --relative-time \
         --epsilon 0.1 --moving-average-window 2 --after 2026-11-21T12:00:01 --before 2026-11-21T12:00:08 --pid-list 1,2",
        "-d out.sqlite -q cpu -f deep.png",
    ] {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = plot(dir.path(), &arguments);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{line}");
    }
    for name in ["rss.svg", "out.svg", "all.svg"] {
        let svg = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}");
    }
    let two = fs::read_to_string(dir.path().join("out.svg")).unwrap();
    for shown in [
        "CPU Usage, % vs Resident Set Size, MiB",
        "<tspan>cpu 1</tspan>",
        "<tspan>rss 3</tspan>",
        "host · 3 processes",
    ] {
        assert!(two.contains(shown), "{shown}");
    }
    let all = fs::read_to_string(dir.path().join("all.svg")).unwrap();
    assert!(all.contains(">T</text>") && all.contains("0:00:01") && !all.contains("<circle"), "{all}");
    let png = fs::read(dir.path().join("deep.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 10_000, "{}", png.len());
    // Its size stands in the first chunk.
    assert_eq!(png[16..24], [0, 0, 8, 192, 0, 0, 5, 0]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5, "nothing else is left behind");
}

#[test]
fn a_process_with_a_used_number_is_another_process() {
    let dir = tempfile::tempdir().unwrap();
    recording(&dir.path().join("x"), "sh");
    let output = plot(dir.path(), &["-d", "x", "-q", "cpu", "-p", "3", "--csv", "-f", "-"]);
    let values: Vec<String> = text(&output.stdout)
        .lines()
        .skip(1)
        .map(|line| line.rsplit(',').next().unwrap().to_owned())
        .collect();
    // Four intervals of the first, a gap, four of the second; never a fall below zero.
    assert_eq!(values, ["30", "30", "30", "30", "", "0", "0", "0", "0"]);
}

#[test]
fn intervals_without_a_row_are_intervals_without_activity() {
    let dir = tempfile::tempdir().unwrap();
    recording(&dir.path().join("x"), "sh");
    let (said, code) = refused(dir.path(), &["-d", "x", "-q", "txbs"]);
    assert!(code == Some(1) && said.contains("there is no tx_kib_per_sec in a table rate"), "{said}");
    Connection::open(dir.path().join("x"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE sample (sample_id INTEGER PRIMARY KEY, ts REAL);
             INSERT INTO sample SELECT NULL, ts FROM record GROUP BY ts;
             CREATE TABLE rate (sample_id, ts, pid, tid, start_ticks, comm, tx_kib_per_sec, wait_pct);
             INSERT INTO rate SELECT sample_id, ts, 7, 0, 1, 'sender', 2, NULL FROM sample WHERE sample_id IN (3, 5);
             INSERT INTO rate SELECT sample_id, ts, 7, 8, 1, 'thread', 9, NULL FROM sample;",
        )
        .unwrap();
    let output = plot(dir.path(), &["-d", "x", "-q", "txbs", "--csv", "-f", "-"]);
    let shown = text(&output.stdout);
    let points: Vec<(&str, &str)> = shown
        .lines()
        .skip(1)
        .map(|line| line.rsplit_once(',').unwrap())
        .map(|(front, value)| (front.rsplit_once(',').unwrap().1, value))
        .collect();
    assert_eq!(
        points,
        [
            ("1795262401", "0"),
            ("1795262402", "2048"),
            ("1795262403", "0"),
            ("1795262404", "2048"),
            ("1795262405", "0")
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let dir = tempfile::tempdir().unwrap();
    recording(&dir.path().join("x"), "sh");
    let cases: [(&str, i32, &str); 12] = [
        ("-d x", 2, "No query to plot"),
        (
            "-d x -q nope",
            2,
            "Unknown query nope; there are cpu, rss, pss, uss, swap, fd, rbs, wbs, wait, rxbs",
        ),
        ("-d x -q cpu -q rss -q fd", 2, "More than 2 queries to plot on 2 Y axes"),
        ("-d x -q cpu --style Nope", 2, "Unknown style Nope; there are DefaultStyle, DarkStyle"),
        ("-d x -q cpu --formatter nope", 2, "Unknown formatter nope; there are human_readable, default"),
        ("-d x -q cpu -w 0", 2, "Moving average window must be a positive number"),
        ("-d x -q cpu -e -1", 2, "zero or above"),
        ("-d x -q cpu -a yesterday", 2, "2000-01-01T00:00:00"),
        (
            "-d x -q pss",
            1,
            "'Proportional Set Size, MiB' requires the following procfiles missing in the database: smaps_rollup",
        ),
        ("-d x --custom-value-expr nope", 1, "SQL error: no such column: nope"),
        ("-d x --custom-query-file none.sql", 1, "cannot read none.sql: No such file"),
        ("-d missing -q cpu", 1, "cannot open the database missing: No such file"),
    ];
    for (line, code, words) in cases {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let (said, ended) = refused(dir.path(), &arguments);
        assert!(said.contains(words), "{line}: {said}");
        assert_eq!(ended, Some(code), "{line}: {said}");
    }
    assert!(!dir.path().join("missing").exists());
    fs::write(dir.path().join("text"), "no database").unwrap();
    assert!(refused(dir.path(), &["-d", "text", "-q", "cpu"]).0.contains("is not an SQLite database"));
    fs::write(dir.path().join("q.sql"), "SELECT 1 ts, 2 value").unwrap();
    let (said, _) = refused(dir.path(), &["-d", "x", "--custom-query-file", "q.sql"]);
    assert!(said.contains("no column pid"), "{said}");
    fs::write(dir.path().join("q.sql"), "DELETE FROM record RETURNING ts, stat_pid pid, 1 value").unwrap();
    let (said, _) = refused(dir.path(), &["-d", "x", "--custom-query-file", "q.sql"]);
    assert!(said.contains("attempt to write a readonly database"), "{said}");
}

#[test]
fn a_selection_that_leaves_nothing_is_said_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    recording(&dir.path().join("x"), "sh");
    for more in [["-w", "500"], ["-p", "77"], ["-a", "2030-01-01T00:00:00"]] {
        let output = plot(dir.path(), &[&["-d", "x", "-q", "cpu"][..], &more].concat());
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stderr).contains("no data"), "{more:?}");
        assert!(fs::read_to_string(dir.path().join("plot.svg")).unwrap().contains("No data"));
    }
}

#[test]
fn a_hostile_recording_stays_text_and_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    recording(&path, "</text><script>evil()</script>\u{202e}");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            "UPDATE meta SET value = '<script>evil()</script>' WHERE key = 'platform_node';
             INSERT INTO record (ts, stat_pid, stat_comm, stat_rss) VALUES
                 (9e999, 7, 'x', 1), (-9e300, 7, 'x', 1), (1795262400, 7, 'x', 9e999), (1795262401, 7, x'ff00', 'text'),
                 (1795262402, 'evil', 'x', 5), (1795262403, 7, 'x', -9223372036854775808);
             CREATE TRIGGER evil AFTER INSERT ON record BEGIN SELECT load_extension('/nowhere'); END;",
        )
        .unwrap();
    for format in ["out.svg", "out.png"] {
        let output = plot(dir.path(), &["-d", "x", "-q", "rss", "-q", "cpu", "-e", "0.1", "-f", format]);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    }
    let svg = fs::read_to_string(dir.path().join("out.svg")).unwrap();
    assert!(!svg.contains("<script>evil") && svg.contains("&lt;script&gt;evil()&lt;/script&gt;"), "{svg}");
    // The one script is ours.
    assert_eq!(svg.matches("<script").count(), 1);
    // A view in the place of the table would be a program of somebody else's.
    let view = dir.path().join("view");
    Connection::open(&view)
        .unwrap()
        .execute_batch(
            "CREATE VIEW record AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)
             SELECT x record_id, x ts, x stat_pid, x stat_rss FROM r;
             CREATE TABLE meta (key TEXT, value TEXT);",
        )
        .unwrap();
    let output = plot(dir.path(), &["-d", "view", "-q", "rss", "-f", "view.svg"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}

#[test]
fn a_plot_that_cannot_be_written_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    recording(&dir.path().join("x"), "sh");
    let output = plot(dir.path(), &["-d", "x", "-q", "cpu", "-f", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("cannot write /dev/full: No space left"),
        "{}",
        text(&output.stderr)
    );
    let output = plot(dir.path(), &["-d", "x", "-q", "cpu", "-f", "none/x.svg"]);
    assert!(text(&output.stderr).contains("cannot write none/x.svg: No such file"));
}
