//! docs/protocol.md against what is there: each path, attribute, code, status, header and cookie of the code stands in
//! its table and nothing else does, and each row names what shows that it is true. A recorded case must really contain
//! the thing, a test must exist in a file that speaks of it, and what is not built may not be used anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pinion::event::errors::ErrorCode;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What a row says that has nothing to show.
const NOT_BUILT: &str = "not built";
/// What a row says of an attribute that is read and then left alone.
const UNUSED: &str = "nothing depends on it";

/// One table of the page.
#[derive(Clone, Copy)]
struct Table {
    heading: &'static str,
    /// Whether a case's request or answer contains the thing.
    is_shown: fn(thing: &str, case: &Case) -> bool,
    /// How a test's source speaks of the thing.
    word: fn(&str) -> String,
}

const TABLES: [Table; 7] = [
    Table { heading: "Paths", is_shown: |path, case| case.asks_for(path), word: str::to_owned },
    Table { heading: "Attributes", is_shown: |key, case| case.carries(key), word: str::to_owned },
    Table { heading: "Errors", is_shown: |code, case| case.tells(code), word: variant },
    Table {
        heading: "Statuses",
        is_shown: |status, case| case.has_line(&case.answers, status, ' '),
        word: str::to_owned,
    },
    Table {
        heading: "Request headers",
        is_shown: |name, case| case.has_line(&case.requests, name, ':'),
        word: str::to_owned,
    },
    Table {
        heading: "Answer headers",
        is_shown: |name, case| case.has_line(&case.answers, name, ':'),
        word: str::to_owned,
    },
    Table { heading: "Cookies", is_shown: |name, case| case.has_cookie(name), word: str::to_owned },
];

/// One row: the things it is about, what it says, and what shows it.
#[derive(Debug)]
struct Row {
    things: Vec<String>,
    says: String,
    shown_by: Vec<String>,
    is_built: bool,
}

#[test]
fn the_page_is_true() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/protocol.md")).unwrap();
    let faults = faults(&page);
    assert!(faults.is_empty(), "docs/protocol.md:\n{faults}");
}

fn faults(page: &str) -> String {
    let (cases, mut out) = (cases(), String::new());
    for table in TABLES {
        let known = known(table.heading);
        let rows = rows(page, table.heading);
        let mut listed = BTreeSet::new();
        for row in &rows {
            for thing in &row.things {
                if !listed.insert(thing.clone()) {
                    writeln!(out, "{}: `{thing}` stands there twice", table.heading).unwrap();
                }
                check_row(table, row, thing, &cases, &mut out);
            }
        }
        known.difference(&listed).for_each(|thing| writeln!(out, "{}: no row for `{thing}`", table.heading).unwrap());
        listed
            .difference(&known)
            .for_each(|thing| writeln!(out, "{}: `{thing}` is not in the code", table.heading).unwrap());
    }
    out
}

fn check_row(table: Table, row: &Row, thing: &str, cases: &BTreeMap<String, Case>, out: &mut String) {
    let mut complain = |what: String| writeln!(out, "{}: `{thing}`: {what}", table.heading).unwrap();
    if row.says.is_empty() {
        complain("says nothing".to_owned());
    }
    match table.heading {
        "Errors" if is_used(&variant(thing)) != row.is_built => complain(format!("whether it is `{NOT_BUILT}`")),
        "Attributes" if is_left_alone(thing).is_some_and(|alone| alone != row.says.contains(UNUSED)) => {
            complain(format!("whether `{UNUSED}`"));
        }
        _ => {}
    }
    if row.is_built == row.shown_by.is_empty() {
        complain(format!("either a case or test shows it, or it is `{NOT_BUILT}`"));
    }
    for name in &row.shown_by {
        if name.ends_with(".http") {
            match cases.get(name) {
                None => complain(format!("there is no tests/cases/protocol/{name}")),
                Some(case) if !(table.is_shown)(thing, case) => complain(format!("{name} has nothing of it")),
                Some(_) => {}
            }
        } else {
            match source_of_test(name) {
                None => complain(format!("there is no test {name}")),
                Some(text) if !text.contains(&(table.word)(thing)) => {
                    complain(format!("{name} speaks of other things"))
                }
                Some(_) => {}
            }
        }
    }
}

// ---- The page ----

/// The rows under a heading: `| `thing`, `thing` | what it does | how it differs | `shown`, `by` |`.
fn rows(page: &str, heading: &str) -> Vec<Row> {
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading)).unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [things, does, differs, shown_by] = cells[..] else { panic!("four cells are due: {line}") };
        Row {
            things: quoted(things),
            says: format!("{does} {differs}").trim().to_owned(),
            shown_by: quoted(shown_by),
            is_built: !shown_by.contains(NOT_BUILT),
        }
    });
    rows.collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

// ---- The code ----

/// Everything of a kind that there is in the code.
fn known(heading: &str) -> BTreeSet<String> {
    let literals = |file: &str, from: &str, to: &str| literals(&part(&source(file), from, to));
    match heading {
        "Paths" => literals("src/event/endpoint.rs", "pub fn parse", "pub fn admit"),
        "Attributes" => {
            let mut keys = literals("src/event/attribute.rs", "fn of(", "fn is_single");
            keys.extend(literals("src/event/call.rs", "const HEADER_KEYS", "const _:"));
            keys.extend(literals("src/event/ibs.rs", "b\"dpid\"", "_ => "));
            keys.extend(literals("src/event/redirect.rs", "const KEYS", "\n    ];"));
            keys
        }
        "Errors" => ErrorCode::ALL.iter().map(|code| code.number().to_string()).collect(),
        "Statuses" => statuses(),
        "Request headers" => {
            literals("src/http/fields.rs", "fn note(", "_ => continue").iter().map(|name| title(name)).collect()
        }
        "Answer headers" => names_of_headers(&part(&source("src/event/answer/head.rs"), "impl Head", "#[cfg(test)]")),
        "Cookies" => {
            let read = literals("src/event/cookie.rs", "fn add_line", "fn add_visitor");
            read.iter().filter_map(|text| text.strip_suffix('=')).map(str::to_owned).collect()
        }
        _ => unreachable!("each table has its source"),
    }
}

fn source(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// From the first `from` to the next `to`.
fn part(text: &str, from: &str, to: &str) -> String {
    let start = text.find(from).unwrap_or_else(|| panic!("`{from}` is gone: look for what took its place"));
    let end = text[start..].find(to).unwrap_or_else(|| panic!("`{to}` is gone: look for what took its place"));
    text[start..start + end].to_owned()
}

/// Byte strings that are names: what else is matched on there are values.
fn literals(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let begins = text.match_indices("b\"").filter(|(at, _)| !text[..*at].ends_with(is_part));
    let found = begins.filter_map(|(at, quote)| text[at + quote.len()..].split('"').next());
    found.filter(|name| !["", "close", "keep-alive"].contains(name)).map(str::to_owned).collect()
}

/// Those that some file answers with, by the reason beside the number or as a fault of HTTP.
fn statuses() -> BTreeSet<String> {
    let lines = source("src/http/status.rs");
    let all = lines.split("b\"HTTP/1.1 ").skip(1).filter_map(|rest| rest.split("\\r").next());
    let (faults, answers) = (source("src/http/fault.rs"), source("src/event/answer/mod.rs"));
    let given = |line: &&str| {
        let number = &line[..3];
        faults.contains(&format!("=> {number}"))
            || answers.contains(&format!("\"{line}\""))
            || ["100", "200"].contains(&number)
    };
    all.filter(given).map(|line| line[..3].to_owned()).collect()
}

/// `Name: ` at the beginnings of lines that are written.
fn names_of_headers(source: &str) -> BTreeSet<String> {
    let text = source.replace("\\r\\n", "\n");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(": ") {
        let start = text[..at].rfind(|c| !is_part(c)).map_or(0, |place| place + 1);
        let (ahead, name) = (&text[..start], &text[start..at]);
        if (ahead.ends_with("b\"") || ahead.ends_with('\n')) && name.starts_with(|c: char| c.is_ascii_uppercase()) {
            names.insert(name.to_owned());
        }
    }
    names
}

/// `sec-gpc` as it is usually written.
fn title(name: &str) -> String {
    if name == "dnt" {
        return "DNT".to_owned();
    }
    let words = name.split('-').map(|word| match word {
        "gpc" => "GPC".to_owned(),
        _ => word[..1].to_uppercase() + &word[1..],
    });
    words.collect::<Vec<_>>().join("-")
}

/// A code's name in the program.
fn variant(code: &str) -> String {
    let found = ErrorCode::ALL.iter().find(|known| known.number().to_string() == code);
    found.map_or_else(|| "no such code".to_owned(), |known| format!("{known:?}"))
}

/// Whether the program ever tells this error. One of them is told by the set itself.
fn is_used(variant: &str) -> bool {
    let by_name = format!("ErrorCode::{variant}");
    files("src").iter().any(|path| {
        let text = fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_set = path.ends_with("event/errors.rs");
        let found = if is_set { text.contains(&format!("insert({by_name})")) } else { text.contains(&by_name) };
        found && !path.ends_with("tests.rs")
    })
}

/// Whether no part of the program reads what this attribute says once it is decoded; `None` where it isn't kept in a
/// field of its own.
fn is_left_alone(key: &str) -> Option<bool> {
    let attributes = source("src/event/attribute.rs");
    let arm = attributes.split(&format!("b\"{key}\"")).nth(1)?.split("Self::").nth(1)?;
    let name: String = arm.chars().take_while(|c| c.is_alphanumeric()).collect();
    if name == "Ignored" {
        return Some(true);
    }
    let call = source("src/event/call.rs");
    let arm = call.split(&format!("Attribute::{name} => ")).nth(1)?.split("Attribute::").next()?;
    let field = arm.split("call.").nth(1)?;
    let field: String = field.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let read = format!("call.{field}");
    Some(!files("src").iter().filter(|path| !path.starts_with(Path::new(ROOT).join("src/event"))).any(|path| {
        let text = fs::read_to_string(path).unwrap();
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        text.match_indices(&read).any(|(at, _)| !text[at + read.len()..].starts_with(is_part))
    }))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let (mut files, mut waiting) = (Vec::new(), vec![Path::new(ROOT).join(folder)]);
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The file that has the test `module::module::name`, of this crate or within the program's.
fn source_of_test(name: &str) -> Option<String> {
    let (modules, function) = name.rsplit_once("::")?;
    let path = modules.replace("::", "/");
    let places = ["tests/it", "src"].map(|root| {
        [
            format!("{root}/{path}.rs"),
            format!("{root}/{path}/mod.rs"),
            format!("{root}/{}.rs", path.trim_end_matches("/tests")),
        ]
    });
    places.iter().flatten().find_map(|place| {
        let text = fs::read_to_string(Path::new(ROOT).join(place)).ok()?;
        text.contains(&format!("fn {function}(")).then_some(text)
    })
}

// ---- The cases ----

struct Case {
    requests: String,
    answers: String,
}

fn cases() -> BTreeMap<String, Case> {
    let folder = Path::new(ROOT).join("tests/cases/protocol");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let of = |kind: &str| text.split("\n== ").filter(|part| part.starts_with(kind)).collect::<Vec<_>>().join("\n");
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, Case { requests: of("request"), answers: of("answer") })
    };
    paths.map(read).collect()
}

impl Case {
    fn asks_for(&self, path: &str) -> bool {
        let mut lines = self.requests.lines().filter(|line| line.contains(" HTTP/1."));
        lines.any(|line| {
            let target = line.split(' ').nth(1).unwrap_or_default();
            if path.ends_with(':') { target.starts_with(path) } else { target.split('?').next() == Some(path) }
        })
    }

    /// In a target or a body, as a name and not the end of one.
    fn carries(&self, key: &str) -> bool {
        let is_ahead = |byte: Option<u8>| byte.is_none_or(|byte| b"?&:\n }".contains(&byte));
        let named = format!("{key}=");
        let mut places = self.requests.match_indices(&named);
        places.any(|(at, _)| is_ahead(self.requests[..at].bytes().last()))
    }

    fn tells(&self, code: &str) -> bool {
        let in_header =
            |line: &str| line.strip_prefix("X-Error: ").is_some_and(|all| all.split(',').any(|one| one == code));
        self.answers.contains(&format!("{{\"code\":{code},")) || self.answers.lines().any(in_header)
    }

    fn has_line(&self, text: &str, name: &str, end: char) -> bool {
        text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(end)))
    }

    fn has_cookie(&self, name: &str) -> bool {
        let named = format!("{name}=");
        let mut lines = self.requests.lines().chain(self.answers.lines()).filter_map(|line| line.split_once("ookie: "));
        lines.any(|(_, cookies)| cookies.split("; ").any(|cookie| cookie.starts_with(&named)))
    }
}

#[test]
fn a_page_that_is_not_true_is_found() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/protocol.md")).unwrap();
    let row = |start: &str| page.lines().find(|line| line.starts_with(start)).expect(start).to_owned();
    let (path, attribute, code) = (row("| `/id/rd`"), row("| `d_tdpid`"), row("| `172`"));
    let last_cell = |row: &str, cell: &str| {
        let (rest, _) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        format!("{rest} | {cell} |")
    };
    for (from, to, complaint) in [
        (&path, String::new(), "Paths: no row for `/id/rd`"),
        (&path, path.replace("/id/rd", "/id/dr"), "Paths: `/id/dr` is not in the code"),
        (&path, format!("{path}\n{path}"), "Paths: `/id/rd` stands there twice"),
        (&path, last_cell(&path, ""), "either a case or test shows it"),
        (&path, last_cell(&path, "`nothing.http`"), "there is no tests/cases/protocol/nothing.http"),
        (&path, last_cell(&path, "`gpp.http`"), "gpp.http has nothing of it"),
        (&attribute, String::new(), "Attributes: no row for `d_tdpid`"),
        (&attribute, last_cell(&attribute, "`verify.http`"), "verify.http has nothing of it"),
        (&attribute, last_cell(&attribute, "`server::smoke::never`"), "there is no test server::smoke::never"),
        (&attribute, attribute.replacen(" | ", &format!(" | {UNUSED} "), 1), "whether `nothing depends on it`"),
        (&code, String::new(), "Errors: no row for `172`"),
        (&code, last_cell(&code, NOT_BUILT), "whether it is `not built`"),
        (&code, last_cell(&code, "`gpp.http`"), "gpp.http has nothing of it"),
        (&code, last_cell(&code, "`tidy::files_are_tidy`"), "tidy::files_are_tidy speaks of other things"),
    ] {
        let found = faults(&page.replacen(from.as_str(), &to, 1));
        assert!(found.contains(complaint), "{complaint} is due, but:\n{found}");
    }
}
