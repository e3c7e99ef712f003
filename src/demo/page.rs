//! The page and what it asks its own origin for: names of traits and segments, and what the toy partners saw.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::log::{Entry, Log, unix_ms};
use crate::config::file::File;

const PAGE: &str = include_str!("page.html");
/// The 43 bytes of a transparent 1x1 GIF.
const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

pub(super) fn router(file: &File, data_port: u16, log: Arc<Log>) -> Router {
    let names = Arc::new(names(file, data_port));
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/demo", get(|| async { Html(PAGE) }))
        .route("/demo/names", get(move || async move { Json(Value::clone(&names)) }))
        .route("/demo/log", get(entries))
        .route("/demo/pixel", get(pixel))
        .with_state(log)
}

/// What the page needs to know of the config.
fn names(file: &File, data_port: u16) -> Value {
    let partners: BTreeMap<u32, &str> =
        file.partners.iter().map(|partner| (*partner.data_source.get_ref(), partner.name.get_ref().as_str())).collect();
    let traits: BTreeMap<String, Value> = file
        .traits
        .iter()
        .map(|entry| {
            let rule =
                entry.expression.as_ref().or(entry.integration_code.as_ref()).map(|text| text.get_ref().as_str());
            let partner = partners.get(entry.data_source.get_ref());
            let name = entry.name.get_ref();
            (entry.id.get_ref().to_string(), json!({ "name": name, "rule": rule, "partner": partner }))
        })
        .collect();
    let segments: BTreeMap<String, Value> = file
        .segments
        .iter()
        .map(|entry| {
            let (name, rule) = (entry.name.get_ref(), entry.expression.get_ref());
            (entry.id.get_ref().to_string(), json!({ "name": name, "rule": rule }))
        })
        .collect();
    let budget_ms = file.accounts.first().map(|account| *account.budget_ms.get_ref());
    let ttl_s: BTreeMap<&str, u32> =
        file.partners.iter().map(|partner| (partner.name.get_ref().as_str(), partner.ttl_s)).collect();
    json!({
        "data_port": data_port,
        "budget_ms": budget_ms,
        "ttl_s": ttl_s,
        "traits": traits,
        "segments": segments,
    })
}

#[derive(Debug, Deserialize)]
struct Asked {
    visitor: String,
    #[serde(default)]
    since_ms: u64,
}

/// `now_ms` lets the page compare its clock with the entries'.
async fn entries(State(log): State<Arc<Log>>, Query(asked): Query<Asked>) -> Json<Value> {
    let entries: Vec<Entry> = log.of(&asked.visitor, asked.since_ms);
    Json(json!({ "now_ms": unix_ms(), "entries": entries }))
}

#[derive(Debug, Deserialize)]
struct Fired {
    #[serde(default)]
    visitor: String,
}

/// Where the demo's URL destination leads.
async fn pixel(State(log): State<Arc<Log>>, Query(fired): Query<Fired>) -> impl IntoResponse {
    let number = log.asked("pixel", &fired.visitor, "", None);
    log.answered(number, &[]);
    ([(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store")], PIXEL)
}
