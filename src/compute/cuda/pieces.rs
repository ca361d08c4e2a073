//! Page-locked pieces through which large operands go to the device: while one is copied, the other is
//! filled.
//!
//! Invariant: a piece is written once its last copy is over.

use std::sync::Arc;

use cudarc::driver::sys::CUevent_flags;
use cudarc::driver::{CudaEvent, CudaStream, result};

use super::super::error::Error;
use super::device::driver_error;
use super::memory::{Memory, Pinned};

/// The most bytes of a piece: page-locked memory is scarce.
const PIECE_BYTES: usize = 8 << 20;

/// The two pieces of a stream, made when there is something to send.
#[derive(Default)]
pub(super) struct Pieces {
    pieces: [Option<Piece>; 2],
    /// Which is filled next.
    next: usize,
}

struct Piece {
    pinned: Pinned,
    /// After its last copy.
    copied: CudaEvent,
}

impl Pieces {
    /// Copies `bytes` to the start of `memory`, in the stream's order; they have been read when this
    /// returns.
    ///
    /// # Panics
    /// Where the block has fewer bytes.
    pub(super) fn send(
        &mut self,
        stream: &Arc<CudaStream>,
        memory: &Memory,
        bytes: &[u8],
    ) -> Result<(), Error> {
        assert!(bytes.len() <= memory.bytes(), "room for an operand");
        for (at, part) in bytes.chunks(PIECE_BYTES).enumerate() {
            let piece = filled(&mut self.pieces[self.next], stream, part)?;
            self.next = 1 - self.next;
            let to = memory.pointer() + (at * PIECE_BYTES) as u64;
            let staged = &piece.pinned.bytes()[..part.len()];
            // SAFETY: the block has as many bytes from there on, and nobody writes to the piece
            // before its event.
            unsafe { result::memcpy_htod_async(to, staged, stream.cu_stream()) }
                .and_then(|()| piece.copied.record(stream))
                .map_err(|error| driver_error("copy to the device", error))?;
        }
        Ok(())
    }
}

/// The piece with `part` in it, after its last copy; a larger one where it is too small.
fn filled<'a>(
    place: &'a mut Option<Piece>,
    stream: &Arc<CudaStream>,
    part: &[u8],
) -> Result<&'a Piece, Error> {
    if let Some(piece) = place {
        let waited = piece.copied.synchronize();
        waited.map_err(|error| driver_error("wait for a copy to the device", error))?;
    }
    let mut piece = match place.take() {
        Some(piece) if piece.pinned.len() >= part.len() => piece,
        _ => {
            let pinned = Pinned::new(stream.context(), part.len())?;
            // Who waits for it sleeps.
            let copied = stream.context().new_event(Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC));
            let copied = copied.map_err(|error| driver_error("make an event", error))?;
            Piece { pinned, copied }
        }
    };
    piece.pinned.bytes_mut()[..part.len()].copy_from_slice(part);
    Ok(place.insert(piece))
}
