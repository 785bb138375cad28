//! The real Procpath beside us: the same queries over the same frozen procfs, the same answers in the same order.

use pidstat_tests::{forest, procpath, tool};
use pidstat_user::sample::node::{Member, columns};
use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// A query: arguments of `query`.
fn queries(procfs: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(tool::root().join("tests/oracle/queries.txt")).unwrap();
    let procfs = procfs.to_str().unwrap();
    // Every cell of the flat table but the time.
    let columns: Vec<String> = columns(&Member::ALL[..6]).into_iter().map(|column| column.name).collect();
    let cells = format!("SELECT {} FROM record ORDER BY record_id", columns.join(", "));
    let files = "stat,cmdline,io,status,fd,smaps_rollup";
    let cells = ["-f", files, "--procfs", procfs, "", &cells].map(str::to_owned).to_vec();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut parts = line.splitn(3, "||").map(str::trim);
            let options = parts.next().unwrap_or_default();
            let mut arguments: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
            arguments.extend(["--procfs".into(), procfs.into()]);
            arguments.extend(parts.map(str::to_owned));
            arguments
        })
        .chain([cells])
        .collect()
}

/// What Procpath says: the text, and the error that ended it.
fn theirs(queries: &[Vec<String>]) -> Vec<(String, Option<String>)> {
    let driver = tool::root().join("tests/oracle/procpath_query.py");
    let mut asked = Command::new(procpath::python());
    // A variable of several lines in the environment is one that Procpath cannot bear.
    let asked = asked.arg(driver).env_clear().env("PATH", "/usr/bin:/bin");
    let mut asked = asked.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    asked.stdin.take().unwrap().write_all(serde_json::to_string(queries).unwrap().as_bytes()).unwrap();
    let output = asked.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_query_has_procpaths_answer_in_procpaths_order() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    let queries = queries(&procfs);
    assert!(queries.len() >= 150, "{}", queries.len());
    let mut others = Vec::new();
    for (arguments, (text, error)) in queries.iter().zip(theirs(&queries)) {
        if let Some(error) = error {
            others.push(format!("{arguments:?} is refused by Procpath and proves nothing: {error}"));
            continue;
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ours = tool::run(&[&["query"], &arguments[..]].concat());
        let said = String::from_utf8_lossy(&ours.stderr);
        let ours_text = String::from_utf8_lossy(&ours.stdout);
        if ours_text != text || !ours.status.success() {
            let short = |text: &str| text.chars().take(400).collect::<String>();
            others.push(format!(
                "{arguments:?}\n  theirs {}\n  ours   {}{said}",
                short(&text),
                short(&ours_text)
            ));
        }
    }
    assert!(others.is_empty(), "{} of {}:\n{}", others.len(), queries.len(), others.join("\n"));
}

/// Runs a line of Procpath's documentation in a shell, with a link called `procpath` and the frozen tree in place of /proc.
fn documented(line: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let procfs = forest::write(dir.path());
    std::os::unix::fs::symlink(tool::kpidstat(), dir.path().join("procpath")).unwrap();
    let line = line.replace("procpath query", &format!("procpath query --procfs {}", procfs.display()));
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let ran =
        Command::new("sh").args(["-c", &line]).env("PATH", path).current_dir(dir.path()).output().unwrap();
    assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_documented_examples_work_as_they_are_written() {
    let pids = documented("procpath query -d , '$..children[?(@.stat.pid == 2610)]..pid'");
    let pids: Vec<u32> = pids.trim_end().split(',').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids[0], 2610);
    // Siblings stand in the order of the directory, whatever that is here.
    assert_eq!(BTreeSet::from_iter(pids), BTreeSet::from([2610, 2700, 2701, 2750, 2751, 2752, 2753]));
    let indented = documented("procpath query -i 2 '$..children[?(@.stat.pid == 2610)]'");
    assert!(indented.starts_with("[\n  {\n    \"children\": [\n"), "{indented}");
    let node: serde_json::Value = serde_json::from_str(&indented).unwrap();
    assert_eq!((&node[0]["stat"]["pid"], node.as_array().unwrap().len()), (&2610.into(), 1));
    let jq = documented(
        "procpath query '$..children[?(@.stat.pid == 2610)]' | jq '[.. | .stat? | objects | .rss] | add / 1024 * 4'",
    );
    let pages: u32 = [2610, 2700, 2701, 2750, 2751, 2752, 2753].iter().map(|pid| pid * 4096 / 8192).sum();
    assert_eq!(jq.trim().parse::<f64>().unwrap(), f64::from(pages) / 1024.0 * 4.0);
    let sql = documented(
        "procpath query '$..children[?(@.stat.pid == 2610)]' 'SELECT SUM(stat_rss) / 1024.0 * 4 total FROM record'",
    );
    let sql: serde_json::Value = serde_json::from_str(&sql).unwrap();
    assert_eq!(sql[0]["total"].as_f64().unwrap(), f64::from(pages) / 1024.0 * 4.0);
}
