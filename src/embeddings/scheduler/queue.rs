//! What waits, and which of it a lane runs next. Sequences are handed out, never split.
//!
//! Work that one batch holds is interactive and goes before the rest, which takes turns. Whatever
//! is asked interactively, a part of the time is left to the rest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Error;
use super::super::loaded::LoadedModel;
use super::ticket::{Task, Ticket};

/// Interactive batches that may pass bulk work that waits, in tokens of a batch.
const MAX_PASSED_BATCHES: usize = 4;

/// Parts of a ticket that wait.
struct Entry {
    ticket: Arc<Ticket>,
    /// By length, the longest last.
    parts: Vec<usize>,
    tokens: usize,
    /// Lanes whose device was lost while these parts ran.
    losses: u8,
}

impl Entry {
    fn new(ticket: Arc<Ticket>, parts: Vec<usize>, losses: u8) -> Self {
        let tokens = parts.iter().map(|&part| ticket.tokens(part)).sum();
        Self { ticket, parts, tokens, losses }
    }

    /// Takes the longest part that fits into `room`, or the longest of all where `room` is `None`.
    fn take(&mut self, room: Option<usize>) -> Option<usize> {
        let fits = |part: &usize| room.is_none_or(|room| self.ticket.tokens(*part) <= room);
        let at = self.parts.partition_point(fits).checked_sub(1)?;
        let part = self.parts.remove(at);
        self.tokens -= self.ticket.tokens(part);
        Some(part)
    }
}

/// Parts of a ticket that run together.
pub(super) struct Picked {
    pub(super) ticket: Arc<Ticket>,
    pub(super) parts: Vec<usize>,
    pub(super) losses: u8,
}

/// What a lane runs next: parts of tickets of one model.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) picked: Vec<Picked>,
    pub(super) tokens: usize,
}

impl Batch {
    /// Whether parts of `ticket` may run with what was picked.
    fn admits(&self, ticket: &Ticket) -> bool {
        let Some(first) = self.picked.first() else { return true };
        let are_sequences =
            [&first.ticket.task, &ticket.task].iter().all(|task| matches!(task, Task::Encode(_)));
        are_sequences && Arc::ptr_eq(&first.ticket.loaded, &ticket.loaded)
    }

    /// Picks parts of `entry` as far as `budget` goes, one at least of an empty batch; whether
    /// there was room for all.
    fn pick(&mut self, entry: &mut Entry, budget: usize) -> bool {
        let mut parts = Vec::new();
        while !entry.parts.is_empty() {
            let room = (self.tokens > 0).then(|| budget.saturating_sub(self.tokens));
            let before = entry.tokens;
            let Some(part) = entry.take(room) else { break };
            self.tokens += before - entry.tokens;
            parts.push(part);
        }
        if !parts.is_empty() {
            let (ticket, losses) = (Arc::clone(&entry.ticket), entry.losses);
            self.picked.push(Picked { ticket, parts, losses });
        }
        entry.parts.is_empty()
    }
}

/// Tickets that wait, in two lanes.
pub(super) struct Queue {
    interactive: VecDeque<Entry>,
    bulk: VecDeque<Entry>,
    /// Of all that waits.
    tokens: usize,
    /// Of the interactive batches since the last of bulk work, while such waits.
    passed: usize,
    /// How long a batch may take.
    max_batch: Duration,
}

/// A ticket that nobody waits for, and why.
pub(super) type Ended = (Arc<Ticket>, Error);

impl Queue {
    pub(super) fn new(max_batch: Duration) -> Self {
        let (interactive, bulk) = (VecDeque::new(), VecDeque::new());
        Self { interactive, bulk, tokens: 0, passed: 0, max_batch }
    }

    /// Tokens that wait.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(super) fn is_empty(&self) -> bool {
        self.interactive.is_empty() && self.bulk.is_empty()
    }

    /// Tokens that a batch of a model has at most, unless one sequence alone has more.
    pub(super) fn budget(&self, loaded: &LoadedModel) -> usize {
        loaded.pace().tokens_in(self.max_batch)
    }

    /// Lets parts of a ticket wait; before all others where `losses` is above 0, since they have
    /// waited.
    pub(super) fn push(&mut self, ticket: Arc<Ticket>, parts: Vec<usize>, losses: u8) {
        let entry = Entry::new(ticket, parts, losses);
        self.tokens += entry.tokens;
        let is_interactive = entry.tokens <= self.budget(&entry.ticket.loaded);
        let lane = if is_interactive { &mut self.interactive } else { &mut self.bulk };
        if losses > 0 { lane.push_front(entry) } else { lane.push_back(entry) }
    }

    /// Takes out all that nobody waits for any longer.
    pub(super) fn remove_ended(&mut self, now: Instant) -> Vec<Ended> {
        let mut ended = Vec::new();
        let tokens = &mut self.tokens;
        let mut waits = |entry: &Entry| {
            let reason = entry.ticket.submission.ended(now);
            let has_ended = reason.is_some() || entry.ticket.has_ended();
            if let Some(reason) = reason {
                ended.push((Arc::clone(&entry.ticket), reason));
            }
            if has_ended {
                *tokens -= entry.tokens;
            }
            !has_ended
        };
        self.interactive.retain(&mut waits);
        self.bulk.retain(&mut waits);
        ended
    }

    /// Takes out everything.
    pub(super) fn drain(&mut self) -> Vec<Arc<Ticket>> {
        self.tokens = 0;
        let entries = self.interactive.drain(..).chain(self.bulk.drain(..));
        entries.map(|entry| entry.ticket).collect()
    }

    /// What a lane runs next; `None` where nothing waits.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let is_due =
            |entry: &Entry| self.passed >= MAX_PASSED_BATCHES * self.budget(&entry.ticket.loaded);
        let is_bulk = self.interactive.is_empty() || self.bulk.front().is_some_and(is_due);
        let batch = self.batch_of(is_bulk)?;
        self.tokens -= batch.tokens;
        self.passed = if is_bulk || self.bulk.is_empty() { 0 } else { self.passed + batch.tokens };
        Some(batch)
    }

    /// Picks from one lane, from the front. Of bulk work what is left of a ticket that had a turn
    /// goes to the end; all else keeps its place.
    fn batch_of(&mut self, is_bulk: bool) -> Option<Batch> {
        let lane = if is_bulk { &self.bulk } else { &self.interactive };
        let budget = self.budget(&lane.front()?.ticket.loaded);
        let lane = if is_bulk { &mut self.bulk } else { &mut self.interactive };
        let mut batch = Batch::default();
        let (mut kept, mut had_turn) = (VecDeque::new(), None);
        while let Some(mut entry) = lane.pop_front() {
            if !batch.admits(&entry.ticket) {
                kept.push_back(entry);
                continue;
            }
            let before = batch.tokens;
            if !batch.pick(&mut entry, budget) {
                if is_bulk && batch.tokens > before {
                    had_turn = Some(entry);
                } else {
                    kept.push_back(entry);
                }
                break;
            }
        }
        while let Some(entry) = kept.pop_back() {
            lane.push_front(entry);
        }
        lane.extend(had_turn);
        Some(batch)
    }
}
