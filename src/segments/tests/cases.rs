//! Cases as data: `rejected.txt` shows each fault as a person sees it, `evaluated.txt` is a table of small histories.

use super::*;
use crate::limits::{COMPARISONS_MAX, EXPRESSION_BYTES_MAX, NESTING_MAX};

fn path(name: &str) -> String {
    format!("{}/tests/cases/segments/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("the cases are part of the project")
}

fn diagnostic(expression: &str) -> Diagnostic {
    // Traits above 1000 are another account's.
    let faults = Program::compile(&[rule(1, expression)], &|id| id.0 <= 1_000).expect_err(expression);
    faults.into_iter().next().expect("one rule, one fault").1
}

/// Each case is an expression, carets under what is wrong, what is wrong, and the hint, then an empty line.
/// `UPDATE_CASES=1` writes down what comes out now.
#[test]
fn rejected() {
    let file = read("rejected.txt");
    let mut now = String::new();
    for case in file.split("\n\n") {
        let (comments, lines): (Vec<&str>, Vec<&str>) = case.lines().partition(|line| line.starts_with('#'));
        comments.iter().for_each(|line| now.push_str(&format!("{line}\n")));
        if let Some(expression) = lines.first() {
            let fault = diagnostic(expression);
            let before = expression[..fault.span.start].chars().count();
            let marked = expression[fault.span.clone()].chars().count().max(1);
            let hint = fault.hint.expect("every fault of this language has a hint");
            let marks = " ".repeat(before) + &"^".repeat(marked);
            now.push_str(&format!("{expression}\n{marks}\n{}\nhint: {hint}\n", fault.message));
        }
        now.push('\n');
    }
    let now = now.trim_end().to_owned() + "\n";
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(path("rejected.txt"), now).expect("the cases can be written");
    } else {
        assert!(now == file, "{now}");
    }
}

#[test]
fn bounds() {
    let many = |count: usize| vec!["1T"; count].join(" AND ");
    assert!(Program::compile(&[rule(1, &many(COMPARISONS_MAX))], &|_| true).is_ok());
    assert_eq!(diagnostic(&many(COMPARISONS_MAX + 1)).message, "more than 1000 terms in one expression");

    let nested = |depth: usize| "(".repeat(depth) + "1T" + &")".repeat(depth);
    assert!(Program::compile(&[rule(1, &nested(NESTING_MAX))], &|_| true).is_ok());
    assert_eq!(diagnostic(&nested(NESTING_MAX + 1)).message, "nested deeper than 64 levels");
    assert_eq!(diagnostic(&("NOT ".repeat(NESTING_MAX + 1) + "1T")).message, "nested deeper than 64 levels");

    let long = |len: usize| "1T".to_owned() + &" ".repeat(len - 2);
    assert!(Program::compile(&[rule(1, &long(EXPRESSION_BYTES_MAX))], &|_| true).is_ok());
    assert_eq!(diagnostic(&long(EXPRESSION_BYTES_MAX + 1)).message, "the expression is longer than 16384 bytes");
}

/// Each line is `expression ; realisations ; in|out ; minutes until it can change|never`. It is noon. Realisations are
/// `trait@3D` (three days ago), `trait@3Dx5` (five of them), `trait@90M` (90 minutes ago, kept to the minute).
#[test]
fn evaluated() {
    let noon = 20_000 * MINUTES_PER_DAY + 720;
    for line in read("evaluated.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<&str> = line.split(';').map(str::trim).collect();
        let [expression, realisations, expected, change] = columns[..] else { panic!("four columns: {line}") };
        let program = Program::compile(&[rule(1, expression)], &|_| true).unwrap_or_else(|e| panic!("{line}: {e:?}"));
        let mut segments = Vec::new();
        let visitor = visitor(realisations, noon);
        let next = program.evaluate(visitor.history(), at_minute(noon), &mut program.scratch(), &mut segments);
        assert_eq!(if segments.is_empty() { "out" } else { "in" }, expected, "{line}");
        let next = if next == Minute::MAX { "never".to_owned() } else { (next - noon).to_string() };
        assert_eq!(next, change, "{line}");
    }
}

fn visitor(realisations: &str, now: Minute) -> Visitor {
    let mut visitor = Visitor::default();
    for text in realisations.split_whitespace() {
        let (id, age) = text.split_once('@').expect("trait@age");
        let (age, count) = age.split_once('x').unwrap_or((age, "1"));
        let (number, unit) = age.split_at(age.len() - 1);
        let (id, number, count) = (id.parse().unwrap(), number.parse::<Minute>().unwrap(), count.parse().unwrap());
        match unit {
            "D" => visitor.realise(id, (now / MINUTES_PER_DAY - number) as u16, count),
            "M" => (0..count).for_each(|_| visitor.realise_at(id, now - number)),
            _ => panic!("{text}: D or M"),
        }
    }
    visitor
}
