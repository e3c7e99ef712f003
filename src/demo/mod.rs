//! What `pinion demo` adds to the server: a config with an account `demo`, two toy partners, and a page on which a
//! person clicks through products and watches signals, partner answers, traits and segments appear.
//!
//! All of it runs on the control thread. The server itself is the real one: it knows nothing of the demo.
#![forbid(unsafe_code)]

mod log;
mod page;
mod partners;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::file;
use crate::control::admin;
use crate::control::secret::entropy;
use crate::identity::Secret;
use log::Log;

const CONFIG: &str = include_str!("demo.toml");

/// Where the demo's servers are to listen.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    pub page: SocketAddr,
}

/// The toy partners and the page, which serve from now on.
#[derive(Debug)]
pub struct Demo {
    /// The config file's text, with all addresses filled in.
    pub config: String,
    /// Where the page is.
    pub page: SocketAddr,
}

/// Starts the toy partners on free ports and the page, all in the background of the calling tokio runtime.
///
/// # Errors
/// When a port can't be had.
///
/// # Panics
/// When the embedded config is not valid, which a test rules out.
pub async fn start(addresses: Addresses) -> io::Result<Demo> {
    let log = Arc::new(Log::default());
    let free: SocketAddr = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let swift = admin::serve(free, partners::router(&partners::SWIFT, Arc::clone(&log))).await?;
    let tortoise = admin::serve(free, partners::router(&partners::TORTOISE, Arc::clone(&log))).await?;
    let addresses = Addresses { data: with_port(addresses.data)?, ..addresses };
    // The page's own port is part of the config, and the config's names are part of the page: bind first.
    let listener = tokio::net::TcpListener::bind(addresses.page).await?;
    let page = listener.local_addr()?;
    let secret = Secret::from_bytes(entropy()?);
    let config = filled(&Addresses { page, ..addresses }, swift, tortoise, &secret);
    let file = file::parse(&config, "demo.toml").unwrap_or_else(|errors| {
        panic!("the demo's config: {}", errors.first().map_or(String::new(), |e| e.to_string()))
    });
    let router = page::router(&file, addresses.data.port(), log);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(Demo { config, page })
}

/// The page must know the port before the shards have it: a free one is found by taking it for a moment.
fn with_port(address: SocketAddr) -> io::Result<SocketAddr> {
    if address.port() == 0 { std::net::TcpListener::bind(address)?.local_addr() } else { Ok(address) }
}

fn filled(addresses: &Addresses, swift: SocketAddr, tortoise: SocketAddr, secret: &Secret) -> String {
    CONFIG
        .replace("@data@", &addresses.data.to_string())
        .replace("@admin@", &addresses.admin.to_string())
        .replace("@page_port@", &addresses.page.port().to_string())
        .replace("@secret@", &secret.to_hex())
        .replace("@swift@", &swift.to_string())
        .replace("@tortoise@", &tortoise.to_string())
}

#[cfg(test)]
mod tests;
