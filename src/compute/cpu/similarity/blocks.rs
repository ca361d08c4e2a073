//! The scores of all rows of one operand with all of another, a block at a time: a block is used
//! while it is in the second-level cache, and forgotten.

use std::ops::Range;

use super::super::super::rows::Rows;
use super::super::buffer::join;
use super::super::exec::CpuExec;
use super::super::words::Words;
use super::group::Group;
use super::stage::{stride_of, words_of};

/// Rows of a block: whole tiles and whole vectors of AVX-512.
const BLOCK_ROWS: usize = 112;
/// Bytes of a group of columns, which stays in the cache while all rows pass by.
const GROUP_BYTES: usize = 512 << 10;
/// The most columns of a group, so that a block of scores stays in the cache too.
const MAX_GROUP: usize = 512;
/// Tasks for each thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;

/// Scores of some rows with some columns.
pub(super) struct ScoreBlock<'a> {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// `[rows, columns]`.
    pub(super) scores: &'a [f32],
    /// Whether the block also stands for the scores of its columns with its rows.
    pub(super) is_mirrored: bool,
}

/// Where blocks go, in any order and from several threads.
pub(super) trait Sink: Sync {
    fn take(&self, block: ScoreBlock<'_>);
}

/// Two operands and how their product is cut.
pub(super) struct Blocks<'a> {
    exec: &'a CpuExec,
    a: Rows<'a>,
    b: Rows<'a>,
    words: Words,
    /// Columns of a group, and the unit of its rows where the operands are the same.
    pub(super) group: usize,
    /// Whether the operands are the same, so that blocks above the diagonal stand for those below.
    is_symmetric: bool,
}

/// Some columns, and the rows that meet them.
struct Task {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(exec: &'a CpuExec, a: Rows<'a>, b: Rows<'a>) -> Self {
        let words = words_of(exec.isa, a.format(), b.format());
        let width = 2 * exec.isa.lanes();
        let fitting = GROUP_BYTES / (4 * stride_of(words, b.dim()));
        let group = (fitting / width * width).clamp(width, MAX_GROUP);
        Self { exec, a, b, words, group, is_symmetric: a.is(&b) }
    }

    /// Gives every score to `sink` once, or its mirror image.
    pub(super) fn run(&self, sink: &impl Sink) {
        for_each(&self.tasks(), &|task| self.run_task(task, sink));
    }

    /// Tasks of about the same size; the largest first where they differ.
    fn tasks(&self) -> Vec<Task> {
        let (m, n) = (self.a.len(), self.b.len());
        let groups = n.div_ceil(self.group);
        let wanted = TASKS_PER_THREAD * rayon::current_num_threads();
        let parts = wanted.div_ceil(groups.max(1)).clamp(1, m.div_ceil(self.group).max(1));
        let part = m.div_ceil(parts).next_multiple_of(self.group).max(1);
        let mut tasks = Vec::new();
        for index in (0..groups).rev() {
            let columns = index * self.group..n.min((index + 1) * self.group);
            let end = if self.is_symmetric { columns.end } else { m };
            for first in (0..end).step_by(part) {
                tasks.push(Task { rows: first..end.min(first + part), columns: columns.clone() });
            }
        }
        tasks
    }

    fn run_task(&self, task: &Task, sink: &impl Sink) {
        let CpuExec { isa, arena, .. } = self.exec;
        let Task { rows, columns } = task;
        let group = Group::pack(*isa, arena, self.b.slice(columns.clone()), self.words);
        let mut scores = arena.take(BLOCK_ROWS * columns.len());
        // A block lies on one side of the diagonal, and within the rows of one group.
        for start in rows.clone().step_by(self.group) {
            let end = rows.end.min(start + self.group);
            for first in (start..end).step_by(BLOCK_ROWS) {
                let rows = first..end.min(first + BLOCK_ROWS);
                let scores = &mut scores[..rows.len() * columns.len()];
                group.scores(arena, self.a.slice(rows.clone()), scores);
                let is_mirrored = self.is_symmetric && rows.end <= columns.start;
                sink.take(ScoreBlock { rows, columns: columns.clone(), scores, is_mirrored });
            }
        }
    }
}

/// Runs `work` on all tasks, in parallel where the pool has threads for it.
pub(super) fn for_each<T: Sync>(tasks: &[T], work: &(impl Fn(&T) + Sync)) {
    match tasks {
        [] => {}
        [task] => work(task),
        _ => {
            let (left, right) = tasks.split_at(tasks.len() / 2);
            join(|| for_each(left, work), || for_each(right, work));
        }
    }
}
