//! Buffers that return to their arena when dropped, so that a warm encoder allocates no memory.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::exec::Error;
use super::super::operands::Span;

/// Buffers kept for reuse; an encoder layer holds at most five at once.
const MAX_KEPT: usize = 8;

/// Recycles the memory of [`Buffer`]s.
#[derive(Default)]
pub(super) struct Arena {
    free: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Arena {
    /// A matrix of `rows x cols` whose contents are arbitrary: the caller writes every element.
    pub(super) fn take(&self, rows: usize, cols: usize) -> Buffer {
        let len = rows * cols;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that fits, or else the largest, which then grows.
        let fit = (0..free.len()).min_by_key(|&i| {
            let capacity = free[i].capacity();
            if capacity >= len { (0, capacity) } else { (1, usize::MAX - capacity) }
        });
        let mut data = fit.map(|i| free.swap_remove(i)).unwrap_or_default();
        drop(free);
        if data.capacity() < len {
            // Contents are arbitrary, so nothing is copied into the larger block.
            data.clear();
            data.reserve_exact(len);
        }
        data.resize(len, 0.0);
        Buffer { data, cols, free: Arc::clone(&self.free) }
    }
}

/// A row-major f32 matrix `[rows, cols]`; derefs to its elements.
pub struct Buffer {
    data: Vec<f32>,
    cols: usize,
    free: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Buffer {
    /// Columns of the matrix.
    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    /// Rows of the matrix.
    pub(super) fn rows(&self) -> usize {
        self.data.len().checked_div(self.cols).unwrap_or(0)
    }

    /// The rows of `span`, its tokens being rows.
    pub(super) fn span(&self, cu_seqlens: &[u32], span: Span) -> Result<&[f32], Error> {
        let tokens = span.rows(cu_seqlens)?;
        self.data.get(tokens.start * self.cols..tokens.end * self.cols).ok_or(Error::Index {
            what: "span end",
            index: tokens.end,
            limit: self.rows() + 1,
        })
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_KEPT {
            free.push(std::mem::take(&mut self.data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn a_dropped_buffer_is_reused() {
        let arena = Arena::default();
        let first = arena.take(4, 8);
        let address = first.as_ptr();
        drop(first);
        let second = arena.take(2, 8);
        assert_eq!(second.as_ptr(), address);
        assert_eq!((second.rows(), second.cols(), second.len()), (2, 8, 16));
    }

    #[test]
    fn live_buffers_never_share_memory() {
        let arena = Arena::default();
        let mut a = arena.take(3, 3);
        let mut b = arena.take(3, 3);
        a.fill(1.0);
        b.fill(2.0);
        assert!(a.iter().all(|x| x.to_bits() == 1.0_f32.to_bits()));
    }
}
