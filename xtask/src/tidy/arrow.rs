//! The import arrows: a stage knows only the stages before it.

use super::{Complaint, Source};

/// What each module of `pidstat-user` may import. `sample` is plain data, the words that every stage speaks;
/// `pidstat_common` is the contract with the kernel side.
///
/// Modules that are not listed here do not exist yet or join everything: see [`JOINS`].
const ARROWS: [(&str, &[&str]); 9] = [
    ("sample", &[]),
    ("clock", &[]),
    ("kernel", &["pidstat_common"]),
    ("source", &["sample", "clock", "kernel", "pidstat_common"]),
    ("rate", &["sample"]),
    ("column", &["sample", "rate"]),
    ("select", &["sample", "rate", "column"]),
    ("sink", &["sample", "rate", "column"]),
    ("cli", &["sample", "kernel", "source", "column", "select", "sink"]),
];

/// Files that know every stage.
const JOINS: [&str; 4] = ["engine", "job", "main", "lib"];

/// Refuses imports against the flow.
pub fn check(source: &Source) -> Vec<Complaint> {
    let Some(path) = source.path.strip_prefix("pidstat-user/src/") else { return Vec::new() };
    let path: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let module = path[0];
    if JOINS.contains(&module) || source.is_beside_the_product() {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        return vec![Complaint::new(
            source,
            1,
            format!("`{module}` has no place in the flow; add it to the arrows"),
        )];
    };
    imports(&source.code.product, path.len())
        .into_iter()
        .filter(|(_, name)| *name != module && !allowed.contains(name))
        // Not a module of ours: an item at the root of the crate, or a name that only looks like one.
        .filter(|(_, name)| {
            *name == "pidstat_common" || ARROWS.iter().any(|(m, _)| m == name) || JOINS.contains(name)
        })
        .map(|(line, name)| {
            let may = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
            Complaint::new(source, line, format!("`{module}` imports `{name}`; it may import {may}"))
        })
        .collect()
}

/// The top-level modules and crates of ours that some code names, each with its line. `depth` is the number of modules
/// that a file is deep, so that a chain of as many `super::` ends at the crate's root.
fn imports(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let line = |at: usize| 1 + code[..at].matches('\n').count();
    let to_root = "super::".repeat(depth);
    for start in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
                || before.ends_with("super::")
            {
                continue;
            }
            let rest = at + start.len();
            found.extend(heads(&code[rest..]).into_iter().map(|name| (line(at), name)));
        }
    }
    for (at, name) in code.match_indices("pidstat_common") {
        found.push((line(at), name));
    }
    found
}

/// The first names of a use tree: `a` of `a::b`, `a` and `c` of `{a::{b, d}, c}`.
fn heads(tree: &str) -> Vec<&str> {
    let name = |text| -> &str {
        let text: &str = text;
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        &text[..end]
    };
    let Some(group) = tree.strip_prefix('{') else { return vec![name(tree)] };
    let mut heads = vec![name(group.trim_start())];
    let mut depth = 1_usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::{super::Source, check};

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).into_iter().map(|complaint| complaint.line).collect()
    }

    #[test]
    fn an_import_against_the_flow_is_refused_however_it_is_written() {
        let sink = "pidstat-user/src/sink/text.rs";
        assert_eq!(lines(sink, "use crate::source::procfs;"), [1]);
        assert_eq!(lines(sink, "use crate::{\n column::{Column, Value},\n source::Source,\n};"), [1]);
        assert_eq!(lines(sink, "fn f() {\n crate::clock::now() }"), [2]);
        assert_eq!(lines(sink, "use super::super::source::Source;"), [1]);
        assert_eq!(lines("pidstat-user/src/sink.rs", "use super::source::Source;"), [1]);
        assert_eq!(lines("pidstat-user/src/rate/delta.rs", "use pidstat_common::Task;"), [1]);
        assert_eq!(lines("pidstat-user/src/sample.rs", "use crate::engine::run;"), [1]);
    }

    #[test]
    fn an_import_with_the_flow_is_not() {
        let sink = "pidstat-user/src/sink/text.rs";
        assert_eq!(lines(sink, "use crate::{column::Column, rate::Row};\nuse super::json::source;"), []);
        assert_eq!(lines(sink, "// use crate::source;\n#[cfg(test)]\nmod tests { use crate::source; }"), []);
        assert_eq!(
            lines("pidstat-user/src/source/ebpf.rs", "use pidstat_common::Task; use crate::kernel::btf;"),
            []
        );
        assert_eq!(lines("pidstat-user/src/engine.rs", "use crate::{sink, source};"), []);
    }

    #[test]
    fn a_module_outside_the_flow_is_refused() {
        assert_eq!(lines("pidstat-user/src/helpers.rs", ""), [1]);
    }
}
