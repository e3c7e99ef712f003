//! Config files as cases: `bad/NAME.toml` with a `NAME.txt` that shows what a person sees, files that load and what
//! they come to, and the example of the docs. `UPDATE_GOLDENS=1` writes down what comes out now.

use std::path::{Path, PathBuf};

use pinion::clock::Now;
use pinion::config::plan::Numbers;
use pinion::config::{Source, check, compile, file, load};
use pinion::identity::Secret;
use pinion::ids::{AccountIndex, DataSourceId, SegmentId, Signal, TraitId};
use pinion::limits::ID_SYNCS_MAX;
use pinion::privacy::Uses;
use pinion::profile::history::{History, TraitEntry};
use pinion::ruleset::{Account, IdFormat, MergedPerson, Resolve, Ruleset};

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "cases", "config", name].iter().collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check_golden(path: &Path, now: &str) {
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, now).expect("goldens are written where they stand");
    } else {
        assert!(now == read(path), "{} has changed:\n{now}", path.display());
    }
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the cases are part of the project");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("cases have plain names")
}

fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

fn ruleset(text: &str) -> Ruleset {
    let loaded = load(text, "case.toml").unwrap_or_else(|errors| panic!("{}", drawn(&errors)));
    loaded.into_ruleset(&secret(), 3).0
}

fn drawn(errors: &[pinion::config::ConfigError]) -> String {
    errors.iter().map(|error| format!("{error}\n\n")).collect::<String>().trim_end().to_owned() + "\n"
}

#[test]
fn bad_files_are_refused_with_every_fault_in_its_place() {
    let cases = cases(&folder("bad"));
    assert!(cases.len() >= 10, "the cases are missing");
    for path in cases {
        let errors = load(&read(&path), file_name(&path)).expect_err(file_name(&path));
        assert!(errors.is_sorted_by_key(|error| (error.line, error.column)), "{}", path.display());
        check_golden(&path.with_extension("txt"), &drawn(&errors));
    }
}

#[test]
fn what_the_two_ways_to_compile_refuse_is_the_same() {
    let text = read(&folder("bad/rules.toml"));
    let file = file::parse(&text, "rules.toml").expect("only its rules are bad");
    let source = Source::new("rules.toml", &text);
    let errors = compile(&file, &source, &secret(), 1).expect_err("its rules are bad");
    assert_eq!(drawn(&errors), drawn(&load(&text, "rules.toml").expect_err("its rules are bad")));
}

/// Its words are the regex engine's and no business of a golden; its place is ours.
#[test]
fn a_bad_regular_expression_is_pointed_at_within_its_pattern() {
    let text = read(&folder("good/rules.toml")).replace("zip == \"01234\"", "zip matchesregex \"0(1\"");
    let errors = load(&text, "regex.toml").expect_err("a group is open");
    let [error] = &errors[..] else { panic!("{}", drawn(&errors)) };
    let line = text.lines().nth(error.line - 1).expect("the line that is named is there");
    let pattern = line.find("0(1").expect("it is the line of the pattern");
    assert!((pattern + 1..=pattern + 4).contains(&error.column), "{error}");
    assert!(error.message.starts_with("bad regular expression"), "{error}");
}

/// What may go out is judged by where a signal's value comes from, not by its name alone.
#[test]
fn a_signal_is_as_private_as_its_source() {
    let text = read(&folder("good/complete.toml"));
    let private = text.replace("source_key = \"c_team\"", "source_key = \"p_team\"");
    assert_ne!(text, private);
    let errors = load(&private, "private.toml").expect_err("a partner is sent `c_sport`");
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages, ["`c_sport` derives from a private signal and must not leave the server"]);
    let elsewhere = private.replace("account = \"acme\"\nsource_key", "account = \"other\"\nsource_key");
    assert_ne!(private, elsewhere);
    ruleset(&elsewhere);
}

fn realised(account: &Account, only: Option<DataSourceId>, signals: &[(&str, &str)]) -> Vec<u32> {
    let signals: Vec<Signal<'_>> = signals
        .iter()
        .map(|(key, value)| Signal { key: key.as_bytes(), value: value.as_bytes(), split: true })
        .collect();
    let mut traits = Vec::new();
    account.matcher.evaluate(&signals, only, &mut account.matcher.scratch(), &mut traits);
    traits.iter().map(|id| id.0).collect()
}

fn segments(program: &pinion::segments::Program, days: &[(u32, u16, u16)]) -> Vec<u32> {
    let entries: Vec<TraitEntry> =
        days.iter().map(|&(id, day, count)| TraitEntry { trait_id: TraitId(id), day, count }).collect();
    let now = Now { mono_ns: 0, wall_ms: 100 * 86_400_000 };
    let mut found = Vec::new();
    program.evaluate(History { entries: &entries, minutes: &[] }, now, &mut program.scratch(), &mut found);
    found.iter().map(|id| id.0).collect()
}

#[test]
fn rules_of_each_account_are_compiled_for_it_alone() {
    let rules = ruleset(&read(&folder("good/rules.toml")));
    let [acme, other] = &rules.accounts[..] else { panic!("two accounts") };
    assert_eq!(rules.epoch, 3);
    assert_eq!(realised(acme, None, &[("c_page", "SPORT news")]), [1]);
    assert_eq!(realised(acme, None, &[("c_team", "reds")]), [2]);
    assert_eq!(realised(acme, Some(DataSourceId(101)), &[("c_page", "sport"), ("c_team", "reds")]), [2]);
    assert_eq!(realised(other, None, &[("c_page", "sport"), ("c_team", "reds")]), [4]);
    assert_eq!(realised(other, None, &[("c_page", "SPORT")]), [] as [u32; 0], "case matters here");
    let owners = [3, 4, 99].map(|id| [0, 1].map(|account| rules.owns_trait(AccountIndex(account), TraitId(id))));
    assert_eq!(owners, [[true, false], [false, true], [false, false]]);

    assert_eq!(segments(&acme.program, &[(1, 98, 2), (1, 99, 1)]), [10]);
    assert_eq!(segments(&acme.program, &[(1, 40, 9)]), [] as [u32; 0]);
    assert_eq!(segments(&other.program, &[(4, 100, 1)]), [20]);
    assert_eq!(&acme.segments[..], [(SegmentId(10), 77), (SegmentId(11), 11), (SegmentId(12), 12)]);
    let merged: Vec<_> = acme.merged.iter().map(|merged| (merged.rule.person, merged.rule.with_device)).collect();
    assert_eq!(merged, [(MergedPerson::Current, true), (MergedPerson::Last, false)]);
    assert_eq!(segments(&acme.merged[0].program, &[(3, 100, 1)]), [11]);
    assert!(other.merged.is_empty());
}

#[test]
fn the_catalog_keeps_what_the_most_demanding_segment_asks() {
    let rules = ruleset(&read(&folder("good/rules.toml")));
    let kept = |id| {
        let info = rules.traits.find(TraitId(id)).expect("it is configured");
        (info.account, info.ttl_days, info.window_days, info.minutes_kept)
    };
    assert_eq!(rules.traits.len(), 4);
    assert_eq!(kept(1), (AccountIndex(0), 30, 60, 5), "30 days of one segment, 60 of a merged one, its minutes");
    assert_eq!(kept(2), (AccountIndex(0), 120, 0, 0));
    assert_eq!(kept(3), (AccountIndex(0), 0, 0, 0));
    assert_eq!(kept(4), (AccountIndex(1), 120, 7, 0));
}

#[test]
fn identities_are_found_by_every_name() {
    let rules = ruleset(&read(&folder("good/rules.toml")));
    let (acme, other) = (AccountIndex(0), AccountIndex(1));
    assert_eq!(rules.aliases[&b"acme"[..]], acme);
    assert_eq!(rules.organisations[&b"0B@AdobeOrg"[..]], other);
    assert_eq!(rules.integration_code(acme, b"crm"), Some(DataSourceId(100)));
    assert_eq!(rules.integration_code(other, b"crm"), Some(DataSourceId(200)));
    assert_eq!(rules.integration_code(other, b"site"), None, "it is the other account's");
    assert_eq!(rules.integration_code(acme, b"DSID_20914"), Some(DataSourceId(20_914)));
    assert_eq!(rules.integration_code(other, b"DSID_20915"), Some(DataSourceId(20_915)));
    assert_eq!(rules.name_spaces[&(acme, 4)], DataSourceId(100));
    assert_eq!(rules.name_spaces.get(&(other, 4)), None);

    let crm = &rules.data_sources[&DataSourceId(100)];
    assert_eq!((crm.account, crm.resolve, crm.format), (Some(acme), Resolve::Server, IdFormat::Any));
    assert!(!crm.device_ids && rules.data_sources[&DataSourceId(101)].device_ids);
    let formats = [
        (20_914, IdFormat::LowerUuid),
        (20_915, IdFormat::UpperUuid),
        (121_963, IdFormat::LowerUuid),
        (488_258, IdFormat::LowerUuid),
        (1_171_485, IdFormat::LowerUuid),
        (389_146, IdFormat::Alphanumeric),
        (963_906, IdFormat::Alphanumeric),
        (1_171_489, IdFormat::Alphanumeric),
    ];
    for (id, format) in formats {
        let source = &rules.data_sources[&DataSourceId(id)];
        assert_eq!((source.account, source.resolve, source.format), (None, Resolve::Never, format), "{id}");
        assert!(source.device_ids);
    }
    let uuid = pinion::identity::Uuid::from_bits(1, 2);
    assert_eq!(rules.accounts[1].ecid_key.ecid(uuid), secret().ecid_key("0B@AdobeOrg").ecid(uuid));
}

#[test]
fn accounts_and_partners_take_their_settings() {
    let rules = ruleset(&read(&folder("good/rules.toml")));
    let [acme, other] = &rules.accounts[..] else { panic!("two accounts") };
    assert_eq!((acme.budget_ns, acme.reserve_ns), (80_000_000, 8_000_000));
    assert_eq!((acme.privacy.vendor_id, other.privacy.vendor_id), (Some(755), None));
    assert_eq!((acme.privacy.gpc_refuses, acme.privacy.dnt_refuses), (Uses::NONE, Uses::THIRD_PARTIES));
    assert!(acme.origins.allows(b"https://www.acme.example") && !acme.origins.any && other.origins.any);
    assert!(acme.cookie_wins && !other.cookie_wins);
    assert_eq!(acme.token.as_deref(), Some(&b"0123456789abcdef"[..]));
    assert_eq!(rules.server.default_account, Some(AccountIndex(1)));

    assert_eq!((acme.partners.len(), other.partners.len()), (2, 0));
    let [graph, near] = &rules.partners[..] else { panic!("two partners") };
    assert_eq!((graph.timeout_ms, near.timeout_ms), (80, 60), "the account's budget, unless something is said");
    assert_eq!(graph.segment_traits.of(b"2"), [TraitId(2)]);
    assert_eq!(graph.segment_traits.of(b"imported"), [TraitId(3)]);
    assert_eq!(graph.segment_traits.of(b"1"), [], "a trait of another data source");
    assert_eq!(&graph.signal_key[..], b"d_partner_graph");
    assert!(rules.partner_addresses[0].is_empty(), "ask DNS");
    assert_eq!(rules.partner_addresses[1][..], ["10.2.0.1:8443".parse().unwrap(), "10.2.0.2:81".parse().unwrap()]);
    assert!(!acme.destinations.is_empty() && other.destinations.is_empty());
}

const NUMBERS: Numbers = Numbers {
    meters: 32_768,
    shards: 2,
    profile_bytes: 256 << 20,
    id_map_bytes: 16 << 20,
    opt_outs_max: 1_000_000,
    clients_max: 8_192,
    upstreams_max: 320,
    jobs_max: 4_096,
    calls_max: 1_280,
    small_buffers: 27_136,
    large_buffers: 256,
};

#[test]
fn good_files_are_reported_on() {
    let cases = cases(&folder("good"));
    assert!(cases.len() >= 2, "the cases are missing");
    for path in cases {
        let text = read(&path);
        let (rules, file) = load(&text, file_name(&path))
            .unwrap_or_else(|errors| panic!("{}", drawn(&errors)))
            .into_ruleset(&secret(), 1);
        let report = check::report(&file, &Source::new(file_name(&path), &text), &rules, &NUMBERS);
        check_golden(&path.with_extension("txt"), &report);
    }
}

/// Nothing is lost, and nothing secret is shown.
#[test]
fn an_effective_config_is_a_config_again() {
    for path in cases(&folder("good")) {
        let file = file::parse(&read(&path), file_name(&path)).unwrap_or_else(|errors| panic!("{}", drawn(&errors)));
        let effective = check::effective_config(&file);
        let again = load(&effective, "effective").unwrap_or_else(|errors| panic!("{}", drawn(&errors)));
        let (_, again) = again.into_ruleset(&secret(), 1);
        let without_notes =
            |text: &str| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        assert_eq!(without_notes(&check::effective_config(&again)), without_notes(&effective));
        for account in &file.accounts {
            assert!(account.token.as_ref().is_none_or(|token| !effective.contains(&token.0)));
        }
    }
    let complete = folder("good/complete.toml");
    let file = file::parse(&read(&complete), "complete.toml").unwrap_or_else(|errors| panic!("{}", drawn(&errors)));
    assert!(file.server.secret.is_some() && !check::effective_config(&file).contains("000102030405"));
}

#[test]
fn an_account_asks_browsers_for_so_many_syncs_and_no_more() {
    let account = read(&folder("good/least.toml"));
    let table = |id: usize| {
        let source = format!("[[data_source]]\nid = {id}\naccount = \"acme\"\nname = \"S\"\n");
        source + &format!("[[id_sync]]\ndata_source = {id}\nurls = [\"//s.example/\"]\n")
    };
    let text =
        |count: usize| (0..count).map(|n| table(9_000 + n)).fold(account.clone() + "\n", |text, one| text + &one);
    assert!(!ruleset(&text(ID_SYNCS_MAX)).accounts[0].id_syncs.is_empty());
    let errors = load(&text(ID_SYNCS_MAX + 2), "many.toml").expect_err("there are too many");
    let [error] = &errors[..] else { panic!("{}", drawn(&errors)) };
    assert!(error.message.ends_with(&format!("has more than {ID_SYNCS_MAX} ID syncs")), "{error}");
}

/// Whatever a line is changed to, the file is refused with a reason or runs.
#[test]
fn no_change_of_a_line_makes_loading_panic() {
    let text = read(&folder("good/complete.toml"));
    let lines: Vec<&str> = text.lines().collect();
    let values = [
        "0",
        "1",
        "7",
        "10",
        "65536",
        "4294967295",
        "-1",
        "nan",
        "true",
        "[]",
        "[1]",
        "{}",
        "\"\"",
        "\"x\"",
        "\"acme\"",
        "\"\u{e9}\"",
        "\"%sig_p_x%\"",
        "\"http://a.example/%dpid_1!%\"",
        "\"1T\"",
        "\"a == 1\"",
        "\"2T OR 1T\"",
    ];
    let (mut refused, mut loaded) = (0, 0);
    for (at, line) in lines.iter().enumerate() {
        let key = line.split_once(" = ").map(|(key, _)| key);
        let changed = key.into_iter().flat_map(|key| values.iter().map(move |value| format!("{key} = {value}")));
        for changed in changed.chain([String::new()]) {
            let text = [&lines[..at], &[changed.as_str()], &lines[at + 1..]].concat().join("\n");
            match load(&text, "changed.toml") {
                Ok(file) => {
                    let (rules, file) = file.into_ruleset(&secret(), 1);
                    check::report(&file, &Source::new("changed.toml", &text), &rules, &NUMBERS);
                    loaded += 1;
                }
                Err(errors) => {
                    assert!(!errors.is_empty() && !drawn(&errors).is_empty());
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1_000 && loaded > 100, "{refused} refused, {loaded} loaded");
}

#[test]
fn without_a_file_this_machine_is_served_and_nobody_asked() {
    let loaded = load(pinion::config::DEFAULT_CONFIG, pinion::config::DEFAULT_CONFIG_NAME);
    let (rules, file) = loaded.unwrap_or_else(|errors| panic!("{}", drawn(&errors))).into_ruleset(&secret(), 1);
    assert!(rules.server.default_account.is_some() && rules.partners.is_empty());
    assert!(file.server.listen.get_ref().iter().all(|address| address.ip().is_loopback()));
    assert_eq!(file.server.memory_max.get_ref().0, 256 << 20);
    assert!(file.server.admin.ip().is_loopback(), "the admin side is never open by default");
}

fn example() -> String {
    read(&[env!("CARGO_MANIFEST_DIR"), "docs", "pinion.example.toml"].iter().collect::<PathBuf>())
}

#[test]
fn the_example_loads() {
    let rules = ruleset(&example());
    assert!(!rules.accounts.is_empty() && !rules.partners.is_empty());
}

/// Keys that stand in the example as comments must be right as well. The secret alone has no value there: an example's
/// would be used.
#[test]
fn the_example_loads_with_its_commented_keys() {
    let uncommented = |line: &str| match line.strip_prefix("# ").filter(|rest| key_of(rest).is_some()) {
        Some(rest) if key_of(rest) != Some("secret") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let example = example();
    let text: Vec<String> = example.lines().map(uncommented).collect();
    assert!(text.iter().zip(example.lines()).any(|(text, line)| text != line), "some keys stand as comments");
    ruleset(&text.join("\n"));
}

/// The key of `key = value`.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(key)
}

#[test]
fn the_example_has_every_key() {
    let example = example();
    for (table, keys) in schema() {
        let mut here = false;
        let mut found: Vec<&str> = Vec::new();
        for line in example.lines() {
            if line.starts_with('[') {
                here = line.trim_matches(['[', ']']).split('.').next() == Some(table);
                found.extend(line.trim_matches(['[', ']']).strip_prefix(table).and_then(|rest| rest.strip_prefix('.')));
            } else if here {
                found.extend(key_of(line.strip_prefix("# ").unwrap_or(line)));
            }
        }
        let missing: Vec<&String> = keys.iter().filter(|key| !found.contains(&key.as_str())).collect();
        assert!(missing.is_empty(), "the example's `{table}` lacks {missing:?}");
        assert!(keys.len() >= 4, "the schema of `{table}` was not read");
    }
}

/// Each table with its keys, from the hint about a key that no table has.
fn schema() -> Vec<(&'static str, Vec<String>)> {
    let lists = ["account", "data_source", "trait", "segment", "derived_signal", "partner", "destination", "id_sync"];
    let tables = [&["server", "limits"], &lists[..]].concat();
    let keys = |table: &&'static str| {
        let is_one = ["server", "limits"].contains(table);
        let header = if is_one { format!("[{table}]") } else { format!("[[{table}]]") };
        let errors = load(&format!("{header}\nno_such_key_anywhere = 1\n"), "").expect_err("there is no such key");
        let error = errors.iter().find(|error| error.message.contains("no_such_key")).expect("it is told");
        let hint = error.hint.as_deref().expect("the hint names the keys");
        (*table, hint.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    };
    tables.iter().map(keys).collect()
}
