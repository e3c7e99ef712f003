//! The backtracking engine: Java's way of matching, with an explicit stack and a limit of steps.
//!
//! It tries choices in Java's order and forgets them where Java does, so that look-around, back references,
//! possessive and atomic forms come out the same, down to a capture that outlives the branch that made it. What Java
//! keeps on its call stack are frames here: failing means taking frames off until one offers another way.

use super::assertion::{self, Boundaries};
use super::fold::FoldTable;
use super::program::{LoopData, Op, Program};
use super::set::{INVALID, decode_first, decode_last};
use super::syntax::{Assertion, Fold, Kind, Node};
use crate::limits;

#[derive(Debug)]
pub(super) struct Backtracker {
    program: Program,
    fold_table: Option<FoldTable>,
    boundaries: Option<Boundaries>,
}

/// The stack and registers of one run.
#[derive(Debug)]
pub(super) struct Scratch {
    frames: Vec<Frame>,
    locals: Vec<u32>,
    /// Start and end of each group; `NONE` while it has not matched.
    groups: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Match,
    NoMatch,
    GaveUp,
}

const NONE: u32 = u32::MAX;

/// What to do when everything tried since has failed.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// Go on elsewhere.
    Retry {
        op: u32,
        at: u32,
    },
    /// Put back and fail on.
    RestoreLocal {
        local: u32,
        value: u32,
    },
    RestoreGroup {
        group: u32,
        start: u32,
        end: u32,
    },
    /// Give back one character of a greedy run, down to `floor`.
    GiveBack {
        op: u32,
        floor: u32,
        at: u32,
    },
    /// Take one more character of a lazy run of `count`.
    TakeMore {
        op: u32,
        at: u32,
        count: u32,
    },
    /// Do one more of lazy rounds.
    RoundMore {
        op: u32,
        at: u32,
        count: u32,
    },
    /// The bottom of what the instruction `op` began at `at`: an atomic part, a look, or the round `count`.
    Base {
        op: u32,
        at: u32,
        count: u32,
        below: u32,
    },
}

/// Frames that a run may need: a step adds at most two.
const FRAMES_AT_FIRST: usize = 2_048;

impl Backtracker {
    pub(super) fn new(root: &Node, groups: u32) -> Backtracker {
        let folds = |node: &Node| matches!(node, Node::BackReference { fold: Fold::Unicode, .. });
        let bounds = |node: &Node| matches!(node, Node::Assertion(Assertion::WordBoundary { .. }));
        Backtracker {
            program: Program::new(root, groups),
            fold_table: root.any(&folds).then(FoldTable::new),
            boundaries: root.any(&bounds).then(Boundaries::new),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.program.bytes()
    }

    pub(super) fn scratch(&self) -> Scratch {
        Scratch {
            frames: Vec::with_capacity(FRAMES_AT_FIRST),
            locals: vec![0; self.program.locals as usize],
            groups: vec![(NONE, NONE); self.program.groups as usize],
        }
    }

    pub(super) fn matches(&self, value: &[u8], scratch: &mut Scratch) -> Outcome {
        // Positions are 32 bits wide; a longer value could not be walked within the limit of steps anyway.
        if value.len() > limits::REGEX_STEPS_MAX as usize {
            return Outcome::GaveUp;
        }
        scratch.frames.clear();
        scratch.locals.fill(0);
        scratch.groups.fill((NONE, NONE));
        Run { engine: self, program: &self.program, value, scratch, op: 0, at: 0, base: NONE, steps: 0 }.run()
    }
}

struct Run<'a> {
    engine: &'a Backtracker,
    program: &'a Program,
    value: &'a [u8],
    scratch: &'a mut Scratch,
    /// The next instruction and the place in the value.
    op: u32,
    at: u32,
    /// The innermost `Base` frame.
    base: u32,
    steps: u32,
}

impl Run<'_> {
    fn run(&mut self) -> Outcome {
        while self.steps < limits::REGEX_STEPS_MAX {
            self.steps += 1;
            if matches!(self.program.ops[self.op as usize], Op::Match) && self.at as usize == self.value.len() {
                return Outcome::Match;
            }
            if !self.step() && !self.backtrack() {
                return Outcome::NoMatch;
            }
        }
        Outcome::GaveUp
    }

    /// Carries out one instruction; false when it fails.
    fn step(&mut self) -> bool {
        let op = self.program.ops[self.op as usize];
        match op {
            Op::Character(wanted) => self.take(|character| character == wanted) && self.on(),
            Op::Set(set) => {
                let set = &self.program.sets[set as usize];
                self.take(|character| set.contains(character)) && self.on()
            }
            Op::SetRun { .. } => self.set_run(op),
            Op::LineBreak => self.line_break(),
            Op::Assertion(assertion) => self.holds(assertion) && self.on(),
            Op::BackReference { group, fold } => self.back_reference(group, fold) && self.on(),
            Op::Jump(to) => self.go(to),
            Op::Choose { first, second } => {
                self.push(Frame::Retry { op: second, at: self.at });
                self.go(first)
            }
            Op::GroupStart { local } => {
                self.set_local(local, self.at);
                self.on()
            }
            Op::GroupEnd { local, group } => {
                self.capture(group, self.scratch.locals[local as usize], self.at);
                self.on()
            }
            Op::AtomicStart => {
                self.push_base(0);
                self.on()
            }
            Op::AtomicEnd => {
                self.drop_to_base();
                self.on()
            }
            Op::LookStart { look, after } => self.look_start(look, after),
            Op::LookEnd => self.look_end(),
            Op::Rounds { .. } => self.round(self.op, 0),
            Op::RoundEnd => self.round_end(),
            Op::LoopStart { looping } => self.loop_start(self.program.loops[looping as usize]),
            Op::LoopFirst { looping } => {
                self.set_local(self.program.loops[looping as usize].count, 1);
                self.on()
            }
            Op::LoopNext { looping } => self.loop_next(self.program.loops[looping as usize]),
            Op::LoopMore { looping } => self.loop_more(self.program.loops[looping as usize]),
            Op::Match => false,
        }
    }

    /// Takes frames off until one offers another way; false when none does.
    fn backtrack(&mut self) -> bool {
        while let Some(frame) = self.scratch.frames.pop() {
            self.steps += 1;
            let found = match frame {
                Frame::Retry { op, at } => self.resume(op, at),
                Frame::RestoreLocal { local, value } => {
                    self.scratch.locals[local as usize] = value;
                    false
                }
                Frame::RestoreGroup { group, start, end } => {
                    self.scratch.groups[group as usize] = (start, end);
                    false
                }
                Frame::GiveBack { op, floor, at } => self.give_back(op, floor, at),
                Frame::TakeMore { op, at, count } => self.resume(op, at) && self.take_more(count),
                Frame::RoundMore { op, at, count } => {
                    self.at = at;
                    self.begin_round(op, count)
                }
                Frame::Base { op, at, count, below } => {
                    self.base = below;
                    self.at = at;
                    self.base_failed(op, count)
                }
            };
            if found {
                return true;
            }
            if self.steps >= limits::REGEX_STEPS_MAX {
                // The loop above sees the same and gives up.
                return true;
            }
        }
        false
    }

    /// What the instruction that pushed a base does when its body can't match.
    fn base_failed(&mut self, op: u32, count: u32) -> bool {
        match self.program.ops[op as usize] {
            Op::LookStart { look, after } => {
                let data = self.program.looks[look as usize];
                // Look-behind tries the next earlier start, up to its greatest length.
                if let Some((_, max)) = data.behind
                    && count < max
                    && let Some(start) = self.before(self.at, count + 1)
                {
                    return self.begin_look(op, start, count + 1);
                }
                data.negative && self.go(after)
            }
            Op::Rounds { rounds } => {
                let data = self.program.rounds[rounds as usize];
                // Past the least count a round that fails is the end; a lazy one was asked for and is missing.
                count >= data.min && data.kind != Kind::Lazy && self.go(data.exit)
            }
            _ => false,
        }
    }

    fn look_start(&mut self, look: u32, after: u32) -> bool {
        let data = self.program.looks[look as usize];
        let Some((min, _)) = data.behind else {
            return self.begin_look(self.op, self.at, 0);
        };
        match self.before(self.at, min) {
            Some(start) => self.begin_look(self.op, start, min),
            None => data.negative && self.go(after),
        }
    }

    /// Starts the body of a look at `start`. The base remembers where the look stands and how far behind it starts.
    fn begin_look(&mut self, op: u32, start: u32, count: u32) -> bool {
        self.op = op;
        self.push_base(count);
        self.at = start;
        self.go(op + 1)
    }

    fn look_end(&mut self) -> bool {
        let Some(Frame::Base { op, at, .. }) = self.scratch.frames.get(self.base as usize).copied() else {
            return false;
        };
        let Op::LookStart { look, after } = self.program.ops[op as usize] else {
            return false;
        };
        let data = self.program.looks[look as usize];
        if data.behind.is_some() && self.at != at {
            return false;
        }
        self.drop_to_base();
        self.at = at;
        !data.negative && self.go(after)
    }

    /// Decides about round number `count` (from 0) of the instruction at `op`.
    fn round(&mut self, op: u32, count: u32) -> bool {
        let Op::Rounds { rounds } = self.program.ops[op as usize] else {
            return false;
        };
        let data = self.program.rounds[rounds as usize];
        if count >= data.max {
            return self.go(data.exit);
        }
        if count >= data.min && data.kind == Kind::Lazy {
            self.push(Frame::RoundMore { op, at: self.at, count });
            return self.go(data.exit);
        }
        self.begin_round(op, count)
    }

    fn begin_round(&mut self, op: u32, count: u32) -> bool {
        self.op = op;
        self.push_base(count);
        self.go(op + 1)
    }

    fn round_end(&mut self) -> bool {
        let Some(Frame::Base { op, at, count, .. }) = self.scratch.frames.get(self.base as usize).copied() else {
            return false;
        };
        let Op::Rounds { rounds } = self.program.ops[op as usize] else {
            return false;
        };
        let data = self.program.rounds[rounds as usize];
        self.drop_to_base();
        let extra = count >= data.min;
        if extra && self.at == at {
            // An optional round that matched nothing ends the repetition; a lazy one fails, except that of a `??`.
            return (data.kind != Kind::Lazy || data.max == 1) && self.go(data.exit);
        }
        if extra && data.kind == Kind::Greedy {
            self.push(Frame::Retry { op: data.exit, at });
        }
        if data.capture != 0 {
            self.capture(data.capture, at, self.at);
        }
        self.round(op, count + 1)
    }

    fn loop_start(&mut self, data: LoopData) -> bool {
        self.set_local(data.count, self.scratch.locals[data.count as usize]);
        if data.min > 0 {
            self.go(data.first)
        } else if data.max == 0 {
            self.go(data.exit)
        } else if data.lazy {
            self.push(Frame::Retry { op: data.first, at: self.at });
            self.go(data.exit)
        } else {
            self.push(Frame::Retry { op: data.exit, at: self.at });
            self.go(data.first)
        }
    }

    fn loop_next(&mut self, data: LoopData) -> bool {
        if self.at <= self.scratch.locals[data.begin as usize] {
            return self.go(data.exit);
        }
        let count = self.scratch.locals[data.count as usize];
        if count < data.min {
            self.go(data.more)
        } else if count >= data.max {
            self.go(data.exit)
        } else if data.lazy {
            self.push(Frame::Retry { op: data.more, at: self.at });
            self.go(data.exit)
        } else {
            self.push(Frame::Retry { op: data.exit, at: self.at });
            self.go(data.more)
        }
    }

    fn loop_more(&mut self, data: LoopData) -> bool {
        self.set_local(data.count, self.scratch.locals[data.count as usize] + 1);
        self.go(data.body)
    }

    fn set_run(&mut self, op: Op) -> bool {
        let Op::SetRun { set, min, max, kind } = op else {
            return false;
        };
        let set = &self.program.sets[set as usize];
        let wanted = if kind == Kind::Lazy { min } else { max };
        let mut count = 0;
        let mut floor = self.at;
        while count < wanted && self.take(|character| set.contains(character)) {
            self.steps += 1;
            count += 1;
            if count == min {
                floor = self.at;
            }
        }
        if count < min {
            return false;
        }
        match kind {
            Kind::Greedy if self.at > floor => self.push(Frame::GiveBack { op: self.op, floor, at: self.at }),
            Kind::Lazy if count < max => self.push(Frame::TakeMore { op: self.op, at: self.at, count }),
            _ => {}
        }
        self.on()
    }

    fn give_back(&mut self, op: u32, floor: u32, at: u32) -> bool {
        let (_, length) = decode_last(&self.value[..at as usize]);
        let at = at - length as u32;
        if at > floor {
            self.push(Frame::GiveBack { op, floor, at });
        }
        self.resume(op + 1, at)
    }

    fn take_more(&mut self, count: u32) -> bool {
        let Op::SetRun { set, max, .. } = self.program.ops[self.op as usize] else {
            return false;
        };
        let set = &self.program.sets[set as usize];
        if !self.take(|character| set.contains(character)) {
            return false;
        }
        if count + 1 < max {
            self.push(Frame::TakeMore { op: self.op, at: self.at, count: count + 1 });
        }
        self.on()
    }

    /// `\R`: both characters of CR LF, and when the rest then fails, the CR alone.
    fn line_break(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with(b"\r\n") {
            self.push(Frame::Retry { op: self.op + 1, at: self.at + 1 });
            self.at += 2;
            return self.on();
        }
        self.take(|character| matches!(character, 0x0A..=0x0D | 0x85 | 0x2028 | 0x2029)) && self.on()
    }

    fn back_reference(&mut self, group: u32, fold: Fold) -> bool {
        let Some(&(start, end)) = self.scratch.groups.get(group as usize) else {
            return false;
        };
        if start == NONE {
            return false;
        }
        let value = self.value;
        let captured = &value[start as usize..end as usize];
        self.steps = self.steps.saturating_add(captured.len() as u32);
        if fold == Fold::Exact {
            let same = self.rest().starts_with(captured);
            self.at += if same { captured.len() as u32 } else { 0 };
            return same;
        }
        let mut left = captured;
        while !left.is_empty() {
            let rest = self.rest();
            if rest.is_empty() {
                return false;
            }
            let ((a, a_bytes), (b, b_bytes)) = (decode_first(left), decode_first(rest));
            let same = if a == INVALID || b == INVALID { left[0] == rest[0] } else { self.same(a, b, fold) };
            if !same {
                return false;
            }
            left = &left[a_bytes..];
            self.at += b_bytes as u32;
        }
        true
    }

    fn same(&self, a: u32, b: u32, fold: Fold) -> bool {
        let lower = |character: u32| if (0x41..=0x5A).contains(&character) { character + 0x20 } else { character };
        match (fold, &self.engine.fold_table) {
            (Fold::Unicode, Some(table)) => a == b || table.of(a).1 == table.of(b).1,
            _ => lower(a) == lower(b),
        }
    }

    fn holds(&self, assertion: Assertion) -> bool {
        let (before, after) = self.value.split_at(self.at as usize);
        assertion::holds(assertion, before, after, self.engine.boundaries.as_ref())
    }

    /// Takes the next character if `wanted`.
    fn take(&mut self, wanted: impl Fn(u32) -> bool) -> bool {
        let rest = self.rest();
        if rest.is_empty() {
            return false;
        }
        let (character, length) = decode_first(rest);
        let found = wanted(character);
        self.at += if found { length as u32 } else { 0 };
        found
    }

    fn rest(&self) -> &[u8] {
        &self.value[self.at as usize..]
    }

    /// The place `count` characters before `at`.
    fn before(&mut self, at: u32, count: u32) -> Option<u32> {
        let mut at = at as usize;
        for _ in 0..count {
            if at == 0 {
                return None;
            }
            self.steps += 1;
            at -= decode_last(&self.value[..at]).1;
        }
        Some(at as u32)
    }

    fn on(&mut self) -> bool {
        self.op += 1;
        true
    }

    fn go(&mut self, to: u32) -> bool {
        self.op = to;
        true
    }

    fn resume(&mut self, op: u32, at: u32) -> bool {
        self.op = op;
        self.at = at;
        true
    }

    fn set_local(&mut self, local: u32, value: u32) {
        self.push(Frame::RestoreLocal { local, value: self.scratch.locals[local as usize] });
        self.scratch.locals[local as usize] = value;
    }

    fn capture(&mut self, group: u32, start: u32, end: u32) {
        let (old_start, old_end) = self.scratch.groups[group as usize];
        self.push(Frame::RestoreGroup { group, start: old_start, end: old_end });
        self.scratch.groups[group as usize] = (start, end);
    }

    fn push_base(&mut self, count: u32) {
        let frame = Frame::Base { op: self.op, at: self.at, count, below: self.base };
        self.base = self.scratch.frames.len() as u32;
        self.push(frame);
    }

    /// Forgets every choice since the innermost base, and the base: what was captured since stays.
    fn drop_to_base(&mut self) {
        if let Some(&Frame::Base { below, .. }) = self.scratch.frames.get(self.base as usize) {
            self.scratch.frames.truncate(self.base as usize);
            self.base = below;
        }
    }

    fn push(&mut self, frame: Frame) {
        self.scratch.frames.push(frame);
    }
}
