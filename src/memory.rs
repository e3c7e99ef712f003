//! Memory for tables that are read at random places.
//!
//! Goal: a look-up waits for its cache line and for nothing else. In pages of 4 KiB it waits for the page's translation
//! too, which in a virtual machine is as many reads again. Method: the kernel is asked for huge pages, which it gives
//! as far as it has any, and all is written at once, so that nothing is left to be had later.
//!
//! Where several look-ups are to be made, all are begun before the first is decided on: together they take little
//! longer than one. Those that are needed at once are read ([`fetch`]); those that are needed after other work are only
//! sent for ([`prefetch`]), as a read would hold up all that comes behind it.
//!
//! Source: madvise(2), MADV_HUGEPAGE; the kernel's admin-guide/mm/transhuge.

use std::mem::MaybeUninit;

/// Smaller tables stay in the caches' reach anyhow.
const WORTHWHILE_BYTES: usize = 4 << 20;
const PAGE_BYTES: usize = 4096;

/// `count` times `value`.
pub(crate) fn table<T: Copy>(value: T, count: usize) -> Box<[T]> {
    let mut items = Vec::with_capacity(count);
    prefer_huge_pages(items.spare_capacity_mut());
    items.resize(count, value);
    items.into()
}

/// How many places are read at once: about as many misses as a core has under way.
pub(crate) const FETCHED_TOGETHER: usize = 16;

/// Has all of `values` read before any of them is decided on. A decision that waits for memory is often foretold
/// wrongly, and what was begun after it is then begun anew: one after the other, each would be waited for in full.
#[inline(always)]
pub(crate) fn fetch(values: impl Iterator<Item = u32>) {
    std::hint::black_box(values.fold(0, |all, value| all ^ value));
}

/// Sends for the cache line of `value`'s first byte. Where the processor can't be told to, the value is read.
#[inline(always)]
pub(crate) fn prefetch<T: Copy>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction; it neither faults at any address nor changes anything.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*value);
}

/// A hint: a kernel without huge pages serves as well, and slower.
fn prefer_huge_pages<T>(room: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(room);
    let skipped = room.as_ptr().addr().wrapping_neg() % PAGE_BYTES;
    if bytes < WORTHWHILE_BYTES {
        return;
    }
    // SAFETY: the range lies within `room`, begins at a page, and the advice changes nothing of what it holds.
    unsafe { libc::madvise(room.as_mut_ptr().byte_add(skipped).cast(), bytes - skipped, libc::MADV_HUGEPAGE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_its_value_everywhere() {
        for count in [0, 1, WORTHWHILE_BYTES / 8 + 3] {
            let table = table(0x0123_4567_89ab_cdef_u64, count);
            assert_eq!(table.len(), count);
            assert!(table.iter().all(|value| *value == 0x0123_4567_89ab_cdef));
        }
    }
}
