//! Rules that a file keeps or breaks by itself.

use super::{Complaint, Source, code::lines};

/// Lines from which a file is asked whether it is about one thing.
const QUESTION: usize = 400;

/// Lines from which it is refused.
const REFUSE: usize = 800;

/// The first line, the size, what must not be left behind, and where `/proc` may be named.
pub fn check(source: &Source) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mut complain = |line, what: String| found.push(Complaint::new(source, line, what));
    if !source.text.starts_with("//! ") {
        complain(1, "the first line is not a `//!` sentence that says what the file is about".into());
    }
    let length = source.text.lines().count();
    if length > REFUSE {
        complain(REFUSE, format!("{length} lines; split it by what it is about"));
    }
    for (line, text) in lines(&source.code.all) {
        for unfinished in ["todo!", "unimplemented!", "#[ignore"] {
            if text.contains(unfinished) {
                complain(line, format!("`{unfinished}`: finish it"));
            }
        }
    }
    // Everything else asks the source, or is handed the root.
    let may_name_proc = source.is_beside_the_product()
        || source.path.starts_with("pidstat-user/src/source/procfs/")
        || source.path == "pidstat-user/src/source/procfs.rs";
    for (line, text) in source.code.strings.iter().filter(|_| !may_name_proc) {
        if names_proc(text) {
            complain(*line, format!("\"{text}\": only source/procfs names /proc; the root is a parameter"));
        }
    }
    found
}

/// The question that a long file is asked.
pub fn question(source: &Source) -> Option<String> {
    let length = source.text.lines().count();
    (length > QUESTION).then(|| format!("{}: {length} lines; is it about one thing?", source.path))
}

/// Whether a text is a path to /proc or something in it: not one that begins alike, and not a sentence about it.
fn names_proc(text: &str) -> bool {
    !text.contains(' ')
        && text.match_indices("/proc").any(|(at, found)| {
            !text[at + found.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        })
}

#[cfg(test)]
mod tests {
    use super::{super::Source, check, question};

    fn complaints(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).into_iter().map(|complaint| complaint.line).collect()
    }

    #[test]
    fn a_file_without_its_sentence_is_refused() {
        assert_eq!(complaints("a.rs", "use std::fs;\n"), [1]);
        assert_eq!(complaints("a.rs", "//! Says what it is about.\nuse std::fs;\n"), []);
    }

    #[test]
    fn a_long_file_is_asked_and_a_longer_one_refused() {
        let of = |n: usize| Source::new("a.rs", &format!("//! Long.\n{}", "\n".repeat(n - 1)));
        assert!(question(&of(400)).is_none());
        assert!(question(&of(401)).is_some());
        assert_eq!(check(&of(800)), []);
        assert_eq!(check(&of(801)).len(), 1);
    }

    #[test]
    fn unfinished_code_is_refused_in_tests_too_but_not_in_words() {
        let unfinished = "//! A.\nfn a() { todo!() }\n#[cfg(test)]\nmod t { #[ignore]\n fn b() { unimplemented!(\"x\") } }";
        assert_eq!(complaints("a.rs", unfinished), [2, 4, 5]);
        assert_eq!(
            complaints("a.rs", "//! No todo!() here.\nconst A: &str = \"todo!()\"; // #[ignore]\n"),
            []
        );
    }

    #[test]
    fn only_the_procfs_source_and_tests_name_proc() {
        let text = "//! A.\n/// Reads /proc.\nconst A: &str = \"/proc/self/stat\";\nconst B: [&str; 2] = [\"/process\", \"mount it on /proc\"];\n\
                    #[cfg(test)]\nmod tests { const C: &str = \"/proc\"; }\n";
        assert_eq!(complaints("pidstat-user/src/sink/text.rs", text), [3]);
        assert_eq!(complaints("pidstat-user/src/source/procfs/stat.rs", text), []);
        assert_eq!(complaints("pidstat-user/src/source/procfs.rs", text), []);
        assert_eq!(complaints("tests/suites/oracle.rs", text), []);
    }
}
