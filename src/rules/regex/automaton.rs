//! Automata over bytes: a dense table where it is small enough, else a simulation of the states.
//!
//! Both are fed byte by byte from [`feed`], so a stray byte can be replaced by [`INVALID_BYTES`] on the way without
//! a copy. Nothing is computed lazily and nothing allocated while matching.

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::lower::INVALID_BYTES;
use crate::limits;

/// One or more patterns, each matched against a whole value.
#[derive(Debug)]
pub(super) enum Automaton {
    Table { table: Box<dense::DFA<Vec<u32>>>, start: StateID },
    Simulation(Box<NFA>),
}

/// The states of a simulation.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// States that the last byte leads to.
    pending: Vec<StateID>,
    /// Those and all that they lead to without a byte.
    reached: StateSet,
    stack: Vec<StateID>,
}

/// Why no automaton came of some patterns.
#[derive(Debug)]
pub(super) struct TooLarge;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Ran,
    GaveUp,
}

impl Automaton {
    pub(super) fn new(hirs: &[&Hir]) -> Result<Automaton, TooLarge> {
        let nfa = states_of(hirs)?;
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored)
            .accelerate(false)
            .dfa_size_limit(Some(limits::REGEX_PROGRAM_BYTES_MAX))
            .determinize_size_limit(Some(limits::REGEX_PROGRAM_BYTES_MAX));
        let table = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok();
        let start = table.as_ref().and_then(|table| table.start_state(&anchored()).ok());
        Ok(match table.zip(start) {
            Some((table, start)) => Automaton::Table { table: Box::new(table), start },
            None => Automaton::Simulation(Box::new(nfa)),
        })
    }

    #[cfg(test)]
    pub(super) fn simulation(hirs: &[&Hir]) -> Result<Automaton, TooLarge> {
        Ok(Automaton::Simulation(Box::new(states_of(hirs)?)))
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self, Automaton::Table { .. })
    }

    pub(super) fn scratch(&self) -> Scratch {
        let Automaton::Simulation(nfa) = self else {
            return Scratch::default();
        };
        let states = nfa.states().len();
        let edges: usize = nfa.states().iter().map(edges_without_byte).sum();
        Scratch {
            pending: Vec::with_capacity(states),
            reached: StateSet::new(states),
            stack: Vec::with_capacity(edges + 1),
        }
    }

    /// Calls `on_match` with each pattern that matches the whole of `value`.
    pub(super) fn run(&self, value: &[u8], scratch: &mut Scratch, on_match: &mut dyn FnMut(usize)) -> End {
        match self {
            Automaton::Table { table, start } => {
                run_table(table, *start, value, on_match);
                End::Ran
            }
            Automaton::Simulation(nfa) => run_simulation(nfa, value, scratch, on_match),
        }
    }
}

impl Scratch {
    #[cfg(test)]
    pub(super) fn capacities(&self) -> [usize; 4] {
        [
            self.pending.capacity(),
            self.reached.members.capacity(),
            self.reached.places.capacity(),
            self.stack.capacity(),
        ]
    }
}

fn states_of(hirs: &[&Hir]) -> Result<NFA, TooLarge> {
    let config = thompson::Config::new()
        .utf8(false)
        .shrink(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(limits::REGEX_PROGRAM_BYTES_MAX));
    thompson::Compiler::new().configure(config).build_many_from_hir(hirs).map_err(|_| TooLarge)
}

fn anchored() -> start::Config {
    start::Config::new().anchored(Anchored::Yes)
}

fn run_table(table: &dense::DFA<Vec<u32>>, start: StateID, value: &[u8], on_match: &mut dyn FnMut(usize)) {
    let mut state = start;
    let done = feed(value, |byte| {
        state = table.next_state(state, byte);
        !(table.is_special_state(state) && table.is_dead_state(state))
    });
    if !done {
        return;
    }
    state = table.next_eoi_state(state);
    if table.is_match_state(state) {
        (0..table.match_len(state)).for_each(|index| on_match(table.match_pattern(state, index).as_usize()));
    }
}

fn run_simulation(nfa: &NFA, value: &[u8], scratch: &mut Scratch, on_match: &mut dyn FnMut(usize)) -> End {
    scratch.pending.clear();
    scratch.pending.push(nfa.start_anchored());
    let mut before = None;
    let mut steps = 0;
    let done = feed(value, |byte| {
        reach(nfa, scratch, before, Some(byte));
        steps += scratch.reached.len();
        scratch.pending.clear();
        for index in 0..scratch.reached.len() {
            if let Some(next) = take_byte(nfa.state(scratch.reached.at(index)), byte) {
                scratch.pending.push(next);
            }
        }
        before = Some(byte);
        !scratch.pending.is_empty() && steps <= limits::REGEX_SIMULATION_STEPS_MAX
    });
    if steps > limits::REGEX_SIMULATION_STEPS_MAX {
        return End::GaveUp;
    }
    if done {
        reach(nfa, scratch, before, None);
        for index in 0..scratch.reached.len() {
            if let State::Match { pattern_id } = nfa.state(scratch.reached.at(index)) {
                on_match(pattern_id.as_usize());
            }
        }
    }
    End::Ran
}

/// Hands on the bytes of `value`, stray ones replaced, as long as `take` wants more; whether it took all.
fn feed(value: &[u8], mut take: impl FnMut(u8) -> bool) -> bool {
    if value.is_ascii() {
        return value.iter().all(|&byte| take(byte));
    }
    value.utf8_chunks().all(|chunk| {
        chunk.valid().bytes().all(&mut take) && chunk.invalid().iter().all(|_| INVALID_BYTES.into_iter().all(&mut take))
    })
}

/// Finds all states that `pending` leads to without a byte, standing between `before` and `after`.
fn reach(nfa: &NFA, scratch: &mut Scratch, before: Option<u8>, after: Option<u8>) {
    scratch.reached.clear();
    for index in 0..scratch.pending.len() {
        scratch.stack.push(scratch.pending[index]);
        while let Some(id) = scratch.stack.pop() {
            if !scratch.reached.insert(id) {
                continue;
            }
            match nfa.state(id) {
                State::Look { look, next } if holds(*look, before, after) => scratch.stack.push(*next),
                State::Union { alternates } => scratch.stack.extend_from_slice(alternates),
                State::BinaryUnion { alt1, alt2 } => scratch.stack.extend([*alt1, *alt2]),
                State::Capture { next, .. } => scratch.stack.push(*next),
                _ => {}
            }
        }
    }
}

fn edges_without_byte(state: &State) -> usize {
    match state {
        State::Union { alternates } => alternates.len(),
        State::BinaryUnion { .. } => 2,
        State::Look { .. } | State::Capture { .. } => 1,
        _ => 0,
    }
}

fn take_byte(state: &State, byte: u8) -> Option<StateID> {
    match state {
        State::ByteRange { trans } if trans.matches_byte(byte) => Some(trans.next),
        State::Sparse(transitions) => transitions.matches_byte(byte),
        State::Dense(transitions) => transitions.matches_byte(byte),
        _ => None,
    }
}

fn holds(look: Look, before: Option<u8>, after: Option<u8>) -> bool {
    let is_word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match look {
        Look::Start => before.is_none(),
        Look::End => after.is_none(),
        Look::WordAscii => is_word(before) != is_word(after),
        Look::WordAsciiNegate => is_word(before) == is_word(after),
        _ => unreachable!("no other assertion is ever translated"),
    }
}

/// States without order or repeats: cleared at once, whatever their number.
#[derive(Debug, Default)]
struct StateSet {
    members: Vec<StateID>,
    /// Where in `members` a state stands, if it does.
    places: Vec<u32>,
}

impl StateSet {
    fn new(states: usize) -> StateSet {
        StateSet { members: Vec::with_capacity(states), places: vec![0; states] }
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    fn at(&self, index: usize) -> StateID {
        self.members[index]
    }

    fn clear(&mut self) {
        self.members.clear();
    }

    fn insert(&mut self, id: StateID) -> bool {
        let place = self.places[id.as_usize()] as usize;
        if self.members.get(place) == Some(&id) {
            return false;
        }
        self.places[id.as_usize()] = self.members.len() as u32;
        self.members.push(id);
        true
    }
}
