//! ID syncs.

use std::collections::BTreeMap;

use super::{Known, check_range, check_vendor};
use crate::config::file::IdSync;
use crate::config::reader::Faults;
use crate::limits::{ID_SYNC_TTL_MINUTES_MAX, ID_SYNC_URLS_MAX, ID_SYNCS_MAX};

pub(super) fn check_all(syncs: &[IdSync], known: &Known<'_>, faults: &mut Faults<'_>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in syncs {
        let Some(account) = known.data_sources.get(entry.data_source.get_ref()) else {
            let message = format!("there is no data source {}", entry.data_source.get_ref());
            faults.add(entry.data_source.span(), message, "give the `id` of one of the `[[data_source]]` tables");
            continue;
        };
        let count = counts.entry(account).or_default();
        *count += 1;
        if *count == ID_SYNCS_MAX + 1 {
            let message = format!("account `{account}` has more than {ID_SYNCS_MAX} ID syncs");
            faults.add(entry.data_source.span(), message, "browsers would never be done with them");
        }
        check(entry, account, known, faults);
    }
}

fn check(entry: &IdSync, account: &str, known: &Known<'_>, faults: &mut Faults<'_>) {
    let urls = entry.urls.get_ref();
    if urls.is_empty() {
        faults.add(entry.urls.span(), "this sync has no URL", "give the URL that the partner named");
    }
    if let Some(url) = urls.get(ID_SYNC_URLS_MAX) {
        faults.add(url.span(), format!("there are more than {ID_SYNC_URLS_MAX} URLs"), "take some away");
    }
    urls.iter().for_each(|url| known.check_template(url, account, faults));
    check_range(&entry.ttl_minutes, 1, ID_SYNC_TTL_MINUTES_MAX, faults);
    check_vendor(&entry.vendor_id, faults);
}
