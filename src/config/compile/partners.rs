//! Partners: from the file's words to the settings that [`Partner::compile`] takes.

use std::net::{IpAddr, SocketAddr};

use ahash::AHashMap;
use toml::Spanned;

use super::super::file::{self, File};
use super::super::reader::Faults;
use super::Places;
use crate::ids::{AccountIndex, DataSourceId, PartnerId, PartnerIndex, TraitId};
use crate::partner::format::{FormatName, FormatSettings};
use crate::partner::settings::{Method, Mode, OnAbsence, Partner, PartnerSettings, SentId, SettingsError, UserId};
use crate::template::Template;

/// By data source, which texts stand for which of its traits: their ids and integration codes.
pub(super) type SegmentCodes = AHashMap<u32, Vec<(String, TraitId)>>;

pub(super) fn segment_codes(file: &File) -> SegmentCodes {
    let mut codes: SegmentCodes =
        file.partners.iter().map(|partner| (*partner.data_source.get_ref(), Vec::new())).collect();
    for entry in file.traits.iter().filter(|entry| entry.children.is_none()) {
        let Some(codes) = codes.get_mut(entry.data_source.get_ref()) else { continue };
        let id = TraitId(*entry.id.get_ref());
        codes.extend(entry.integration_code.as_ref().map(|code| (code.get_ref().clone(), id)));
        codes.push((id.to_string(), id));
    }
    codes
}

/// The partners that an account asks.
pub(super) fn of_account(partners: &[Partner], account: AccountIndex) -> Box<[PartnerIndex]> {
    let own = partners.iter().enumerate().filter(|(_, partner)| partner.account == account);
    own.map(|(index, _)| PartnerIndex(index as u16)).collect()
}

/// Where the partner is reached without asking DNS; empty: DNS must be asked.
pub(super) fn addresses(entry: &file::Partner, partner: &Partner) -> Box<[SocketAddr]> {
    let port = partner.url.port;
    match (&entry.addresses, partner.url.host.parse::<IpAddr>()) {
        (Some(fixed), _) => {
            let with_port =
                |fixed: &super::super::values::FixedAddress| SocketAddr::new(fixed.ip, fixed.port.unwrap_or(port));
            fixed.get_ref().iter().map(with_port).collect()
        }
        (None, Ok(ip)) => [SocketAddr::new(ip, port)].into(),
        (None, Err(_)) => Box::default(),
    }
}

pub(super) fn compile(
    entry: &file::Partner,
    file: &File,
    places: &Places<'_>,
    codes: &SegmentCodes,
    faults: &mut Faults<'_>,
) -> Option<Partner> {
    let account = places.account(&entry.account)?;
    check_headers(entry, faults);
    let settings = settings(entry, file, account, codes);
    match Partner::compile(settings) {
        Ok(partner) => Some(partner),
        Err(errors) => {
            errors.into_iter().for_each(|error| add(entry, error, faults));
            None
        }
    }
}

fn settings(entry: &file::Partner, file: &File, account: AccountIndex, codes: &SegmentCodes) -> PartnerSettings {
    let text = |text: &Spanned<String>| text.get_ref().clone();
    let budget_ms = *file.accounts[usize::from(account.0)].budget_ms.get_ref();
    PartnerSettings {
        id: PartnerId(*entry.id.get_ref()),
        name: text(&entry.name),
        account,
        data_source: DataSourceId(*entry.data_source.get_ref()),
        method: match entry.method {
            file::Method::Get => Method::Get,
            file::Method::Post => Method::Post,
        },
        url: text(&entry.url),
        headers: entry.headers.iter().map(|(name, value)| (text(name), text(value))).collect(),
        body: entry.body.as_ref().map(text),
        content_type: text(&entry.content_type),
        user_id: user_id(entry),
        sent_ids: entry.eids.iter().map(sent_id).collect(),
        mode: match entry.mode {
            file::Mode::Wait => Mode::Wait,
            file::Mode::Background => Mode::Background,
            file::Mode::WaitIfUnknown => Mode::WaitIfUnknown,
        },
        format: format(entry),
        ttl_s: entry.ttl_s,
        negative_ttl_s: entry.negative_ttl_s,
        min_ms: *entry.min_ms.get_ref(),
        timeout_ms: entry.timeout_ms.as_ref().map_or(budget_ms, |timeout| *timeout.get_ref()),
        late_ms: *entry.late_ms.get_ref(),
        connect_ms: *entry.connect_ms.get_ref(),
        idle_ms: *entry.idle_ms.get_ref(),
        connections_max: *entry.max_connections.get_ref() as usize,
        idle_min: *entry.min_idle.get_ref() as usize,
        queue_max: *entry.queue_max.get_ref() as usize,
        answer_bytes_max: *entry.answer_bytes_max.get_ref() as usize,
        // In thousandths; out of range is told by `validate`, and must not wrap on its way there.
        share_permille: (*entry.share_percent.get_ref()).min(u32::from(u16::MAX / 10)) as u16 * 10,
        shadow: entry.shadow,
        on_absence: match entry.on_absence {
            file::OnAbsence::Keep => OnAbsence::Keep,
            file::OnAbsence::Drop => OnAbsence::Drop,
        },
        vendor_id: entry.vendor_id.as_ref().map(|id| *id.get_ref()),
        segment_traits: codes.get(entry.data_source.get_ref()).cloned().unwrap_or_default(),
    }
}

fn user_id(entry: &file::Partner) -> UserId {
    match (entry.user_id.get_ref(), &entry.id_source) {
        (file::UserId::Uuid, _) => UserId::VisitorId,
        (file::UserId::Ecid, _) => UserId::Ecid,
        (file::UserId::Declared, Some(id)) => UserId::Declared(DataSourceId(*id.get_ref())),
        (file::UserId::Declared, None) | (file::UserId::None, _) => UserId::None,
    }
}

fn sent_id(sent: &file::SentId) -> SentId {
    SentId {
        data_source: DataSourceId(*sent.data_source.get_ref()),
        source: sent.source.get_ref().clone(),
        required: sent.required,
    }
}

fn format(entry: &file::Partner) -> FormatSettings {
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.get_ref().clone());
    FormatSettings {
        name: match entry.format {
            file::AnswerFormat::Pinion => FormatName::Pinion,
            file::AnswerFormat::OpenRtb => FormatName::OpenRtb,
            file::AnswerFormat::Flat => FormatName::Flat,
            file::AnswerFormat::Scored => FormatName::Scored,
            file::AnswerFormat::Lotame => FormatName::Lotame,
            file::AnswerFormat::BlueKai => FormatName::BlueKai,
            file::AnswerFormat::Targeting => FormatName::Targeting,
            file::AnswerFormat::Stale => FormatName::Stale,
            file::AnswerFormat::Dcs => FormatName::Dcs,
        },
        paths: entry.segments_paths.iter().map(|path| path.get_ref().clone()).collect(),
        element_id: text(&entry.element),
        element_ttl: text(&entry.element_ttl),
        id_path: text(&entry.id_path),
        ttl_path: text(&entry.ttl_path),
        min_score: entry.min_score.as_ref().map_or(0.0, |score| *score.get_ref()),
        wrapped: entry.wrapped,
        stale: entry.stale,
        empty_statuses: entry.status_empty.iter().map(|status| *status.get_ref()).collect(),
    }
}

/// The compiler does not say which header it means.
fn check_headers(entry: &file::Partner, faults: &mut Faults<'_>) {
    for value in entry.headers.values() {
        if let Err(error) = Template::compile(value.get_ref()) {
            faults.add_within_unless_told(value, error.span, error.message);
        }
    }
}

fn add(entry: &file::Partner, error: SettingsError, faults: &mut Faults<'_>) {
    let SettingsError { field, message, span } = error;
    let text = match field {
        "name" => Some(&entry.name),
        "url" => Some(&entry.url),
        "body" => entry.body.as_ref(),
        "content_type" => Some(&entry.content_type),
        "format" => faulty_path(entry, &message),
        _ => None,
    };
    match (text, span) {
        (Some(text), Some(span)) => faults.add_within_unless_told(text, span, message),
        (Some(text), None) if !text.span().is_empty() => faults.add_unless_told(text.span(), message),
        // `validate` and `check_headers` told which one; if they ever let one pass, it is not lost.
        (None, _) if field == "headers" && !faults.is_empty() => {}
        _ => faults.add_unless_told(number_span(entry, field), message),
    }
}

/// The compiler's message begins with the path that it is about.
fn faulty_path<'e>(entry: &'e file::Partner, message: &str) -> Option<&'e Spanned<String>> {
    let others = [&entry.id_path, &entry.ttl_path].into_iter().flatten();
    entry.segments_paths.iter().chain(others).find(|path| message.starts_with(&format!("`{}` ", path.get_ref())))
}

/// Where a number stands; one that was left out is pointed at by the partner's id.
fn number_span(entry: &file::Partner, field: &str) -> std::ops::Range<usize> {
    let written = match field {
        "share" => entry.share_percent.span(),
        "max_connections" => entry.max_connections.span(),
        "min_idle" => entry.min_idle.span(),
        "timeout_ms" => entry.timeout_ms.as_ref().unwrap_or(&entry.min_ms).span(),
        "connect_ms" => entry.connect_ms.span(),
        "idle_ms" => entry.idle_ms.span(),
        "answer_bytes_max" => entry.answer_bytes_max.span(),
        _ => 0..0,
    };
    if written.is_empty() { entry.id.span() } else { written }
}
