//! What a call says: query, body and cookies.

use pinion::event::call::{CallBuffers, Headers, Request};
use pinion::event::cookie::CookiesSent;
use pinion::event::form::Scratch;
use pinion::event::ibs::{self, SyncText};
use pinion::limits::{CALL_SIGNALS_MAX, DECLARED_IDS_READ_MAX, DIRECT_TRAITS_MAX};

/// The first line is the query, the rest the body.
pub fn query(data: &[u8]) {
    let (query, body) = super::split_line(data);
    let headers = Headers { content_type: Some(b"application/x-www-form-urlencoded"), ..Headers::default() };
    let request = Request { query, body, headers };
    let (mut buffers, mut others) = (CallBuffers::new(), CallBuffers::new());
    let (mut scratch, mut room) = (vec![0; data.len()], vec![0; data.len()]);
    let call = buffers.decode(&request, &mut scratch);
    assert!(call.signals.len() <= CALL_SIGNALS_MAX && call.traits.len() <= DIRECT_TRAITS_MAX);
    assert!(call.declared_ids.len() <= DECLARED_IDS_READ_MAX);
    // Memory that served one call serves the next.
    let mut small = [0; 64];
    let other = others.decode(&Request { query: b"c_a=%20&d_sid=1&d_cid=1%01x", ..Request::default() }, &mut small);
    others.take_back(other);
    assert_eq!(call, others.decode(&request, &mut room));

    let encoded: Vec<u8> = data.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect();
    let mut room = vec![0; encoded.len()];
    assert_eq!(Scratch::new(&mut room).decode(&encoded), Ok(data));

    let (head, tail) = (query, data.contains(&b'\n').then_some(body));
    let mut room = vec![0; 2 * (data.len() + 1)];
    let sync = ibs::parse(SyncText { head, tail }, &mut room);
    assert!(sync.is_ok_and(|sync| sync.redirect.is_none_or(|url| url.len() <= data.len() + 1)) || sync.is_err());
}

/// Cookies of one line are those of several.
pub fn cookies(data: &[u8]) {
    let together = CookiesSent::parse([data]);
    assert_eq!(together, CookiesSent::parse(data.split(|&byte| byte == b';')));
    let shut = [data, b"; demdex=NOTARGET"].concat();
    assert!(CookiesSent::parse([&shut[..]]).opted_out());
}
