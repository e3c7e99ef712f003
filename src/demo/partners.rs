//! Two toy partners, each a real HTTP server with keep-alive: one answers well within the budget, the other long after
//! it. Both read and write the project's own format.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::log::Log;

/// A toy partner: how long it thinks, and what it knows of somebody who looks at a product.
#[derive(Debug)]
pub(super) struct Toy {
    pub name: &'static str,
    pub thinks: Duration,
    pub knows: fn(product: &str) -> &'static [&'static str],
}

pub(super) const SWIFT: Toy = Toy { name: "swift", thinks: Duration::from_millis(5), knows: by_product };
pub(super) const TORTOISE: Toy =
    Toy { name: "tortoise", thinks: Duration::from_millis(300), knows: |_| &["travel-planner"] };

fn by_product(product: &str) -> &'static [&'static str] {
    match product {
        "camera" | "lens" => &["photo-enthusiast"],
        "tent" | "boots" => &["outdoor-adventurer"],
        "laptop" | "headphones" => &["gadget-lover"],
        _ if product.starts_with("flight-") || product.starts_with("hotel-") => &["frequent-flyer"],
        _ => &[],
    }
}

/// The parts of a lookup that a toy looks at.
#[derive(Debug, Deserialize)]
struct Lookup {
    user: User,
    #[serde(default)]
    product: String,
    tmax: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
}

#[derive(Clone)]
struct Desk {
    toy: &'static Toy,
    log: Arc<Log>,
}

pub(super) fn router(toy: &'static Toy, log: Arc<Log>) -> Router {
    Router::new().route("/segments", post(answer)).with_state(Desk { toy, log })
}

async fn answer(State(desk): State<Desk>, Json(lookup): Json<Lookup>) -> Response {
    let number = desk.log.asked(desk.toy.name, &lookup.user.id, &lookup.product, lookup.tmax);
    tokio::time::sleep(desk.toy.thinks).await;
    let known = (desk.toy.knows)(&lookup.product);
    desk.log.answered(number, known);
    if known.is_empty() {
        return axum::http::StatusCode::NO_CONTENT.into_response();
    }
    let segments: Vec<_> = known.iter().map(|id| json!({ "segment_id": id })).collect();
    Json(json!({ "segment": segments })).into_response()
}
