//! The config with every default written out.

use toml::Spanned;

use super::super::compile::{COOKIE_SEPARATOR_DEFAULT, COOKIE_TTL_DAYS_DEFAULT};
use super::super::file::{Account, Destination, DestinationKind, DestinationTag, File, Partner};
use super::hidden::{hidden_header, hidden_keys};
use crate::limits::TRAIT_TTL_DAYS_DEFAULT;

/// As TOML that could be loaded again, but for secrets, which are not shown, and partners' keys, which are stars. What
/// has no value of any kind stays out.
pub fn effective_config(file: &File) -> String {
    let mut file = file.clone();
    let accounts = std::mem::take(&mut file.accounts);
    file.segments.iter_mut().for_each(|segment| set(&mut segment.legacy_id, *segment.id.get_ref()));
    for entry in file.traits.iter_mut().filter(|entry| entry.children.is_none()) {
        set(&mut entry.ttl_days, TRAIT_TTL_DAYS_DEFAULT);
    }
    for partner in &mut file.partners {
        let is_own = |account: &&Account| account.alias.get_ref() == partner.account.get_ref();
        if let Some(account) = accounts.iter().find(is_own) {
            set(&mut partner.timeout_ms, *account.budget_ms.get_ref());
        }
        if let Some(timeout) = &partner.timeout_ms {
            set(&mut partner.expected_ms, *timeout.get_ref());
        }
    }
    file.accounts = accounts;
    file.destinations.iter_mut().for_each(fill_destination);
    file.partners.iter_mut().for_each(hide);
    let hidden = [
        (file.server.secret.is_some(), "`secret`"),
        (file.accounts.iter().any(|account| account.token.is_some()), "`token`"),
    ];
    let hidden: String = hidden
        .iter()
        .filter(|(is_there, _)| *is_there)
        .map(|(_, key)| format!("# {key} is set and not shown.\n"))
        .collect();
    hidden + &toml::to_string(&file).expect("what was read from TOML can be written as TOML")
}

/// Takes out what only the partner and we are to know.
fn hide(partner: &mut Partner) {
    partner.headers.values_mut().for_each(|value| *value.get_mut() = hidden_header(value.get_ref()));
    *partner.url.get_mut() = hidden_keys(partner.url.get_ref());
}

fn fill_destination(entry: &mut Destination) {
    match entry.kind.get_ref() {
        DestinationKind::Cookie => {
            set(&mut entry.cookie_ttl_days, COOKIE_TTL_DAYS_DEFAULT);
            set(&mut entry.cookie_separator, COOKIE_SEPARATOR_DEFAULT.to_owned());
        }
        DestinationKind::Url => set(&mut entry.tag, DestinationTag::default()),
    }
}

fn set<T>(value: &mut Option<Spanned<T>>, default: T) {
    value.get_or_insert_with(|| Spanned::new(0..0, default));
}
