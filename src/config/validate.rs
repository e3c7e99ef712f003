//! What the types alone don't promise: references lead somewhere and stay within one account, names are unique and well
//! formed, numbers are in range, and nothing private gets into what leaves the server.

mod destination;
mod folder;
mod id_sync;
mod partner;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::file::{Account, DataSource, DerivedSignal, File, Segment, Server, Trait};
use super::global::{is_global, is_global_code};
use super::reader::Faults;
use super::values::ByteSize;
use crate::limits::{
    DERIVED_CHARACTERS_MAX, OPT_OUTS_MAX, ORIGINS_BYTES_MAX, PARTNERS_MAX, SEGMENTS_MAX, SIGNAL_KEY_BYTES_MAX,
    TRAITS_MAX,
};
use crate::template::{Macro, Template};

const MEMORY_BYTES_MIN: u64 = 1 << 20;
const NODE_BYTES_MAX: usize = 64;
const VENDORS_MAX: u16 = 4_095;
/// A consent string has 12 bits for its platform.
const PLATFORMS_MAX: u16 = 4_095;
/// Thirty days: whose id was abused by others gets it back some time.
const DENY_S_MAX: u32 = 2_592_000;
/// A list in [`File`] is indexed with 16 bits.
const ACCOUNTS_MAX: usize = u16::MAX as usize;

pub(super) fn validate(file: &File, faults: &mut Faults<'_>) {
    let known = Known::new(file);
    check_lengths(file, faults);
    check_server(&file.server, &known, faults);
    check_range(&file.limits.deny_s, 1, DENY_S_MAX, faults);
    check_unique_names(file, faults);
    check_unique_ids(file, faults);
    file.accounts.iter().for_each(|account| check_account(account, faults));
    file.data_sources.iter().for_each(|source| check_data_source(source, &known, faults));
    file.traits.iter().for_each(|entry| check_trait(entry, &known, faults));
    file.segments.iter().for_each(|segment| check_segment(segment, &known, faults));
    file.derived_signals.iter().for_each(|derived| check_derived_signal(derived, &known, faults));
    file.partners.iter().for_each(|entry| partner::check(entry, &known, faults));
    file.destinations.iter().for_each(|destination| destination::check(destination, &known, faults));
    id_sync::check_all(&file.id_syncs, &known, faults);
}

/// What references can lead to.
struct Known<'a> {
    accounts: BTreeMap<&'a str, &'a Account>,
    /// Data source and segment -> the account that owns it.
    data_sources: BTreeMap<u32, &'a str>,
    segments: BTreeMap<u32, &'a str>,
    /// Trait -> its data source.
    traits: BTreeMap<u32, u32>,
    /// Keys of an account whose values derive from private signals.
    private_keys: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Known<'a> {
    fn new(file: &'a File) -> Known<'a> {
        let private = file.derived_signals.iter().filter(|derived| text::is_private(derived.source_key.get_ref()));
        Known {
            accounts: file.accounts.iter().map(|account| (account.alias.get_ref().as_str(), account)).collect(),
            data_sources: file
                .data_sources
                .iter()
                .map(|entry| (*entry.id.get_ref(), &**entry.account.get_ref()))
                .collect(),
            segments: file.segments.iter().map(|entry| (*entry.id.get_ref(), &**entry.account.get_ref())).collect(),
            traits: file.traits.iter().map(|entry| (*entry.id.get_ref(), *entry.data_source.get_ref())).collect(),
            private_keys: private
                .map(|derived| (&**derived.account.get_ref(), &**derived.target_key.get_ref()))
                .collect(),
        }
    }

    fn check_account(&self, alias: &Spanned<String>, faults: &mut Faults<'_>) {
        if !self.accounts.contains_key(alias.get_ref().as_str()) {
            let hint = "give the `alias` of one of the `[[account]]` tables";
            faults.add(alias.span(), format!("there is no account `{}`", alias.get_ref()), hint);
        }
    }

    fn check_data_source(&self, id: &Spanned<u32>, account: &str, faults: &mut Faults<'_>) {
        if let Some((message, hint)) = self.foreign(*id.get_ref(), account) {
            faults.add(id.span(), message, hint);
        }
    }

    /// Why a data source is none of the account's, and what to do about it.
    fn foreign(&self, id: u32, account: &str) -> Option<(String, String)> {
        match self.data_sources.get(&id) {
            Some(&owner) if owner == account => None,
            Some(owner) => {
                let message = format!("data source {id} belongs to account `{owner}`");
                Some((message, format!("use one of account `{account}`")))
            }
            None => {
                let hint = "give the `id` of one of the `[[data_source]]` tables";
                Some((format!("there is no data source {id}"), hint.to_owned()))
            }
        }
    }

    /// Refuses a template that would tell somebody what the account may not tell: a private signal, one made from it,
    /// or a visitor's id at another account's data source.
    fn check_template(&self, template: &Spanned<String>, account: &str, faults: &mut Faults<'_>) {
        for found in Template::scan(template.get_ref()) {
            match found {
                Ok((Macro::Signal(key), place)) => {
                    let key = std::str::from_utf8(&key).expect("it is a part of the text");
                    if self.private_keys.contains(&(account, key)) {
                        let message = format!("`{key}` derives from a private signal and must not leave the server");
                        faults.add_within(template, place, message, "take the macro away");
                    }
                }
                Ok((Macro::DeclaredId(id), place)) if !is_global(id.0) => {
                    if let Some((message, hint)) = self.foreign(id.0, account) {
                        faults.add_within(template, place, message, hint);
                    }
                }
                Ok(_) => {}
                // The compiler tells the first one alone.
                Err(error) => faults.add_within_unless_told(template, error.span, error.message),
            }
        }
    }
}

fn check_lengths(file: &File, faults: &mut Faults<'_>) {
    let mut check = |name: &str, span: Option<Range<usize>>, most: usize| {
        if let Some(span) = span {
            faults.add(span, format!("there are more than {most} {name}"), "spread them over several servers");
        }
    };
    check("accounts", file.accounts.get(ACCOUNTS_MAX).map(|entry| entry.alias.span()), ACCOUNTS_MAX);
    check("traits", file.traits.get(TRAITS_MAX).map(|entry| entry.id.span()), TRAITS_MAX);
    check("segments", file.segments.get(SEGMENTS_MAX).map(|entry| entry.id.span()), SEGMENTS_MAX);
    check("partners", file.partners.get(PARTNERS_MAX).map(|entry| entry.id.span()), PARTNERS_MAX);
}

fn check_server(server: &Server, known: &Known<'_>, faults: &mut Faults<'_>) {
    if server.listen.get_ref().is_empty() {
        faults.add(server.listen.span(), "the server listens nowhere", "add an address like \"0.0.0.0:8080\"");
    }
    check_text(&server.base_domain, text::is_domain, "a domain in lower case, like `example.com`", faults);
    if let Some(alias) = &server.default_account {
        known.check_account(alias, faults);
    }
    if let Some(shards) = &server.shards {
        check_range(shards, 1, u16::MAX, faults);
    }
    if let Some(cores) = &server.cores {
        check_cores(cores, server.shards.as_ref(), faults);
    }
    if server.memory_max.get_ref().0 < MEMORY_BYTES_MIN {
        let ByteSize(bytes) = server.memory_max.get_ref();
        faults.add(server.memory_max.span(), format!("{bytes} bytes hold no table"), "give at least 1MiB");
    }
    check_range(&server.connections_max, 1, u32::MAX, faults);
    let platforms = server.cmp_ids.iter().chain(&server.cmp_ids_deleted);
    platforms.for_each(|id| check_range(id, 1, PLATFORMS_MAX, faults));
    check_range(&server.opt_outs_max, 1, OPT_OUTS_MAX, faults);
    let is_node = |node: &str| !node.is_empty() && node.len() <= NODE_BYTES_MAX && text::is_visible(node);
    check_text(&server.node, is_node, "1 to 64 visible ASCII characters without spaces", faults);
}

fn check_cores(cores: &Spanned<Vec<u16>>, shards: Option<&Spanned<u16>>, faults: &mut Faults<'_>) {
    let list = cores.get_ref();
    if list.is_empty() {
        faults.add(cores.span(), "the list of cores is empty", "leave `cores` out to use all of them");
    }
    if list.iter().collect::<BTreeSet<_>>().len() < list.len() {
        faults.add(cores.span(), "a core is named twice", "a core runs one shard");
    }
    if let Some(shards) = shards
        && usize::from(*shards.get_ref()) != list.len()
    {
        let message = format!("{} shards on {} cores", shards.get_ref(), list.len());
        faults.add(shards.span(), message, "a core runs one shard: leave `shards` or `cores` out");
    }
}

fn check_account(account: &Account, faults: &mut Faults<'_>) {
    let alias_form = "1 to 63 lower-case letters, digits and inner hyphens, and neither `dpm` nor `fast`";
    check_text(&account.alias, text::is_alias, alias_form, faults);
    check_text(&account.organisation, text::is_organisation, "hex digits and `@AdobeOrg`", faults);
    let is_alone = account.allowed_origins.len() == 1;
    for origin in &account.allowed_origins {
        match origin.get_ref().as_str() {
            "*" if is_alone => {}
            "*" => faults.add(origin.span(), "`*` stands among other origins", "write `[\"*\"]` to allow all"),
            _ => check_text(origin, text::is_origin, "an origin in lower case, like `https://www.example.com`", faults),
        }
    }
    let bytes: usize = account.allowed_origins.iter().map(|origin| origin.get_ref().len() + 1).sum();
    if bytes > ORIGINS_BYTES_MAX {
        let message = format!("{bytes} bytes of origins are more than the {ORIGINS_BYTES_MAX} that there may be");
        let last = account.allowed_origins.last().expect("there are too many");
        faults.add(last.span(), message, "spread them over several accounts");
    }
    if account.reserve_ms.get_ref() >= account.budget_ms.get_ref() {
        let span = written(&account.reserve_ms, &account.budget_ms);
        let (reserve, budget) = (account.reserve_ms.get_ref(), account.budget_ms.get_ref());
        faults.add(
            span,
            format!("a reserve of {reserve} ms leaves nothing of a budget of {budget} ms"),
            "`budget_ms` is to be larger than `reserve_ms`",
        );
    }
    check_hosts(&account.redirect_hosts, faults);
    check_vendor(&account.vendor_id, faults);
}

fn check_data_source(entry: &DataSource, known: &Known<'_>, faults: &mut Faults<'_>) {
    known.check_account(&entry.account, faults);
    check_filled(&entry.name, faults);
    if let Some(code) = &entry.integration_code {
        check_filled(code, faults);
        if is_global_code(code.get_ref()) {
            let message = format!("integration code `{}` is built in, for all accounts", code.get_ref());
            faults.add(code.span(), message, "choose another one");
        }
    }
    if is_global(*entry.id.get_ref()) {
        let message = format!("data source {} is built in, for all accounts", entry.id.get_ref());
        faults.add(entry.id.span(), message, "choose another id");
    }
    check_hosts(&entry.redirect_hosts, faults);
}

fn check_trait(entry: &Trait, known: &Known<'_>, faults: &mut Faults<'_>) {
    check_filled(&entry.name, faults);
    if !known.data_sources.contains_key(entry.data_source.get_ref()) {
        let message = format!("there is no data source {}", entry.data_source.get_ref());
        faults.add(entry.data_source.span(), message, "give the `id` of one of the `[[data_source]]` tables");
    }
    if let Some(code) = &entry.integration_code {
        check_filled(code, faults);
    }
    if let Some(children) = &entry.children {
        folder::check(entry, children, known, faults);
    }
}

fn check_segment(entry: &Segment, known: &Known<'_>, faults: &mut Faults<'_>) {
    check_filled(&entry.name, faults);
    known.check_account(&entry.account, faults);
}

fn check_derived_signal(entry: &DerivedSignal, known: &Known<'_>, faults: &mut Faults<'_>) {
    known.check_account(&entry.account, faults);
    for key in [&entry.source_key, &entry.target_key] {
        check_filled(key, faults);
        if key.get_ref().len() > SIGNAL_KEY_BYTES_MAX {
            let message = format!("a key of more than {SIGNAL_KEY_BYTES_MAX} bytes");
            faults.add(key.span(), message, "no call's signal can have it");
        }
    }
    for value in [&entry.source_key, &entry.source_value, &entry.target_key, &entry.target_value] {
        if value.get_ref().chars().count() > DERIVED_CHARACTERS_MAX {
            let message = format!("longer than {DERIVED_CHARACTERS_MAX} characters");
            faults.add(value.span(), message, "derived signals are short: match a part with a trait instead");
        }
    }
}

fn check_unique_ids(file: &File, faults: &mut Faults<'_>) {
    check_unique("data source", file.data_sources.iter().map(|entry| (&entry.id, *entry.id.get_ref())), faults);
    check_unique("trait", file.traits.iter().map(|entry| (&entry.id, *entry.id.get_ref())), faults);
    check_unique("segment", file.segments.iter().map(|entry| (&entry.id, *entry.id.get_ref())), faults);
    check_unique("partner", file.partners.iter().map(|entry| (&entry.id, *entry.id.get_ref())), faults);
    check_unique("destination", file.destinations.iter().map(|entry| (&entry.id, *entry.id.get_ref())), faults);
    let legacy_ids = file.segments.iter().filter_map(|entry| {
        let id = entry.legacy_id.as_ref()?;
        Some((id, (entry.account.get_ref(), *id.get_ref())))
    });
    check_unique("legacy segment id", legacy_ids, faults);
    check_legacy_ids(file, faults);
    let syncs = file.id_syncs.iter().map(|entry| (&entry.data_source, *entry.data_source.get_ref()));
    check_unique("a sync of data source", syncs, faults);
    let namespaces = file.data_sources.iter().filter_map(|entry| {
        let namespace = entry.namespace.as_ref()?;
        Some((namespace, (entry.account.get_ref(), *namespace.get_ref())))
    });
    check_unique("name space", namespaces, faults);
}

/// A segment without a legacy id is called by its own where legacy ids are asked for.
fn check_legacy_ids(file: &File, faults: &mut Faults<'_>) {
    let plain: BTreeSet<(&str, u32)> = file
        .segments
        .iter()
        .filter(|entry| entry.legacy_id.is_none())
        .map(|entry| (entry.account.get_ref().as_str(), *entry.id.get_ref()))
        .collect();
    for entry in &file.segments {
        if let Some(id) = entry.legacy_id.as_ref()
            && plain.contains(&(entry.account.get_ref().as_str(), *id.get_ref()))
        {
            let message = format!("legacy segment id {} is the id of a segment without a legacy one", id.get_ref());
            faults.add(id.span(), message, "answers could not tell them apart: give that segment a legacy id too");
        }
    }
}

fn check_unique_names(file: &File, faults: &mut Faults<'_>) {
    check_unique("account", file.accounts.iter().map(|entry| (&entry.alias, entry.alias.get_ref())), faults);
    let organisations =
        file.accounts.iter().map(|entry| (&entry.organisation, entry.organisation.get_ref().to_ascii_uppercase()));
    check_unique("organisation", organisations, faults);
    let partners = file.partners.iter().map(|entry| (&entry.name, (entry.account.get_ref(), entry.name.get_ref())));
    check_unique("partner", partners, faults);
    let source_codes = file.data_sources.iter().filter_map(|entry| {
        let code = entry.integration_code.as_ref()?;
        Some((code, (entry.account.get_ref(), code.get_ref())))
    });
    check_unique("integration code", source_codes, faults);
    let trait_codes = file.traits.iter().filter_map(|entry| {
        let code = entry.integration_code.as_ref()?;
        Some((code, (*entry.data_source.get_ref(), code.get_ref())))
    });
    check_unique("integration code", trait_codes, faults);
}

/// `entries` are what to show for each, and what must be different.
fn check_unique<'a, T: std::fmt::Display + 'a, K: Ord>(
    what: &str,
    entries: impl Iterator<Item = (&'a Spanned<T>, K)>,
    faults: &mut Faults<'_>,
) {
    let mut first = BTreeMap::new();
    for (shown, key) in entries {
        if let Some(earlier) = first.get(&key) {
            let hint = format!("the first one is in line {}", faults.line(*earlier));
            faults.add(shown.span(), format!("{what} {} is there already", shown.get_ref()), hint);
        } else {
            first.insert(key, shown.span().start);
        }
    }
}

fn check_text(value: &Spanned<String>, is_right: impl Fn(&str) -> bool, form: &str, faults: &mut Faults<'_>) {
    if !is_right(value.get_ref()) {
        faults.add(value.span(), format!("`{}` is not of the right form", value.get_ref()), format!("it is {form}"));
    }
}

fn check_filled(value: &Spanned<String>, faults: &mut Faults<'_>) {
    if value.get_ref().trim().is_empty() {
        faults.add(value.span(), "this is blank", "write what it is called");
    }
}

fn check_hosts(hosts: &[Spanned<String>], faults: &mut Faults<'_>) {
    hosts
        .iter()
        .for_each(|host| check_text(host, text::is_host, "a host name in lower case, without scheme and path", faults));
}

fn check_vendor(vendor: &Option<Spanned<u16>>, faults: &mut Faults<'_>) {
    if let Some(vendor) = vendor {
        check_range(vendor, 1, VENDORS_MAX, faults);
    }
}

fn check_range<T: PartialOrd + std::fmt::Display + Copy>(
    value: &Spanned<T>,
    least: T,
    most: T,
    faults: &mut Faults<'_>,
) {
    if *value.get_ref() < least || *value.get_ref() > most {
        faults.add(value.span(), format!("{} is out of range", value.get_ref()), format!("it is {least} to {most}"));
    }
}

/// The one of two related values that stands in the file: the other is a default.
fn written<T>(first: &Spanned<T>, second: &Spanned<T>) -> Range<usize> {
    if first.span().is_empty() { second.span() } else { first.span() }
}
