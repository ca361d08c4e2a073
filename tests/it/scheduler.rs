//! The queue: every accepted piece of work is answered exactly once, with the bits that it has
//! alone, and no caller takes from another.
//!
//! Work whose answer waits for the test holds a lane, so that what is queued meanwhile is known. No
//! test depends on timing.

use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use chunkflow::chunking::{ChunkOptions, Encoding};
use chunkflow::compute::{Projection, Span};
use chunkflow::embeddings::{
    Backend, Cancel, Devices, EmbedOptions, Engine, Error, Job, LoadedModel, ModelOptions, Output,
    Packed, RowSink, RowWork, Scheduler, SchedulerHandle, SchedulerOptions, Submission, UnitPlan,
    Work,
};
use chunkflow::pipeline;

use crate::documents::sized;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, bits};

type Answer = Result<Vec<f32>, Error>;

/// More tokens than any test here queues.
const ROOMY: usize = 1 << 20;

fn tiny() -> &'static Arc<LoadedModel> {
    static TINY: OnceLock<Arc<LoadedModel>> = OnceLock::new();
    TINY.get_or_init(|| {
        Arc::new(support::load(&support::golden("tiny"), Backend::Native, ONE_BATCH))
    })
}

/// One lane.
pub(crate) fn scheduler(max_queued_tokens: usize) -> Scheduler {
    let max_batch = Duration::from_millis(25);
    Scheduler::with_lanes(1, SchedulerOptions { max_queued_tokens, max_batch }).unwrap()
}

fn job(loaded: &LoadedModel, text: &str) -> Job {
    loaded.plan(&[text], &EmbedOptions::default()).unwrap().0
}

fn alone(loaded: &LoadedModel, text: &str) -> Vec<u32> {
    bits(&loaded.encode(job(loaded, text)).unwrap())
}

/// Keeps rows until the end, and then calls back.
struct Collect<D> {
    columns: usize,
    data: Vec<f32>,
    done: D,
}

impl<D: FnOnce(Answer) + Send> RowSink for Collect<D> {
    fn row(&mut self, index: usize, values: &[f32]) {
        self.data[index * self.columns..][..self.columns].copy_from_slice(values);
    }

    fn done(self: Box<Self>, result: Result<(), Error>) {
        let Self { data, done, .. } = *self;
        done(result.map(|()| data));
    }
}

/// Submits `job`; `done` is told its answer.
fn submit_to(
    engine: &dyn Engine,
    job: Job,
    done: impl FnOnce(Answer) + Send + 'static,
) -> Result<(), Error> {
    let columns = engine.model().columns(job.output);
    let data = vec![0.0; columns * job.spans.len()];
    engine.submit(Work::Encode(job), Box::new(Collect { columns, data, done }))
}

/// Submits `job`; its answers arrive at the receiver.
fn submit(
    handle: &SchedulerHandle,
    loaded: &Arc<LoadedModel>,
    job: Job,
    submission: Submission,
) -> Result<mpsc::Receiver<Answer>, Error> {
    let (sender, receiver) = mpsc::channel();
    let engine = handle.engine(Arc::clone(loaded), submission);
    submit_to(&engine, job, move |answer| sender.send(answer).unwrap())?;
    Ok(receiver)
}

fn accept(handle: &SchedulerHandle, text: &str) -> mpsc::Receiver<Answer> {
    submit(handle, tiny(), job(tiny(), text), Submission::default()).unwrap()
}

/// Waits for the one answer; there must be no second.
fn answer(receiver: &mpsc::Receiver<Answer>) -> Answer {
    let answer = receiver.recv().expect("work was dropped without an answer");
    assert!(receiver.recv().is_err(), "work was answered twice");
    answer
}

/// Holds a lane in an answer. It goes on when the sender is used or dropped.
pub(crate) fn hold(handle: &SchedulerHandle) -> mpsc::Sender<()> {
    let (entered, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let engine = handle.engine(Arc::clone(tiny()), Submission::default());
    let done = move |_| {
        entered.send(()).unwrap();
        let _ = released.recv();
    };
    submit_to(&engine, job(tiny(), "hold"), done).unwrap();
    is_held.recv().unwrap();
    release
}

/// The rows of jobs that wait together, one lane being held until all do.
pub(crate) fn together(loaded: &Arc<LoadedModel>, jobs: Vec<Job>) -> Vec<Vec<f32>> {
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let submission = Submission::default;
    let queued: Vec<_> =
        jobs.into_iter().map(|job| submit(&handle, loaded, job, submission()).unwrap()).collect();
    release.send(()).unwrap();
    queued.iter().map(|receiver| answer(receiver).unwrap()).collect()
}

#[test]
fn concurrent_callers_get_the_bits_of_each_alone() {
    let loaded = support::real(Backend::Native);
    let scheduler = scheduler(ROOMY);
    let texts = &support::minilm().texts[20..68];
    thread::scope(|scope| {
        for texts in texts.chunks(6) {
            let queued = scheduler.handle().engine(Arc::clone(loaded), Submission::default());
            scope.spawn(move || {
                for text in texts {
                    let row = queued.encode(job(loaded, text)).unwrap();
                    assert_eq!(bits(&row), alone(loaded, text), "{text:?}");
                }
            });
        }
    });
}

#[test]
fn chunks_through_the_queue_are_those_of_the_model() {
    let scheduler = scheduler(ROOMY);
    let queued = scheduler.handle().engine(Arc::clone(tiny()), Submission::default());
    let text = "The cat sat on the mat. One dog would not sleep! Who could see the star?".repeat(9);
    let encodings = [Encoding::Late, Encoding::Isolated];
    for encoding in encodings.map(Some) {
        let spec = ChunkOptions { encoding, ..sized(40, 30) }.resolve().unwrap();
        let [expected, through] = [&**tiny() as &dyn Engine, &queued]
            .map(|engine| pipeline::chunk(engine, &text, &spec, &EmbedOptions::default()).unwrap());
        assert!(expected.chunks.len() > 3);
        assert_eq!((through.chunks, through.cuts), (expected.chunks, expected.cuts));
    }
}

#[test]
fn what_does_not_fit_into_the_queue_is_refused_and_nothing_accepted_is_lost() {
    let text = "one two three";
    let size = job(tiny(), text).packed.tokens();
    let scheduler = scheduler(3 * size);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let accepted: Vec<_> = (0..3).map(|_| accept(&handle, text)).collect();
    match submit(&handle, tiny(), job(tiny(), text), Submission::default()) {
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

/// Submits rows of work that was let in; their answer of `count` rows arrives at the receiver.
fn submit_rows(
    engine: &dyn Engine,
    work: RowWork,
    count: usize,
    columns: usize,
) -> Result<mpsc::Receiver<Answer>, Error> {
    let (sender, receiver) = mpsc::channel();
    let done = move |answer| sender.send(answer).unwrap();
    let sink = Collect { columns, data: vec![0.0; count * columns], done };
    engine.submit(Work::Rows(work), Box::new(sink))?;
    Ok(receiver)
}

#[test]
fn the_second_visit_of_a_document_is_accepted_though_the_queue_is_full() {
    let text = "one two three";
    let size = job(tiny(), text).packed.tokens();
    let scheduler = scheduler(2 * size);
    let handle = scheduler.handle();
    let engine = handle.engine(Arc::clone(tiny()), Submission::default());
    let spans = (1..4).map(|start| Span { seq: 0, start, end: start + 1 }).collect();
    let parts = Job { spans, output: Output::MeanStates, ..job(tiny(), text) };
    let units = vec![0..1, 1..2, 2..3];
    let plan = UnitPlan { tokens: vec![1; 3], units, has_whole: false, width: 2 };
    let read = engine.document(parts.clone(), plan.clone()).unwrap();
    let release = hold(&handle);
    let accepted = [(); 2].map(|()| accept(&handle, text));
    let is_full = || {
        let refused = submit(&handle, tiny(), job(tiny(), text), Submission::default());
        matches!(refused, Err(Error::Overloaded { .. }))
    };
    assert!(is_full());
    let (dims, runs) = (tiny().model().dimensions(), vec![0..1, 0..3]);
    let finish = Projection { dims, normalize: true };
    let means = RowWork::Means { held: read.held.clone(), runs: runs.clone(), finish };
    let means = submit_rows(&engine, means, 2, dims).unwrap();
    // However many rows they are.
    let many = vec![1.0; 2 * size + 1];
    let band = RowWork::Band { rows: many.clone(), columns: 1, width: 1 };
    let band = submit_rows(&engine, band, many.len(), 1).unwrap();
    assert!(is_full(), "others got in behind them");
    release.send(()).unwrap();
    let direct = tiny().document(parts, plan).unwrap();
    let expected = tiny().means(&direct.held, runs, dims).unwrap();
    assert_eq!(bits(&answer(&means).unwrap()), bits(&expected));
    assert_eq!(answer(&band).unwrap(), many);
    for receiver in &accepted {
        assert_eq!(bits(&answer(receiver).unwrap()), alone(tiny(), text));
    }
}

#[test]
fn work_above_the_limit_is_refused_though_nothing_waits() {
    let scheduler = scheduler(6);
    let handle = scheduler.handle();
    let large = job(tiny(), "one two three four five six seven");
    let tokens = large.packed.tokens();
    match submit(&handle, tiny(), large, Submission::default()) {
        Err(Error::TooMuch { tokens: named, limit: 6 }) => assert_eq!(named, tokens),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted {tokens} tokens, limit 6"),
    }
    assert!(answer(&accept(&handle, "one")).is_ok());
}

#[test]
fn work_cancelled_in_the_queue_is_answered_so_and_its_neighbours_run() {
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let cancel = Cancel::default();
    let submission = Submission { cancel: cancel.clone(), deadline: None };
    let before = accept(&handle, "the sun");
    let dropped = submit(&handle, tiny(), job(tiny(), "the moon"), submission).unwrap();
    let after = accept(&handle, "the star");
    cancel.cancel();
    release.send(()).unwrap();
    assert!(matches!(answer(&dropped), Err(Error::Cancelled)));
    assert_eq!(bits(&answer(&before).unwrap()), alone(tiny(), "the sun"));
    assert_eq!(bits(&answer(&after).unwrap()), alone(tiny(), "the star"));
}

#[test]
fn work_whose_deadline_has_passed_is_answered_so() {
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let late = Submission { deadline: Some(Instant::now()), cancel: Cancel::default() };
    let expired = submit(&handle, tiny(), job(tiny(), "the moon"), late).unwrap();
    release.send(()).unwrap();
    assert!(matches!(answer(&expired), Err(Error::Expired)));
}

#[test]
fn cancelled_work_leaves_its_room_to_the_next_before_a_lane_is_free() {
    let text = "one two three";
    let size = job(tiny(), text).packed.tokens();
    let scheduler = scheduler(2 * size);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let cancel = Cancel::default();
    let submission = || Submission { cancel: cancel.clone(), deadline: None };
    let cancelled = [(); 2].map(|()| submit(&handle, tiny(), job(tiny(), text), submission()));
    let full = submit(&handle, tiny(), job(tiny(), text), Submission::default());
    assert!(matches!(full, Err(Error::Overloaded { .. })));
    cancel.cancel();
    let next = accept(&handle, text);
    // The lane is still held: who was cancelled is told by who came after.
    for cancelled in cancelled {
        assert!(matches!(answer(&cancelled.unwrap()), Err(Error::Cancelled)));
    }
    release.send(()).unwrap();
    assert_eq!(bits(&answer(&next).unwrap()), alone(tiny(), text));
}

/// A job of so many sequences of 20 tokens each.
fn bulk(sequences: usize) -> Job {
    let mut packed = Packed::default();
    let mut spans = Vec::new();
    for seq in 0..sequences as u32 {
        packed.push((0..20).map(|token| 5 + (token + seq) % 40));
        spans.push(Span { seq, start: 0, end: 20 });
    }
    Job { packed, spans, output: Output::MeanStates }
}

/// Notes who is told a row, in order.
struct Note {
    name: &'static str,
    told: Arc<Mutex<Vec<&'static str>>>,
    ended: mpsc::Sender<&'static str>,
}

impl RowSink for Note {
    fn row(&mut self, _: usize, _: &[f32]) {
        self.told.lock().unwrap().push(self.name);
    }

    fn done(self: Box<Self>, result: Result<(), Error>) {
        result.unwrap();
        self.ended.send(self.name).unwrap();
    }
}

#[test]
fn short_work_passes_long_work_that_takes_turns() {
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let engine = handle.engine(Arc::clone(tiny()), Submission::default());
    let (told, (ended, ends)) = (Arc::new(Mutex::new(Vec::new())), mpsc::channel());
    let note = |name| Box::new(Note { name, told: Arc::clone(&told), ended: ended.clone() });
    engine.submit(Work::Encode(bulk(200)), note("first")).unwrap();
    engine.submit(Work::Encode(bulk(200)), note("second")).unwrap();
    engine.submit(Work::Encode(job(tiny(), "the star")), note("short")).unwrap();
    release.send(()).unwrap();
    let order: Vec<&str> = ends.iter().take(3).collect();
    assert_eq!(order[0], "short");
    let told = told.lock().unwrap();
    assert_eq!(told[0], "short");
    // Neither of the long ones waits for the other's end.
    let first_of = |name| told.iter().position(|told| *told == name).unwrap();
    let last_of = |name| told.iter().rposition(|told| *told == name).unwrap();
    assert!(first_of("second") < last_of("first") && first_of("first") < last_of("second"));
    assert_eq!(told.len(), 401);
}

#[test]
fn long_work_goes_on_however_much_short_work_comes() {
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let engine = handle.engine(Arc::clone(tiny()), Submission::default());
    let (told, (ended, ends)) = (Arc::new(Mutex::new(Vec::new())), mpsc::channel());
    let note = |name| Box::new(Note { name, told: Arc::clone(&told), ended: ended.clone() });
    engine.submit(Work::Encode(bulk(60)), note("long")).unwrap();
    for _ in 0..600 {
        engine.submit(Work::Encode(bulk(6)), note("short")).unwrap();
    }
    release.send(()).unwrap();
    assert_eq!(ends.iter().take(601).count(), 601);
    let told = told.lock().unwrap();
    let first_long = told.iter().position(|told| *told == "long").unwrap();
    assert!(told[first_long..].contains(&"short"), "long work waited for all that was short");
    assert_eq!(told[0], "short");
}

#[test]
fn two_models_share_the_lanes_of_their_devices() {
    let options = ModelOptions::default();
    let devices = Devices::open(&options).unwrap();
    let load = |folder: std::path::PathBuf| {
        let loaded = LoadedModel::load_on(folder.to_str().unwrap(), &options, &devices);
        Arc::new(loaded.unwrap())
    };
    let models = [load(support::golden("tiny")), load(support::golden("families/modernbert"))];
    let limits =
        SchedulerOptions { max_queued_tokens: ROOMY, max_batch: Duration::from_millis(25) };
    let scheduler = Scheduler::start(&devices, limits).unwrap();
    let texts = ["The cat sat on the mat.", "One dog would not sleep!", "Who could see the star?"];
    thread::scope(|scope| {
        for (caller, loaded) in models.iter().cycle().take(6).enumerate() {
            let queued = scheduler.handle().engine(Arc::clone(loaded), Submission::default());
            scope.spawn(move || {
                for text in texts.iter().cycle().skip(caller).take(30) {
                    let row = queued.encode(job(loaded, text)).unwrap();
                    assert_eq!(bits(&row), alone(loaded, text), "{text:?}");
                }
            });
        }
    });
}

#[test]
fn dropping_the_scheduler_answers_all_that_it_accepted() {
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let texts: Vec<String> = (0..40).map(|index| "the cat ".repeat(index)).collect();
    let accepted: Vec<_> = texts.iter().map(|text| accept(&handle, text)).collect();
    thread::scope(|scope| {
        scope.spawn(move || drop(scheduler));
        // The lane is let go only when it is known to stop with all of them in its queue.
        let stopped = || submit(&handle, tiny(), job(tiny(), ""), Submission::default());
        while !matches!(stopped(), Err(Error::Stopped)) {
            thread::yield_now();
        }
        release.send(()).unwrap();
    });
    for (receiver, text) in accepted.iter().zip(&texts) {
        assert_eq!(bits(&answer(receiver).unwrap()), alone(tiny(), text));
    }
}

#[test]
fn a_stopped_scheduler_refuses() {
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    drop(scheduler);
    let refused = submit(&handle, tiny(), job(tiny(), "a"), Submission::default());
    assert!(matches!(refused, Err(Error::Stopped)));
    let queued = handle.engine(Arc::clone(tiny()), Submission::default());
    assert!(matches!(queued.encode(job(tiny(), "a")), Err(Error::Stopped)));
    assert!(matches!(queued.band(vec![1.0; 6], 3, 2), Err(Error::Stopped)));
}

#[test]
fn work_with_an_unknown_token_fails_alone() {
    let mut bad = job(tiny(), "the cat");
    bad.packed.ids[1] = 1_000_000;
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let before = accept(&handle, "the cat");
    let failing = submit(&handle, tiny(), bad, Submission::default()).unwrap();
    let after = accept(&handle, "the dog");
    release.send(()).unwrap();
    assert_eq!(bits(&answer(&before).unwrap()), alone(tiny(), "the cat"));
    assert_eq!(bits(&answer(&after).unwrap()), alone(tiny(), "the dog"));
    assert!(answer(&failing).is_err());
    assert!(answer(&accept(&handle, "the cat")).is_ok(), "the lane's thread is gone");
}

#[test]
fn a_job_that_reads_a_sequence_it_does_not_have_is_refused() {
    let mut bad = job(tiny(), "the cat");
    bad.spans.push(Span { seq: 1, start: 0, end: 1 });
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    assert!(submit(&handle, tiny(), bad, Submission::default()).is_err());
    assert!(answer(&accept(&handle, "the cat")).is_ok());
}

#[test]
fn a_sink_that_panics_is_its_callers_loss_alone() {
    struct Panics;
    impl RowSink for Panics {
        fn row(&mut self, _: usize, _: &[f32]) {
            panic!("a sink's own fault");
        }
        fn done(self: Box<Self>, _: Result<(), Error>) {
            panic!("a sink's own fault");
        }
    }
    let scheduler = scheduler(ROOMY);
    let handle = scheduler.handle();
    let release = hold(&handle);
    let before = accept(&handle, "the cat");
    let engine = handle.engine(Arc::clone(tiny()), Submission::default());
    engine.submit(Work::Encode(job(tiny(), "the moon")), Box::new(Panics)).unwrap();
    let after = accept(&handle, "the dog");
    release.send(()).unwrap();
    assert_eq!(bits(&answer(&before).unwrap()), alone(tiny(), "the cat"));
    assert_eq!(bits(&answer(&after).unwrap()), alone(tiny(), "the dog"));
    assert!(answer(&accept(&handle, "the cat")).is_ok(), "the lane's thread is gone");
}

#[test]
fn every_job_runs_on_the_model_that_it_came_with() {
    let other = Arc::new(support::load(&support::golden("tiny"), Backend::Candle, ONE_BATCH));
    let (text, scheduler) = ("A bird and a fish.", scheduler(ROOMY));
    let handle = scheduler.handle();
    let release = hold(&handle);
    let models = [tiny(), &other, &other, tiny(), &other];
    let accepted = models
        .map(|loaded| submit(&handle, loaded, job(loaded, text), Submission::default()).unwrap());
    release.send(()).unwrap();
    // The two backends differ in the last bits, which tells who answered. Those of candle's products
    // depend on how many rows they have.
    let [native, candle] = [tiny(), &other].map(|loaded| loaded.encode(job(loaded, text)).unwrap());
    assert_ne!(bits(&native), bits(&candle));
    for (receiver, loaded) in accepted.iter().zip(models) {
        let row = answer(receiver).unwrap();
        assert_eq!(bits(&row) == bits(&native), Arc::ptr_eq(loaded, tiny()));
        assert!(support::max_difference(&row, &support::widen(&candle)) < 1e-6);
    }
}
