//! Connections that are open: how many there may be, and which have waited longest for a request.
//!
//! Invariant: a connection that is answering is never closed for another; where there is no room,
//! the one that has waited longest goes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// File descriptors that are kept for other things than connections.
const RESERVED_FILES: usize = 64;

/// How many connections there may be, and how long they may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) connections: usize,
    /// From one address; 0 for no limit.
    pub(super) per_peer: usize,
    /// For the head of a request, from its first byte, and for the first request.
    pub(super) header: Duration,
    /// For the next request.
    pub(super) idle: Duration,
    /// For a client to read a part of its answer.
    pub(super) write: Duration,
}

/// What a connection does.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// It waits for a request; of which something has come, or not.
    Waiting {
        since: Instant,
        until: Instant,
        heard: bool,
    },
    Answering,
    /// It is to end.
    Closed,
}

/// All that are open.
pub(super) struct Connections {
    limits: Limits,
    state: Mutex<State>,
    /// Told at the end of each.
    ended: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, Open>,
}

struct Open {
    peer: Option<IpAddr>,
    stage: watch::Sender<Stage>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default(), ended: Notify::new() })
    }

    /// A place for a connection, for which another may be closed; `None` where all that there is
    /// room for are answering.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<Arc<Connection>> {
        let mut state = self.lock();
        let of_peer =
            state.open.values().filter(|open| peer.is_some() && open.peer == peer).count();
        if self.limits.per_peer > 0 && of_peer >= self.limits.per_peer {
            state.close_oldest(|open| open.peer == peer)?;
        } else if state.open.len() >= self.limits.connections {
            state.close_oldest(|_| true)?;
        }
        let now = Instant::now();
        let until = now + self.limits.header;
        let (sender, _) = watch::channel(Stage::Waiting { since: now, until, heard: false });
        let id = state.next;
        state.next += 1;
        state.open.insert(id, Open { peer, stage: sender.clone() });
        Some(Arc::new(Connection { all: Arc::clone(self), id, stage: sender }))
    }

    /// Closes the connection that has waited longest; whether there is one.
    pub(super) fn close_oldest(&self) -> bool {
        self.lock().close_oldest(|_| true).is_some()
    }

    /// Closes all that are waiting for a request, or for the rest of one's head.
    pub(super) fn close_waiting(&self) {
        let mut state = self.lock();
        while state.close_oldest(|_| true).is_some() {}
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Waits until none is left.
    pub(super) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.len() == 0 {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close_oldest(&mut self, may: impl Fn(&Open) -> bool) -> Option<()> {
        let waiting = self.open.iter().filter(|(_, open)| may(open)).filter_map(|(id, open)| {
            match *open.stage.borrow() {
                Stage::Waiting { since, .. } => Some((since, *id)),
                Stage::Answering | Stage::Closed => None,
            }
        });
        let (_, oldest) = waiting.min()?;
        self.open.remove(&oldest)?.stage.send_replace(Stage::Closed);
        Some(())
    }
}

/// A connection's place among all.
pub(super) struct Connection {
    all: Arc<Connections>,
    id: u64,
    stage: watch::Sender<Stage>,
}

impl Connection {
    pub(super) fn limits(&self) -> &Limits {
        &self.all.limits
    }

    /// Something of a request has come.
    pub(super) fn heard(&self) {
        let header = self.all.limits.header;
        self.stage.send_if_modified(|stage| match stage {
            Stage::Waiting { until, heard, .. } if !*heard => {
                *heard = true;
                *until = (*until).min(Instant::now() + header);
                true
            }
            _ => false,
        });
    }

    /// The head of a request is there.
    pub(super) fn begin(&self) {
        self.stage.send_if_modified(|stage| match stage {
            Stage::Closed => false,
            stage => {
                *stage = Stage::Answering;
                true
            }
        });
    }

    /// The answer has been written.
    pub(super) fn end(&self) {
        let now = Instant::now();
        let until = now + self.all.limits.idle;
        self.stage.send_if_modified(|stage| match stage {
            Stage::Closed => false,
            stage => {
                *stage = Stage::Waiting { since: now, until, heard: false };
                true
            }
        });
    }

    /// Waits until it has waited too long, or is to end.
    pub(super) async fn expired(&self) {
        let mut changes = self.stage.subscribe();
        loop {
            let stage = *changes.borrow_and_update();
            match stage {
                Stage::Closed => return,
                Stage::Waiting { until, .. } => tokio::select! {
                    () = tokio::time::sleep_until(until) => return,
                    _ = changes.changed() => {}
                },
                Stage::Answering => {
                    let _ = changes.changed().await;
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.lock().open.remove(&self.id);
        self.all.ended.notify_waiters();
    }
}

/// As many connections as the settings and the system allow.
pub(super) fn within_files(connections: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    files.map_or(connections, |files| connections.min(files.saturating_sub(RESERVED_FILES).max(1)))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::{Connections, Limits};

    fn limits(connections: usize, per_peer: usize) -> Limits {
        let hour = Duration::from_hours(1);
        Limits { connections, per_peer, header: hour, idle: hour, write: hour }
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(work)
    }

    #[test]
    fn the_longest_waiting_makes_room_and_who_answers_stays() {
        run(async {
            let all = Connections::new(limits(2, 0));
            let first = all.admit(None).unwrap();
            let second = all.admit(None).unwrap();
            first.begin();
            let third = all.admit(None).unwrap();
            second.expired().await;
            third.begin();
            assert!(all.admit(None).is_none());
            first.end();
            assert!(all.admit(None).is_some());
            first.expired().await;
        });
    }

    #[test]
    fn a_peer_has_its_own_limit() {
        run(async {
            let all = Connections::new(limits(9, 1));
            let first = all.admit(Some(peer(1))).unwrap();
            let other = all.admit(Some(peer(2))).unwrap();
            first.begin();
            assert!(all.admit(Some(peer(1))).is_none());
            other.begin();
            first.end();
            let next = all.admit(Some(peer(1)));
            assert!(next.is_some());
            assert_eq!(all.len(), 2);
        });
    }
}
