//! Whose an id is. A profile knows traits, segments, persons and partners by their ids alone, and keeps what it knows
//! over reloads: an id that went to another account would bring its visitors' history along. So it stays with its
//! account for as long as the process lasts, even while no ruleset has it. After a restart there are no profiles.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::{AccountIndex, DataSourceId, PartnerId, SegmentId, TraitId};
use crate::ruleset::Ruleset;

/// Something that profiles name by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owned {
    DataSource(DataSourceId),
    Trait(TraitId),
    Segment(SegmentId),
    Partner(PartnerId),
}

/// An account's organisation, which stays when its alias changes; `None`: all accounts.
type Owner = Option<Box<[u8]>>;

/// All ids that any ruleset had, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<Owned, Owner>);

impl Owners {
    /// Takes the ids of a ruleset that is about to be used.
    ///
    /// # Errors
    /// Which of them are another account's. Nothing is taken then.
    pub(super) fn take(&mut self, ruleset: &Ruleset) -> Result<(), String> {
        let owned = owned(ruleset);
        let moved: Vec<String> = owned
            .iter()
            .filter_map(|(id, owner)| {
                let before = self.0.get(id).filter(|before| *before != owner)?;
                Some(format!("{id} belongs to {} and would go to {}", shown(before), shown(owner)))
            })
            .collect();
        if moved.is_empty() {
            self.0.extend(owned);
            return Ok(());
        }
        Err(format!(
            "{}.\nWith an id goes what visitors' profiles hold under it, and no account may get another's. Give the \
             new owner a new id; or restart the server, which forgets all profiles",
            moved.join(";\n")
        ))
    }
}

fn owned(ruleset: &Ruleset) -> BTreeMap<Owned, Owner> {
    let of = |index: AccountIndex| Some(ruleset.accounts[usize::from(index.0)].organisation.clone());
    let mut owned = BTreeMap::new();
    for account in &ruleset.accounts {
        let owner = || Some(account.organisation.clone());
        owned.extend(account.segments.iter().map(|(id, _)| (Owned::Segment(*id), owner())));
    }
    owned.extend(ruleset.traits.owned().map(|(id, account)| (Owned::Trait(id), of(account))));
    let sources = ruleset.data_sources.values();
    owned.extend(sources.map(|source| (Owned::DataSource(source.id), source.account.and_then(of))));
    owned.extend(ruleset.partners.iter().map(|partner| (Owned::Partner(partner.id), of(partner.account))));
    owned
}

fn shown(owner: &Owner) -> String {
    match owner {
        Some(organisation) => format!("`{}`", String::from_utf8_lossy(organisation)),
        None => "all accounts".to_owned(),
    }
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owned::DataSource(id) => write!(f, "data source {id}"),
            Owned::Trait(id) => write!(f, "trait {id}"),
            Owned::Segment(id) => write!(f, "segment {id}"),
            Owned::Partner(id) => write!(f, "partner {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::identity::Secret;

    const CONFIG: &str = r#"
[server]
base_domain = "example.net"
data_dir = "unused"

[[account]]
alias = "one"
organisation = "A1@AdobeOrg"

[[account]]
alias = "two"
organisation = "B2@AdobeOrg"

[[data_source]]
id = 10
account = "one"
name = "site"

[[data_source]]
id = 20
account = "two"
name = "site"

[[trait]]
id = 1
name = "seen"
data_source = 10

[[segment]]
id = 100
name = "seen"
account = "one"
expression = "1T"
"#;

    fn ruleset(text: &str) -> Ruleset {
        let loaded = config::load(text, "test.toml").unwrap_or_else(|faults| panic!("{}", faults[0]));
        loaded.into_ruleset(&Secret::from_bytes([7; 32]), 1).0
    }

    fn without_segments() -> &'static str {
        CONFIG.split_once("[[segment]]").unwrap().0
    }

    #[test]
    fn what_stays_with_its_account_may_come_and_go_and_change() {
        let mut owners = Owners::default();
        owners.take(&ruleset(CONFIG)).unwrap();
        owners.take(&ruleset(without_segments())).unwrap();
        owners.take(&ruleset(&CONFIG.replace("\"one\"", "\"shop\"").replace("id = 100", "id = 101"))).unwrap();
        owners.take(&ruleset(CONFIG)).unwrap();
    }

    #[test]
    fn an_id_never_goes_to_another_account() {
        let mut owners = Owners::default();
        owners.take(&ruleset(CONFIG)).unwrap();
        let other = without_segments().replace("data_source = 10", "data_source = 20");
        let fault = owners.take(&ruleset(&other)).unwrap_err();
        assert!(fault.starts_with("trait 1 belongs to `A1@AdobeOrg` and would go to `B2@AdobeOrg`.\n"), "{fault}");
        // Not even if nobody had it in between.
        let (before, _) = CONFIG.split_once("[[trait]]").unwrap();
        owners.take(&ruleset(before)).unwrap();
        assert!(owners.take(&ruleset(&other)).is_err());
        let source = before.replacen("account = \"one\"", "account = \"two\"", 1);
        assert!(owners.take(&ruleset(&source)).unwrap_err().starts_with("data source 10 belongs to"));
        owners.take(&ruleset(CONFIG)).unwrap();
    }
}
