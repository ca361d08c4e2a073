//! The thread of a lane: batches run one after the other, and what becomes of those that fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::super::Error;
use super::super::engine::RowWork;
use super::super::job::IndexedJob;
use super::super::lane_threads::LaneThreads;
use super::super::loaded::LoadedModel;
use super::super::pace::smoothed;
use super::super::together::{Pick, Rows, compute_rows, encode_together, take_row};
use super::queue::{Batch, Picked};
use super::shared::Shared;
use super::ticket::{Task, Ticket};
use crate::compute;

/// As many lanes as a device has: work that is there when a second device is lost may be what
/// loses them, and is not tried on a third.
const MAX_LOSSES: u8 = 2;

/// Runs batches until the scheduler stops or the lane's device is lost.
pub(super) fn work(shared: &Shared, lane: usize) {
    let threads = LaneThreads::new();
    while let Some((Batch { picked, tokens }, on_all)) = shared.next_batch() {
        let first = &picked.first().expect("a batch has a part").ticket;
        let (loaded, is_encoded) =
            (Arc::clone(&first.loaded), matches!(first.task, Task::Encode(_)));
        let is_host = loaded.network().is_on_host();
        let start = Instant::now();
        // A device has no threads of its own to share.
        if let Err(Lost(unanswered)) = threads.run(on_all || !is_host, || run(picked, lane)) {
            return lose_device(shared, lane, unanswered);
        }
        let mut rate = tokens as f64 / start.elapsed().as_secs_f64().max(1e-6);
        let mut state = shared.lock();
        state.busy -= 1;
        // Rows are no tokens.
        if !is_encoded {
            continue;
        }
        if on_all && is_host {
            // What all threads run, a lane's share of it.
            rate /= state.rates.len() as f64;
        } else {
            loaded.pace().measured(tokens, rate);
        }
        state.rates[lane] = smoothed(state.rates[lane], rate);
    }
}

/// Parts that a lost device leaves undone.
struct Lost(Vec<Picked>);

/// Runs parts of tickets of one model together; if that fails, those of each ticket alone. What a
/// lost device could not run comes back.
fn run(picked: Vec<Picked>, lane: usize) -> Result<(), Lost> {
    let Some(first) = picked.first() else { return Ok(()) };
    let done = match &first.ticket.task {
        Task::Encode(_) => guarded(|| encode(&picked, lane)),
        Task::Rows(work) => guarded(|| compute(&picked, work, lane)),
    };
    match done {
        Ok(()) => Ok(()),
        Err(error @ Error::Compute(compute::Error::DeviceLost { .. }))
            if !first.ticket.is_bound() =>
        {
            tracing::error!(%error, "a device is lost");
            Err(Lost(picked))
        }
        Err(error) => match <[Picked; 1]>::try_from(picked) {
            Ok([one]) => {
                tracing::error!(%error, "forward pass failed");
                one.ticket.end(Err(error));
                Ok(())
            }
            Err(picked) => each_alone(picked, lane),
        },
    }
}

fn each_alone(picked: Vec<Picked>, lane: usize) -> Result<(), Lost> {
    let mut picked = picked.into_iter();
    while let Some(one) = picked.next() {
        if let Err(Lost(mut unanswered)) = run(vec![one], lane) {
            unanswered.extend(picked);
            return Err(Lost(unanswered));
        }
    }
    Ok(())
}

/// Encodes sequences of several jobs and tells their rows.
fn encode(picked: &[Picked], lane: usize) -> Result<(), Error> {
    let jobs: Vec<&IndexedJob> = picked.iter().filter_map(|one| job_of(&one.ticket)).collect();
    let picks = picked
        .iter()
        .enumerate()
        .flat_map(|(job, one)| one.parts.iter().map(move |&part| Pick { job, part }));
    let picks: Vec<Pick> = picks.collect();
    let loaded: &LoadedModel = &picked[0].ticket.loaded;
    let done = encode_together(loaded.network(), lane, &jobs, &picks)?;
    for rows in &done {
        tell(picked, rows);
    }
    for one in picked {
        one.ticket.done(one.parts.len());
    }
    Ok(())
}

fn job_of(ticket: &Ticket) -> Option<&IndexedJob> {
    match &ticket.task {
        Task::Encode(job) => Some(job),
        Task::Rows(_) => None,
    }
}

/// Tells rows, which stand by job, to their tickets.
fn tell(picked: &[Picked], rows: &Rows) {
    let all: Vec<(usize, usize, &[f32])> = rows.iter().collect();
    for of_one in all.chunk_by(|a, b| a.0 == b.0) {
        picked[of_one[0].0].ticket.tell(|sink| {
            of_one.iter().try_for_each(|&(_, row, values)| take_row(sink, row, values))
        });
    }
}

/// Runs work on rows and tells them.
fn compute(picked: &[Picked], work: &RowWork, lane: usize) -> Result<(), Error> {
    let ticket = &picked[0].ticket;
    for rows in compute_rows(ticket.loaded.network(), lane, work)? {
        tell(picked, &rows);
    }
    ticket.done(1);
    Ok(())
}

fn guarded(run: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Panicked(message.unwrap_or_else(|| "no message".to_owned())))
    })
}

/// Hands what a lost device left undone to the other lanes, but for what has been handed on too
/// often. The last lane answers all that waits.
fn lose_device(shared: &Shared, lane: usize, picked: Vec<Picked>) {
    let mut state = shared.lock();
    state.rates[lane] = 0.0;
    state.device_lost = true;
    state.running -= 1;
    state.busy -= 1;
    let (suspects, others): (Vec<_>, Vec<_>) =
        picked.into_iter().partition(|one| one.losses == MAX_LOSSES);
    for mut one in others.into_iter().rev() {
        // They were picked the longest first.
        one.parts.reverse();
        state.queue.push(one.ticket, one.parts, one.losses + 1);
    }
    let mut abandoned: Vec<_> = suspects.into_iter().map(|one| one.ticket).collect();
    if state.running == 0 {
        tracing::error!("no device is left");
        state.stopping = true;
        abandoned.extend(state.queue.drain());
    }
    drop(state);
    shared.filled.notify_all();
    for ticket in abandoned {
        ticket.end(Err(Error::Stopped));
    }
}
