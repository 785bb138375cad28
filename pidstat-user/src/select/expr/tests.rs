//! What expressions mean, and what is said about those that mean nothing.

use super::*;
use proptest::prelude::*;
use std::{borrow::Cow, collections::HashMap};

/// Every word is a name: `n...` a number, `t...` text, `b...` true or false, others of any kind.
struct Words;

impl Names for Words {
    type Name = String;

    fn read(&self, text: &str, _depth: usize) -> Option<Result<Found<String>, ExprError>> {
        let length = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        let kind = match text.as_bytes()[..length].first()? {
            b'n' => Kind::Number,
            b't' => Kind::Text,
            b'b' => Kind::Truth,
            _ => Kind::Any,
        };
        Some(Ok(Found { name: text[..length].to_owned(), kind, length }))
    }
}

impl Environment<String> for HashMap<&str, Operand<'static>> {
    fn value<'a>(&'a self, name: &'a String) -> Operand<'a> {
        match self.get(name.as_str()) {
            Some(Operand::Null) => Operand::Null,
            Some(Operand::Truth(truth)) => Operand::Truth(*truth),
            Some(Operand::Number(number)) => Operand::Number(*number),
            Some(Operand::Text(text)) => Operand::Text(text.clone()),
            _ => Operand::Missing,
        }
    }
}

fn holds(text: &str) -> bool {
    let word = |text: &'static str| Operand::Text(Cow::Borrowed(text.as_bytes()));
    let env = HashMap::from([
        ("n5", Operand::Number(5.0)),
        ("n0", Operand::Number(0.0)),
        ("t", word("kworker/0:1")),
        ("byes", Operand::Truth(true)),
        ("bno", Operand::Truth(false)),
        ("z", Operand::Null),
    ]);
    parse(text, &Words).unwrap_or_else(|error| panic!("{}", error.shown(text))).holds(&env)
}

fn mistake(text: &str) -> (usize, String) {
    let error = parse(text, &Words).expect_err(text);
    (error.at, error.what)
}

#[test]
fn operators_bind_as_everywhere() {
    for text in [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "10 - 3 - 2 == 5",
        "24 / 2 / 3 == 4",
        "-n5 + 6 == 1",
        "- -n5 == 5",
        "7 % 4 == 3",
        "1 == 2 or 1 == 1 and 2 == 2",
        "not 1 == 2 and 1 == 1",
        "!(n5 > 9) && (n5 < 9 || n5 == 9)",
        "byes",
        "not bno",
        "byes == true",
        "((n5)) > 4",
        "1.5e3 == 1500",
        ".5 + .5 == 1",
        "'a' < 'b'",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn comparisons_chain() {
    assert!(holds("1 < n5 <= 5"));
    assert!(!holds("1 < n5 < 5"));
    assert!(holds("1 < 2 < 3 == 3 != 4"));
    assert!(holds("0 < n5 in [4, 5]"));
}

#[test]
fn lists_and_parts_of_texts() {
    assert!(holds("n5 in [1, 2 + 3]"));
    assert!(holds("n5 not in [1, 2,]"));
    assert!(!holds("n5 in []"));
    assert!(holds("'work' in t"));
    assert!(holds("'play' not in t"));
    assert!(holds("t in ['a', 'kworker/0:1', \"b\"]"));
}

#[test]
fn a_match_is_of_the_whole_text_and_a_search_of_any_part() {
    assert!(holds("search(t, 'work')"));
    assert!(!holds("match(t, 'work')"));
    assert!(!holds("match(t, 'k|w.*')"));
    assert!(holds("match(t, 'kw.*\\\\d')"));
    assert!(!holds("search(z, '')"));
}

#[test]
fn whatever_is_compared_with_nothing_is_false_but_for_null() {
    for text in ["x == 1", "x != 1", "x < 1", "x == x", "x in [1]", "x not in [1]", "n5 / n0 >= 0", "x"] {
        assert!(!holds(text), "{text}");
    }
    for text in [
        "x == null",
        "n5 != null",
        "z == null",
        "z",
        "null == x",
        "not x == 1",
        "n5 / 0 == null",
        "x in [null]",
    ] {
        assert!(holds(text), "{text}");
    }
    assert!(!holds("n5 == null") && !holds("x != null") && !holds("x not in [null]"));
}

#[test]
fn strings_have_the_escapes_of_json_and_bytes() {
    let bytes = |text: &str| match parse(&format!("'' == {text}"), &Words).unwrap() {
        Condition::Compare(_, mut rest) => match rest.pop() {
            Some((_, Term::Text(bytes))) => bytes,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(bytes(r#"'it\'s \"\t\u00e9\ud83d\ude00'"#), "it's \"\té😀".as_bytes());
    assert_eq!(bytes(r#""\xff'""#), b"\xff'");
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let cases = [
        ("", 0, "a name or a value must follow"),
        ("n5 >", 4, "a name or a value must follow"),
        ("n5 = 5", 3, "= is no operator; to compare, write =="),
        ("t =~ 'a'", 2, "to match a regular expression, write search(name, 'regex')"),
        ("n5 > 5 n5", 7, "unexpected n5; conditions are joined by and, or"),
        ("n5 > 5)", 6, "this parenthesis closes nothing"),
        ("(n5 > 5", 0, "this ( is never closed"),
        ("n5 in [1, 2", 6, "this [ is never closed"),
        ("n5", 0, "a number is no condition; compare it with something, as in cpu_pct > 50"),
        ("n5 > 'a'", 5, "a number is never equal to text"),
        ("t + 1 == 2", 0, "one calculates with numbers; this is text"),
        ("(n5 > 1) + 1 == 2", 0, "a condition has no value that could be compared or calculated with"),
        ("t == 'abc", 5, "this string has no closing '"),
        (r"t == 'a\d'", 7, r"\d means nothing in a string; for a backslash write \\"),
        (r"t == '\ud800'", 6, "half of a surrogate pair is no character"),
        ("n5 == 1e999", 6, "this number is too large"),
        ("n5 == 12ab", 8, "a number ends in a letter"),
        ("match(n5, 'a')", 6, "match looks into text; this is a number"),
        ("match(t, 5)", 9, "the regular expression is a string: write match(t, 'regex')"),
        ("search(t, '(')", 10, "a bad regular expression: unclosed group"),
        ("match(t, 'a)|(b')", 9, "a bad regular expression: unopened group"),
        ("n5 not 5", 7, "in must follow not here, as in pid not in [1, 2]"),
        ("n5 == [1]", 6, "a list stands only after in, as in pid in [1, 2]"),
        ("n5 in 5", 6, "in looks into a list or a text; this is a number"),
        ("byes > bno", 7, "true and false are compared with == and != only"),
        ("n5 > null", 5, "null is compared with == and != only"),
        ("and n5 > 1", 0, "a name or a value must stand before and"),
        ("n5 > #", 5, "a name or a value must stand here, not #"),
    ];
    for (text, at, what) in cases {
        let what = what.replace("match(t, 'regex')", "match(text, 'regex')");
        assert_eq!(mistake(text), (at, what), "{text}");
    }
}

#[test]
fn depth_has_a_limit_and_length_has_none() {
    for opening in ["(", "not ", "-", "match(", "n5 in [-("] {
        let (_, what) = mistake(&opening.repeat(100_000));
        assert_eq!(what, "nested more than 64 levels deep");
    }
    assert!(holds(&format!("{} == 100000", vec!["1"; 100_000].join(" + "))));
    assert!(holds(&vec!["n5 > 1"; 100_000].join(" and ")));
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "n5",
        "t",
        "x",
        "(",
        ")",
        "[",
        "]",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        "<=",
        "==",
        "!=",
        "!",
        "=",
        "and",
        "or",
        "not",
        "in",
        "match(",
        "search(t,",
        "'a",
        "'",
        "\"",
        "\\",
        "\\u12",
        "1",
        "1.",
        "1e",
        ".5",
        "null",
        "true",
        "ü",
        "\0",
        " ",
        "@",
        "$",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), pieces()]) {
        match parse(&text, &Words) {
            Ok(condition) => {
                condition.holds(&HashMap::from([("n5", Operand::Number(5.0))]));
            }
            Err(error) => {
                prop_assert!(error.at <= text.len());
                error.shown(&text);
            }
        }
    }

    #[test]
    fn numbers_are_read_as_rust_reads_them(number in 0.0..1e15_f64, less in 0_u32..1000) {
        let text = format!("{number} == {number} and {number:e} <= {number} and {less} < {}", less + 1);
        prop_assert!(holds(&text));
    }
}
