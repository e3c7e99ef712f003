//! The ID syncs of an answer of `/id`: what the call may know of its visitor, put into the account's URLs.

use smallvec::SmallVec;

use super::Shard;
use super::job::Context;
use super::prepare::Prepared;
use super::values::Values;
use crate::clock::Now;
use crate::event::answer::{IdAnswer, IdSync};
use crate::event::errors::ErrorCode;
use crate::id_sync::IdSyncEntries;
use crate::identity::Uuid;
use crate::ids::DataSourceId;
use crate::limits::{ID_SYNC_URLS_MAX, ID_SYNCS_MAX};
use crate::privacy::Use;
use crate::reactor::{Buffer, Io};

const HOUR_MS: u64 = 3_600_000;

impl Shard {
    /// Answers `/id` with what `answer` holds and the syncs that the call may have.
    pub(super) fn answer_with_syncs<I: Io>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
        mut answer: IdAnswer<'_>,
    ) -> Option<Buffer> {
        let syncs = &prepared.account.id_syncs;
        let may_sync = prepared.decision.allows(Use::Sync) && !prepared.call.syncs_off;
        if !may_sync || syncs.is_empty() {
            return self.id_answer(io, context, prepared, &answer);
        }
        let mut entries = self.id_syncs.take().expect("one answer is written at a time");
        self.write_syncs(io.now(), context, prepared, &mut entries);
        if entries.is_cut() {
            answer.errors.insert(ErrorCode::PartlyEvaluated);
        }
        let mut urls = SmallVec::<[&[u8]; ID_SYNCS_MAX * ID_SYNC_URLS_MAX]>::new();
        entries.urls().for_each(|url| urls.push(url));
        let mut listed = SmallVec::<[IdSync<'_>; ID_SYNCS_MAX]>::new();
        for (sync, places) in syncs.written(&entries) {
            listed.push(IdSync {
                id: sync.source.0,
                ttl_minutes: sync.ttl_minutes,
                fire_url_sync: sync.fire_url_sync,
                sync_on_page: sync.sync_on_page,
                urls: &urls[places],
            });
        }
        let buffer = self.id_answer(io, context, prepared, &IdAnswer { syncs: &listed, ..answer });
        drop(listed);
        drop(urls);
        self.id_syncs = Some(entries);
        buffer
    }

    /// The same call must get the same list, by which clients know that they have it already. So time passes by the
    /// hour here, chance is made of visitor and hour, and of declared ids only the call's own count.
    fn write_syncs(&self, now: Now, context: &Context, prepared: &Prepared<'_>, entries: &mut IdSyncEntries) {
        let hour = now.wall_ms / HOUR_MS;
        let values = Values {
            context,
            prepared,
            profile: None,
            now: Now { wall_ms: hour * HOUR_MS, ..now },
            random: self.random_of_hour(context.visitor.uuid, hour),
            timeout_ms: 0,
        };
        let allows = |vendor| prepared.decision.allows_vendor(vendor);
        prepared.account.id_syncs.write(allows, &self.told(&values), entries);
    }

    fn random_of_hour(&self, visitor: Uuid, hour: u64) -> u64 {
        let mut text = [0; 46];
        text[..38].copy_from_slice(&visitor.digits());
        text[38..].copy_from_slice(&hour.to_be_bytes());
        self.id_hash.declared(DataSourceId(u32::MAX), &text).bits() as u64
    }
}
