//! Status lines of the answers that pinion gives.

/// The status line with its CRLF.
///
/// # Panics
/// For a status that no answer of ours has.
pub fn line(status: u16) -> &'static [u8] {
    match status {
        100 => b"HTTP/1.1 100 Continue\r\n",
        200 => b"HTTP/1.1 200 OK\r\n",
        204 => b"HTTP/1.1 204 No Content\r\n",
        302 => b"HTTP/1.1 302 Found\r\n",
        304 => b"HTTP/1.1 304 Not Modified\r\n",
        400 => b"HTTP/1.1 400 Bad Request\r\n",
        403 => b"HTTP/1.1 403 Forbidden\r\n",
        404 => b"HTTP/1.1 404 Not Found\r\n",
        405 => b"HTTP/1.1 405 Method Not Allowed\r\n",
        408 => b"HTTP/1.1 408 Request Timeout\r\n",
        413 => b"HTTP/1.1 413 Content Too Large\r\n",
        414 => b"HTTP/1.1 414 URI Too Long\r\n",
        415 => b"HTTP/1.1 415 Unsupported Media Type\r\n",
        417 => b"HTTP/1.1 417 Expectation Failed\r\n",
        421 => b"HTTP/1.1 421 Misdirected Request\r\n",
        429 => b"HTTP/1.1 429 Too Many Requests\r\n",
        431 => b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        500 => b"HTTP/1.1 500 Internal Server Error\r\n",
        501 => b"HTTP/1.1 501 Not Implemented\r\n",
        503 => b"HTTP/1.1 503 Service Unavailable\r\n",
        505 => b"HTTP/1.1 505 HTTP Version Not Supported\r\n",
        _ => panic!("no status line for {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpFault;

    #[test]
    fn each_line_begins_with_its_status_and_faults_have_one() {
        for status in [100, 200, 204, 302, 304, 400, 403, 404, 405, 408, 413, 414, 415, 417, 421, 429, 431, 500, 503] {
            let line = std::str::from_utf8(line(status)).unwrap();
            assert!(line.starts_with(&format!("HTTP/1.1 {status} ")) && line.ends_with("\r\n"));
        }
        for fault in [HttpFault::MethodUnknown, HttpFault::VersionUnknown, HttpFault::Host, HttpFault::BodySize] {
            assert!(line(fault.status()).len() > 15);
        }
    }
}
