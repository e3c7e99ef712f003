//! Folder traits: what stands in their tables. What they come to together is judged when they are compiled.

use std::collections::BTreeSet;

use toml::Spanned;

use super::Known;
use crate::config::file::Trait;
use crate::config::reader::Faults;

pub(super) fn check(entry: &Trait, children: &Spanned<Vec<Spanned<u32>>>, known: &Known<'_>, faults: &mut Faults<'_>) {
    let foreign = [
        ("expression", entry.expression.as_ref().map(Spanned::span), "put a trait with this expression into it"),
        ("integration_code", entry.integration_code.as_ref().map(Spanned::span), "nothing realises a folder"),
        ("ttl_days", entry.ttl_days.as_ref().map(Spanned::span), "a folder is held while one of its traits is"),
    ];
    for (key, span, hint) in foreign {
        if let Some(span) = span {
            faults.add(span, format!("a folder has no `{key}` of its own"), hint);
        }
    }
    if children.get_ref().is_empty() {
        faults.add(children.span(), "this folder is empty", "name the traits that it stands for");
    }
    let account_of = |data_source: &u32| known.data_sources.get(data_source).copied();
    let own = account_of(entry.data_source.get_ref());
    let mut seen = BTreeSet::new();
    for child in children.get_ref() {
        let id = child.get_ref();
        match known.traits.get(id) {
            None => faults.add(child.span(), format!("there is no trait {id}"), "name one of the `[[trait]]` tables"),
            Some(source) => {
                let owner = account_of(source);
                if let (Some(owner), Some(own)) = (owner, own)
                    && owner != own
                {
                    let message = format!("trait {id} belongs to account `{owner}`");
                    faults.add(child.span(), message, format!("a folder holds traits of its own account, `{own}`"));
                }
            }
        }
        if !seen.insert(id) {
            faults.add(child.span(), format!("trait {id} is named twice"), "it counts once, however often it is named");
        }
    }
}
