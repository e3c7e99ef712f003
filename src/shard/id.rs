//! `/id`: the visitor's ECID for an organisation, and what goes with it.
//!
//! The ECID is arithmetic, so the edge shard answers. A call that declares ids goes to the visitor's home, where her
//! profile remembers them as `/event` would.

use super::answer::{ID_SYNC_TTL_S, OPT_OUT_TTL_S};
use super::client::Served;
use super::edge::Arrival;
use super::identify;
use super::job::{Access, Context};
use super::prepare::Prepared;
use super::{Message, Shard};
use crate::event::answer::{self, IdAnswer};
use crate::event::errors::ErrorCode;
use crate::http::Method;
use crate::ids::DataSourceId;
use crate::privacy::Use;
use crate::reactor::{Buffer, Io};

impl Shard {
    /// `/id` and `/id/rd` at the edge. `is_named`: the call or its cookie says who the visitor is.
    pub(super) fn serve_id<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        arrival: &mut Arrival<'_>,
        prepared: &Prepared<'_>,
        is_named: bool,
        has_cookie: bool,
    ) -> Served {
        let visitor = arrival.context.visitor;
        if self.has_opted_out(prepared, visitor.uuid) {
            return Served::from(self.turn_away(io, &arrival.context, prepared, true));
        }
        if !has_cookie && prepared.decision.allows(Use::SetCookies) {
            let is_second_hop = prepared.request.path == b"/id/rd";
            if is_second_hop && !is_named {
                arrival.context.visitor.cookie = None;
                arrival.context.errors.insert(ErrorCode::CookiesBlocked);
                return Served::from(self.anonymous(io, &arrival.context, prepared, true));
            }
            // A redirect would lose what was posted.
            if !is_second_hop && prepared.call.verify_cookies && prepared.request.method != Method::Post {
                return Served::from(self.test_cookies(io, arrival, prepared));
            }
        }
        let home = self.home_of(visitor.uuid);
        if prepared.declares(&arrival.context) && home != self.id && visitor.access == Access::Full {
            return self.send_home(io, arrival, prepared, home);
        }
        Served::from(self.identify(io, &arrival.context, prepared))
    }

    /// `/id` where the visitor is at home, or where the call declares nothing that her home must know.
    pub(super) fn identify<I: Io<Message = Message>>(
        &mut self,
        io: &mut I,
        context: &Context,
        prepared: &Prepared<'_>,
    ) -> Option<Buffer> {
        let declares = prepared.declares(context);
        let restrained = if declares { self.restrained(io.now(), prepared.rules, context) } else { None };
        let context = restrained.as_ref().unwrap_or(context);
        if declares && context.visitor.access == Access::Full {
            let now = io.now();
            let mut profile = self.take_profile();
            self.open_profile(now, context, prepared, &mut profile);
            self.store_profile(now, &mut profile);
            self.profile = Some(profile);
            self.put_ids(context, prepared);
        }
        let mut errors = prepared.call.errors;
        errors.extend(context.errors);
        let ecid = prepared.ecid_key.ecid(context.visitor.uuid).digits();
        let blob = self.blob(context, prepared);
        let answer = IdAnswer {
            mid: Some(prepared.mid().unwrap_or(&ecid)),
            id_sync_ttl_s: ID_SYNC_TTL_S,
            blob: Some(&blob),
            region: Some(prepared.rules.server.region),
            opted_out: false,
            opt_out_ttl_s: OPT_OUT_TTL_S,
            syncs: &[],
            subdomain: prepared.account.alias.as_bytes(),
            errors,
        };
        self.answer_with_syncs(io, context, prepared, answer)
    }

    /// Sends the client on with a cookie, to see whether it brings it back. The location has no scheme: the client
    /// keeps its own.
    fn test_cookies<I: Io>(&mut self, io: &mut I, arrival: &Arrival<'_>, prepared: &Prepared<'_>) -> Option<Buffer> {
        let mut context = arrival.context;
        if context.visitor.cookie.is_none() {
            // Somebody else's id does not become this browser's, but some cookie must be there to be tested.
            let (id, shards) = (self.id, self.plan.shards);
            context.visitor.cookie = Some(identify::draw(&mut self.generator, id, &self.table_hash, shards));
        }
        let mut errors = prepared.call.errors;
        errors.extend(context.errors);
        let envelope = self.envelope(io, &context, prepared);
        let location = [b"/id/rd?", prepared.request.query];
        self.write_answer(|out| answer::redirect(out, &envelope, errors, &location))
    }

    /// What clients send back as `d_blob`: opaque to them, the same for the same visitor and organisation, and of no
    /// use to anybody else.
    fn blob(&self, context: &Context, prepared: &Prepared<'_>) -> [u8; 43] {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let ecid = prepared.ecid_key.ecid(context.visitor.uuid).digits();
        let source = DataSourceId(u32::MAX);
        let halves = [self.id_hash.declared(source, &ecid).bits(), self.id_hash.declared(source, &ecid[1..]).bits()];
        std::array::from_fn(|i| {
            let bit = 6 * i;
            let (half, shift) = (halves[bit / 128], bit % 128);
            ALPHABET[(half >> shift) as usize & 63]
        })
    }
}
