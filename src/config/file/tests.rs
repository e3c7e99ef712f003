//! What is read from files that are right; those that are not are cases of the integration tests.

use super::*;

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "cases", "config"].iter().collect()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect("the cases are part of the project")
}

fn parse_case(name: &str) -> File {
    parse(&read(name), name).unwrap_or_else(|errors| panic!("{}", drawn(&errors)))
}

fn drawn(errors: &[ConfigError]) -> String {
    errors.iter().map(|error| format!("{error}\n\n")).collect::<String>().trim_end().to_owned() + "\n"
}

#[test]
fn what_is_left_out_has_its_default() {
    let file = parse_case("good/least.toml");
    let server = &file.server;
    assert_eq!(server.listen.get_ref()[..], ["0.0.0.0:8080".parse().unwrap(), "[::]:8080".parse().unwrap()]);
    assert_eq!(server.admin, "127.0.0.1:9090".parse().unwrap());
    assert_eq!((server.runtime, server.memory_max.get_ref().0), (Runtime::Auto, 1 << 30));
    assert_eq!((server.node.get_ref().as_str(), server.region), ("pinion-1", 6));
    assert_eq!((server.drain_s, server.spin_us, server.honour_gpc, server.honour_dnt), (10, 0, true, false));
    let account = &file.accounts[0];
    assert_eq!((*account.budget_ms.get_ref(), *account.reserve_ms.get_ref()), (50, 5));
    assert_eq!(account.browser_ids, BrowserIds::CallWins);
    assert_eq!(file.data_sources[0].resolve, Resolve::Never);
    assert_eq!((&file.traits[0].ttl_days, file.segments[0].merge_rule), (&None, MergeRule::Device));
    let partner = &file.partners[0];
    assert_eq!((partner.method, partner.mode, partner.format), (Method::Post, Mode::Wait, AnswerFormat::Pinion));
    assert_eq!((partner.ttl_s, partner.negative_ttl_s, *partner.late_ms.get_ref()), (86_400, 3_600, 2_000));
    assert_eq!((*partner.min_ms.get_ref(), *partner.connect_ms.get_ref()), (10, 250));
    assert_eq!((*partner.max_connections.get_ref(), *partner.min_idle.get_ref()), (256, 0));
    assert_eq!((*partner.answer_bytes_max.get_ref(), *partner.share_percent.get_ref()), (65_536, 100));
    assert_eq!(partner.on_absence, OnAbsence::Keep);
}

/// This file writes every key down once, so a key that is renamed or lost fails here.
#[test]
fn every_key_is_read() {
    let file = parse_case("good/complete.toml");
    assert_eq!(file.server.cores.as_ref().unwrap().get_ref()[..], [0, 1]);
    assert!(file.server.trusted_proxies[1].contains("2001:db8::7".parse().unwrap()));
    assert_eq!(file.accounts.len(), 2);
    assert_eq!(file.accounts[0].browser_ids, BrowserIds::CookieWins);
    assert_eq!(file.data_sources[0].resolve, Resolve::Server);
    assert_eq!(file.traits[0].expression.as_ref().unwrap().get_ref(), "c_page contains \"sport\"");
    assert_eq!(file.segments[1].merge_rule, MergeRule::CurrentAuthenticatedAndDevice);
    assert_eq!(file.derived_signals[0].target_key.get_ref(), "c_sport");
    let partner = &file.partners[0];
    assert_eq!(partner.headers[&Spanned::new(0..0, "X-Key".to_owned())].get_ref(), "%did%");
    assert_eq!((partner.format, partner.mode), (AnswerFormat::Scored, Mode::WaitIfUnknown));
    assert_eq!(partner.addresses.as_ref().unwrap().get_ref()[1].port, Some(8443));
    assert_eq!(*file.destinations[0].kind.get_ref(), DestinationKind::Cookie);
    let sync = &file.id_syncs[0];
    assert_eq!((sync.urls.get_ref().len(), *sync.ttl_minutes.get_ref(), sync.sync_on_page), (2, 1_440, true));
    assert_eq!(*file.destinations[1].tag.as_ref().unwrap().get_ref(), DestinationTag::Iframe);
}

#[test]
fn a_fault_in_each_line_is_told_in_the_order_of_the_file() {
    let errors = parse(&read("bad/references.toml"), "x").unwrap_err();
    assert!(errors.is_sorted_by_key(|error| (error.line, error.column)) && errors.len() > 10);
}

#[test]
fn no_text_makes_the_parser_panic() {
    let text = read("good/complete.toml");
    for cut in (0..text.len()).step_by(7).filter(|&cut| text.is_char_boundary(cut)) {
        let half = [&text[..cut], &text[text.ceil_char_boundary(cut + 5)..]].concat();
        for errors in [parse(&text[..cut], "x"), parse(&half, "x")].into_iter().filter_map(Result::err) {
            assert!(!drawn(&errors).is_empty());
        }
    }
}
