//! The language against its case files. `UPDATE=1` rewrites what the code says now: read the difference before
//! committing it.

use super::*;
use crate::limits::{COMPARISONS_MAX, EXPRESSION_BYTES_MAX, NESTING_MAX};
use crate::rules::{Diagnostic, MatcherOptions};

/// Cases are groups of lines, a blank line between two; a case's first line is an expression, `answer` makes the rest.
fn check_file(name: &str, answer: impl Fn(&str) -> Vec<String>) {
    let path = format!("{}/tests/cases/rules/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let case = |group: &str| {
        let Some(expression) = group.lines().find(|line| !line.starts_with("# ")) else { return group.to_owned() };
        let comments = group.lines().take_while(|line| line.starts_with("# ")).map(str::to_owned);
        comments.chain([expression.to_owned()]).chain(answer(expression)).collect::<Vec<_>>().join("\n")
    };
    let expected: Vec<String> = text.trim_end().split("\n\n").map(case).collect();
    let expected = expected.join("\n\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap_or_else(|error| panic!("{path}: {error}"));
    } else {
        for (found, expected) in text.split("\n\n").zip(expected.split("\n\n")) {
            assert_eq!(found.trim_end(), expected.trim_end(), "in {name}");
        }
    }
}

fn underlined(kind: &str, diagnostic: &Diagnostic, expression: &str) -> Vec<String> {
    let columns = |bytes: usize| expression[..bytes].chars().count();
    let (start, end) = (columns(diagnostic.span.start), columns(diagnostic.span.end));
    let carets = "^".repeat((end - start).max(1));
    let mut lines = vec![format!("{}{carets} {kind}: {}", " ".repeat(start), diagnostic.message)];
    lines.extend(diagnostic.hint.iter().map(|hint| format!("hint: {hint}")));
    lines
}

#[test]
fn what_is_refused_or_warned_of_is_pointed_at() {
    check_file("diagnostics.txt", |expression| match Checker::new(MatcherOptions::default()).check(expression) {
        Ok(Checked { warnings, .. }) if warnings.is_empty() => vec!["fine".to_owned()],
        Ok(Checked { warnings, .. }) => {
            warnings.iter().flat_map(|warning| underlined("warning", warning, expression)).collect()
        }
        Err(fault) => underlined("error", &fault, expression),
    });
}

#[test]
fn expressions_group_as_the_grammar_says() {
    fn shown(node: &Expression) -> String {
        let all = |word: &str, children: &[Expression]| {
            format!("({word} {})", children.iter().map(shown).collect::<Vec<_>>().join(" "))
        };
        match node {
            Node::Term(Comparison { key, operator, value, .. }) => format!("[{key} {operator:?} {value}]"),
            Node::Not(child) => all("not", std::slice::from_ref(child)),
            Node::And(children) => all("and", children),
            Node::Or(children) => all("or", children),
        }
    }
    check_file("trees.txt", |expression| match parse(expression) {
        Ok(tree) => vec![shown(&tree)],
        Err(fault) => vec![fault.message],
    });
}

#[test]
fn white_space_is_space_tab_and_line_ends_only() {
    let spaced = parse("\r\n a\t==\n1 \r\nAND\tNOT\nb=2\t").expect("white space separates");
    let plain = parse("a == 1 AND NOT b = 2").expect("the same without");
    let texts = |tree: &Expression| {
        let mut texts = Vec::new();
        tree.for_each_term(&mut |term| texts.push((term.key.clone(), term.operator, term.value.clone())));
        texts
    };
    assert_eq!(texts(&spaced), texts(&plain));
    for other in ["\u{a0}", "\u{b}", "\u{c}", "\u{2003}"] {
        assert!(parse(&format!("a =={other}1")).is_err(), "{other:?}");
    }
}

#[test]
fn bounds_are_inclusive() {
    let many = |count: usize| vec!["a=1"; count].join(" OR ");
    assert!(parse(&many(COMPARISONS_MAX)).is_ok());
    assert!(parse(&many(COMPARISONS_MAX + 1)).is_err());
    let nested = |depth: usize| format!("{}a=1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(NESTING_MAX)).is_ok());
    assert!(parse(&nested(NESTING_MAX + 1)).is_err());
    let long = |bytes: usize| format!("a=\"{}\"", "x".repeat(bytes - 4));
    assert!(parse(&long(EXPRESSION_BYTES_MAX)).is_ok());
    assert!(parse(&long(EXPRESSION_BYTES_MAX + 1)).is_err());
    assert!(parse(&"(".repeat(EXPRESSION_BYTES_MAX)).is_err());
    assert!(parse(&format!("{}a=1", "NOT ".repeat(4_000))).is_ok());
}

#[test]
fn distinct_comparisons_follow_the_options() {
    let contradiction = "a == X AND NOT a == x";
    assert!(Checker::new(MatcherOptions::default()).check(contradiction).is_ok());
    assert!(Checker::new(MatcherOptions { case_insensitive_values: true }).check(contradiction).is_err());
}

#[test]
fn contradictions_are_found_up_to_the_bound_on_comparisons() {
    let contradiction = |distinct: usize| {
        let others: Vec<String> = (1..distinct).map(|n| format!("k == {n}")).collect();
        format!("a == 1 AND NOT a == 1 AND ({})", others.join(" OR "))
    };
    let check = |text: &str| Checker::new(MatcherOptions::default()).check(text);
    assert!(check(&contradiction(20)).is_err());
    assert!(check(&contradiction(21)).is_ok());
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces =
        ["a", "==", "=", "\"", "\\", "(", ")", " ", "NOT", "or", "and", "contains", "1", "é", "“", "\u{0}", "-", "!"];
    let mut state = 1u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..state % 9 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        if let Err(fault) = Checker::new(MatcherOptions::default()).check(&text) {
            assert!(text.get(fault.span.clone()).is_some(), "{text:?}: {fault:?}");
        }
    }
}
