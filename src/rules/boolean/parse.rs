//! The grammar that both rule languages share.
//!
//! ```text
//! expr := and ( OR and )*
//! and  := not ( AND not | NOT not )*
//! not  := NOT not | "(" expr ")" | term
//! ```
//! Two terms side by side without a word between them are an error, except that `A NOT B` means `A AND NOT B`.

use std::ops::Range;

use super::Node;
use crate::limits::NESTING_MAX;
use crate::rules::Diagnostic;

/// What the next word of the text is to the shared grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    And,
    Or,
    Not,
    Open,
    Close,
    /// Anything else: the language's own terms.
    Term,
    End,
}

/// A language's lexer, seen from the shared grammar.
pub trait Source {
    type Term;

    /// The next word and its place, without taking it.
    fn peek(&mut self) -> Result<(Word, Range<usize>), Diagnostic>;
    /// Takes the word that `peek` showed. Never called for `Term` and `End`.
    fn skip(&mut self);
    /// Reads one term. Called only where `peek` shows `Term`.
    fn term(&mut self) -> Result<Self::Term, Diagnostic>;
    /// What a term is called in messages, for example "a comparison".
    fn term_name(&self) -> &'static str;
}

/// Reads a whole expression.
pub fn parse<S: Source>(source: &mut S) -> Result<Node<S::Term>, Diagnostic> {
    let node = disjunction(source, 0)?;
    let (word, span) = source.peek()?;
    match word {
        Word::End => Ok(node),
        Word::Close => Err(fault("this parenthesis closes nothing", span, "remove it, or add the '(' that it closes")),
        _ => Err(missing_word(source.term_name(), span)),
    }
}

fn disjunction<S: Source>(source: &mut S, depth: usize) -> Result<Node<S::Term>, Diagnostic> {
    let mut children = vec![conjunction(source, depth)?];
    while source.peek()?.0 == Word::Or {
        source.skip();
        children.push(conjunction(source, depth)?);
    }
    Ok(single_or(children, Node::Or))
}

fn conjunction<S: Source>(source: &mut S, depth: usize) -> Result<Node<S::Term>, Diagnostic> {
    let mut children = vec![negation(source, depth)?];
    loop {
        match source.peek()?.0 {
            Word::And => source.skip(),
            Word::Not => {}
            _ => return Ok(single_or(children, Node::And)),
        }
        children.push(negation(source, depth)?);
    }
}

/// Runs of NOT are counted, not nested, so that their number does not matter.
fn negation<S: Source>(source: &mut S, depth: usize) -> Result<Node<S::Term>, Diagnostic> {
    let mut negated = false;
    while source.peek()?.0 == Word::Not {
        source.skip();
        negated = !negated;
    }
    let node = primary(source, depth)?;
    Ok(if negated { Node::Not(Box::new(node)) } else { node })
}

fn primary<S: Source>(source: &mut S, depth: usize) -> Result<Node<S::Term>, Diagnostic> {
    let (word, span) = source.peek()?;
    match word {
        Word::Term => Ok(Node::Term(source.term()?)),
        Word::Open if depth == NESTING_MAX => Err(Diagnostic {
            message: format!("parentheses are nested more than {NESTING_MAX} deep"),
            span,
            hint: Some("split the rule".to_owned()),
        }),
        Word::Open => {
            source.skip();
            let node = disjunction(source, depth + 1)?;
            match source.peek()? {
                (Word::Close, _) => {
                    source.skip();
                    Ok(node)
                }
                (Word::End, _) => Err(fault("this parenthesis is never closed", span, "add the missing ')'")),
                (_, next) => Err(missing_word(source.term_name(), next)),
            }
        }
        Word::And | Word::Or | Word::Not | Word::Close | Word::End => Err(missing_term(source.term_name(), word, span)),
    }
}

fn missing_word(term: &str, span: Range<usize>) -> Diagnostic {
    fault("AND, OR or NOT is missing here", span, &format!("{term} ends before this, and only a word joins it to more"))
}

fn missing_term(term: &str, found: Word, span: Range<usize>) -> Diagnostic {
    let (found, hint) = match found {
        Word::End => ("the end", None),
        Word::Close => ("')'", None),
        _ => ("this word", Some("a name that is spelled like one of the words AND, OR, NOT stands in double quotes")),
    };
    let message = format!("{term} or '(' is expected before {found}");
    Diagnostic { message, span, hint: hint.map(str::to_owned) }
}

fn fault(message: impl Into<String>, span: Range<usize>, hint: &str) -> Diagnostic {
    Diagnostic { message: message.into(), span, hint: Some(hint.to_owned()) }
}

fn single_or<T>(mut children: Vec<Node<T>>, join: fn(Vec<Node<T>>) -> Node<T>) -> Node<T> {
    if children.len() == 1 { children.remove(0) } else { join(children) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A toy language whose terms are single lower-case letters.
    struct Letters<'a> {
        words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
    }

    impl Source for Letters<'_> {
        type Term = char;

        fn peek(&mut self) -> Result<(Word, Range<usize>), Diagnostic> {
            let word = match self.words.peek().copied() {
                None => Word::End,
                Some("AND") => Word::And,
                Some("OR") => Word::Or,
                Some("NOT") => Word::Not,
                Some("(") => Word::Open,
                Some(")") => Word::Close,
                Some(_) => Word::Term,
            };
            Ok((word, 0..0))
        }

        fn skip(&mut self) {
            self.words.next();
        }

        fn term(&mut self) -> Result<char, Diagnostic> {
            Ok(self.words.next().expect("peek showed a term").chars().next().expect("words are not empty"))
        }

        fn term_name(&self) -> &'static str {
            "a letter"
        }
    }

    fn read(text: &str) -> Result<Node<char>, String> {
        parse(&mut Letters { words: text.split_whitespace().peekable() }).map_err(|diagnostic| diagnostic.message)
    }

    #[test]
    fn precedence_is_not_then_and_then_or() {
        let by_words = read("a OR b AND NOT c OR d NOT e").unwrap();
        let by_parentheses = read("a OR ( b AND ( NOT c ) ) OR ( d AND ( NOT e ) )").unwrap();
        assert_eq!(by_words, by_parentheses);
        assert_eq!(read("NOT NOT a").unwrap(), Node::Term('a'));
    }

    #[test]
    fn malformed_expressions_are_refused() {
        for text in ["", "a b", "a ( b )", "( a", "a )", "a AND", "OR a", "( )", "a OR OR b", "NOT", "( a b )"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{} a {}", "( ".repeat(depth), ") ".repeat(depth));
        assert!(read(&nested(NESTING_MAX)).is_ok());
        assert!(read(&nested(NESTING_MAX + 1)).unwrap_err().contains("nested"));
        assert!(read(&format!("{} a", "NOT ".repeat(5_000))).is_ok());
    }
}
