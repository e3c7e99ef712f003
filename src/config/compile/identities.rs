//! Data sources and the names by which calls know them.

use ahash::AHashMap;

use super::super::file::{self, File};
use super::super::global::GLOBAL_DATA_SOURCES;
use super::Places;
use super::accounts::boxed;
use crate::ids::{AccountIndex, DataSourceId};
use crate::ruleset::{DataSource, IdFormat, Resolve};

pub(super) struct Identities {
    pub(super) data_sources: AHashMap<DataSourceId, DataSource>,
    pub(super) integration_codes: Box<[AHashMap<Box<[u8]>, DataSourceId>]>,
    pub(super) name_spaces: AHashMap<(AccountIndex, u32), DataSourceId>,
}

pub(super) fn compile(file: &File, places: &Places<'_>) -> Identities {
    let global = GLOBAL_DATA_SOURCES.iter().map(|source| DataSource {
        id: DataSourceId(source.id),
        account: None,
        // An advertising id is known to every app on a phone: it proves nothing about who calls.
        resolve: Resolve::Never,
        redirect_hosts: Box::default(),
        format: source.format,
        device_ids: true,
        is_blocked: false,
    });
    let own = file.data_sources.iter().map(|entry| data_source(entry, places));
    let global_codes: AHashMap<Box<[u8]>, DataSourceId> = GLOBAL_DATA_SOURCES
        .iter()
        .filter_map(|source| Some((source.integration_code?.as_bytes().into(), DataSourceId(source.id))))
        .collect();
    let mut integration_codes = vec![global_codes; file.accounts.len()];
    let mut name_spaces = AHashMap::new();
    for entry in &file.data_sources {
        let id = DataSourceId(*entry.id.get_ref());
        let Some(account) = places.account(&entry.account) else { continue };
        if let Some(code) = &entry.integration_code {
            integration_codes[usize::from(account.0)].insert(code.get_ref().as_bytes().into(), id);
        }
        if let Some(name_space) = &entry.namespace {
            name_spaces.insert((account, *name_space.get_ref()), id);
        }
    }
    Identities {
        data_sources: global.chain(own).map(|source| (source.id, source)).collect(),
        integration_codes: integration_codes.into(),
        name_spaces,
    }
}

fn data_source(entry: &file::DataSource, places: &Places<'_>) -> DataSource {
    DataSource {
        id: DataSourceId(*entry.id.get_ref()),
        account: Some(places.account(&entry.account).expect("a file with a reference to nowhere is refused")),
        resolve: match entry.resolve {
            file::Resolve::Never => Resolve::Never,
            file::Resolve::Server => Resolve::Server,
            file::Resolve::Any => Resolve::Any,
        },
        redirect_hosts: boxed(&entry.redirect_hosts),
        format: IdFormat::Any,
        device_ids: entry.device_ids,
        is_blocked: entry.blocked,
    }
}
