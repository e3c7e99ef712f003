//! Messages between shards, turns at the wanted time, and a core that is not there.

use std::thread::{self, JoinHandle};

use pinion::ids::ShardId;
use pinion::reactor::mailbox::{Endpoint, mesh};
use pinion::reactor::{Event, Handler, Io};

use super::echo::Echo;
use super::{Config, GLOMMIO, Note, Report, Runtime, URING, config, start};

on_each_runtime!(
    shards_that_sleep_wake_each_other,
    control_gets_an_answer_each_time,
    there_is_as_much_room_as_the_ring_holds,
    turns_come_when_they_are_wanted_and_not_else,
    a_core_that_is_not_there_is_named,
);

/// Two shards throw a ball to each other.
struct Player {
    other: ShardId,
    throws: u32,
    last: u32,
    is_stopping: bool,
}

impl<I: Io<Message = Note>> Handler<I> for Player {
    fn on_event(&mut self, io: &mut I, event: Event<'_, Note>) {
        let Event::Message { from, message: Note::Ball(ball) } = event else { panic!("{event:?}") };
        assert!(from == self.other || from == ShardId::CONTROL);
        assert!(ball == 0 || ball == self.last + if self.last == 0 { ball } else { 2 });
        self.last = ball;
        let target = if ball < self.throws { self.other } else { ShardId::CONTROL };
        let room = io.post_room(target);
        io.post(target, Note::Ball(ball + u32::from(ball < self.throws))).unwrap();
        assert!(io.post_room(target) >= room - 1);
        self.is_stopping = ball + 1 >= self.throws;
    }

    fn on_turn(&mut self, _: &mut I) -> Option<u64> {
        (!self.is_stopping).then_some(u64::MAX)
    }
}

/// Begins with the first, and ends when the control thread has the ball.
pub(super) fn ping_pong(
    first: impl Runtime,
    second: impl Runtime,
    throws: u32,
    config_of: fn(ShardId) -> Config,
) -> [Report; 2] {
    let (mut shards, mut control) = mesh(2, 8).unwrap();
    let second = player(second, config_of, shards.pop().unwrap(), throws);
    let first = player(first, config_of, shards.pop().unwrap(), throws);
    control.post(ShardId(0), Note::Ball(0)).unwrap();
    while control.is_empty() {
        control.wait();
    }
    assert_eq!(control.pop().unwrap().1, Note::Ball(throws));
    [first, second].map(|player| player.join().unwrap())
}

fn player(
    runtime: impl Runtime,
    config_of: fn(ShardId) -> Config,
    mailbox: Endpoint<Note>,
    throws: u32,
) -> JoinHandle<Report> {
    thread::spawn(move || {
        let id = mailbox.id();
        let mut player = Player { other: ShardId(1 - id.0), throws, last: 0, is_stopping: false };
        let report = runtime.run(&config_of(id), mailbox, &mut player, |_| ()).unwrap();
        assert!(player.last + 1 >= throws, "player {id}");
        report
    })
}

pub(super) fn deaf(_: ShardId) -> Config {
    Config { listeners: Vec::new(), ..config() }
}

pub(super) fn shards_that_sleep_wake_each_other(runtime: impl Runtime) {
    let reports = ping_pong(runtime, runtime, 3_000, deaf);
    assert_eq!(reports.map(|report| report.counters.messages), [1_501, 1_500]);
}

#[test]
fn the_runtimes_understand_each_other() {
    // Each has the ball last.
    for throws in [1_500, 1_501] {
        ping_pong(URING, GLOMMIO, throws, deaf);
        ping_pong(GLOMMIO, URING, throws, deaf);
    }
}

pub(super) fn control_gets_an_answer_each_time(runtime: impl Runtime) {
    let mut running = start(runtime, config(), Echo::default());
    for _ in 0..500 {
        assert_eq!(running.settle(), []);
    }
    let (_, report) = running.stop();
    assert_eq!(report.counters.messages, 2_001);
}

/// Posts until the way is full, then waits for leave to end.
struct Talker {
    posted: u32,
    is_stopping: bool,
}

impl<I: Io<Message = Note>> Handler<I> for Talker {
    fn on_event(&mut self, _: &mut I, event: Event<'_, Note>) {
        assert!(matches!(event, Event::Message { from: ShardId::CONTROL, message: Note::Stop }), "{event:?}");
        self.is_stopping = true;
    }

    fn on_turn(&mut self, io: &mut I) -> Option<u64> {
        while io.post_room(ShardId::CONTROL) > 0 {
            io.post(ShardId::CONTROL, Note::Ball(self.posted)).unwrap();
            self.posted += 1;
        }
        assert_eq!(io.post(ShardId::CONTROL, Note::Stop), Err(Note::Stop), "it is full");
        (!self.is_stopping).then_some(u64::MAX)
    }
}

pub(super) fn there_is_as_much_room_as_the_ring_holds(runtime: impl Runtime) {
    let (mut shards, mut control) = mesh(1, 8).unwrap();
    let mailbox = shards.pop().unwrap();
    let talking = thread::spawn(move || {
        let mut talker = Talker { posted: 0, is_stopping: false };
        runtime.run(&deaf(ShardId(0)), mailbox, &mut talker, |_| ()).unwrap();
        talker.posted
    });
    control.post(ShardId(0), Note::Stop).unwrap();
    let posted = talking.join().unwrap();
    assert!(posted == 8, "{posted}");
    for ball in 0..8 {
        assert_eq!(control.pop().unwrap(), (ShardId(0), Note::Ball(ball)));
    }
}

/// Wants a turn every two milliseconds.
#[derive(Default)]
pub(super) struct Ticker {
    turns: u32,
    wanted_ns: u64,
}

impl Ticker {
    pub(super) const TURNS: u32 = 41;
}

impl<I: Io<Message = Note>> Handler<I> for Ticker {
    fn on_event(&mut self, _: &mut I, event: Event<'_, Note>) {
        panic!("{event:?}");
    }

    fn on_turn(&mut self, io: &mut I) -> Option<u64> {
        let now_ns = io.now().mono_ns;
        assert!(now_ns >= self.wanted_ns, "too early");
        assert!(self.turns == 0 || now_ns < self.wanted_ns + 1_000_000_000, "far too late");
        self.turns += 1;
        self.wanted_ns = now_ns + 2_000_000;
        (self.turns < Ticker::TURNS).then_some(self.wanted_ns)
    }
}

pub(super) fn turns_come_when_they_are_wanted_and_not_else(runtime: impl Runtime) {
    let running = start(runtime, config(), Ticker::default());
    let (ticker, report) = running.thread.join().unwrap();
    assert_eq!((ticker.turns, report.counters.turns), (Ticker::TURNS, Ticker::TURNS.into()));
}

pub(super) fn a_core_that_is_not_there_is_named(runtime: impl Runtime) {
    let (mut shards, _control) = mesh(1, 8).unwrap();
    let config = Config { core: Some(4_000), ..deaf(ShardId(0)) };
    let error = runtime.run(&config, shards.pop().unwrap(), &mut Ticker::default(), |_| ()).unwrap_err().to_string();
    assert!(error.contains("core 4000") && !error.contains('\n'), "{error}");
}
