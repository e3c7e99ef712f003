//! Recursive descent over the tokens of a segment expression.
//!
//! ```text
//! any  := all ( OR all )*
//! all  := not ( AND not | NOT not )*            `A NOT B` means A AND NOT B
//! not  := NOT not | "(" any ")" | term
//! term := nT
//!       | FREQUENCY "(" list [ age ] ")" ( >= | <= | == | > | < ) n
//!       | list age                              means FREQUENCY( list age ) >= 1
//! list := "[" nT ( "," nT )* "]"
//! age  := ( >= | <= ) n( D | H | M )
//! ```

use std::ops::Range;

use super::lexer::{Compare, Token, Unit, fault, tokens};
use super::syntax::{Age, Expression, Term};
use crate::ids::TraitId;
use crate::limits::{COMPARISONS_MAX, EXPRESSION_BYTES_MAX, NESTING_MAX, WINDOW_DAYS_MAX};
use crate::rules::Diagnostic;

const MINUTES_PER_HOUR: u32 = 60;
const HOURS_PER_DAY: u32 = 24;

pub(super) fn parse(text: &str) -> Result<Expression, Diagnostic> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(fault(
            format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes"),
            0..text.len(),
            "split it into several segments",
        ));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, nesting: 0, terms: 0 };
    let expression = parser.any()?;
    match parser.peek() {
        Token::End => Ok(expression),
        Token::CloseParenthesis => {
            Err(fault("this parenthesis was never opened", parser.span(), "take it away, or open one before"))
        }
        _ => Err(parser.side_by_side()),
    }
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    nesting: usize,
    terms: usize,
}

impl Parser {
    fn any(&mut self) -> Result<Expression, Diagnostic> {
        let mut terms = vec![self.all()?];
        while self.take(Token::Or) {
            terms.push(self.all()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Expression::Any(terms) })
    }

    fn all(&mut self) -> Result<Expression, Diagnostic> {
        let mut terms = vec![self.not()?];
        // NOT is left for `not` to read: it joins and negates at once.
        while self.peek() == Token::Not || self.take(Token::And) {
            terms.push(self.not()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Expression::All(terms) })
    }

    fn not(&mut self) -> Result<Expression, Diagnostic> {
        let opened = self.span();
        if self.take(Token::Not) {
            self.enter(&opened)?;
            let inner = self.not()?;
            self.nesting -= 1;
            return Ok(Expression::Not(Box::new(inner)));
        }
        if self.take(Token::OpenParenthesis) {
            self.enter(&opened)?;
            let inner = self.any()?;
            self.nesting -= 1;
            return match self.peek() {
                Token::CloseParenthesis => {
                    self.at += 1;
                    Ok(inner)
                }
                Token::End => Err(fault("this parenthesis is never closed", opened, "add a `)`")),
                _ => Err(self.side_by_side()),
            };
        }
        self.term()
    }

    /// Nesting is bounded, so that neither this parser nor what walks its trees can run out of stack.
    fn enter(&mut self, opened: &Range<usize>) -> Result<(), Diagnostic> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(fault(
                format!("nested deeper than {NESTING_MAX} levels"),
                opened.clone(),
                "take away parentheses that change nothing",
            ));
        }
        Ok(())
    }

    fn term(&mut self) -> Result<Expression, Diagnostic> {
        let start = self.span().start;
        self.terms += 1;
        if self.terms > COMPARISONS_MAX {
            return Err(fault(
                format!("more than {COMPARISONS_MAX} terms in one expression"),
                self.span(),
                "join traits in one list, or split the expression into several segments",
            ));
        }
        let (traits, age, compare, threshold, threshold_span) = match self.peek() {
            Token::Measure(_, Unit::Trait) => {
                let member = self.member()?;
                self.no_bare_comparison()?;
                (vec![member], Age::Any, Compare::AtLeast, 1, None)
            }
            Token::OpenBracket => {
                let traits = self.list()?;
                (traits, self.list_age()?, Compare::AtLeast, 1, None)
            }
            Token::Frequency => {
                self.at += 1;
                self.expect(Token::OpenParenthesis, "`(`", "write `FREQUENCY([123T]) >= 2`")?;
                let traits = self.list()?;
                let age = if matches!(self.peek(), Token::Compare(_)) { self.age()? } else { Age::Any };
                self.expect(Token::CloseParenthesis, "`)`", "write `FREQUENCY([123T] <= 5D) >= 2`")?;
                let (compare, threshold, span) = self.comparison()?;
                (traits, age, compare, threshold, Some(span))
            }
            _ => {
                return Err(self.expected("a term", "a term is `123T`, `FREQUENCY([123T]) >= 2` or `[123T] <= 5D`"));
            }
        };
        let span = start..self.tokens[self.at - 1].1.end;
        let threshold_span = threshold_span.unwrap_or_else(|| span.clone());
        Ok(Expression::Term(Term { traits, age, compare, threshold, span, threshold_span }))
    }

    fn list(&mut self) -> Result<Vec<(TraitId, Range<usize>)>, Diagnostic> {
        self.expect(Token::OpenBracket, "`[`", "traits are listed like `[123T,456T]`")?;
        let mut traits = vec![self.member()?];
        while self.take(Token::Comma) {
            traits.push(self.member()?);
        }
        self.expect(Token::CloseBracket, "`,` or `]`", "traits are listed like `[123T,456T]`")?;
        Ok(traits)
    }

    fn member(&mut self) -> Result<(TraitId, Range<usize>), Diagnostic> {
        let span = self.span();
        let Token::Measure(value, Unit::Trait) = self.peek() else {
            return Err(self.expected("a trait", "a trait is written like `123T`"));
        };
        let id = u32::try_from(value)
            .map_err(|_| fault("this number is too large for a trait's id", span.clone(), "ids end at 4294967295"))?;
        self.at += 1;
        Ok((TraitId(id), span))
    }

    /// `[123T] <= 5D`: the age that must follow a list outside of FREQUENCY.
    fn list_age(&mut self) -> Result<Age, Diagnostic> {
        if !matches!(self.peek(), Token::Compare(_)) {
            return Err(self.expected("`<=` or `>=` and an age", "write `[123T] <= 5D`, or `123T` for holding it"));
        }
        self.age()
    }

    fn age(&mut self) -> Result<Age, Diagnostic> {
        let span = self.span();
        let Token::Compare(compare) = self.peek() else { unreachable!("the callers looked") };
        self.at += 1;
        let (value, unit) = match self.peek() {
            Token::Measure(value, unit @ (Unit::Days | Unit::Hours | Unit::Minutes)) => (value, unit),
            Token::Number(_) => return Err(self.expected("an age with its unit", AGE_HINT)),
            _ => return Err(self.expected("an age", AGE_HINT)),
        };
        let length = self.age_length(value, unit)?;
        let age = match (compare, unit) {
            (Compare::AtMost, Unit::Days) => Age::DaysAtMost(length),
            (Compare::AtLeast, Unit::Days) => Age::DaysAtLeast(length),
            (Compare::AtMost, _) => Age::MinutesAtMost(length),
            (Compare::AtLeast, _) => Age::MinutesAtLeast(length),
            _ => return Err(fault("an age is compared with `<=` or `>=` only", span, AGE_HINT)),
        };
        self.at += 1;
        Ok(age)
    }

    /// The window's length in days, or in minutes for the smaller units.
    fn age_length(&self, value: u64, unit: Unit) -> Result<u32, Diagnostic> {
        if value == 0 {
            return Err(fault("an age must be at least 1", self.span(), "`<= 1D` is today and yesterday"));
        }
        let (unit_minutes, units_per_day) = match unit {
            Unit::Hours => (MINUTES_PER_HOUR, HOURS_PER_DAY),
            Unit::Minutes => (1, MINUTES_PER_HOUR * HOURS_PER_DAY),
            _ => (1, 1),
        };
        let units_max = WINDOW_DAYS_MAX as u64 * u64::from(units_per_day);
        if value > units_max {
            return Err(fault(
                format!("a window is at most {WINDOW_DAYS_MAX} days long"),
                self.span(),
                format!("the largest number here is {units_max}"),
            ));
        }
        Ok(value as u32 * unit_minutes)
    }

    fn comparison(&mut self) -> Result<(Compare, u32, Range<usize>), Diagnostic> {
        let Token::Compare(compare) = self.peek() else {
            return Err(self.expected("a comparison", "write `FREQUENCY([123T]) >= 2`"));
        };
        self.at += 1;
        let span = self.span();
        let Token::Number(value) = self.peek() else {
            return Err(self.expected("a number", "FREQUENCY is compared with a plain number of realisations"));
        };
        let threshold = u32::try_from(value)
            .map_err(|_| fault("this number is too large", span.clone(), "thresholds end at 4294967295"))?;
        self.at += 1;
        Ok((compare, threshold, span))
    }

    fn no_bare_comparison(&self) -> Result<(), Diagnostic> {
        if !matches!(self.peek(), Token::Compare(_)) {
            return Ok(());
        }
        let hint = "write `[123T] <= 5D` for an age, `FREQUENCY([123T]) >= 2` for a count";
        Err(fault("a bare trait can't be compared", self.span(), hint))
    }

    fn peek(&self) -> Token {
        self.tokens[self.at].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    fn take(&mut self, token: Token) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: Token, name: &str, hint: &str) -> Result<(), Diagnostic> {
        if self.take(token) { Ok(()) } else { Err(self.expected(name, hint)) }
    }

    fn expected(&self, what: &str, hint: &str) -> Diagnostic {
        let message = match self.peek() {
            Token::End => format!("expected {what}, but the expression ends here"),
            _ => format!("expected {what}"),
        };
        fault(message, self.span(), hint)
    }

    fn side_by_side(&self) -> Diagnostic {
        match self.peek() {
            Token::Measure(..) | Token::OpenParenthesis | Token::OpenBracket | Token::Frequency => {
                fault("two terms stand side by side", self.span(), "write AND, OR or AND NOT between them")
            }
            _ => self.expected("AND, OR or NOT", "terms are joined by AND, OR and NOT"),
        }
    }
}

const AGE_HINT: &str = "an age is written like `<= 5D` or `>= 5D`, with D (days), H (hours) or M (minutes)";
