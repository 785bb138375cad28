//! The oracle for plots: the real Procpath, asked for the points of every line of the same recording.

use pidstat_tests::{procpath, tool};
use std::{collections::BTreeMap, fs, process::Command};

/// Lines by name, each with its points.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// A query of one's own, as Procpath's documentation has them.
const CUSTOM: &str = "
    SELECT ts, stat_pid pid, status_vmrss / 7.0 + stat_rss value
    FROM record
    WHERE (:after IS NULL OR :after <= ts) AND (:before IS NULL OR ts <= :before)
        AND (:pid_list IS NULL OR instr(:pid_list, ',' || stat_pid || ','))
    ORDER BY stat_pid, record_id
";

#[test]
fn every_line_has_procpaths_points_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (database, query) = (dir.path().join("x.sqlite"), dir.path().join("query.sql"));
    fs::write(&query, CUSTOM).unwrap();
    let driver = tool::root().join("tests/oracle/procpath_plot.py");
    let asked = Command::new(procpath::python()).arg(driver).arg(&database).arg(&query).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&asked.stdout).unwrap();
    assert!(cases.len() >= 150, "{}", cases.len());
    let mut points = 0;
    for case in &cases {
        let arguments: Vec<&str> =
            case["arguments"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();
        let theirs: BTreeMap<String, Vec<(String, String)>> =
            serde_json::from_value(case["series"].clone()).unwrap();
        let mut ours = tool::command(&["plot", "-f", "-", "--csv", "-d"]);
        let ours = ours.arg(&database).args(&arguments).output().unwrap();
        assert!(ours.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ours.stderr));
        let ours = lines(&String::from_utf8(ours.stdout).unwrap(), case["title"].as_str().unwrap());
        assert!(ours.keys().eq(theirs.keys()), "{arguments:?}: other lines");
        for (name, theirs) in theirs {
            let theirs: Vec<(f64, f64)> =
                theirs.iter().map(|(ts, value)| (ts.parse().unwrap(), value.parse().unwrap())).collect();
            let other = ours[&name].iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
            assert_eq!(other, None, "{arguments:?}: {name}");
            assert_eq!(ours[&name].len(), theirs.len(), "{arguments:?}: {name}");
        }
        points += ours.values().map(Vec::len).sum::<usize>();
    }
    assert!(points > 50_000, "{points} points compared");
}

/// Reads our CSV, and makes sure of its titles.
fn lines(csv: &str, title: &str) -> Lines {
    let mut lines = Lines::new();
    let mut rows = csv.lines();
    assert_eq!(rows.next(), Some("query,line,ts,value"));
    for row in rows {
        // Titles hold commas, names here do not.
        let (front, value) = row.rsplit_once(',').unwrap();
        let (front, ts) = front.rsplit_once(',').unwrap();
        let (quoted, name) = front.rsplit_once(',').unwrap();
        assert_eq!(quoted.trim_matches('"'), title);
        lines.entry(name.to_owned()).or_default().push((ts.parse().unwrap(), value.parse().unwrap()));
    }
    lines
}
