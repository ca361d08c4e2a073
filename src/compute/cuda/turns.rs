//! Pieces of work on two lanes by turns.

use std::ops::Range;

use super::super::error::Error;

/// `0..len` in steps.
pub(super) fn slices(len: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(step).map(move |start| start..len.min(start + step))
}

/// Runs `start` for one piece after the other, on two lanes by turns, and `finish` with what it gave
/// once the next has started.
pub(super) fn in_turns<P, S>(
    pieces: impl IntoIterator<Item = P>,
    start: impl Fn(usize, P) -> Result<S, Error>,
    mut finish: impl FnMut(usize, S) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut before = None;
    for (at, piece) in pieces.into_iter().enumerate() {
        let started = (at % 2, start(at % 2, piece)?);
        if let Some((turn, started)) = before.replace(started) {
            finish(turn, started)?;
        }
    }
    before.map_or(Ok(()), |(turn, started)| finish(turn, started))
}
