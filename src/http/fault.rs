//! What a peer can do wrong at the level of HTTP. A connection with a fault is answered (if it is a client's) and
//! closed: after it nobody can tell where the next message would begin.

/// One reason for each rule, so that metrics can tell a broken client from an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpFault {
    /// A request line that is not `METHOD SP TARGET SP HTTP/d.d`; also HTTP/0.9.
    RequestLine,
    /// A status line that is not `HTTP/1.d SP ddd [SP reason]`.
    StatusLine,
    /// A target of a form that the method doesn't take, or with a bad authority.
    Target,
    /// A line that doesn't end in CRLF, or a CR within a line.
    LineEnding,
    /// A header or trailer line with a bad name, a control byte, a fold, or a space ahead of its colon.
    Header,
    /// HTTP/1.1 without Host, a second Host, or one that is no host.
    Host,
    /// A Content-Length that is repeated, no number, or beside a Transfer-Encoding.
    Length,
    /// A Transfer-Encoding that doesn't end the message, is repeated, malformed, or in HTTP/1.0.
    Coding,
    /// A malformed chunk.
    Chunk,
    /// A body over its bound.
    BodySize,
    /// A request target over its bound.
    TargetSize,
    /// More or longer headers than the bounds allow.
    HeadSize,
    /// An `Expect` that can't be met.
    Expectation,
    /// A method that nobody registered.
    MethodUnknown,
    /// A transfer coding that is not implemented here.
    CodingUnknown,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionUnknown,
    /// A partner that switches protocols, which nobody asked for.
    ProtocolSwitch,
    /// A partner that closed in the middle of an answer.
    Truncated,
}

impl HttpFault {
    /// The status to answer a client with before closing.
    pub fn status(self) -> u16 {
        match self {
            HttpFault::RequestLine
            | HttpFault::StatusLine
            | HttpFault::Target
            | HttpFault::LineEnding
            | HttpFault::Header
            | HttpFault::Host
            | HttpFault::Length
            | HttpFault::Coding
            | HttpFault::Chunk
            | HttpFault::ProtocolSwitch
            | HttpFault::Truncated => 400,
            HttpFault::BodySize => 413,
            HttpFault::TargetSize => 414,
            HttpFault::Expectation => 417,
            HttpFault::HeadSize => 431,
            HttpFault::MethodUnknown | HttpFault::CodingUnknown => 501,
            HttpFault::VersionUnknown => 505,
        }
    }
}
