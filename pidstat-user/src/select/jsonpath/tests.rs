//! What queries find, in which order, and what is said about those that are none.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The tree 1(10(100, 101(1000)), 11), 2(3).
fn tree() -> Value {
    let leaf = |pid: u32, ppid: u32, comm: &str| json!({"stat": {"pid": pid, "ppid": ppid, "comm": comm}, "cmdline": comm});
    let with = |mut node: Value, children: Value| {
        node["children"] = children;
        node
    };
    let ten = with(
        leaf(10, 1, "bash"),
        json!([leaf(100, 10, "python3"), with(leaf(101, 10, "sh"), json!([leaf(1000, 101, "")]))]),
    );
    json!({"children": [
        with(leaf(1, 0, "init"), json!([ten, leaf(11, 1, "sleep")])),
        with(leaf(2, 0, "kthreadd"), json!([leaf(3, 2, "kworker/0:1")])),
    ]})
}

fn find(text: &str) -> Vec<String> {
    let query = parse(text, Dialect::Both).unwrap_or_else(|error| panic!("{}", error.shown(text)));
    let tree = tree();
    query.find(&&tree).unwrap().places.into_iter().map(Value::to_string).collect()
}

fn mistake(text: &str) -> (usize, String) {
    let error = parse(text, Dialect::Both).expect_err(text);
    (error.at, error.what)
}

#[test]
fn it_goes_down_level_by_level() {
    assert_eq!(find("$..pid"), ["1", "10", "100", "101", "1000", "11", "2", "3"]);
    assert_eq!(find("$..stat.pid"), ["1", "2", "10", "11", "100", "101", "1000", "3"]);
    assert_eq!(
        find("$..children[?(@.stat.pid > 0)].stat.pid"),
        ["1", "2", "10", "11", "3", "100", "101", "1000"]
    );
    assert_eq!(find("$..children[?(@.stat.pid == 10)]..pid"), ["10", "100", "101", "1000"]);
}

#[test]
fn filters_in_parentheses_are_pythons_and_others_rfc_9535s() {
    let pids = |filter: &str| find(&format!("$..children[{filter}].stat.pid"));
    assert_eq!(pids("?(@.stat.pid in [10, 11,])"), ["10", "11"]);
    assert_eq!(pids(r#"?("SLEEP" in @.cmdline.upper(\))"#), ["11"]);
    assert_eq!(pids("?('python' in @.stat.comm and not @.stat.pid == 1)"), ["100"]);
    assert_eq!(pids("?(@.cmdline)").len(), 7);
    assert_eq!(pids("?@.cmdline").len(), 8);
    assert_eq!(pids("?(not @.children)"), [""; 0]);
    assert_eq!(pids("?!@.children"), ["11", "3", "100", "1000"]);
    assert_eq!(pids("?(@.stat.ppid)").len(), 6);
    assert_eq!(pids("?(@['stat']['pid'] + 1 == 11)"), ["10"]);
    assert_eq!(pids("?(@.stat.comm.startswith('k') or @.stat.pid % 100 == 0)"), ["2", "3", "100", "1000"]);
    assert_eq!(pids("?(len(@.children) == 2)"), ["1", "10"]);
    assert_eq!(pids("?('children' not in @ and 10 <= @.stat.pid < 1000)"), ["11", "100"]);
    assert_eq!(pids("?match(@.stat.comm, 'k.*') && @.stat.pid > 2"), ["3"]);
    assert_eq!(pids("?(@.stat.comm == 'sh') || (@.stat.pid == 1)"), ["1", "101"]);
    assert_eq!(pids("?(re.search(r'^k\\w+/\\d', @.stat.comm))"), ["3"]);
    assert_eq!(pids("?(@.stat.comm[:2] == 'ba' or @.stat.comm.split('/')[-1] == '0:1')"), ["10", "3"]);
    assert_eq!(pids("?(@.stat.pid in (10, 3))"), ["10", "3"]);
    assert_eq!(pids("?(@.stat.pid & 1 and @.stat.pid // 10 == 1)"), ["11"]);
    assert_eq!(pids("?(@.stat.pid == (100 if True else 0))"), ["100"]);
    assert_eq!(pids("?count(@..pid) == 4"), ["10"]);
}

#[test]
fn steps_have_the_forms_of_both_languages() {
    assert_eq!(find("children[0].stat.pid"), ["1"]);
    assert_eq!(find("$.children[0,1]['stat', 'cmdline'].pid"), ["1", "2"]);
    assert_eq!(find("$.children[-1].stat.pid,ppid"), ["2", "0"]);
    assert_eq!(find("$ .children [ ::-1 ] . stat . pid"), ["2", "1"]);
    assert_eq!(find("$..[?@.pid==3].comm"), ["\"kworker/0:1\""]);
    assert_eq!(find("$.children[(len(@\\)-1)].stat.pid"), ["2"]);
    assert_eq!(find("$.children[0].stat.*"), ["\"init\"", "1", "0"]);
    assert_eq!(find("$.nothing..at.all"), [""; 0]);
}

#[test]
fn what_a_filter_cannot_say_is_counted() {
    let tree = tree();
    let query = parse("$..children[?(@.io.rchar > 1)]", Dialect::Both).unwrap();
    let (number, fault) = query.find(&&tree).unwrap().faults.unwrap();
    assert_eq!((number, fault.0), (8, "there is no such member"));
}

#[test]
fn mistakes_are_shown_where_they_are() {
    for (text, at, what) in [
        ("$..children[?(@.stat.pid == )]", 28, "a name or a value must stand here, not )"),
        ("$..children[?(@.stat.pid == 1]", 29, "an operator or ) must stand here"),
        ("$..children[?(@.stat.pid == 1)", 11, "this [ is never closed"),
        ("$..children[?(@.stat.pid = 1)]", 25, "= is no operator; to compare, write =="),
        ("$..children[?(@.stat.pid == $C1)]", 28, "there is no variable $C1; -e C1=COMMAND would give one"),
        ("$..children[?(__import__('os'))]", 14, "there is no function __import__()"),
        ("$..children[?(@.stat.comm.format(1))]", 26, "there is no method format()"),
        ("$.", 2, "a name, a number, * or ?(...) must follow"),
        ("$]", 1, "unexpected ]; a step begins with . or .. or ["),
        ("$[99999999999999999999]", 2, "this number is too large"),
    ] {
        assert_eq!(mistake(text), (at, what.to_owned()), "{text}");
    }
}

#[test]
fn what_a_query_may_cost_has_a_limit() {
    let tree = tree();
    for text in [format!("${}", "..@".repeat(40)), format!("${}", "[*,*,*,@]".repeat(40))] {
        let found = parse(&text, Dialect::Both).unwrap().find(&&tree);
        assert_eq!(found.map(|found| found.places.len()), Err(TooMuch), "{text}");
    }
    let wide = Value::from((0..20_000).collect::<Vec<i32>>());
    let squared = parse("$[?count($[?@ >= 0]) > 1]", Dialect::Both).unwrap();
    assert_eq!(squared.find(&&wide).map(|found| found.places.len()), Err(TooMuch));
    for opening in
        ["$[?(", "$[?@[?", "$[?@.a[?(@.b[?(", "$[?(-(", "$[?([", "$[(", "$[?(@.a.upper().lower()[0]"]
    {
        let text = format!("$[?{}", opening[1..].repeat(50_000));
        assert!(parse(&text, Dialect::Both).is_err());
    }
    let long = format!("$[?(@.a{})]", ".upper()".repeat(50_000));
    assert!(mistake(&long).1.starts_with("nested more than"));
    let wide = format!("$[?(@.stat.pid in [{}])]", "1,".repeat(100_000));
    assert!(parse(&wide, Dialect::Both).is_ok());
}

#[test]
fn a_hostile_document_may_be_as_deep_as_it_likes() {
    let mut deep = json!({"pid": 1});
    for _ in 0..100 {
        deep = json!({"children": [deep]});
    }
    let query = parse("$..children[?(@ == @)]..pid", Dialect::Both).unwrap();
    assert_eq!(query.find(&&deep).unwrap().places.len(), 100);
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "$",
        "@",
        ".",
        "..",
        "[",
        "]",
        "(",
        ")",
        "?",
        "?(",
        "\\)",
        ",",
        ":",
        "*",
        "**",
        "//",
        "children",
        "stat",
        "pid",
        "'a'",
        "\"",
        "'",
        "\\",
        "-",
        "1",
        "0",
        "==",
        "<",
        "in",
        "not",
        "and",
        "or",
        "if",
        "else",
        "is",
        "None",
        "len(",
        "match(",
        "re.search(",
        ".upper(",
        "count(",
        "&",
        "|",
        "<<",
        " ",
        "ü",
        "\n",
        "r'",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), pieces(), pieces().prop_map(|text| format!("$..children[?({text})]..pid"))]) {
        let tree = tree();
        for dialect in [Dialect::Both, Dialect::Strict] {
            match parse(&text, dialect) {
                Ok(query) => {
                    let _ = query.find(&&tree);
                }
                Err(error) => {
                    prop_assert!(error.at <= text.len());
                    error.shown(&text);
                }
            }
        }
    }
}
