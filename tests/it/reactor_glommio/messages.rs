//! Messages between shards, turns at the wanted time, and what can go wrong at the start.

use std::thread::{self, JoinHandle};

use pinion::ids::ShardId;
use pinion::reactor::glommio::Glommio;
use pinion::reactor::mailbox::{Endpoint, mesh};
use pinion::reactor::uring::{self, Uring};
use pinion::reactor::{Event, Handler, Io};

use super::{Config, Loop, Note, config, start};

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

/// A thread that plays on one runtime, once `run` has made it.
fn player(
    mailbox: Endpoint<Note>,
    throws: u32,
    run: impl FnOnce(Endpoint<Note>, &mut Player) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let other = ShardId(1 - mailbox.id().0);
        let mut player = Player { other, throws, last: 0, is_stopping: false };
        run(mailbox, &mut player);
        assert!(player.last + 1 >= throws);
    })
}

fn play_on_glommio(mailbox: Endpoint<Note>, player: &mut Player) {
    let config = Config { listeners: Vec::new(), ..config() };
    Glommio::new(&config, mailbox).unwrap().run(player).unwrap();
}

fn play_on_uring(mailbox: Endpoint<Note>, player: &mut Player) {
    let config = uring::Config { connections_max: 4, outgoing_max: 4, receive_buffers: 4, ..uring::Config::default() };
    Uring::new(&config, mailbox).unwrap().run(player).unwrap();
}

fn referee(control: &mut Endpoint<Note>, throws: u32) {
    control.post(ShardId(0), Note::Ball(0)).unwrap();
    while control.is_empty() {
        control.wait();
    }
    assert_eq!(control.pop().unwrap().1, Note::Ball(throws));
}

#[test]
fn executors_that_sleep_wake_each_other() {
    let (mut shards, mut control) = mesh(2, 8).unwrap();
    let second = player(shards.pop().unwrap(), 3_000, play_on_glommio);
    let first = player(shards.pop().unwrap(), 3_000, play_on_glommio);
    referee(&mut control, 3_000);
    first.join().unwrap();
    second.join().unwrap();
}

#[test]
fn both_runtimes_understand_each_other() {
    // An odd number, so that glommio throws last: the main runtime wakes an eventfd by its ring, and when it ends at
    // once it may take that back.
    let (mut shards, mut control) = mesh(2, 8).unwrap();
    let second = player(shards.pop().unwrap(), 3_001, play_on_uring);
    let first = player(shards.pop().unwrap(), 3_001, play_on_glommio);
    referee(&mut control, 3_001);
    first.join().unwrap();
    second.join().unwrap();
}

/// Posts until the way is full, then waits for leave to end.
struct Talker {
    posted: u32,
    is_stopping: bool,
}

impl Handler<Loop> for Talker {
    fn on_event(&mut self, _: &mut Loop, event: Event<'_, Note>) {
        assert!(matches!(event, Event::Message { from: ShardId::CONTROL, message: Note::Stop }), "{event:?}");
        self.is_stopping = true;
    }

    fn on_turn(&mut self, io: &mut Loop) -> Option<u64> {
        while io.post_room(ShardId::CONTROL) > 0 {
            io.post(ShardId::CONTROL, Note::Ball(self.posted)).unwrap();
            self.posted += 1;
        }
        assert_eq!(io.post(ShardId::CONTROL, Note::Stop), Err(Note::Stop), "it is full");
        (!self.is_stopping).then_some(u64::MAX)
    }
}

#[test]
fn there_is_as_much_room_as_the_ring_holds() {
    let (mut shards, mut control) = mesh(1, 8).unwrap();
    let mailbox = shards.pop().unwrap();
    let talking = thread::spawn(move || {
        let mut talker = Talker { posted: 0, is_stopping: false };
        Glommio::new(&Config { listeners: Vec::new(), ..config() }, mailbox).unwrap().run(&mut talker).unwrap();
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
struct Ticker {
    turns: u32,
    wanted_ns: u64,
}

impl Handler<Loop> for Ticker {
    fn on_event(&mut self, _: &mut Loop, event: Event<'_, Note>) {
        panic!("{event:?}");
    }

    fn on_turn(&mut self, io: &mut Loop) -> Option<u64> {
        let now_ns = io.now().mono_ns;
        assert!(now_ns >= self.wanted_ns, "too early");
        assert!(self.turns == 0 || now_ns < self.wanted_ns + 1_000_000_000, "far too late");
        self.turns += 1;
        self.wanted_ns = now_ns + 2_000_000;
        (self.turns <= 40).then_some(self.wanted_ns)
    }
}

#[test]
fn turns_come_when_they_are_wanted_and_not_else() {
    let running = start(config(), Ticker { turns: 0, wanted_ns: 0 });
    let (ticker, counters, _) = running.thread.join().unwrap();
    assert_eq!((ticker.turns, counters.turns), (41, 41));
}

#[test]
fn a_core_that_is_not_there_is_named() {
    let (mut shards, _control) = mesh::<Note>(1, 8).unwrap();
    let config = Config { core: Some(4_000), listeners: Vec::new(), ..config() };
    let error = Glommio::new(&config, shards.pop().unwrap()).err().unwrap().to_string();
    assert!(error.contains("core 4000") && !error.contains('\n'), "{error}");
}
