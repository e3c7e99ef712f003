//! Text with macros: the URLs, headers and bodies that go out to partners, and what destinations send to browsers.
//!
//! A template is compiled once, when the config is loaded, into literal pieces and macros. Rendering copies the pieces
//! into a slice and asks a [`MacroValues`] for the rest, encoding each value for the place it stands in.
//!
//! Two spellings are macros: `%name%` (the field's oldest) and `${NAME}` (the consent strings of the IAB). Names are
//! matched in any case. `!` before the closing mark makes one required: when it turns out empty, nothing is sent.
//! A percent sign with two hex digits behind it is an escaped byte, and no macro's name begins like one.
#![forbid(unsafe_code)]

mod compile;
mod render;
#[cfg(test)]
pub(crate) mod sample;

use std::ops::Range;

use crate::ids::DataSourceId;
pub use crate::writer::Writer;
pub use render::{MacroValues, Rendered, Sink};

/// A compiled text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

/// What stands for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Macro {
    /// `%did%`: the visitor's uuid.
    VisitorId,
    /// `%mcid%`: the visitor's ECID for the calling organisation.
    Ecid,
    /// `%dpid_N%`: the visitor's id at data source N.
    DeclaredId(DataSourceId),
    Ip,
    UserAgent,
    Referer,
    Page,
    Region,
    /// `%rnd%`: a number that keeps caches from answering.
    Random,
    /// `%timestamp%`: Unix time in seconds.
    Timestamp,
    /// `%timeout_ms%`: what is left of the call's time.
    TimeoutMs,
    /// `%http_proto%`: `http` or `https`.
    HttpProto,
    /// `${GDPR}`: `0` or `1`.
    Gdpr,
    /// `${GDPR_CONSENT}`, also with a vendor's number behind it, as some partners write it.
    GdprConsent,
    Gpp,
    GppSid,
    /// `%sig_KEY%`: the first value of a signal.
    Signal(Box<[u8]>),
    /// `%alias%`: what stands for segments, in a destination's URL and nowhere else.
    Alias,
}

/// What the place of a value in the text asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// In a URL or a form body: all but unreserved characters become `%XX`.
    Percent,
    /// Within a JSON string: quotes, backslashes and control bytes are escaped, invalid UTF-8 becomes U+FFFD.
    Json,
    /// In a header or a cookie: control bytes, CR and LF among them, are dropped.
    Header,
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong, a sentence without its full stop.
    pub message: String,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A part of the text that goes out as it is.
    Literal(Range<usize>),
    Macro {
        which: Macro,
        required: bool,
        /// The macro as it was written: what a browser gets when the macro is its to replace.
        written: Range<usize>,
    },
}

impl Macro {
    /// Whether its value is a number that the server makes, and so is JSON without quotes around it.
    pub fn is_number(&self) -> bool {
        matches!(self, Macro::Region | Macro::Random | Macro::Timestamp | Macro::TimeoutMs | Macro::Gdpr)
    }

    /// Whether the iframe that fires syncs and destinations replaces this one itself.
    pub fn known_to_iframe(&self) -> bool {
        matches!(self, Macro::VisitorId | Macro::Timestamp | Macro::Random | Macro::HttpProto)
    }
}

impl Template {
    /// The text that was compiled.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The macros in order, each as often as it occurs.
    pub fn macros(&self) -> impl Iterator<Item = &Macro> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Macro { which, .. } => Some(which),
            Piece::Literal(_) => None,
        })
    }

    /// Where in a text that is to be JSON a value would stand outside of quotes that is no number: nothing keeps it
    /// from being more than one value there.
    pub fn unquoted_value(&self) -> Option<Range<usize>> {
        let (mut is_quoted, mut is_escaped) = (false, false);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(range) => self.text[range.clone()].bytes().for_each(|byte| match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' if is_quoted => is_escaped = true,
                    b'"' => is_quoted = !is_quoted,
                    _ => {}
                }),
                Piece::Macro { which, .. } if !is_escaped && (is_quoted || which.is_number()) => {}
                Piece::Macro { written, .. } => return Some(written.clone()),
            }
        }
        None
    }

    /// The parts that go out as they are.
    pub fn literals(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(range) => Some((&self.text[range.clone()], range.clone())),
            Piece::Macro { .. } => None,
        })
    }
}
