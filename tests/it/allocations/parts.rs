//! Asking partners, reading their answers and choosing destinations allocates nothing once everything is made: each
//! part by itself, with what is hardest on it.

use std::ops::RangeInclusive;

use pinion::destination::{
    Conditions, CookieSettings, DestinationKind, DestinationSettings, Destinations, Entries, Occasion, Pages,
    UrlSettings, UrlTag,
};
use pinion::event::call::Platform;
use pinion::ids::{DataSourceId, PartnerIndex, SegmentId};
use pinion::limits::PARTNER_BODY_BYTES_MAX;
use pinion::partner::answer::Answer;
use pinion::partner::calls::Calls;
use pinion::partner::format::{Format, FormatName, FormatSettings};
use pinion::partner::pool::{Pool, PoolLimits};
use pinion::partner::reader::{AnswerHead, AnswerReader};
use pinion::partner::request::write_request;
use pinion::partner::settings::{Partner, PartnerSettings, SentId};
use pinion::partner::time_left::TimeLeft;
use pinion::template::{MacroValues, Rendered, Sink, Writer};

use crate::allocator::changes_of;

/// Answers that are hard on each of the reader's buffers, and some that are no answers.
fn adversarial_bodies() -> Vec<Vec<u8>> {
    let full = |start: &str, part: &str, end: &str| {
        let count = (PARTNER_BODY_BYTES_MAX - start.len() - end.len()) / part.len();
        format!("{start}{}{end}", part.repeat(count)).into_bytes()
    };
    let distinct_keys = |start: &str, value: &str| {
        let members: Vec<_> = (0..6_000).map(|key| format!("\"{key:x}\":{value}")).collect();
        format!("{start}{{{}}}}}", members.join(",")).into_bytes()
    };
    let mut bodies = vec![
        full("{\"segments\":[", "0,", "0]}"),
        full("{\"segments\":[", "\"\",", "0]}"),
        full("{\"segments\":[", "\"\\u00e9\",", "0]}"),
        full("{\"segments\":{", "\"\":1,", "\"\":1}}"),
        full("{\"targeting\":{", "\"\":1,", "\"\":1}}"),
        full("{\"targeting\":{\"a\":[", "\"b\",", "\"c\"]}}"),
        full("{\"targeting\":{", "\"a\":[],", "\"a\":[]}}"),
        full("{\"segments\":[\"", "x", "\"]}"),
        full("", "[", ""),
        full("", "{\"\":", ""),
        full("", ",", ""),
        full("", "\"", ""),
        full("", "0 ", ""),
        full("", "\\", ""),
        full("", "\u{e9}", ""),
        vec![0xff; PARTNER_BODY_BYTES_MAX],
        vec![b' '; PARTNER_BODY_BYTES_MAX + 1],
        full("{\"segments\":[", "1", "]}"),
        distinct_keys("{\"segments\":", "1"),
        distinct_keys("{\"targeting\":", "[\"v\"]"),
        b"{\"segment\":[{\"segment_id\":\"a\",\"ttl\":1}]}".to_vec(),
        b"cb({\"segments\":[\"a\"]});".to_vec(),
        Vec::new(),
    ];
    bodies.retain(|body| body.len() <= PARTNER_BODY_BYTES_MAX + 1);
    bodies
}

struct Values;

impl MacroValues for Values {
    fn visitor_id(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"00000000000000000010000000000000000002");
    }
    fn ecid(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"3");
    }
    fn declared_id(&self, _: DataSourceId, sink: &mut Sink<'_, '_>) {
        sink.push(b"joe \xff");
    }
    fn ip(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"192.0.2.1");
    }
    fn user_agent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"Mozilla/5.0 \"x\"");
    }
    fn referer(&self, _: &mut Sink<'_, '_>) {}
    fn page(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https://a.example/");
    }
    fn region(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(6);
    }
    fn random(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(u64::MAX);
    }
    fn timestamp(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(1);
    }
    fn timeout_ms(&self, sink: &mut Sink<'_, '_>) {
        sink.push_decimal(45);
    }
    fn http_proto(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"https");
    }
    fn gdpr(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"1");
    }
    fn gdpr_consent(&self, sink: &mut Sink<'_, '_>) {
        sink.push(b"CP");
    }
    fn gpp(&self, _: &mut Sink<'_, '_>) {}
    fn gpp_sid(&self, _: &mut Sink<'_, '_>) {}
    fn signal(&self, _: &[u8], _: &mut Sink<'_, '_>) {}
}

fn read_answers() -> u64 {
    let names = FormatName::names().map(|name| FormatName::from_name(name).unwrap());
    let formats: Vec<_> = names
        .flat_map(|name| [false, true].map(|wrapped| (name, wrapped)))
        .map(|(name, wrapped)| FormatSettings {
            name,
            wrapped: Some(wrapped),
            stale: true,
            ..FormatSettings::default()
        })
        .map(|settings| Format::compile(&settings).unwrap())
        .collect();
    let bodies = adversarial_bodies();
    let (mut reader, mut answer) = (AnswerReader::new(), Answer::new());
    let head = AnswerHead { status: 200, content_encoding: None };
    let mut read = 0;
    let changes = changes_of(|| {
        for format in &formats {
            for body in &bodies {
                read += usize::from(reader.read(format, head, body, 0, &mut answer).is_ok());
                read += answer.segments().len() + answer.signals().len();
            }
        }
    });
    assert!(read > 10_000, "the bodies were to be read, not refused");
    changes
}

fn write_requests() -> u64 {
    let sent_ids = vec![SentId { data_source: DataSourceId(1), source: "a.example".to_owned(), required: true }];
    let settings = PartnerSettings {
        name: "acme".to_owned(),
        url: "http://a.example/?u=%did%&i=%dpid_12!%&t=%timeout_ms%".to_owned(),
        headers: vec![("X-Ip".to_owned(), "%ip%".to_owned())],
        sent_ids,
        ..PartnerSettings::default()
    };
    let template = PartnerSettings { body: Some("{\"u\":\"%ua%%dpid_3%\"}".to_owned()), ..settings.clone() };
    let partners = [settings, template].map(|settings| Partner::compile(settings).unwrap());
    let mut room = vec![0; 4_096];
    changes_of(|| {
        for partner in &partners {
            let mut left = TimeLeft::new(45);
            let mut out = Writer::new(&mut room);
            let rendered = write_request(partner, &Values, &mut left, &mut out);
            assert!(matches!(rendered, Rendered::Ok(len) if len > 100));
            left.tell(7, &mut out);
            assert_eq!(left.ms(), 7);
            assert_eq!(
                write_request(partner, &Values, &mut left, &mut Writer::new(&mut room[..200])),
                Rendered::Overflow
            );
            assert!(partner.segment_traits.of(b"x").is_empty() && partner.is_in_share(7));
        }
    })
}

fn drive_pool_and_calls() -> u64 {
    let limits = PoolLimits { connections_max: 16, idle_min: 2, idle_ns: 10, queue_max: 8 };
    let mut pool: Pool<u32> = Pool::new(limits);
    let mut calls: Calls<u64, u32> = Calls::new(64, 128, [1; 16]);
    changes_of(|| {
        for round in 0..50 {
            for call in 0..40 {
                pool.acquire(call);
            }
            while pool.connecting_count() > 0 {
                pool.connected(round * 100 + pool.connecting_count() as u32, 0);
            }
            for call in 0..40 {
                pool.give_up(call);
            }
            let mut conn = round * 1_000_000;
            while pool.busy_count() > 0 {
                conn += 1;
                pool.release(conn, u64::from(round));
            }
            while pool.expire(1_000_000).is_some() {}
            for visitor in 0..80 {
                let uuid = pinion::identity::Uuid { high: visitor, low: 1 };
                if let Ok(id) = calls.insert(uuid, PartnerIndex(0), visitor) {
                    while visitor % 3 == 0 && calls.join(id, 1) && calls.jobs(id).count() < 20 {}
                }
            }
            for slot in 0..64 {
                calls.id_at(slot).and_then(|id| calls.remove(id));
            }
            assert!(calls.is_empty());
        }
    })
}

fn choose_destinations() -> u64 {
    let hosts = |numbers: RangeInclusive<u32>| numbers.map(|number| format!("s{number}.page.example").into()).collect();
    let cookie = |id: u32| {
        DestinationKind::Cookie(CookieSettings {
            name: format!("c{id}"),
            domain: ".a.example".to_owned(),
            pages: match id % 3 {
                0 => Pages::All,
                1 => Pages::Only(hosts(99..=100)),
                _ => Pages::Except(hosts(0..=99)),
            },
            ttl_days: 30,
            key: Some("k".to_owned()),
            separator: ",".to_owned(),
            values: (0..100).map(|segment| (SegmentId(segment), format!("{segment}-%did%"))).collect(),
        })
    };
    let url = || {
        DestinationKind::Url(UrlSettings {
            tag: UrlTag::Img,
            url: "//a.example/?u=%did%&s=%alias%".to_owned(),
            secure_url: Some("https://a.example/?u=%did%&i=%dpid_1!%".to_owned()),
            segments: vec![(SegmentId(1), "one".to_owned())],
            delimiter: Some(",".to_owned()),
        })
    };
    let kind = |id: u32| if id.is_multiple_of(2) { cookie(id) } else { url() };
    let settings: Vec<_> =
        (0..1_000).map(|id| DestinationSettings { id, conditions: Conditions::default(), kind: kind(id) }).collect();
    let (destinations, mut entries) = (Destinations::compile(&settings).unwrap(), Entries::new());
    let segments: Vec<_> = (0..200).map(SegmentId).collect();
    let changes = changes_of(|| {
        for platform in [Platform::Browser, Platform::Ios] {
            let occasion = Occasion { today: 1, platform, page_host: Some(b"www.S100.page.example") };
            entries.clear();
            destinations.url_entries(&segments, &occasion, |_| true, &Values, &mut entries);
            destinations.cookie_entries(&segments, &occasion, |_| true, &Values, &mut entries);
        }
    });
    assert!(entries.urls().len() > 100 && entries.dropped() > 100, "more than there is room for");
    changes
}

#[test]
fn nothing_is_allocated_on_the_way_to_a_partner_and_back() {
    assert_eq!(read_answers(), 0, "while reading answers");
    assert_eq!(write_requests(), 0, "while writing requests");
    assert_eq!(choose_destinations(), 0, "while choosing destinations");
    assert_eq!(drive_pool_and_calls(), 0, "in pools and calls");
}
