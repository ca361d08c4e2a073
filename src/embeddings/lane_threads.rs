//! Threads of a lane on a processor: one, or all where the others are idle.

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The thread of a lane, beside the ambient pool that all lanes share.
///
/// Batches of several lanes on the ambient pool would wait for one another: a thread that waits for a
/// part of its batch takes up the next batch meanwhile, and the first is not done before the second.
pub(super) struct LaneThreads {
    /// None where the system refuses a thread: the ambient pool serves.
    own: Option<ThreadPool>,
}

impl LaneThreads {
    pub(super) fn new() -> Self {
        let own = ThreadPoolBuilder::new().num_threads(1).build();
        if let Err(error) = &own {
            tracing::warn!(%error, "a lane has no thread of its own");
        }
        Self { own: own.ok() }
    }

    /// Runs `work` on the lane's own thread, or on all of the ambient pool.
    pub(super) fn run<T: Send>(&self, on_all: bool, work: impl FnOnce() -> T + Send) -> T {
        match &self.own {
            Some(own) if !on_all => own.install(work),
            _ => work(),
        }
    }
}
