//! An account's ID syncs.

use super::super::file;
use super::super::reader::Faults;
use super::rules::Group;
use crate::id_sync::{IdSync, IdSyncs};
use crate::ids::DataSourceId;
use crate::limits::{ID_SYNC_URLS_MAX, ID_SYNCS_MAX};
use crate::template::Template;

pub(super) fn compile(group: &Group<'_>, faults: &mut Faults<'_>) -> Option<IdSyncs> {
    let syncs: Vec<Option<IdSync>> = group.id_syncs.iter().map(|entry| compile_one(entry, faults)).collect();
    // `validate` told what is too much.
    let syncs: Vec<IdSync> = syncs.into_iter().collect::<Option<_>>()?;
    let is_bounded = syncs.len() <= ID_SYNCS_MAX && syncs.iter().all(|sync| sync.urls.len() <= ID_SYNC_URLS_MAX);
    is_bounded.then(|| IdSyncs::new(syncs))
}

fn compile_one(entry: &file::IdSync, faults: &mut Faults<'_>) -> Option<IdSync> {
    let mut urls = Vec::new();
    for url in entry.urls.get_ref() {
        match Template::compile_url(url.get_ref()) {
            Ok(template) => urls.push(template),
            Err(error) => faults.add_within_unless_told(url, error.span, error.message),
        }
    }
    let is_whole = urls.len() == entry.urls.get_ref().len();
    is_whole.then(|| IdSync {
        source: DataSourceId(*entry.data_source.get_ref()),
        vendor_id: entry.vendor_id.as_ref().map(|id| *id.get_ref()),
        ttl_minutes: *entry.ttl_minutes.get_ref(),
        fire_url_sync: entry.fire_url_sync,
        sync_on_page: entry.sync_on_page,
        urls: urls.into(),
    })
}
