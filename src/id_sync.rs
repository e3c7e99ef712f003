//! ID syncs that `/id` asks a page for: URLs of partners that, once fired, let a partner and this server learn what
//! the other calls the visitor.
//!
//! An answer holds nothing but what the call and the config say, so that it stays the same for the same call: which
//! syncs rest is known to the browser alone. Syncs are compiled for one account. Their texts are written into memory
//! that is used again ([`IdSyncEntries`]).
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::ids::DataSourceId;
use crate::limits::{ANSWER_BYTES_MAX, ID_SYNC_URLS_MAX, ID_SYNCS_MAX};
use crate::template::{Encoding, MacroValues, Rendered, Template, Writer};

/// The sync of one data source.
#[derive(Clone, Debug)]
pub struct IdSync {
    /// By which browsers remember it.
    pub source: DataSourceId,
    /// The vendor whose consent is asked for, beside the operator's own.
    pub vendor_id: Option<u16>,
    /// How long it rests after it was fired.
    pub ttl_minutes: u32,
    /// Whether it is fired where cookies of other sites are blocked.
    pub fire_url_sync: bool,
    /// Whether the page fires it, and not the iframe.
    pub sync_on_page: bool,
    pub urls: Box<[Template]>,
}

/// All of one account, in the order of the config.
#[derive(Clone, Debug, Default)]
pub struct IdSyncs(Box<[IdSync]>);

/// The syncs of one answer. Made once and used again.
#[derive(Debug)]
pub struct IdSyncEntries {
    /// As long as an answer: what finds no room here would find none there.
    text: Box<[u8]>,
    len: usize,
    urls: Vec<Range<usize>>,
    syncs: Vec<Entry>,
    is_cut: bool,
}

#[derive(Debug)]
struct Entry {
    /// Index into the account's.
    sync: usize,
    urls: Range<usize>,
}

impl IdSyncs {
    pub fn new(syncs: Vec<IdSync>) -> IdSyncs {
        assert!(syncs.len() <= ID_SYNCS_MAX && syncs.iter().all(|sync| sync.urls.len() <= ID_SYNC_URLS_MAX));
        IdSyncs(syncs.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fills `entries`. `is_allowed` judges a sync's vendor.
    pub fn write(
        &self,
        is_allowed: impl Fn(Option<u16>) -> bool,
        values: &impl MacroValues,
        entries: &mut IdSyncEntries,
    ) {
        entries.clear();
        for (index, sync) in self.0.iter().enumerate().filter(|(_, sync)| is_allowed(sync.vendor_id)) {
            if !entries.push(index, sync, values) {
                entries.is_cut = true;
                break;
            }
        }
    }

    /// The syncs that were written, each with the places of its URLs in [`IdSyncEntries::urls`].
    pub fn written<'a>(&'a self, entries: &'a IdSyncEntries) -> impl Iterator<Item = (&'a IdSync, Range<usize>)> {
        entries.syncs.iter().map(|entry| (&self.0[entry.sync], entry.urls.clone()))
    }
}

impl IdSyncEntries {
    pub fn new() -> IdSyncEntries {
        IdSyncEntries {
            text: vec![0; ANSWER_BYTES_MAX].into_boxed_slice(),
            len: 0,
            urls: Vec::with_capacity(ID_SYNCS_MAX * ID_SYNC_URLS_MAX),
            syncs: Vec::with_capacity(ID_SYNCS_MAX),
            is_cut: false,
        }
    }

    /// Those of all syncs, end to end.
    pub fn urls(&self) -> impl Iterator<Item = &[u8]> {
        self.urls.iter().map(|url| &self.text[url.clone()])
    }

    /// Whether there was more than an answer can hold.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn clear(&mut self) {
        self.len = 0;
        self.urls.clear();
        self.syncs.clear();
        self.is_cut = false;
    }

    /// A sync goes in whole or not at all: `false`, there is no room. A URL without a value for a required macro is
    /// left out, a sync without a URL as well.
    fn push(&mut self, index: usize, sync: &IdSync, values: &impl MacroValues) -> bool {
        let (first_byte, first_url) = (self.len, self.urls.len());
        for url in &sync.urls {
            let mut out = Writer::new(&mut self.text[self.len..]);
            let rendered = match sync.sync_on_page {
                true => url.render(values, Encoding::Percent, &mut out),
                false => url.render_for_iframe(values, Encoding::Percent, &mut out),
            };
            match rendered {
                Rendered::Ok(len) => {
                    self.urls.push(self.len..self.len + len);
                    self.len += len;
                }
                Rendered::Skipped => {}
                Rendered::Overflow => {
                    self.len = first_byte;
                    self.urls.truncate(first_url);
                    return false;
                }
            }
        }
        if self.urls.len() > first_url {
            self.syncs.push(Entry { sync: index, urls: first_url..self.urls.len() });
        }
        true
    }
}

impl Default for IdSyncEntries {
    fn default() -> IdSyncEntries {
        IdSyncEntries::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::sample::Sample;

    fn sync(source: u32, sync_on_page: bool, urls: &[&str]) -> IdSync {
        let urls = urls.iter().map(|url| Template::compile_url(url).unwrap()).collect();
        let (vendor_id, source) = (Some(source as u16), DataSourceId(source));
        IdSync { source, vendor_id, ttl_minutes: 10, fire_url_sync: true, sync_on_page, urls }
    }

    fn written(syncs: &IdSyncs, entries: &IdSyncEntries) -> Vec<(u32, Vec<String>)> {
        let urls: Vec<String> = entries.urls().map(|url| String::from_utf8(url.to_vec()).unwrap()).collect();
        syncs.written(entries).map(|(sync, range)| (sync.source.0, urls[range].to_vec())).collect()
    }

    #[test]
    fn each_fires_what_it_can_and_whom_it_may() {
        let syncs = IdSyncs::new(vec![
            sync(1, false, &["//a.example/?u=%did%&p=%page%"]),
            sync(2, true, &["//b.example/?u=%did%", "%http_proto%://b.example/%dpid_5!%"]),
            sync(3, true, &["//c.example/%dpid_5!%"]),
            sync(4, false, &["//d.example/"]),
        ]);
        let mut values = Sample { visitor_id: b"17".to_vec(), page: b"x y".to_vec(), ..Sample::default() };
        let mut entries = IdSyncEntries::new();
        syncs.write(|vendor| vendor != Some(4), &values, &mut entries);
        let listed = |id: u32, urls: &[&str]| (id, urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>());
        let first = listed(1, &["//a.example/?u=%did%&p=x%20y"]);
        assert_eq!(written(&syncs, &entries), [first.clone(), listed(2, &["//b.example/?u=17"])]);
        values.declared_ids.push((5, b"joe".to_vec()));
        syncs.write(|vendor| vendor != Some(4), &values, &mut entries);
        let second = listed(2, &["//b.example/?u=17", "https://b.example/joe"]);
        assert_eq!(written(&syncs, &entries), [first, second, listed(3, &["//c.example/joe"])]);
        syncs.write(|_| false, &values, &mut entries);
        assert!(written(&syncs, &entries).is_empty() && !entries.is_cut());
    }

    #[test]
    fn what_finds_no_room_is_left_out_whole() {
        let url = "//a.example/%page%";
        let syncs = IdSyncs::new((1..=4).map(|id| sync(id, false, &[url, url])).collect());
        let values = Sample { page: vec![b'x'; ANSWER_BYTES_MAX / 5], ..Sample::default() };
        let mut entries = IdSyncEntries::new();
        syncs.write(|_| true, &values, &mut entries);
        assert!(entries.is_cut());
        assert_eq!(
            written(&syncs, &entries).iter().map(|(id, urls)| (*id, urls.len())).collect::<Vec<_>>(),
            [(1, 2), (2, 2)]
        );
        assert_eq!(entries.urls().count(), 4);
        syncs.write(|_| true, &Sample::default(), &mut entries);
        assert!(!entries.is_cut() && written(&syncs, &entries).len() == 4);
    }
}
