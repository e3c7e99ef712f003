//! The integration binary's allocator: the system's own, counting.
//!
//! It counts for each thread ([`changes_of`]), and apart from that on threads that were sealed: a shard's thread seals
//! itself when it is ready, and from then on each allocation and each free is a fault. The first one's call stack is
//! kept.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pinion::ids::ShardId;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Allocations and frees of this thread.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static SEALED: Cell<bool> = const { Cell::new(false) };
}

static WATCHED: AtomicBool = AtomicBool::new(false);
static SEALED_THREADS: AtomicU64 = AtomicU64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
static FIRST: Mutex<Option<String>> = Mutex::new(None);
static WATCH: Mutex<()> = Mutex::new(());

/// How many allocations and frees `work` makes on this thread.
pub fn changes_of(work: impl FnOnce()) -> u64 {
    let before = CHANGES.get();
    work();
    CHANGES.get() - before
}

/// Seals the calling thread: for `Launch::on_ready`.
pub fn seal(_: ShardId) {
    SEALED_THREADS.fetch_add(1, SeqCst);
    SEALED.set(true);
}

/// As long as it lives, faults of sealed threads are counted. One at a time: tests wait for each other.
pub struct Watch {
    _turn: MutexGuard<'static, ()>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Faults {
    /// Threads that were sealed.
    pub threads: u64,
    pub allocations: u64,
    pub frees: u64,
    /// What the first one was, and its call stack.
    pub first: Option<String>,
}

impl Watch {
    pub fn begin() -> Watch {
        let turn = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        for number in [&SEALED_THREADS, &ALLOCATIONS, &FREES] {
            number.store(0, SeqCst);
        }
        *first() = None;
        WATCHED.store(true, SeqCst);
        Watch { _turn: turn }
    }

    /// What was counted until now.
    pub fn faults(&self) -> Faults {
        Faults {
            threads: SEALED_THREADS.load(SeqCst),
            allocations: ALLOCATIONS.load(SeqCst),
            frees: FREES.load(SeqCst),
            first: first().clone(),
        }
    }

    /// Panics with the first fault's call stack when there was one, or when fewer threads were watched than meant.
    #[track_caller]
    pub fn assert_clean(&self, threads: u64) {
        let faults = self.faults();
        assert_eq!(faults.threads, threads, "sealed threads");
        assert!(
            faults.allocations == 0 && faults.frees == 0,
            "{} allocations and {} frees on sealed threads; the first: {}",
            faults.allocations,
            faults.frees,
            faults.first.as_deref().unwrap_or("unknown"),
        );
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A thread that ends gives back all that it has.
        WATCHED.store(false, SeqCst);
    }
}

fn first() -> MutexGuard<'static, Option<String>> {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(what: &str, kind: &AtomicU64, bytes: usize) {
    CHANGES.set(CHANGES.get() + 1);
    if !SEALED.get() || !WATCHED.load(SeqCst) {
        return;
    }
    kind.fetch_add(1, SeqCst);
    // Telling of it allocates.
    SEALED.set(false);
    let changes = CHANGES.get();
    let mut first = first();
    if first.is_none() {
        *first = Some(format!("{what} of {bytes} bytes\n{}", Backtrace::force_capture()));
    }
    drop(first);
    CHANGES.set(changes);
    SEALED.set(true);
}

// SAFETY: every call is passed on to the system's allocator unchanged. Counting touches atomics and thread-locals that
// need no initialisation; what it allocates itself happens on a thread that is not sealed meanwhile.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count("an allocation", &ALLOCATIONS, layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count("an allocation", &ALLOCATIONS, layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count("a reallocation", &ALLOCATIONS, size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count("a free", &FREES, layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn what_sealed_threads_allocate_and_free_is_told() {
    let watch = Watch::begin();
    assert_eq!(changes_of(|| drop(vec![0; 8])), 2);
    assert_eq!(watch.faults(), Faults { threads: 0, allocations: 0, frees: 0, first: None }, "this one is not sealed");
    std::thread::spawn(|| {
        let mut early = vec![0; 8];
        seal(ShardId(0));
        assert_eq!(changes_of(|| early.extend([0; 100])), 1);
        drop(early);
        SEALED.set(false);
    })
    .join()
    .unwrap();
    let faults = watch.faults();
    assert_eq!((faults.threads, faults.allocations, faults.frees), (1, 1, 1));
    let first = faults.first.unwrap();
    assert!(first.starts_with("a reallocation of") && first.contains("allocator"), "{first}");
}
