//! The BTF reader against the running kernel, against a type it cannot know, and against garbage.

use super::*;
use proptest::prelude::*;

fn live() -> Vec<u8> {
    std::fs::read("/sys/kernel/btf/vmlinux").unwrap()
}

/// A string table and types put together by hand.
fn build(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let bytes = 4 * types.len() as u32;
    for word in [0x0001_eb9f, 24, 0, bytes, bytes, strings.len() as u32] {
        out.extend_from_slice(&u32::to_ne_bytes(word));
    }
    for word in types {
        out.extend_from_slice(&word.to_ne_bytes());
    }
    out.extend_from_slice(strings);
    out
}

#[test]
fn finds_members_of_the_running_kernel() {
    let btf = Btf::parse(live()).unwrap();
    let pid = btf.offset("task_struct", "pid").unwrap();
    assert_eq!(btf.offset("task_struct", "tgid"), Some(pid + 4));
    let size = btf.size("task_struct").unwrap();
    for path in ["signal", "comm", "se.sum_exec_runtime", "ioac.rchar", "prev_cputime.utime"] {
        let at = btf.offset("task_struct", path).unwrap();
        assert!(at > 0 && at < size, "{path} at {at}");
    }
    assert!(btf.offset("mm_struct", "total_vm").is_some(), "a member of an anonymous struct");
    assert_eq!(btf.offset("task_struct", "no_such_member"), None);
    assert_eq!(btf.offset("no_such_struct", "pid"), None);
    assert_eq!(btf.offset("task_struct", "pid.deeper"), None);
}

#[test]
fn knows_hooks_and_their_parameters() {
    let btf = Btf::parse(live()).unwrap();
    assert!(btf.has(Kind::Func, "bpf_iter_task"));
    assert!(!btf.has(Kind::Func, "bpf_iter_nothing"));
    assert_eq!(btf.params(Kind::Typedef, "btf_trace_sched_process_exec"), Some(4));
    assert_eq!(btf.params(Kind::Func, "bpf_iter_task"), Some(2));
    assert_eq!(btf.params(Kind::Struct, "task_struct"), None);
}

#[test]
fn looks_through_anonymous_members_and_ends_on_cycles() {
    // 1: int; 2: struct outer { [32] anonymous 3 }; 3: struct { [64] int b }; 4: typedef 4 -> itself; 5: struct loop { 5 }
    let strings = b"\0int\0outer\0b\0self\0loop\0";
    let (int, outer, b, own, ring) = (1, 5, 11, 13, 18);
    #[rustfmt::skip]
    let types = [
        int, 1 << 24, 4, 32,
        outer, 4 << 24 | 1, 16, 0, 3, 32,
        0, 4 << 24 | 1, 16, b, 1, 64,
        own, 8 << 24, 4,
        ring, 4 << 24 | 1, 4, 0, 5, 0,
    ];
    let btf = Btf::parse(build(&types, strings)).unwrap();
    assert_eq!(btf.offset("outer", "b"), Some(12));
    assert_eq!(btf.size("outer"), Some(16));
    assert_eq!(btf.params(Kind::Typedef, "self"), None);
    assert_eq!(btf.offset("loop", "b"), None);
}

#[test]
fn refuses_what_it_does_not_know() {
    assert_eq!(Btf::parse(Vec::new()).unwrap_err(), BtfError::Truncated(0));
    assert_eq!(Btf::parse(vec![0; 64]).unwrap_err(), BtfError::NotBtf);
    assert_eq!(Btf::parse(build(&[0, 31 << 24, 0], b"\0")).unwrap_err(), BtfError::UnknownKind(31));
    assert!(matches!(Btf::parse(build(&[0, 4 << 24 | 9, 0], b"\0")), Err(BtfError::Truncated(_))));
    assert!(matches!(Btf::parse(build(&[0, 4 << 24], b"\0")), Err(BtfError::Truncated(_))));
}

proptest! {
    #[test]
    fn garbage_never_panics(words in prop::collection::vec(any::<u32>(), 0..64), tail in any::<[u8; 16]>()) {
        if let Ok(btf) = Btf::parse(build(&words, &tail)) {
            let _ = (btf.offset("a", "b.c"), btf.size("a"), btf.params(Kind::Typedef, "a"));
        }
    }

    #[test]
    fn small_kinds_never_panic(
        infos in prop::collection::vec((0u32..24, 0u32..20, 0u32..4, 0u32..12), 0..24),
        tail in prop::collection::vec(0u8..3, 1..24),
    ) {
        let words: Vec<u32> = infos.iter().flat_map(|(n, k, len, t)| [*n, k << 24 | len, *t]).collect();
        if let Ok(btf) = Btf::parse(build(&words, &tail)) {
            for name in ["\u{1}", "\u{2}", "\u{1}\u{2}"] {
                let _ = (btf.offset(name, "\u{1}"), btf.size(name), btf.params(Kind::Func, name));
            }
        }
    }
}
