//! The tree of an invented machine, and what it says of what cannot be read.

use super::{Target, Tree, columns, parse};
use crate::sample::{
    Missing,
    node::{Member, Value},
};
use proptest::prelude::*;
use std::{fs, path::Path, rc::Rc};

const TAIL: &str = "1 1 0 -1 4194560 10 11 12 13 14 15 16 17 20 -5 1 0 22 23 24 18446744073709551615 26 27 28 29 30 31 32 33 \
                    34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52\n";

fn process(root: &Path, pid: u32, ppid: u32, comm: &[u8]) {
    let dir = root.join(pid.to_string());
    fs::create_dir(&dir).unwrap();
    let mut stat = format!("{pid} (").into_bytes();
    stat.extend_from_slice(comm);
    stat.extend_from_slice(format!(") S {ppid} {TAIL}").as_bytes());
    fs::write(dir.join("stat"), stat).unwrap();
}

/// 1(10(100, 101(1000)), 11), 2(3)
fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (pid, ppid) in [(1, 0), (2, 0), (3, 2), (10, 1), (11, 1), (100, 10), (101, 10), (1000, 101)] {
        process(dir.path(), pid, ppid, b"a) b (c");
    }
    dir
}

fn numbers(tree: &Tree, nodes: &[super::NodeId]) -> Vec<u32> {
    nodes.iter().map(|node| tree.number(*node)).collect()
}

fn sorted(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers
}

#[test]
fn children_hang_on_their_parents_and_names_may_hold_brackets() {
    let dir = machine();
    let tree = Tree::read(dir.path(), Target::Process).unwrap();
    assert_eq!(sorted(numbers(&tree, tree.roots())), [1, 2]);
    let one = *tree.roots().iter().find(|node| tree.number(**node) == 1).unwrap();
    let flat = numbers(&tree, &tree.flat(&[one]));
    assert_eq!((flat[0], sorted(flat.clone())), (1, vec![1, 10, 11, 100, 101, 1000]));
    let stat = tree.values(one, Member::Stat);
    assert_eq!(stat[1], Value::Text("a) b (c".into()));
    assert_eq!(
        (&stat[3], &stat[7], &stat[18]),
        (&Value::Integer(0), &Value::Integer(-1), &Value::Integer(-5))
    );
    assert_eq!(
        (&stat[23], &stat[24], &stat[26]),
        (&Value::Integer(24), &Value::Integer(42), &Value::Integer(44))
    );
}

#[test]
fn a_member_is_read_when_it_is_looked_at_and_only_then() {
    let dir = machine();
    let tree = Tree::read(dir.path(), Target::Process).unwrap();
    fs::write(dir.path().join("3/cmdline"), b"sh\0-c\0\xff x\0").unwrap();
    let three = tree.flat(tree.roots()).into_iter().find(|node| tree.number(*node) == 3).unwrap();
    assert_eq!(tree.values(three, Member::Cmdline), [Value::Text("sh -c \u{fffd} x".into())]);
    assert_eq!(tree.unread(Member::Cmdline).gone, 0);
    assert!(tree.values(three, Member::Io).iter().all(|value| *value == Value::Missing(Missing::Gone)));
    assert_eq!(tree.unread(Member::Io).gone, 1);
}

#[test]
fn branches_keep_their_descendants_and_the_way_to_them() {
    let dir = machine();
    let of = |numbers: &[u32]| {
        let mut tree = Tree::read(dir.path(), Target::Process).unwrap();
        tree.keep_branches(numbers);
        tree.flat(tree.roots()).into_iter().map(|node| tree.number(node)).collect::<Vec<u32>>()
    };
    assert_eq!(of(&[101]), [1, 10, 101, 1000]);
    assert_eq!(of(&[11, 100]), [1, 11, 10, 100]);
    assert_eq!(sorted(of(&[100, 10])), [1, 10, 100, 101, 1000]);
    assert_eq!(sorted(of(&[1, 2])), [1, 2, 3, 10, 11, 100, 101, 1000]);
    assert_eq!(of(&[3, 77]), [2, 3]);
    assert!(of(&[77]).is_empty());
}

#[test]
fn a_torn_or_vanished_stat_has_no_node() {
    let dir = machine();
    fs::write(dir.path().join("3/stat"), "3 (x) S 2 1 1").unwrap();
    fs::remove_file(dir.path().join("11/stat")).unwrap();
    let tree = Tree::read(dir.path(), Target::Process).unwrap();
    assert_eq!(sorted(numbers(&tree, &tree.flat(tree.roots()))), [1, 2, 10, 100, 101, 1000]);
    assert_eq!(tree.unread(Member::Stat).gone, 1);
}

#[test]
fn a_circle_of_parents_ends() {
    let dir = tempfile::tempdir().unwrap();
    for (pid, ppid) in [(1, 0), (5, 6), (6, 5), (7, 7)] {
        process(dir.path(), pid, ppid, b"x");
    }
    let mut tree = Tree::read(dir.path(), Target::Process).unwrap();
    assert_eq!(numbers(&tree, &tree.flat(tree.roots())), [1]);
    tree.keep_branches(&[5, 7, 1]);
    assert!(tree.flat(tree.roots()).len() <= 4);
}

#[test]
fn status_is_read_by_its_lines() {
    let text = b"Name:\tUid: x\nUmask:\t0022\nState:\tt (tracing stop)\nUid:\t1000\t0\t0\t0\nGroups:\t \nVmSize:\t  20 kB\n\
                 SigQ:\t1/96119\nSigIgn:\tffffffffffffffff\nSpeculation_Store_Bypass:\tThread Vulnerable\n\
                 Cpus_allowed:\tf,00000003\nTHP_enabled:\t1\nvoluntary_ctxt_switches:\t7\n";
    let values = parse::status(text);
    let of = |name: &str| values[Member::Status.field(name).unwrap()].clone();
    assert_eq!(of("name"), Value::Text("Uid: x".into()));
    assert_eq!(of("umask"), Value::Integer(0o22));
    assert_eq!(of("state"), Value::Text("T".into()));
    assert_eq!(of("uid"), Value::List([1000, 0, 0, 0].into()));
    assert_eq!(of("groups"), Value::List([].into()));
    assert_eq!(of("vmsize"), Value::Integer(20));
    assert_eq!(of("sigq"), Value::List([1, 96119].into()));
    assert_eq!(of("sigign"), Value::Large(u64::MAX));
    assert_eq!(of("speculation_store_bypass"), Value::Text("thread vulnerable".into()));
    assert_eq!(of("cpus_allowed"), Value::List([15, 3].into()));
    assert_eq!(of("voluntary_ctxt_switches"), Value::Integer(7));
    assert_eq!(of("vmpmd"), Value::Missing(Missing::NotInKernel));
    assert_eq!(
        parse::status(b"Name:\tkthreadd\n")[Member::Status.field("vmrss").unwrap()],
        Value::Missing(Missing::DoesNotApply)
    );
}

#[test]
fn this_machine_has_a_tree_with_this_process_in_it() {
    let tree = Tree::read("/proc".as_ref(), Target::Process).unwrap();
    let myself =
        tree.flat(tree.roots()).into_iter().find(|node| tree.number(*node) == std::process::id()).unwrap();
    for column in columns(&Member::ALL[..8]) {
        let value = tree.value(myself, &column);
        let optional = ["vmpmd", "umask", "block_io_ns"].iter().any(|name| column.name.ends_with(name));
        assert!(optional || !matches!(value, Value::Missing(_)), "{} is {value:?}", column.name);
    }
    let threads = Tree::read("/proc".as_ref(), Target::Thread).unwrap();
    assert!(threads.len() > tree.len());
    let others = tree.without(std::process::id());
    assert!(others.flat(others.roots()).iter().all(|node| others.number(*node) != std::process::id()));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), lines in "([A-Za-z_]{1,12}:[ \t]?[0-9a-f,/ -]{0,24}\n){0,8}") {
        for bytes in [&bytes[..], lines.as_bytes()] {
            for (parse, member) in [
                (parse::stat as fn(&[u8]) -> Rc<[Value]>, Member::Stat),
                (parse::cmdline, Member::Cmdline),
                (parse::io, Member::Io),
                (parse::status, Member::Status),
                (parse::smaps_rollup, Member::SmapsRollup),
            ] {
                prop_assert_eq!(parse(bytes).len(), member.width());
            }
        }
    }
}
