//! A syntax tree as a row of instructions for the backtracking engine.

use ahash::{HashMap, HashMapExt};

use super::set::CharSet;
use super::syntax::{Assertion, Fold, Kind, Look, Method, Node, Repeat};

/// One instruction. Unless it says otherwise it goes on with the one behind it. Addresses are places in the program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Character(u32),
    Set(u32),
    /// A set, repeated.
    SetRun {
        set: u32,
        min: u32,
        max: u32,
        kind: Kind,
    },
    LineBreak,
    Assertion(Assertion),
    BackReference {
        group: u32,
        fold: Fold,
    },
    Jump(u32),
    /// Goes on with `first`; when that fails, with `second`.
    Choose {
        first: u32,
        second: u32,
    },
    /// Remembers in `local` where a group begins.
    GroupStart {
        local: u32,
    },
    /// Captures from what `local` remembers to here.
    GroupEnd {
        local: u32,
        group: u32,
    },
    /// Begins something whose inner choices are forgotten at its `AtomicEnd`.
    AtomicStart,
    AtomicEnd,
    /// The body follows and ends with `LookEnd`; `after` is what comes behind that.
    LookStart {
        look: u32,
        after: u32,
    },
    LookEnd,
    /// The body follows and ends with `RoundEnd`, behind which the program goes on.
    Rounds {
        rounds: u32,
    },
    RoundEnd,
    /// Begins a loop: behind it come `LoopFirst`, the body and `LoopNext`.
    LoopStart {
        looping: u32,
    },
    /// The first round.
    LoopFirst {
        looping: u32,
    },
    /// The end of a round.
    LoopNext {
        looping: u32,
    },
    /// One more round.
    LoopMore {
        looping: u32,
    },
    Match,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LookData {
    pub(super) behind: Option<(u32, u32)>,
    pub(super) negative: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RoundsData {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) kind: Kind,
    /// The group whose body is repeated: it captures each round. 0: none.
    pub(super) capture: u32,
    pub(super) exit: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LoopData {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) lazy: bool,
    /// The local that counts rounds, and the one that remembers where this round began.
    pub(super) count: u32,
    pub(super) begin: u32,
    pub(super) first: u32,
    pub(super) body: u32,
    pub(super) more: u32,
    pub(super) exit: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) sets: Vec<FastSet>,
    pub(super) looks: Vec<LookData>,
    pub(super) rounds: Vec<RoundsData>,
    pub(super) loops: Vec<LoopData>,
    pub(super) locals: u32,
    pub(super) groups: u32,
}

impl Program {
    pub(super) fn new(root: &Node, groups: u32) -> Program {
        let mut compiler = Compiler { program: Program { groups, ..Program::default() }, places: HashMap::new() };
        compiler.node(root);
        compiler.emit(Op::Match);
        compiler.program
    }

    /// Heap bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.ops.len() * size_of::<Op>()
            + self.sets.iter().map(|set| size_of::<FastSet>() + set.rest.ranges().len() * 8).sum::<usize>()
            + self.rounds.len() * size_of::<RoundsData>()
            + self.loops.len() * size_of::<LoopData>()
    }
}

/// A set with a bit for each ASCII character.
#[derive(Clone, Debug)]
pub(super) struct FastSet {
    ascii: u128,
    rest: CharSet,
}

impl FastSet {
    fn new(set: &CharSet) -> FastSet {
        let ascii = (0..128).filter(|&bit| set.contains(bit)).fold(0, |bits, bit| bits | 1 << bit);
        FastSet { ascii, rest: set.clone() }
    }

    pub(super) fn contains(&self, character: u32) -> bool {
        if character < 128 { self.ascii >> character & 1 == 1 } else { self.rest.contains(character) }
    }
}

struct Compiler {
    program: Program,
    /// Where each set stands in the program's table.
    places: HashMap<CharSet, u32>,
}

impl Compiler {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Empty => {}
            Node::Set(set) => {
                let op = self.set_op(set);
                self.emit(op);
            }
            Node::Sequence(nodes) => nodes.iter().for_each(|node| self.node(node)),
            Node::Alternation(branches) => self.alternation(branches),
            Node::Group { capture: None, body } => self.node(body),
            Node::Group { capture: Some(group), body } => {
                let local = self.local();
                self.group(local, Some(*group), body);
            }
            Node::Atomic(body) => {
                self.emit(Op::AtomicStart);
                self.node(body);
                self.emit(Op::AtomicEnd);
            }
            Node::Look(look) => self.look(look),
            Node::Repeat(repeat) => self.repeat(repeat),
            Node::Assertion(assertion) => {
                self.emit(Op::Assertion(*assertion));
            }
            Node::BackReference { group, fold } => {
                self.emit(Op::BackReference { group: *group, fold: *fold });
            }
            Node::LineBreak => {
                self.emit(Op::LineBreak);
            }
        }
    }

    fn set_op(&mut self, set: &CharSet) -> Op {
        if let &[(first, last)] = set.ranges()
            && first == last
        {
            return Op::Character(first);
        }
        Op::Set(self.set(set))
    }

    fn set(&mut self, set: &CharSet) -> u32 {
        if let Some(&place) = self.places.get(set) {
            return place;
        }
        let place = self.program.sets.len() as u32;
        self.program.sets.push(FastSet::new(set));
        self.places.insert(set.clone(), place);
        place
    }

    fn alternation(&mut self, branches: &[Node]) {
        let mut jumps = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            if index + 1 == branches.len() {
                self.node(branch);
                break;
            }
            let choose = self.emit(Op::Jump(0));
            self.node(branch);
            jumps.push(self.emit(Op::Jump(0)));
            self.program.ops[choose] = Op::Choose { first: choose as u32 + 1, second: self.here() };
        }
        for jump in jumps {
            self.program.ops[jump] = Op::Jump(self.here());
        }
    }

    fn group(&mut self, local: u32, capture: Option<u32>, body: &Node) {
        self.emit(Op::GroupStart { local });
        self.node(body);
        if let Some(group) = capture {
            self.emit(Op::GroupEnd { local, group });
        }
    }

    fn look(&mut self, look: &Look) {
        let index = self.program.looks.len() as u32;
        self.program.looks.push(LookData { behind: look.behind, negative: look.negative });
        let start = self.emit(Op::Jump(0));
        self.node(&look.body);
        self.emit(Op::LookEnd);
        self.program.ops[start] = Op::LookStart { look: index, after: self.here() };
    }

    fn repeat(&mut self, repeat: &Repeat) {
        match repeat.method() {
            Method::Choice => self.choice(repeat),
            Method::Rounds => self.rounds(repeat),
            Method::Loop => self.looping(repeat),
        }
    }

    fn choice(&mut self, repeat: &Repeat) {
        let choose = self.emit(Op::Jump(0));
        self.node(&repeat.body);
        let (body, exit) = (choose as u32 + 1, self.here());
        self.program.ops[choose] = match repeat.kind {
            Kind::Lazy => Op::Choose { first: exit, second: body },
            _ => Op::Choose { first: body, second: exit },
        };
    }

    fn rounds(&mut self, repeat: &Repeat) {
        let Repeat { body, min, max, kind } = repeat;
        if let Node::Set(set) = &**body {
            let set = self.set(set);
            self.emit(Op::SetRun { set, min: *min, max: *max, kind: *kind });
            return;
        }
        // A possessive group captures for itself, within its round.
        let (capture, inner) = match &**body {
            Node::Group { capture, body } if *kind != Kind::Possessive => (capture.unwrap_or(0), &**body),
            _ => (0, &**body),
        };
        let index = self.program.rounds.len();
        self.emit(Op::Rounds { rounds: index as u32 });
        self.program.rounds.push(RoundsData { min: *min, max: *max, kind: *kind, capture, exit: 0 });
        self.node(inner);
        self.emit(Op::RoundEnd);
        self.program.rounds[index].exit = self.here();
    }

    fn looping(&mut self, repeat: &Repeat) {
        let (begin, count) = (self.local(), self.local());
        let index = self.program.loops.len();
        let looping = index as u32;
        let start = self.emit(Op::LoopStart { looping }) as u32;
        self.emit(Op::LoopFirst { looping });
        self.program.loops.push(LoopData {
            min: repeat.min,
            max: repeat.max,
            lazy: repeat.kind == Kind::Lazy,
            count,
            begin,
            first: start + 1,
            body: start + 2,
            more: 0,
            exit: 0,
        });
        match &*repeat.body {
            Node::Group { capture, body } => self.group(begin, *capture, body),
            other => self.group(begin, None, other),
        }
        self.emit(Op::LoopNext { looping });
        let more = self.emit(Op::LoopMore { looping }) as u32;
        self.program.loops[index].more = more;
        self.program.loops[index].exit = self.here();
    }

    fn local(&mut self) -> u32 {
        self.program.locals += 1;
        self.program.locals - 1
    }

    fn here(&self) -> u32 {
        self.program.ops.len() as u32
    }

    fn emit(&mut self, op: Op) -> usize {
        self.program.ops.push(op);
        self.program.ops.len() - 1
    }
}
