//! What a file that loads comes to: what is odd about it, what every key is in the end, how much memory and how many
//! lookups that makes, and what each partner would be sent.

mod effective;
mod hidden;
mod sample;

use toml::Spanned;

use super::compile::{Grouped, Places, expressions};
use super::file::{self, DestinationKind, File};
use super::plan::{Numbers, PoolNumbers, lookup_rates, memory_plan};
use super::source::{ConfigError, Source};
use crate::limits::PARTNER_REQUEST_BYTES_MAX;
use crate::partner::request::write_request;
use crate::partner::settings::Partner;
use crate::partner::time_left::TimeLeft;
use crate::rules::Diagnostic;
use crate::ruleset::Ruleset;
use crate::template::{Rendered, Writer};
pub use effective::effective_config;
use hidden::hidden_request;
use sample::SampleVisitor;

/// All there is to tell. `source` is the text that `file` was read from, `ruleset` what became of it.
pub fn report(file: &File, source: &Source<'_>, ruleset: &Ruleset, numbers: &Numbers) -> String {
    let warnings = warnings(file, source, ruleset);
    let drawn: String = warnings.iter().map(|warning| format!("{warning}\n\n")).collect();
    let requests: String = file
        .partners
        .iter()
        .zip(&ruleset.partners)
        .map(|(entry, partner)| sample_request(ruleset, entry, partner))
        .collect();
    let sections = [
        ("warnings", drawn),
        ("effective config", effective_config(file)),
        ("memory plan", memory_plan(numbers)),
        ("highest lookup rates", lookup_rates(numbers.shards, &pools(file, ruleset))),
        ("sample requests", requests),
    ];
    sections.iter().map(|(title, text)| section(title, text)).collect::<Vec<_>>().join("\n")
}

fn section(title: &str, text: &str) -> String {
    let text = if text.is_empty() { "none" } else { text.trim_end() };
    format!("==== {title} ====\n{text}\n")
}

/// What is worth telling although the file loads, in its order.
pub fn warnings(file: &File, source: &Source<'_>, ruleset: &Ruleset) -> Vec<ConfigError> {
    let grouped = Grouped::new(file, &Places::new(file));
    let mut found = Vec::new();
    for (group, account) in grouped.accounts.iter().zip(&ruleset.accounts) {
        let texts: Vec<_> = expressions(group).map(|(_, expression)| expression).collect();
        let drawn = |(rule, diagnostic): &(usize, _)| source.warning(texts[*rule], diagnostic);
        found.extend(account.matcher.warnings().iter().map(drawn));
    }
    found.extend(vendors_missing(file, source));
    found.sort_by_key(|warning| (warning.line, warning.column));
    found
}

/// Where TCF applies, nobody is told anything who is no vendor: in accounts that ask for consent this may be an
/// oversight.
fn vendors_missing(file: &File, source: &Source<'_>) -> Vec<ConfigError> {
    let asks = |alias: &str| file.accounts.iter().any(|one| one.alias.get_ref() == alias && one.vendor_id.is_some());
    let account_of = |id: u32| file.data_sources.iter().find(|one| *one.id.get_ref() == id).map(|one| &one.account);
    let warning = |at: &Spanned<String>, what: &str| {
        let message = format!("without a `vendor_id` {what} where TCF applies");
        let hint = Some("give the receiver's number on the Global Vendor List".to_owned());
        source.warning(at, &Diagnostic { message, span: 0..at.get_ref().len(), hint })
    };
    let partners = file.partners.iter().filter(|one| one.vendor_id.is_none() && asks(one.account.get_ref()));
    let mut found: Vec<_> = partners.map(|one| warning(&one.name, "the partner is never asked")).collect();
    for one in &file.destinations {
        if *one.kind.get_ref() == DestinationKind::Url && one.vendor_id.is_none() && asks(one.account.get_ref()) {
            found.push(warning(&one.name, "the URL is never fired"));
        }
    }
    for one in file.id_syncs.iter().filter(|one| one.vendor_id.is_none()) {
        let account = account_of(*one.data_source.get_ref());
        if account.is_some_and(|account| asks(account.get_ref())) {
            found.extend(one.urls.get_ref().first().map(|url| warning(url, "the sync is never fired")));
        }
    }
    found
}

fn pools<'f>(file: &'f File, ruleset: &Ruleset) -> Vec<PoolNumbers<'f>> {
    let pool = |(entry, partner): (&'f file::Partner, &Partner)| PoolNumbers {
        name: entry.name.get_ref(),
        connections_max: partner.pool.connections_max,
        expected_ms: entry.expected_ms.as_ref().map_or(partner.timeout_ms, |expected| *expected.get_ref()),
    };
    file.partners.iter().zip(&ruleset.partners).map(pool).collect()
}

/// The request that the partner would be sent for a visitor about whom everything is known.
fn sample_request(ruleset: &Ruleset, entry: &file::Partner, partner: &Partner) -> String {
    let mut room = vec![0; PARTNER_REQUEST_BYTES_MAX];
    let mut out = Writer::new(&mut room);
    let account = &ruleset.accounts[usize::from(partner.account.0)];
    let values = SampleVisitor { region: ruleset.server.region, timeout_ms: partner.timeout_ms };
    let title = format!("# {} of {}, to http://{}", partner.name, account.alias, partner.url.authority);
    match write_request(partner, &values, &mut TimeLeft::default(), &mut out) {
        Rendered::Ok(_) => {
            let request = hidden_request(&String::from_utf8_lossy(out.bytes()), entry.url.get_ref(), &entry.headers);
            format!("{title}\n{}\n\n", request.trim_end())
        }
        Rendered::Overflow => format!("{title}\nthe request is longer than {PARTNER_REQUEST_BYTES_MAX} bytes\n\n"),
        Rendered::Skipped => format!("{title}\na required macro is empty\n\n"),
    }
}
