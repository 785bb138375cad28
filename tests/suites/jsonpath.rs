//! The public compliance suite of RFC 9535: `--jsonpath strict` passes all of it.

use pidstat_tests::tool;
use pidstat_user::select::jsonpath::{Dialect, parse};
use serde_json::Value;
use std::{fs, path::PathBuf};

/// Tests in the suite of 2026-05-21; a newer one may have more, not fewer.
const TESTS: usize = 703;

/// Where the suite is: named by the environment, or beside the checkout.
fn suite() -> Option<PathBuf> {
    let named = std::env::var_os("JSONPATH_CTS").map(PathBuf::from);
    let beside = tool::root().join("../shared/data/jsonpath-cts.json");
    named.or_else(|| beside.is_file().then_some(beside))
}

/// What a test of the suite says of a query: the values in any of the orders that are right, or that it is none.
fn verdict(test: &Value) -> Result<(), String> {
    let selector = test["selector"].as_str().expect("a test has a selector");
    let parsed = parse(selector, Dialect::Strict);
    if test["invalid_selector"] == true {
        return if parsed.is_err() { Ok(()) } else { Err("was accepted".into()) };
    }
    let query = parsed.map_err(|error| error.shown(selector))?;
    let document = &test["document"];
    let found = query.find(&document).map_err(|error| error.to_string())?.places;
    let found: Vec<Value> = found.into_iter().cloned().collect();
    let right = match &test["results"] {
        Value::Array(orders) => orders.iter().any(|order| order.as_array() == Some(&found)),
        _ => test["result"].as_array() == Some(&found),
    };
    if right { Ok(()) } else { Err(format!("found {}", Value::from(found))) }
}

#[test]
fn rfc_9535_is_passed_whole() {
    let Some(path) = suite() else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "set JSONPATH_CTS to the suite's cts.json"
        );
        println!("conformance did not run: no jsonpath-cts.json");
        return;
    };
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let suite: Value = serde_json::from_slice(&text).expect("the suite is JSON");
    let tests = suite["tests"].as_array().expect("the suite has tests");
    assert!(tests.len() >= TESTS, "{} tests", tests.len());
    let failed: Vec<String> = tests
        .iter()
        .filter_map(|test| {
            let why = verdict(test).err()?;
            Some(format!("{}: {}: {why}", test["name"], test["selector"]))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), tests.len(), failed.join("\n"));
}

#[test]
fn what_rfc_9535_allows_the_default_dialect_finds_too() {
    let Some(path) = suite() else { return };
    let suite: Value =
        serde_json::from_slice(&fs::read(path).expect("it is there")).expect("the suite is JSON");
    let mut others = Vec::new();
    for test in
        suite["tests"].as_array().expect("tests").iter().filter(|test| test["invalid_selector"] != true)
    {
        let selector = test["selector"].as_str().expect("a selector");
        let find = |dialect| -> Result<Vec<String>, String> {
            let query = parse(selector, dialect).map_err(|error| error.shown(selector))?;
            let document = &test["document"];
            let found = query.find(&document).map_err(|error| error.to_string())?.places;
            let mut found: Vec<String> = found.into_iter().map(Value::to_string).collect();
            found.sort();
            Ok(found)
        };
        // In parentheses a filter is Python's, where 0, '' and null are not true and nothing is equal to what is missing.
        if find(Dialect::Both) != find(Dialect::Strict) && !selector.contains("?(") {
            others.push(format!("{selector}: {:?}, not {:?}", find(Dialect::Both), find(Dialect::Strict)));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}
