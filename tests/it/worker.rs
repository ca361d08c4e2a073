//! The queue: every accepted job is answered exactly once, with the bits that it has alone.
//!
//! A job whose reply waits for the test holds the worker's thread, so that what is queued
//! meanwhile is known. No test depends on timing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;

use chunkflow::chunking::{ChunkOptions, Encoding};
use chunkflow::compute::Span;
use chunkflow::embeddings::{
    EmbedOptions, Engine, Error, Forward, Job, Model, Worker, WorkerHandle,
};
use chunkflow::pipeline;

use crate::documents::sized;
use crate::support::{self, ONE_BATCH, bits};

type Answer = Result<Vec<f32>, Error>;

/// More tokens than any test here queues.
const ROOMY: usize = 1 << 20;

fn tiny() -> &'static Arc<Model> {
    static TINY: OnceLock<Arc<Model>> = OnceLock::new();
    TINY.get_or_init(|| {
        Arc::new(support::load(&support::golden("tiny"), Engine::Native, ONE_BATCH))
    })
}

fn job(model: &Model, text: &str) -> Job {
    model.plan(&[text], &EmbedOptions::default()).unwrap().0
}

fn alone(model: &Model, text: &str) -> Vec<u32> {
    bits(&model.forward(job(model, text)).unwrap())
}

fn never() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Submits `job`; its answers arrive at the receiver.
fn submit(
    handle: &WorkerHandle,
    model: &Arc<Model>,
    job: Job,
    cancelled: Arc<AtomicBool>,
) -> Result<mpsc::Receiver<Answer>, Error> {
    let (sender, receiver) = mpsc::channel();
    handle.submit(Arc::clone(model), job, cancelled, move |answer| sender.send(answer).unwrap())?;
    Ok(receiver)
}

fn accept(handle: &WorkerHandle, text: &str) -> mpsc::Receiver<Answer> {
    submit(handle, tiny(), job(tiny(), text), never()).unwrap()
}

/// Waits for the one answer; there must be no second.
fn answer(receiver: &mpsc::Receiver<Answer>) -> Answer {
    let answer = receiver.recv().expect("a job was dropped without an answer");
    assert!(receiver.recv().is_err(), "a job was answered twice");
    answer
}

/// Holds the worker's thread in a reply. It goes on when the sender is used or dropped.
fn hold(handle: &WorkerHandle) -> mpsc::Sender<()> {
    let (entered, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let reply = move |_| {
        entered.send(()).unwrap();
        let _ = released.recv();
    };
    handle.submit(Arc::clone(tiny()), job(tiny(), "hold"), never(), reply).unwrap();
    is_held.recv().unwrap();
    release
}

#[test]
fn concurrent_callers_get_the_bits_of_each_alone() {
    let model = support::real(Engine::Native);
    let worker = Worker::start(ROOMY, 1).unwrap();
    let texts = &support::minilm().texts[20..68];
    thread::scope(|scope| {
        for texts in texts.chunks(6) {
            let queued = worker.handle().with_model(Arc::clone(model), never());
            scope.spawn(move || {
                for text in texts {
                    let row = queued.forward(job(model, text)).unwrap();
                    assert_eq!(bits(&row), alone(model, text), "{text:?}");
                }
            });
        }
    });
}

#[test]
fn chunks_through_the_queue_are_those_of_the_model() {
    let worker = Worker::start(ROOMY, 1).unwrap();
    let queued = worker.handle().with_model(Arc::clone(tiny()), never());
    let text = "The cat sat on the mat. One dog would not sleep! Who could see the star?".repeat(9);
    let encodings = [Encoding::Late, Encoding::Isolated];
    for encoding in encodings.map(Some) {
        let spec = ChunkOptions { encoding, ..sized(40, 30) }.resolve().unwrap();
        let [expected, through] = [&**tiny() as &dyn Forward, &queued].map(|forward| {
            pipeline::chunk(forward, &text, &spec, &EmbedOptions::default()).unwrap()
        });
        assert!(expected.chunks.len() > 3);
        assert_eq!((through.chunks, through.cuts), (expected.chunks, expected.cuts));
    }
}

#[test]
fn a_full_queue_refuses_and_takes_again_when_it_is_empty() {
    let text = "the cat";
    let size = job(tiny(), text).packed.tokens();
    let worker = Worker::start(3 * size, 1).unwrap();
    let handle = worker.handle();
    let release = hold(&handle);
    let accepted: Vec<_> = (0..3).map(|_| accept(&handle, text)).collect();
    match submit(&handle, tiny(), job(tiny(), text), never()) {
        Err(Error::Overloaded { queued, limit, retry_after_s }) => {
            assert_eq!((queued, limit), (3 * size, 3 * size));
            assert!((1..=60).contains(&retry_after_s), "{retry_after_s} s");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted {} tokens, limit {}", 4 * size, 3 * size),
    }
    release.send(()).unwrap();
    for receiver in &accepted {
        assert_eq!(bits(&answer(receiver).unwrap()), alone(tiny(), text));
    }
    assert!(answer(&accept(&handle, text)).is_ok());
}

#[test]
fn a_job_above_the_limit_is_taken_when_nothing_waits() {
    let worker = Worker::start(1, 1).unwrap();
    let handle = worker.handle();
    let release = hold(&handle);
    let large = accept(&handle, "one two three four five");
    let refused = submit(&handle, tiny(), job(tiny(), "a"), never());
    assert!(matches!(refused, Err(Error::Overloaded { limit: 1, .. })));
    release.send(()).unwrap();
    assert!(answer(&large).is_ok());
}

#[test]
fn a_job_cancelled_in_the_queue_is_answered_so_and_its_neighbours_run() {
    let worker = Worker::start(ROOMY, 1).unwrap();
    let handle = worker.handle();
    let release = hold(&handle);
    let cancelled = never();
    let before = accept(&handle, "the sun");
    let dropped = submit(&handle, tiny(), job(tiny(), "the moon"), Arc::clone(&cancelled)).unwrap();
    let after = accept(&handle, "the star");
    cancelled.store(true, Ordering::Relaxed);
    release.send(()).unwrap();
    assert!(matches!(answer(&dropped), Err(Error::Cancelled)));
    assert_eq!(bits(&answer(&before).unwrap()), alone(tiny(), "the sun"));
    assert_eq!(bits(&answer(&after).unwrap()), alone(tiny(), "the star"));
}

#[test]
fn dropping_the_worker_answers_all_that_it_accepted() {
    let worker = Worker::start(ROOMY, 1).unwrap();
    let handle = worker.handle();
    let release = hold(&handle);
    let texts: Vec<String> = (0..40).map(|index| "the cat ".repeat(index)).collect();
    let accepted: Vec<_> = texts.iter().map(|text| accept(&handle, text)).collect();
    thread::scope(|scope| {
        scope.spawn(move || drop(worker));
        // The worker is let go only when it is known to stop with all of them in its queue.
        while !matches!(submit(&handle, tiny(), job(tiny(), ""), never()), Err(Error::Stopped)) {
            thread::yield_now();
        }
        release.send(()).unwrap();
    });
    for (receiver, text) in accepted.iter().zip(&texts) {
        assert_eq!(bits(&answer(receiver).unwrap()), alone(tiny(), text));
    }
}

#[test]
fn a_stopped_worker_refuses() {
    let worker = Worker::start(ROOMY, 1).unwrap();
    let handle = worker.handle();
    drop(worker);
    let refused = submit(&handle, tiny(), job(tiny(), "a"), never());
    assert!(matches!(refused, Err(Error::Stopped)));
    let queued = handle.with_model(Arc::clone(tiny()), never());
    assert!(matches!(queued.forward(job(tiny(), "a")), Err(Error::Stopped)));
}

fn check_failure_is_its_own(bad: Job) {
    let worker = Worker::start(ROOMY, 1).unwrap();
    let handle = worker.handle();
    let release = hold(&handle);
    let before = accept(&handle, "the cat");
    let failing = submit(&handle, tiny(), bad, never()).unwrap();
    let after = accept(&handle, "the dog");
    release.send(()).unwrap();
    assert_eq!(bits(&answer(&before).unwrap()), alone(tiny(), "the cat"));
    assert_eq!(bits(&answer(&after).unwrap()), alone(tiny(), "the dog"));
    assert!(answer(&failing).is_err());
    assert!(answer(&accept(&handle, "the cat")).is_ok(), "the worker's thread is gone");
}

#[test]
fn a_job_with_an_unknown_token_fails_alone() {
    let mut bad = job(tiny(), "the cat");
    bad.packed.ids[1] = 1_000_000;
    check_failure_is_its_own(bad);
}

#[test]
fn a_job_that_reads_a_sequence_it_does_not_have_fails_alone() {
    let mut bad = job(tiny(), "the cat");
    bad.spans.push(Span { seq: 1, start: 0, end: 1 });
    check_failure_is_its_own(bad);
}

#[test]
fn every_job_runs_on_the_model_that_it_came_with() {
    let other = Arc::new(support::load(&support::golden("tiny"), Engine::Candle, ONE_BATCH));
    let (text, worker) = ("A bird and a fish.", Worker::start(ROOMY, 1).unwrap());
    let handle = worker.handle();
    let release = hold(&handle);
    let models = [tiny(), &other, &other, tiny(), &other];
    let accepted = models.map(|model| submit(&handle, model, job(model, text), never()).unwrap());
    release.send(()).unwrap();
    // The two engines differ in the last bits, which tells who answered.
    assert_ne!(alone(tiny(), text), alone(&other, text));
    for (receiver, model) in accepted.iter().zip(models) {
        assert_eq!(bits(&answer(receiver).unwrap()), alone(model, text));
    }
}
