//! Memory that returns to its arena when dropped, so that a warm encoder allocates none.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Words of a cache line, which is also the longest vector.
const LINE_WORDS: usize = 16;
/// Blocks kept for reuse, for each thread: a layer holds at most eight at once.
const KEPT_PER_THREAD: usize = 16;

/// A cache line: vectors that start at one never straddle two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; LINE_WORDS]);

/// Words of 32 bits, aligned to cache lines.
#[derive(Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// `words` zeros, rounded up to whole lines.
    pub(super) fn zeroed(words: usize) -> Self {
        Self(vec![Line([0; LINE_WORDS]); words.div_ceil(LINE_WORDS)])
    }

    pub(super) fn words(&self) -> &[u32] {
        // SAFETY: a line is an array of words without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE_WORDS) }
    }

    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        let len = self.0.len() * LINE_WORDS;
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) }
    }
}

type Free = Arc<Mutex<Vec<Lines>>>;

/// Recycles the memory of [`Block`]s; its clones share it.
#[derive(Clone, Default)]
pub(super) struct Arena {
    free: Free,
}

impl Arena {
    /// `len` words of arbitrary contents: the caller writes each before it is read.
    pub(super) fn take(&self, len: usize) -> Block {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that fits, or else the largest, whose memory goes to a larger one.
        let fit = (0..free.len()).min_by_key(|&i| {
            let words = free[i].words().len();
            if words >= len { (0, words) } else { (1, usize::MAX - words) }
        });
        let mut lines = fit.map(|i| free.swap_remove(i)).unwrap_or_default();
        drop(free);
        if lines.words().len() < len {
            // Contents are arbitrary, so nothing is copied: the smaller memory goes first.
            drop(std::mem::take(&mut lines));
            lines = Lines::zeroed(len);
        }
        Block { lines, len, free: Arc::clone(&self.free) }
    }
}

/// A run of words from an arena; derefs to them as f32.
pub(super) struct Block {
    lines: Lines,
    len: usize,
    free: Free,
}

impl Block {
    pub(super) fn words(&self) -> &[u32] {
        &self.lines.words()[..self.len]
    }

    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        &mut self.lines.words_mut()[..self.len]
    }
}

impl Deref for Block {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let words = self.words();
        // SAFETY: every pattern of bits is an f32, of the same size and alignment.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [f32] {
        let words = self.words_mut();
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT_PER_THREAD * rayon::current_num_threads() {
            free.push(std::mem::take(&mut self.lines));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn a_dropped_block_is_reused() {
        let arena = Arena::default();
        let first = arena.take(32);
        let address = first.as_ptr();
        assert_eq!(address.addr() % 64, 0);
        drop(first);
        let second = arena.take(17);
        assert_eq!(second.as_ptr(), address);
        assert_eq!(second.len(), 17);
    }

    #[test]
    fn live_blocks_never_share_memory() {
        let arena = Arena::default();
        let mut a = arena.take(9);
        let mut b = arena.take(9);
        a.fill(1.0);
        b.fill(2.0);
        assert!(a.iter().all(|x| x.to_bits() == 1.0_f32.to_bits()));
    }
}
