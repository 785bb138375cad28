//! `cargo xtask test`: everything that is checked, cheap things first, and one closing line with the counts.

use crate::{
    command::{self, cargo, run, say},
    r#gen, lint, setup, tidy, vm,
};
use anyhow::{Context, Result, bail};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

/// The suites that take longest begin first, so that none of them is left alone at the end; the longest last.
const LONG: [&str; 6] =
    ["acceptance", "snapshot", "props_rate", "oracle_pidstat", "hostile", "oracle_sysstat"];

/// How many checks succeeded and failed; a thing that could not run has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Succeeded.
    pub passed: u32,
    /// Failed, or could not run.
    pub failed: u32,
}

impl Tally {
    /// Counts what another one counted.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Counts one check, says how it ended and how long it took.
    fn check(&mut self, name: &str, check: impl FnOnce() -> Result<Self>) {
        let start = Instant::now();
        let outcome = check();
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(tally) => {
                say(format_args!(
                    "{name}: {} passed, {} failed in {seconds:.1} s",
                    tally.passed, tally.failed
                ));
                self.add(tally);
            }
            Err(why) => {
                say(format_args!("{name}: FAILED after {seconds:.1} s: {why:#}"));
                self.failed += 1;
            }
        }
    }
}

/// Runs everything; with `unprivileged`, what needs neither root nor a VM.
///
/// # Errors
/// When something failed or could not run.
pub fn test(unprivileged: bool) -> Result<()> {
    setup::if_missing()?;
    setup::for_tests()?;
    let mut all = Tally::default();
    let one = |()| Tally { passed: 1, failed: 0 };
    all.check("tidy", || tidy::tidy().map(one));
    all.check("lint", || lint::lint().map(one));
    all.check("gen --check", || r#gen::generate(true).map(one));
    all.check("unit tests", unit);
    let (kernel, plain): (Vec<String>, Vec<String>) =
        suites()?.into_iter().partition(|s| s.starts_with("kernel_"));
    all.check("unprivileged suites", || side_by_side(&plain));
    if !unprivileged {
        // One at a time: a kernel suite counts what its own load did, and two loads on two cores make both slow.
        all.check("kernel suites", || as_root().and_then(|()| suite(&kernel, &["--test-threads=1"])));
        all.check("vm", vm::all);
    }
    let note = if conformance() { "" } else { "; JSONPath conformance did not run: no jsonpath-cts.json" };
    println!("{} passed, {} failed{note}", all.passed, all.failed);
    if all.failed > 0 {
        bail!("not everything passed");
    }
    Ok(())
}

/// Whether RFC 9535's compliance suite is where the suite `jsonpath` looks for it; it is nobody's to commit.
fn conformance() -> bool {
    std::env::var_os("JSONPATH_CTS").is_some()
        || command::root().join("../shared/data/jsonpath-cts.json").is_file()
}

fn as_root() -> Result<()> {
    if !command::is_root() {
        bail!(
            "the kernel suites load programs into the kernel; run as root, or: cargo xtask test --unprivileged"
        );
    }
    Ok(())
}

/// The suites of the tests package, by the name cargo gives them (tidy refuses a file that has none).
fn suites() -> Result<Vec<String>> {
    let dir = command::root().join("tests/suites");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("{}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// The tests that stand beside the code, and those in its documentation.
fn unit() -> Result<Tally> {
    let of = ["--workspace", "--exclude", "pidstat-ebpf", "--no-fail-fast"];
    let mut tally = count(cargo("test").args(of).args(["--lib", "--bins", "--examples"]))?;
    tally.add(count(cargo("test").args(of).arg("--doc"))?);
    Ok(tally)
}

/// Builds the command that the suites run, with all that can be built into it.
fn tested() -> Result<()> {
    let of = ["--quiet", "--package", "pidstat-user", "--bin", "kpidstat", "--features", "parquet"];
    run(cargo("build").args(of))
}

/// Builds the command and these suites of the tests package; gives the suites' programs.
fn programs(names: &[String]) -> Result<Vec<PathBuf>> {
    tested()?;
    let mut build = cargo("test");
    build.args(["--package", "pidstat-tests", "--no-run", "--color", "never"]);
    build.args(names.iter().flat_map(|name| ["--test", name]));
    let built = build.stdout(Stdio::null()).output().with_context(|| command::line(&build))?;
    let said = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() {
        bail!("{}\n{said}", command::line(&build));
    }
    // `  Executable suites/NAME.rs (target/debug/deps/NAME-0123)`, from the workspace or from the root.
    let program = |line: &str| {
        let (source, path) = line.trim().strip_prefix("Executable ")?.split_once(" (")?;
        let name = source.strip_prefix("suites/")?.strip_suffix(".rs")?;
        Some((name.to_owned(), command::root().join(path.strip_suffix(')')?)))
    };
    let mut all: HashMap<String, PathBuf> = said.lines().filter_map(program).collect();
    let rank = |name: &String| LONG.iter().position(|long| long == name).map_or(0, |at| at + 1);
    let mut names: Vec<&String> = names.iter().collect();
    names.sort_by_key(|name| rank(name));
    names.into_iter().map(|name| all.remove(name).with_context(|| format!("{name} was not built"))).collect()
}

/// Runs a suite on each CPU at a time, and shows what each printed when it has ended. Cargo runs them one after the other, and
/// each ends with one slow test, or with one that sleeps, while the other CPUs have nothing to do.
fn side_by_side(names: &[String]) -> Result<Tally> {
    let queue = Mutex::new(programs(names)?);
    let tally = Mutex::new(Tally::default());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some(program) = next() {
            let mut suite = Command::new(&program);
            // As cargo runs it.
            let folder = command::root().join("tests");
            suite.arg("--test-threads=1").env("CARGO_MANIFEST_DIR", &folder).current_dir(folder);
            let ended = suite.stdin(Stdio::null()).output();
            let mut all = tally.lock().unwrap_or_else(PoisonError::into_inner);
            all.add(ended.map_or_else(
                |error| {
                    println!("{}: {error}", program.display());
                    Tally { passed: 0, failed: 1 }
                },
                |output| shown(&program.display().to_string(), &output),
            ));
        }
    };
    // No more at a time than the tests of one suite were: some of them watch the clock.
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(work)));
    Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Prints what a suite printed, and counts what it says of itself.
fn shown(program: &str, output: &Output) -> Tally {
    println!("{program}");
    let mut tally = Tally::default();
    for text in [&output.stderr, &output.stdout] {
        let text = String::from_utf8_lossy(text);
        print!("{text}");
        text.lines().for_each(|line| tally.add(summary(line)));
    }
    if !output.status.success() && tally.failed == 0 {
        println!("{program}: {}", output.status);
        tally.failed += 1;
    }
    tally
}

/// Runs suites of the tests package against the command, which is built first.
fn suite(names: &[String], options: &[&str]) -> Result<Tally> {
    if names.is_empty() {
        bail!("there is none in tests/suites");
    }
    tested()?;
    let mut test = cargo("test");
    test.args(["--package", "pidstat-tests", "--no-fail-fast"]);
    for name in names {
        test.args(["--test", name]);
    }
    test.arg("--").args(options);
    count(&mut test)
}

/// Runs a `cargo test`, showing what it prints, and adds up the summary lines of its test programs.
fn count(test: &mut Command) -> Result<Tally> {
    let mut child = test.stdout(Stdio::piped()).spawn().with_context(|| command::line(test))?;
    let mut tally = Tally::default();
    for line in BufReader::new(child.stdout.take().context("stdout was piped")?).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.add(summary(&line));
    }
    if !child.wait()?.success() && tally.failed == 0 {
        bail!("{}", command::line(test));
    }
    Ok(tally)
}

/// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; …`; an ignored test did not run, so it has failed.
fn summary(line: &str) -> Tally {
    let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
        return Tally::default();
    };
    let of = |what: &str| {
        let parts = counts.1.split("; ").filter_map(|part| part.split_once(' '));
        parts.filter(|(_, name)| *name == what).find_map(|(n, _)| n.parse::<u32>().ok()).unwrap_or(0)
    };
    Tally { passed: of("passed"), failed: of("failed") + of("ignored") }
}

#[cfg(test)]
mod tests {
    use super::{Tally, shown, summary};
    use std::process::Command;

    #[test]
    fn a_suite_that_ends_without_a_word_has_failed() {
        let ended = |script: &str| Command::new("sh").args(["-c", script]).output().unwrap();
        assert_eq!(shown("x", &ended("kill -9 $$")), Tally { passed: 0, failed: 1 });
        let words = "echo 'test result: ok. 4 passed; 0 failed; 0 ignored'";
        assert_eq!(shown("x", &ended(words)), Tally { passed: 4, failed: 0 });
        assert_eq!(shown("x", &ended(&format!("{words}; exit 101"))), Tally { passed: 4, failed: 1 });
    }

    #[test]
    fn a_summary_line_is_counted_and_an_ignored_test_has_failed() {
        let line = "test result: FAILED. 23 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.1s";
        assert_eq!(summary(line), Tally { passed: 23, failed: 3 });
        assert_eq!(summary("test parses_a_line ... ok"), Tally::default());
    }
}
