//! The order comparisons of one key in one direction, sorted so that a number makes a prefix of them true.
//!
//! A number is compared in coarse first: sixteen coarse bounds are one cache line, the first of each line stand
//! together, and so two or three lines tell its place among thousands. Its digits matter only where that is equal.

use super::table::StoredScalar;
use crate::rules::language::Operator;
use crate::rules::scalar::{Decimal, Scalar};

#[derive(Debug)]
pub(crate) struct Thresholds {
    /// The predicate of the first threshold; the others follow.
    pub(crate) first_predicate: u32,
    /// Where the scratch keeps how many of them are true already.
    pub(crate) rank_index: u32,
    /// The first of each line's.
    line_firsts: Vec<f32>,
    /// Ascending, in the order of the bounds; infinite behind them.
    lines: Vec<Line>,
    bounds: Vec<Bound>,
    /// Digits of the bounds.
    bytes: Vec<u8>,
    is_greater: bool,
}

/// Coarse bounds that are looked at together.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([f32; LINE_BOUNDS]);

const LINE_BOUNDS: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Bound {
    operator: Operator,
    number: StoredScalar,
}

impl Thresholds {
    /// `bounds` are sorted by [`easiest_first`] and of one direction.
    pub(crate) fn new<'a>(
        first_predicate: u32,
        rank_index: u32,
        bounds: impl Iterator<Item = (Operator, Decimal<'a>)>,
    ) -> Thresholds {
        let (mut coarse, mut bytes) = (Vec::new(), Vec::new());
        let mut is_greater = false;
        let bounds: Vec<Bound> = bounds
            .map(|(operator, number)| {
                is_greater = matches!(operator, Operator::Greater | Operator::GreaterOrEqual);
                coarse.push(in_coarse(number, is_greater));
                Bound { operator, number: StoredScalar::new(Scalar::Number(number), &mut bytes) }
            })
            .collect();
        let lines: Vec<Line> = coarse.chunks(LINE_BOUNDS).map(Line::new).collect();
        let line_firsts = lines.iter().map(|line| line.0[0]).collect();
        Thresholds { first_predicate, rank_index, line_firsts, lines, bounds, bytes, is_greater }
    }

    /// How many thresholds, from the first on, hold for `number`.
    pub(crate) fn rank(&self, number: Decimal<'_>) -> u32 {
        let coarse = in_coarse(number, self.is_greater);
        let line = self.line_firsts.partition_point(|first| *first < coarse).saturating_sub(1);
        let surely = line * LINE_BOUNDS + self.lines[line].count_below(coarse);
        let is_close = self.lines.get(surely / LINE_BOUNDS).is_some_and(|line| line.0[surely % LINE_BOUNDS] == coarse);
        if !is_close {
            return surely as u32;
        }
        let holds = |bound: &Bound| match bound.number.load(&self.bytes) {
            Scalar::Number(threshold) => compares(bound.operator, number, threshold),
            Scalar::Text(_) => false,
        };
        (surely + self.bounds[surely..].partition_point(holds)) as u32
    }
}

impl Line {
    fn new(bounds: &[f32]) -> Line {
        let mut line = [f32::INFINITY; LINE_BOUNDS];
        line[..bounds.len()].copy_from_slice(bounds);
        Line(line)
    }

    #[inline(always)]
    fn count_below(&self, coarse: f32) -> usize {
        self.0.iter().map(|bound| u32::from(*bound < coarse)).sum::<u32>() as usize
    }
}

/// Of two numbers, the one that makes more thresholds of this direction true has no smaller one of these.
#[inline(always)]
fn in_coarse(number: Decimal<'_>, is_greater: bool) -> f32 {
    let coarse = number.rough() as f32;
    if is_greater { coarse } else { -coarse }
}

/// Whether `number operator threshold` holds.
pub(crate) fn compares(operator: Operator, number: Decimal<'_>, threshold: Decimal<'_>) -> bool {
    match operator {
        Operator::Less => number < threshold,
        Operator::LessOrEqual => number <= threshold,
        Operator::Greater => number > threshold,
        Operator::GreaterOrEqual => number >= threshold,
        _ => false,
    }
}

/// Orders the thresholds of one direction so that whatever makes one true makes those before it true.
pub(crate) fn easiest_first(a: (Operator, Decimal<'_>), b: (Operator, Decimal<'_>)) -> std::cmp::Ordering {
    let is_less = matches!(a.0, Operator::Less | Operator::LessOrEqual);
    let by_number = if is_less { b.1.cmp(&a.1) } else { a.1.cmp(&b.1) };
    let is_strict = |operator| matches!(operator, Operator::Less | Operator::Greater);
    by_number.then_with(|| is_strict(a.0).cmp(&is_strict(b.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(operators: [Operator; 2], values: &[&str]) -> Vec<u32> {
        let number = |text: &'static str| Decimal::parse(text.as_bytes()).expect("cases are numbers");
        let mut bounds: Vec<_> = ["-3", "2", "2.5", "10"]
            .iter()
            .flat_map(|text| operators.map(|operator| (operator, number(text))))
            .collect();
        bounds.sort_by(|a, b| easiest_first(*a, *b));
        let thresholds = Thresholds::new(0, 0, bounds.into_iter());
        values.iter().map(|text| thresholds.rank(Decimal::parse(text.as_bytes()).expect("cases are numbers"))).collect()
    }

    #[test]
    fn a_number_makes_a_prefix_true() {
        use Operator::*;
        let values = ["-4", "-3", "0", "2", "2.0000001", "2.5", "9.99", "10.0", "11", "9000000000000000000000"];
        assert_eq!(ranks([Greater, GreaterOrEqual], &values), [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]);
        assert_eq!(ranks([Less, LessOrEqual], &values), [8, 7, 6, 5, 4, 3, 2, 1, 0, 0]);
    }

    /// Several lines of bounds, of which many are equal in coarse.
    #[test]
    fn many_thresholds_rank_as_each_by_itself_decides() {
        use Operator::*;
        let texts: Vec<String> = (0..60)
            .flat_map(|n| [format!("{}", n * n - 300), format!("{}", 900_000_000 + n), format!("5.000000{n:02}")])
            .chain(["0.5".to_owned(), "99999999999999999999".to_owned()])
            .collect();
        let numbers = || texts.iter().map(|text| Decimal::parse(text.as_bytes()).expect("cases are numbers"));
        for operators in [[Greater, GreaterOrEqual], [Less, LessOrEqual]] {
            let mut bounds: Vec<_> =
                numbers().flat_map(|number| operators.map(|operator| (operator, number))).collect();
            bounds.sort_by(|a, b| easiest_first(*a, *b));
            let thresholds = Thresholds::new(0, 0, bounds.iter().copied());
            for number in numbers() {
                let holding = bounds.iter().filter(|(operator, bound)| compares(*operator, number, *bound)).count();
                assert_eq!(thresholds.rank(number) as usize, holding, "{number:?} {operators:?}");
            }
        }
    }
}
