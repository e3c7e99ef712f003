//! Cuts a segment expression into tokens, each with its place in the text.

use std::ops::Range;

use crate::rules::Diagnostic;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    And,
    Or,
    Not,
    Frequency,
    /// A bare number: a threshold.
    Number(u64),
    /// A number with its letter: `123T`, `5D`.
    Measure(u64, Unit),
    Compare(Compare),
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    Comma,
    End,
}

/// What the letter behind a number makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Trait,
    Days,
    Hours,
    Minutes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    AtLeast,
    AtMost,
    Equal,
    Above,
    Below,
}

pub(super) fn fault(message: impl Into<String>, span: Range<usize>, hint: impl Into<String>) -> Diagnostic {
    Diagnostic { message: message.into(), span, hint: Some(hint.into()) }
}

/// All tokens of `text`, the last one `End` with an empty span behind the text.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Diagnostic> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        let start = at;
        let token = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'0'..=b'9' => {
                at = end_of_run(text, at, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                number(&text[start..at], start)?
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                at = end_of_run(text, at, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                word(&text[start..at], start)?
            }
            b'<' | b'>' | b'=' | b'!' => {
                at = end_of_run(text, at, |byte| matches!(byte, b'<' | b'>' | b'=' | b'!'));
                Token::Compare(operator(&text[start..at], start)?)
            }
            _ => {
                let character = text[at..].chars().next().expect("`at` is inside the text, on a character");
                at += character.len_utf8();
                punctuation(character).ok_or_else(|| unexpected(character, start))?
            }
        };
        tokens.push((token, start..at));
    }
    tokens.push((Token::End, at..at));
    Ok(tokens)
}

fn end_of_run(text: &str, start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    start + text.as_bytes()[start..].iter().take_while(|&&byte| belongs(byte)).count()
}

fn number(text: &str, start: usize) -> Result<Token, Diagnostic> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // Leading zeros are allowed, so that the length says nothing; what overflows is too large for every use.
    let value = text[..digits]
        .bytes()
        .fold(0u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    let unit = match &text[digits..] {
        "" => return Ok(Token::Number(value)),
        "T" | "t" => Unit::Trait,
        "D" | "d" => Unit::Days,
        "H" | "h" => Unit::Hours,
        "M" | "m" => Unit::Minutes,
        letters => {
            return Err(fault(
                format!("`{letters}` is no unit"),
                start + digits..start + text.len(),
                "a trait is written like `123T`, an age like `5D` (days), `5H` (hours) or `5M` (minutes)",
            ));
        }
    };
    Ok(Token::Measure(value, unit))
}

fn word(text: &str, start: usize) -> Result<Token, Diagnostic> {
    let keywords = [("AND", Token::And), ("OR", Token::Or), ("NOT", Token::Not), ("FREQUENCY", Token::Frequency)];
    if let Some((_, token)) = keywords.iter().find(|(keyword, _)| text.eq_ignore_ascii_case(keyword)) {
        return Ok(*token);
    }
    let hint = match text.to_ascii_uppercase().as_str() {
        "T" | "D" | "H" | "M" => "a number and its letter stand together: `123T`, `5D`",
        _ => "segment expressions know traits like `123T` and the words AND, OR, NOT and FREQUENCY",
    };
    Err(fault(format!("`{text}` is no word of this language"), start..start + text.len(), hint))
}

fn operator(text: &str, start: usize) -> Result<Compare, Diagnostic> {
    let hint = match text {
        ">=" => return Ok(Compare::AtLeast),
        "<=" => return Ok(Compare::AtMost),
        "==" => return Ok(Compare::Equal),
        ">" => return Ok(Compare::Above),
        "<" => return Ok(Compare::Below),
        "=" => "write `==`",
        "=>" => "write `>=`",
        "=<" => "write `<=`",
        "!=" | "<>" => "write NOT before a comparison with `==`",
        "!" => "write NOT",
        _ => "the operators are >= <= == > <",
    };
    Err(fault(format!("`{text}` is no operator of segment expressions"), start..start + text.len(), hint))
}

fn punctuation(character: char) -> Option<Token> {
    Some(match character {
        '(' => Token::OpenParenthesis,
        ')' => Token::CloseParenthesis,
        '[' => Token::OpenBracket,
        ']' => Token::CloseBracket,
        ',' => Token::Comma,
        _ => return None,
    })
}

fn unexpected(character: char, start: usize) -> Diagnostic {
    let hint = match character {
        '&' => "write AND",
        '|' => "write OR",
        '-' | '+' => "numbers are written without a sign",
        _ => "segment expressions know traits like `123T` and the words AND, OR, NOT and FREQUENCY",
    };
    let shown = if character.is_control() { format!("{}", character.escape_unicode()) } else { character.to_string() };
    fault(format!("`{shown}` has no meaning here"), start..start + character.len_utf8(), hint)
}
