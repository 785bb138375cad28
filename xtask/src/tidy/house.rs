//! Rules about the whole house: what lies where, suites that nobody runs, sinks that know a column.

use super::{Complaint, Source};
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// What may stand at the top beside dotfiles and licences.
const TOP: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "rust-toolchain.toml",
    "pidstat-common",
    "pidstat-ebpf",
    "pidstat-user",
    "xtask",
    "tests",
];

/// Refuses names that the house does not have.
pub fn names(paths: &[&str]) -> Vec<Complaint> {
    let complain =
        |path: &str, what: &str| Complaint { path: path.to_owned(), line: 1, what: what.to_owned() };
    let mut found = Vec::new();
    let tops: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    for top in tops {
        if !(TOP.contains(&top) || top.starts_with('.') || top.starts_with("LICENSE")) {
            found.push(complain(top, "the top level is fixed; this has no place in it"));
        }
    }
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name == "mod.rs" {
            found.push(complain(path, "`foo.rs` beside `foo/`, no `mod.rs`"));
        }
        if ["util.rs", "utils.rs", "helper.rs", "helpers.rs", "misc.rs", "types.rs"].contains(&name) {
            found.push(complain(path, "a module is named after what it is about"));
        }
    }
    found
}

/// Refuses a suite that the manifest does not name: cargo would never build it.
///
/// # Errors
/// When the manifest is not TOML.
pub fn suites(paths: &[&str], manifest: &str) -> Result<Vec<Complaint>> {
    let manifest: toml::Table = manifest.parse().context("tests/Cargo.toml")?;
    let tests = manifest.get("test").and_then(toml::Value::as_array).into_iter().flatten();
    let named: BTreeSet<(&str, &str)> =
        tests.filter_map(|test| Some((test.get("name")?.as_str()?, test.get("path")?.as_str()?))).collect();
    let suites = paths
        .iter()
        .filter_map(|path| Some((path, path.strip_prefix("tests/suites/")?.strip_suffix(".rs")?)));
    Ok(suites
        .filter(|(_, name)| {
            !name.contains('/') && !named.contains(&(*name, format!("suites/{name}.rs").as_str()))
        })
        .map(|(path, name)| Complaint {
            path: (*path).to_owned(),
            line: 1,
            what: format!(
                "tests/Cargo.toml has no [[test]] with name = \"{name}\", path = \"suites/{name}.rs\""
            ),
        })
        .collect())
}

/// Refuses a sink that names a column: it prints whatever the registry holds.
pub fn column_ids(sources: &[Source]) -> Vec<Complaint> {
    let of = |stage: &str| {
        let (file, dir) = (format!("pidstat-user/src/{stage}.rs"), format!("pidstat-user/src/{stage}/"));
        sources.iter().filter(move |source| source.path == file || source.path.starts_with(&dir))
    };
    // What a row is called stands in every document, whichever columns it has.
    let called = |id: &&str| ["pid", "uid", "user", "state", "exited"].contains(id);
    let ids: BTreeSet<&str> = of("column").flat_map(declared).filter(|id| !called(id)).collect();
    let mut found = Vec::new();
    for sink in of("sink") {
        for (line, text) in &sink.code.strings {
            if ids.contains(text.as_str()) {
                found.push(Complaint::new(sink, *line, format!("a sink names the column \"{text}\"")));
            }
        }
    }
    found
}

/// The ids of the columns that a file declares (`id: "…"`), in its product code.
fn declared(source: &Source) -> Vec<&str> {
    let lines: Vec<&str> = source.text.lines().collect();
    let is_id = |(line, text): &&(usize, String)| {
        lines.get(line - 1).is_some_and(|code| code.contains(&format!("id: \"{text}\"")))
    };
    source.code.strings.iter().filter(is_id).map(|(_, text)| text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Source, column_ids, names, suites};

    #[test]
    fn the_top_level_is_fixed() {
        let fine =
            ["Cargo.toml", ".ci/run", "LICENSE-MIT", "pidstat-user/docs/a.md", "tests/suites/golden.rs"];
        assert_eq!(names(&fine), []);
        assert_eq!(names(&["docs/a.md", "docs/b.md"]).len(), 1);
        assert_eq!(names(&["rustfmt.toml"]).len(), 1);
    }

    #[test]
    fn a_mod_rs_and_a_nameless_module_are_refused() {
        assert_eq!(names(&["xtask/src/vm/mod.rs"]).len(), 1);
        assert_eq!(names(&["xtask/src/util.rs"]).len(), 1);
    }

    #[test]
    fn a_suite_that_nobody_runs_is_refused() {
        let manifest = "[[test]]\nname = \"golden\"\npath = \"suites/golden.rs\"\n";
        let of = |path| suites(&[path], manifest).expect("TOML").len();
        assert_eq!(of("tests/suites/golden.rs"), 0);
        assert_eq!(of("tests/suites/golden/story.rs"), 0);
        assert_eq!(of("tests/suites/kernel_net.rs"), 1);
    }

    #[test]
    fn a_sink_that_names_a_column_is_refused() {
        let column = "Column { id: \"minflt_per_sec\", head: \"minflt/s\" }";
        let of = |sink: &str| {
            let sources = [
                Source::new("pidstat-user/src/column/memory.rs", column),
                Source::new("pidstat-user/src/sink/text.rs", sink),
            ];
            column_ids(&sources).len()
        };
        assert_eq!(of("if id == \"minflt_per_sec\" {}"), 1);
        assert_eq!(of("// minflt_per_sec\nlet a = \"minflt/s\";"), 0);
    }
}
