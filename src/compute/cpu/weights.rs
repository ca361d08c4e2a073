//! Memory of packed weights: large pieces that the system may back by huge pages, since with small
//! ones every few kilobytes of weights cost a walk of the page table (15 to 25% of a short query).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::{MmapMut, MmapRaw};

use super::super::error::Error;

/// Bytes of a huge page on x86-64 and, usually, aarch64.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Bytes of a piece, unless one layer needs more.
const PIECE_BYTES: usize = 8 << 20;
/// Words of a cache line, where every layer starts.
const LINE_WORDS: usize = 16;

/// Hands out memory for weights.
#[derive(Default)]
pub(super) struct WeightMemory {
    /// The piece that is handed out now, and how many of its words are.
    current: Mutex<Option<(Arc<Piece>, usize)>>,
}

/// A mapping, of which every word is handed out once.
struct Piece {
    map: MmapRaw,
    /// Words before the first huge page.
    skipped: usize,
}

impl Piece {
    fn new(words: usize) -> io::Result<Self> {
        let bytes = (4 * words).max(PIECE_BYTES).next_multiple_of(HUGE_PAGE_BYTES);
        let map = MmapMut::map_anon(bytes + HUGE_PAGE_BYTES)?;
        // Where there are none, small pages serve.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let start = map.as_ptr().addr();
        let skipped = (start.next_multiple_of(HUGE_PAGE_BYTES) - start) / 4;
        Ok(Self { map: map.into(), skipped })
    }

    #[expect(clippy::cast_ptr_alignment, reason = "pages are aligned to more than words")]
    fn word(&self, index: usize) -> *mut u32 {
        assert!(index <= self.map.len() / 4, "word {index} of {}", self.map.len() / 4);
        self.map.as_mut_ptr().cast::<u32>().wrapping_add(index)
    }

    fn words(&self) -> usize {
        (self.map.len() - HUGE_PAGE_BYTES) / 4
    }
}

impl WeightMemory {
    /// `words` zeros, from the start of a cache line.
    pub(super) fn take(&self, words: usize) -> Result<Weights, Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let len = words.next_multiple_of(LINE_WORDS);
        let fitting = current.take().filter(|(piece, used)| used + len <= piece.words());
        let (piece, used) = match fitting {
            Some(fitting) => fitting,
            None => (Arc::new(Piece::new(len).map_err(Error::Memory)?), 0),
        };
        let start = piece.skipped + used;
        *current = Some((Arc::clone(&piece), used + len));
        Ok(Weights { piece, start, len: words })
    }
}

/// Words of a piece that belong to one layer.
pub(super) struct Weights {
    piece: Arc<Piece>,
    start: usize,
    len: usize,
}

impl Weights {
    pub(super) fn words(&self) -> &[u32] {
        // SAFETY: the range was handed out to this value alone.
        unsafe { std::slice::from_raw_parts(self.piece.word(self.start), self.len) }
    }

    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        // SAFETY: as above, and the borrow of this value is unique.
        unsafe { std::slice::from_raw_parts_mut(self.piece.word(self.start), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE_BYTES, WeightMemory};

    #[test]
    fn layers_never_share_words() {
        let pool = WeightMemory::default();
        let sizes = [5, 1_000, PIECE_BYTES / 4 - 100, 3, PIECE_BYTES, 17, 0, 64];
        let mut all: Vec<_> = sizes.iter().map(|&words| pool.take(words).unwrap()).collect();
        for (mark, weights) in (1..).zip(&mut all) {
            assert!(weights.words().iter().all(|&word| word == 0));
            assert_eq!(weights.words().as_ptr().addr() % 64, 0);
            weights.words_mut().fill(mark);
        }
        for (mark, (weights, words)) in (1..).zip(all.iter().zip(sizes)) {
            assert_eq!(weights.words().len(), words);
            assert!(weights.words().iter().all(|&word| word == mark));
        }
    }
}
