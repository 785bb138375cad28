//! Every way to move bytes, on every rung that this kernel has. Needs root; nothing is skipped.

use pidstat_tests::{paths, tool};

/// Where no function can be hooked, these two are left; `cargo xtask vm` tries the others.
const RUNGS: [&str; 2] = ["tracepoint", "sampled"];

#[test]
fn each_rung_counts_what_the_table_says() {
    let table = std::fs::read_to_string(tool::root().join("tests/vm/kernels.toml")).expect("kernels.toml");
    let table = table.parse().expect("kernels.toml");
    let (mut asserted, mut failed) = (0, Vec::new());
    paths::run(&table, &RUNGS, false, |what, outcome| {
        println!("{what}");
        asserted += 1;
        if let Err(why) = outcome {
            failed.push(format!("{what}: {why}"));
        }
    })
    .expect("both rungs attach");
    assert!(failed.is_empty(), "{} of {asserted} failed:\n{}", failed.len(), failed.join("\n"));
}
