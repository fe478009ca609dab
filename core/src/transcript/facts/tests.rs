//! What lines say, whole and damaged.

use super::*;

fn facts_of(lines: &[&str]) -> Facts {
    let mut facts = Facts::default();
    lines.iter().for_each(|line| facts.feed(line.as_bytes()));
    facts
}

fn user(text: &str, rest: &str) -> String {
    format!(r#"{{"type":"user","message":{{"role":"user","content":"{text}"}}{rest}}}"#)
}

fn answer(id: &str, rest: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{id}","model":"claude-x-1","content":[]}}{rest}}}"#
    )
}

fn check_messages(lines: &[&str], expected: u32) {
    assert_eq!(facts_of(lines).messages, expected, "{lines:?}");
}

#[test]
fn an_answer_of_many_lines_is_one_message() {
    let (a, b) = (answer("m1", r#","uuid":"1""#), answer("m1", r#","uuid":"2""#));
    check_messages(&[&a, &b, &a], 1);
    check_messages(&[&a, &answer("m2", "")], 2);
    check_messages(&[r#"{"type":"assistant","uuid":"1","message":{}}"#], 1);
}

#[test]
fn a_prompt_is_one_message_even_when_its_line_comes_again() {
    let line = user("Hello", r#","uuid":"1""#);
    check_messages(&[&line, &line], 1);
    check_messages(&[&line, &user("Hello", r#","uuid":"2""#)], 2);
    check_messages(&[&user("Hello", ""), &user("Hello", "")], 2);
}

#[test]
fn what_no_person_said_is_no_message() {
    for rest in [
        r#","isMeta":true"#,
        r#","isSidechain":true"#,
        r#","isCompactSummary":true"#,
        r#","isVisibleInTranscriptOnly":true"#,
        r#","toolUseResult":"x""#,
    ] {
        check_messages(&[&user("Hello", rest)], 0);
    }
    check_messages(&[&user("Hello", r#","isMeta":false,"isSidechain":false"#)], 1);
    check_messages(&[&answer("m", r#","isSidechain":true"#)], 0);
    check_messages(
        &[
            r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}"#,
            r#"{"type":"user","message":"Hello"}"#,
            r#"{"type":"user"}"#,
            r#"{"type":"system","content":"Hello"}"#,
            r#"{"type":"progress","message":{"id":"1"}}"#,
            r#"{"type":5}"#,
        ],
        0,
    );
}

#[test]
fn the_best_title_wins() {
    let mut lines = vec![r#"{"type":"user","message":{"content":"  First\n\tthing  "}}"#];
    let check = |lines: &[&str], expected: &str| {
        assert_eq!(facts_of(lines).title().as_deref(), Some(expected))
    };
    check(&lines, "First thing");
    lines.push(r#"{"type":"summary","summary":"Summary"}"#);
    check(&lines, "Summary");
    lines.push(r#"{"type":"ai-title","aiTitle":"By \ud83d Claude"}"#);
    check(&lines, "By \u{fffd}\u{fffd}\u{fffd} Claude");
    lines.push(r#"{"type":"custom-title","customTitle":"Mine\u001b[31m"}"#);
    check(&lines, "Mine [31m");
    lines.push(r#"{"type":"ai-title","aiTitle":"Later"}"#);
    check(&lines, "Mine [31m");
    lines.push(r#"{"type":"custom-title","customTitle":""}"#);
    check(&lines, "Later");
    assert_eq!(facts_of(&[]).title(), None);
}

#[test]
fn the_first_typed_prompt_stands_before_commands_and_later_ones() {
    let command = user("<command-name>/init</command-name>", "");
    let check = |lines: &[&str], expected: &str| {
        assert_eq!(facts_of(lines).first_prompt.as_deref(), Some(expected));
    };
    check(&[&command], "/init");
    check(&[&command, &user("Hello", ""), &user("Again", "")], "Hello");
    let image = r#"{"type":"user","message":{"content":[{"type":"image"}]}}"#;
    check(&[image, &user("Hello", "")], "Hello");
    check(&[&command, image], "/init");
}

#[test]
fn places_times_and_versions_follow_the_lines() {
    let facts = facts_of(&[
        r#"{"type":"user","cwd":"/a","gitBranch":"main","version":"2.0.1","timestamp":"2026-01-02T00:00:00.000Z"}"#,
        r#"{"type":"system","cwd":"/b","gitBranch":"","version":"2.1.0","timestamp":"2026-01-01T00:00:00.000Z"}"#,
        r#"{"type":"permission-mode","permissionMode":"plan"}"#,
        r#"{"type":"relocated","relocatedCwd":"/c"}"#,
        r#"{"type":"assistant","message":{"id":"1","model":"claude-x-1"},"timestamp":"never","cwd":7}"#,
        r#"{"type":"assistant","message":{"id":"2","model":"<synthetic>"}}"#,
    ]);
    assert_eq!(facts.cwd_first, Some("/a".into()));
    assert_eq!(facts.cwd_last, Some("/c".into()));
    assert_eq!(facts.branch.as_deref(), Some("main"));
    assert_eq!(facts.version.as_deref(), Some("2.1.0"));
    assert_eq!(facts.model.as_deref(), Some("claude-x-1"));
    assert_eq!(facts.permission_mode.as_deref(), Some("plan"));
    assert_eq!(facts.last_ms.unwrap() - facts.first_ms.unwrap(), 24 * 60 * 60 * 1000);
    assert_eq!((facts.messages, facts.malformed, facts.lines), (2, 0, 6));
}

#[test]
fn damage_is_counted_and_never_stops_the_count() {
    let glued = format!("{}{}", user("Hello", ""), answer("m1", ""));
    let spliced = format!("{}{}", &user("Torn", "")[..20], answer("m2", ""));
    let facts = facts_of(&[&glued, &spliced, "\0\0\0", "", "\r", "null", "{", &answer("m3", "\r")]);
    assert_eq!((facts.messages, facts.malformed, facts.lines), (3, 5, 8));

    let mut facts = Facts::default();
    facts.feed(b"{\"type\":\"user\",\"message\":{\"content\":\"Hell\xff\"}}");
    assert_eq!((facts.messages, facts.malformed), (1, 1));
    assert_eq!(facts.title().as_deref(), Some("Hell\u{fffd}"));
}

#[test]
fn long_texts_are_cut_between_characters() {
    let facts = facts_of(&[&user(&"ü".repeat(TEXT_MAX), "")]);
    assert_eq!(facts.first_prompt.unwrap().len(), TEXT_MAX);
    let facts = facts_of(&[&user(&format!("x{}", "ü".repeat(TEXT_MAX)), "")]);
    assert_eq!(facts.first_prompt.unwrap().len(), TEXT_MAX - 1);
}

#[test]
fn a_scan_says_the_same_however_the_bytes_come() {
    let text = format!("{}\n{}\n{}\ntorn", user("Hello", ""), answer("m1", ""), "{bad");
    for size in [1, 2, 7, 64, text.len()] {
        let mut scan = Scan::default();
        text.as_bytes().chunks(size).for_each(|block| scan.push(block));
        let facts = scan.facts;
        assert_eq!((facts.messages, facts.malformed, facts.lines), (2, 1, 3), "blocks of {size}");
    }
}

#[test]
fn a_line_of_a_hundred_megabytes_is_one_malformed_line() {
    let mut scan = Scan::default();
    let block = vec![b'x'; 1 << 20];
    (0..100).for_each(|_| scan.push(&block));
    scan.push(format!("\n{}\n", user("Hello", "")).as_bytes());
    assert_eq!((scan.facts.messages, scan.facts.malformed, scan.facts.lines), (1, 1, 2));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut scan = Scan::default();
        scan.push(&bytes);
        scan.push(b"\n");
        drop(scan.facts.title());
    }

    #[test]
    fn nothing_near_json_makes_it_panic(text in r#"(\{|\}|\[|\]|"|:|,|\\|u|d83d|type|user|message|content|\n){0,60}"#) {
        let mut scan = Scan::default();
        scan.push(text.as_bytes());
        scan.push(b"\n");
    }
}
