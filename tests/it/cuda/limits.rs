//! What a batch costs in launches, memory and waits, and what happens when a device fails. The
//! emulated driver counts; on a real device only the results are checked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use chunkflow::chunking::{ChunkOptions, Encoding};
use chunkflow::compute::{self, DtypeChoice, Numerics};
use chunkflow::embeddings::{
    DeviceChoice, EmbedOptions, Embeddings, Engine, Error, LoadedModel, ModelOptions, Scheduler,
    SchedulerOptions, Submission,
};
use chunkflow::pipeline;

use super::emulation::Emulation;
use super::{options, ordinal};
use crate::support::run_now::RunNow;
use crate::support::{ONE_BATCH, bits, golden, real_folder};

fn family(name: &str, options: &ModelOptions) -> LoadedModel {
    LoadedModel::load(golden("families").join(name).to_str().unwrap(), options).unwrap()
}

fn embed(model: &LoadedModel, texts: &[&str]) -> Vec<u32> {
    bits(&model.embed(texts, &EmbedOptions::default()).unwrap().data)
}

#[test]
fn a_batch_takes_nine_launches_a_layer_and_four_around_whatever_its_texts() {
    let Some(emulation) = Emulation::take() else { return };
    for name in ["bert", "mpnet", "nomic-bert", "gte", "modernbert", "qwen3", "embeddinggemma"] {
        let model = family(name, &options(DtypeChoice::F32));
        let layers = model.model().spec().layers.len() as u64;
        // A product for each Dense module behind the pooling.
        let modules = if name == "embeddinggemma" { 2 } else { 0 };
        let launches = |texts: &[&str]| {
            emulation.reset();
            embed(&model, texts);
            emulation.count("launches") + emulation.count("products")
        };
        let one = launches(&["The cat sat on the mat."]);
        let many = launches(&["The cat sat.", "", "One dog would not sleep! Who?", "star", "sun"]);
        assert_eq!(one, many, "{name}");
        let limit = 9 * layers + 4 + modules;
        assert!(one <= limit, "{name}: {one} launches for {layers} layers, limit {limit}");
    }
}

#[test]
fn a_batch_waits_once_and_allocates_nothing_once_the_device_has_seen_its_size() {
    let Some(emulation) = Emulation::take() else { return };
    let model = family("bert", &options(DtypeChoice::F16));
    let texts = ["The cat sat on the mat.", "One dog would not sleep! Who could see the star?"];
    embed(&model, &texts);
    emulation.reset();
    embed(&model, &texts);
    assert_eq!(emulation.count("allocations"), 0);
    assert_eq!(emulation.count("pinned"), 0);
    assert_eq!(emulation.count("synchronisations"), 1);
    assert_eq!(emulation.count("downloads"), 1);
}

#[test]
fn threads_that_wait_for_a_device_sleep() {
    let Some(emulation) = Emulation::take() else { return };
    let (model, _scheduler) = on_both();
    assert_eq!(emulation.count("blocking_contexts"), model.devices().lanes() as u64 / 2);
}

#[test]
fn a_document_comes_down_twice_and_its_states_never() {
    let Some(emulation) = Emulation::take() else { return };
    let model = family("bert", &options(DtypeChoice::F32));
    let sizes =
        ChunkOptions { max_tokens: Some(60), target_tokens: Some(40), ..ChunkOptions::default() };
    let spec = ChunkOptions { encoding: Some(Encoding::Late), ..sizes }.resolve().unwrap();
    let counts = |sentences: usize| {
        let text = "The cat sat on the mat. One dog would not sleep! ".repeat(sentences);
        let chunk = || pipeline::chunk(&model, &text, &spec, &EmbedOptions::default()).unwrap();
        let first = chunk();
        emulation.reset();
        let again = chunk();
        assert_eq!((again.chunks, again.cuts), (first.chunks, first.cuts));
        let counters = ["downloads", "synchronisations", "uploads"];
        counters.map(|counter| emulation.count(counter))
    };
    let short = counts(1);
    // Vectors of units with their band, then vectors of chunks.
    assert_eq!(short[..2], [2, 2]);
    // What goes up are indices: as often, however much there is of units, windows and chunks.
    assert_eq!(counts(20), short);
}

#[test]
fn successive_batches_overlap_on_two_streams() {
    let Some(emulation) = Emulation::take() else { return };
    let options = ModelOptions { max_batch_tokens: Some(40), ..options(DtypeChoice::F32) };
    let model = family("bert", &options);
    assert_eq!(model.devices().lanes(), 2);
    let texts: Vec<String> =
        (0..64).map(|at| format!("The cat number {at} sat on a mat.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    emulation.reset();
    embed(&model, &texts);
    assert_eq!(emulation.most_streams(), 2);
}

#[test]
fn a_batch_beyond_the_memory_runs_in_halves_and_a_text_beyond_it_is_an_error() {
    let Some(emulation) = Emulation::take() else { return };
    let words = "The cat sat on the mat. ".repeat(12);
    let texts: Vec<String> = (0..16).map(|at| format!("{at} {words}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let expected = embed(&family("bert", &options(DtypeChoice::F32)), &texts);
    let model = family("bert", &options(DtypeChoice::F32));
    // Room for a few texts, far from room for all.
    let held = emulation.count("live_bytes");
    emulation.set_memory(ordinal(), held + 256 * 1024);
    let halved = embed(&model, &texts);
    emulation.set_memory(ordinal(), held + 16);
    let refused = model.embed(&texts[..1], &EmbedOptions::default());
    emulation.set_memory(ordinal(), u64::MAX);
    assert_eq!(halved, expected);
    match refused {
        Err(Error::Compute(error @ compute::Error::DeviceMemory { .. })) => {
            assert!(error.to_string().contains(" bytes"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // Nothing else is disturbed.
    assert_eq!(embed(&model, &texts), expected);
}

/// A scheduler on both emulated devices.
fn on_both() -> (Arc<LoadedModel>, Scheduler) {
    let folder = golden("families").join("bert");
    let every = ModelOptions { device: DeviceChoice::Cuda(None), ..options(DtypeChoice::F32) };
    let model = Arc::new(LoadedModel::load(folder.to_str().unwrap(), &every).unwrap());
    assert_eq!(model.devices().lanes(), 4, "two devices are emulated");
    let max_batch = Duration::from_millis(25);
    let options = SchedulerOptions { max_queued_tokens: 1_000_000, max_batch };
    let scheduler = Scheduler::start(model.devices(), options).unwrap();
    (model, scheduler)
}

/// Runs one text after the other through the queue until `done`.
fn run_until(
    (model, scheduler): (&Arc<LoadedModel>, &Scheduler),
    done: impl Fn(&Result<Vec<f32>, Error>) -> bool + Sync,
) {
    let (handle, ended) = (scheduler.handle(), AtomicBool::new(false));
    let one_after_the_other = || {
        let queued = handle.engine(Arc::clone(model), Submission::default());
        while !ended.load(Ordering::Relaxed) {
            let (job, _) =
                model.plan(&["The cat sat on the mat."], &EmbedOptions::default()).unwrap();
            if done(&queued.encode(job)) {
                ended.store(true, Ordering::Relaxed);
            }
        }
    };
    // More callers than lanes, so that every lane has work.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(one_after_the_other);
        }
    });
}

#[test]
fn a_lost_device_turns_readiness_off_and_the_others_serve_on() {
    let Some(emulation) = Emulation::take() else { return };
    let (model, scheduler) = on_both();
    let handle = scheduler.handle();
    let expected = model.embed(&["The cat sat on the mat."], &EmbedOptions::default()).unwrap();
    assert!(handle.is_ready());
    emulation.lose(0);
    // Every job is answered as before; the loss shows once a lane of the device has had one.
    run_until((&model, &scheduler), |row| {
        assert_eq!(bits(row.as_ref().unwrap()), bits(&expected.data));
        !handle.is_ready()
    });
    assert!(handle.is_alive());
    assert!(model.band(vec![1.0; 4], 2, 1).is_ok(), "the other device could");
    emulation.lose(1);
    run_until((&model, &scheduler), |_| !handle.is_alive());
    assert!(!handle.is_ready());
}

/// What the driver answers from then on where a context or its device is gone, by its numbers.
const LOST: [std::ffi::c_int; 24] = [
    4, 46, 201, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 802, 806,
    807, 810, 909, 911, 999,
];

#[test]
fn every_error_that_stays_is_a_lost_device_and_the_next_one_takes_its_work() {
    let Some(emulation) = Emulation::take() else { return };
    let (both, _scheduler) = on_both();
    let one = family("bert", &options(DtypeChoice::F32));
    let texts = ["The cat sat on the mat."];
    let expected = embed(&one, &texts);
    let band = || both.band(vec![1.0; 4], 2, 1).map(|band| bits(&band));
    let of_neighbours = band().unwrap();
    for code in LOST {
        emulation.lose_with(0, code);
        match one.embed(&texts, &EmbedOptions::default()) {
            Err(Error::Compute(compute::Error::DeviceLost { problem, .. })) => {
                assert!(problem.ends_with(&format!("(CUDA error {code})")), "{problem}");
            }
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(band().unwrap(), of_neighbours, "{code}");
        emulation.restore(0);
        assert_eq!(embed(&one, &texts), expected, "{code}");
    }
}

#[test]
fn a_launch_that_registers_do_not_fit_fails_its_job_and_no_other() {
    let Some(emulation) = Emulation::take() else { return };
    let text = "The cat sat on the mat.";
    let wide = Arc::new(family("bert", &options(DtypeChoice::F32)));
    let narrow = Arc::new(family("bert", &options(DtypeChoice::F16)));
    let expected = [&wide, &narrow].map(|model| embed(model, &[text]));
    let options = SchedulerOptions { max_queued_tokens: 1_000_000, max_batch: Duration::ZERO };
    let scheduler = Scheduler::start(wide.devices(), options).unwrap();
    let handle = scheduler.handle();
    let run = |model: &Arc<LoadedModel>| {
        let (job, _) = model.plan(&[text], &EmbedOptions::default()).unwrap();
        handle.engine(Arc::clone(model), Submission::default()).encode(job)
    };
    let kernels = ["attention_f32_32", "attention_f16_32"];
    for (refused, kernel) in kernels.into_iter().enumerate() {
        // A block has 64 or 128 threads and the device 65,536 registers.
        emulation.set_registers(kernel, 1_032);
        for (at, model) in [&wide, &narrow].into_iter().enumerate() {
            match run(model) {
                Ok(row) if at != refused => assert_eq!(bits(&row), expected[at], "{kernel}"),
                Err(error) if at == refused => {
                    let text = error.to_string();
                    let device = matches!(error, Error::Compute(compute::Error::Device { .. }));
                    assert!(device && text.contains(kernel), "{text}");
                    assert!(text.contains("(CUDA error 701)"), "{text}");
                }
                other => panic!("{kernel}, {at}: {other:?}"),
            }
        }
        emulation.set_registers(kernel, 0);
        assert!(handle.is_ready());
        for (model, expected) in [&wide, &narrow].into_iter().zip(&expected) {
            assert_eq!(&bits(&run(model).unwrap()), expected, "{kernel}: the next");
        }
    }
}

#[test]
fn a_scheduler_that_stops_while_its_device_is_lost_answers_every_job() {
    let Some(emulation) = Emulation::take() else { return };
    for _ in 0..20 {
        let (model, scheduler) = on_both();
        let handle = scheduler.handle();
        let (sender, answers) = mpsc::channel();
        for _ in 0..16 {
            let sender = sender.clone();
            let done = move |answer: Result<Embeddings, Error>| sender.send(answer).unwrap();
            let queued = handle.engine(Arc::clone(&model), Submission::default());
            let planned = model.model().embed(&["The cat."], &EmbedOptions::default());
            planned.unwrap().submit(&queued, done).unwrap();
        }
        emulation.lose(0);
        emulation.lose(1);
        drop((scheduler, sender));
        assert_eq!(answers.iter().count(), 16);
        emulation.restore(0);
        emulation.restore(1);
    }
}

#[test]
fn the_real_model_takes_the_launches_of_its_layers() {
    let Some(emulation) = Emulation::take() else { return };
    let model =
        LoadedModel::load(real_folder().to_str().unwrap(), &options(DtypeChoice::F16)).unwrap();
    emulation.reset();
    embed(&model, &["The cat sat on the mat."]);
    assert_eq!(emulation.count("products"), 4 * 6);
    assert_eq!(emulation.count("launches"), 4 * 6 + 2);
}

#[test]
fn exact_numerics_keep_one_algorithm_whatever_the_batch_and_fast_ones_follow_it() {
    let Some(emulation) = Emulation::take() else { return };
    let texts = ["The cat sat on the mat.", "One dog would not sleep! Who could see the star?"];
    for numerics in [Numerics::Exact, Numerics::Fast] {
        let model = family("bert", &ModelOptions { numerics, ..options(DtypeChoice::F16) });
        let chosen_for = |texts: &[&str]| {
            embed(&model, texts);
            emulation.count("algorithm_columns")
        };
        let (one, two) = (chosen_for(&texts[..1]), chosen_for(&texts));
        assert_eq!(one == two, numerics == Numerics::Exact, "{numerics:?}: {one} and {two}");
    }
}

#[test]
fn warming_up_finds_the_largest_batch_that_both_lanes_have_memory_for() {
    let Some(emulation) = Emulation::take() else { return };
    let model = family("bert", &options(DtypeChoice::F32));
    emulation.set_memory(ordinal(), emulation.count("live_bytes") + (8 << 20));
    model.warm_up().unwrap();
    let tokens = model.max_batch_tokens();
    assert!((model.model().tokenizer().max_tokens()..ONE_BATCH).contains(&tokens), "{tokens}");
    let words = "The cat sat on the mat. ".repeat(12);
    let texts = vec![words.as_str(); 256];
    let limited = embed(&model, &texts);
    emulation.set_memory(ordinal(), u64::MAX);
    assert_eq!(limited, embed(&family("bert", &options(DtypeChoice::F32)), &texts));
}
