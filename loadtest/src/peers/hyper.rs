//! A constant pixel by hyper on one pinned thread of tokio: what the usual stack takes for the least of answers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::pin::pin_to_core;
use crate::bare::GIF;

/// Serves until the process ends.
pub(super) fn serve(address: SocketAddr, core: Option<usize>) -> io::Result<Infallible> {
    if let Some(core) = core {
        pin_to_core(core)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            // A connection that is slower than it could be is still one.
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let mut http = http1::Builder::new();
                http.pipeline_flush(true);
                // Errors are the client's, who is gone.
                let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    })
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(GIF)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    Ok(response)
}
