//! The admin port: is the process there, does it serve, what did it count. It is never one of the data ports, and by
//! default only this machine reaches it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::metrics;
use crate::metrics::{ControlTotals, OptOutMetrics, PartnerCounts, ShardMetrics};

/// What the admin pages show.
#[derive(Debug)]
pub struct Admin {
    /// Written by the control thread alone.
    pub totals: ControlTotals,
    shards: Vec<Arc<ShardMetrics>>,
    opt_outs: Arc<OptOutMetrics>,
    /// The partners in use; a reload changes them.
    partners: watch::Sender<Vec<PartnerCounts>>,
    serving: AtomicBool,
    draining: AtomicBool,
}

impl Admin {
    pub fn new(shards: Vec<Arc<ShardMetrics>>, opt_outs: Arc<OptOutMetrics>) -> Admin {
        Admin {
            totals: ControlTotals::default(),
            shards,
            opt_outs,
            partners: watch::Sender::default(),
            serving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    pub fn set_partners(&self, partners: Vec<PartnerCounts>) {
        self.partners.send_replace(partners);
    }

    /// All shards accept clients from now on.
    pub fn shards_serve(&self) {
        self.serving.store(true, Relaxed);
    }

    /// No new clients from now on: whoever sends them here is to stop.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub fn is_ready(&self) -> bool {
        self.serving.load(Relaxed) && !self.draining.load(Relaxed)
    }

    fn exposition(&self) -> String {
        metrics::exposition(&self.shards, &self.totals, &self.opt_outs, &self.partners.borrow())
    }
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(exposition))
        .with_state(admin)
}

/// Binds a router's port now, so that a port in use is told at start, and serves it in the background of the control
/// thread. Returns where it is bound.
pub async fn serve(address: SocketAddr, router: Router) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(bound)
}

async fn readiness(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    match admin.is_ready() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

async fn exposition(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], admin.exposition())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::ids::PartnerId;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn readiness_follows_the_shards() {
        let admin = Arc::new(Admin::new(vec![Arc::default(), Arc::default()], Arc::default()));
        let address = serve("127.0.0.1:0".parse().unwrap(), router(Arc::clone(&admin))).await.unwrap();
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503 "));
        admin.shards_serve();
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        admin.drain();
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503 "));
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn metrics_name_the_partners_in_use() {
        let admin = Arc::new(Admin::new(vec![Arc::default()], Arc::default()));
        let swift = PartnerCounts { id: PartnerId(1), name: "swift".to_owned(), shards: [Arc::default()].into() };
        admin.set_partners(vec![swift]);
        let address = serve("127.0.0.1:0".parse().unwrap(), router(admin)).await.unwrap();
        let answer = ask(address, "/metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("\npinion_partner_calls_total{shard=\"0\",partner=\"swift\"} 0\n"), "{answer}");
        assert!(ask(address, "/event").await.starts_with("HTTP/1.1 404 "));
    }
}
