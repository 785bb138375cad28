//! Every golden case prints exactly what its file says; `BLESS=1` rewrites the files instead.

use pidstat_tests::golden;

#[test]
fn every_case_prints_what_its_file_says() {
    let bless = std::env::var_os("BLESS").is_some();
    let cases = golden::cases();
    assert!(cases.len() >= 9, "the golden cases are gone");
    let mut wrong = Vec::new();
    for case in &cases {
        let actual = case.actual();
        if actual == case.expected {
            continue;
        }
        if bless {
            std::fs::write(&case.path, &actual).unwrap();
        } else {
            let (story, command) = (&case.story, &case.command);
            wrong.push(format!(
                "{story}: {command}\n--- expected\n{}\n--- actual\n{}",
                String::from_utf8_lossy(&case.expected),
                String::from_utf8_lossy(&actual)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}
