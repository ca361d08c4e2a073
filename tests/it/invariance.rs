//! A text's vector has the same bits in any batch, in any order and on any number of threads.
//!
//! On the real weights and the fast form, whose promise it is. The oracle is each text alone.

use std::sync::{Arc, OnceLock};

use chunkflow::compute::Span;
use chunkflow::embeddings::{Backend, EmbedOptions, Engine, Job, LoadedModel, Output};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::scheduler;
use crate::support::run_now::RunNow;
use crate::support::{self, ENGINES, ONE_BATCH, bits};

/// Token budgets: every sequence alone, a few together, and many.
const BUDGETS: [usize; 3] = [1, 100, ONE_BATCH];

fn models() -> &'static [Arc<LoadedModel>] {
    static MODELS: OnceLock<Vec<Arc<LoadedModel>>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let load = |&budget: &usize| match budget {
            ONE_BATCH => Arc::clone(support::real(Backend::Native)),
            _ => Arc::new(support::load(&support::real_folder(), Backend::Native, budget)),
        };
        BUDGETS.iter().map(load).collect()
    })
}

/// Pools of one, two and three threads.
fn pools() -> &'static [ThreadPool] {
    static POOLS: OnceLock<Vec<ThreadPool>> = OnceLock::new();
    POOLS.get_or_init(|| {
        (1..=3).map(|n| ThreadPoolBuilder::new().num_threads(n).build().unwrap()).collect()
    })
}

fn embed(model: &LoadedModel, texts: &[&str]) -> Vec<Vec<u32>> {
    let embeddings = model.embed(texts, &EmbedOptions::default()).unwrap();
    embeddings.rows().map(bits).collect()
}

/// The bits of every golden text's vector, each embedded alone.
fn alone() -> &'static [Vec<u32>] {
    static ALONE: OnceLock<Vec<Vec<u32>>> = OnceLock::new();
    ALONE.get_or_init(|| {
        let model = support::real(Backend::Native);
        let texts = &support::minilm().texts;
        texts.iter().flat_map(|text| embed(model, &[text.as_str()])).collect()
    })
}

/// Indices of the golden texts of at most, or above, 40 tokens: long ones are slow.
fn by_length(short: bool) -> Vec<usize> {
    let ids = &support::minilm().ids;
    (0..ids.len()).filter(|&index| (ids[index].len() <= 40) == short).collect()
}

fn check_together(indices: &[usize], model: &LoadedModel, pool: &ThreadPool) {
    let texts: Vec<&str> =
        indices.iter().map(|&index| support::minilm().texts[index].as_str()).collect();
    let together = pool.install(|| embed(model, &texts));
    assert_eq!(together.len(), texts.len());
    for ((row, &index), text) in together.iter().zip(indices).zip(texts) {
        assert_eq!(*row, alone()[index], "{text:?}");
    }
}

#[test]
fn all_golden_texts_together_are_each_alone() {
    let indices: Vec<usize> = (0..support::minilm().texts.len()).collect();
    check_together(&indices, &models()[2], &pools()[1]);
}

proptest! {
    // Every case runs the real model, and each finds a fault of one batch with all its rows.
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn texts_in_any_company_are_each_alone(
        mut indices in prop::collection::vec(prop::sample::select(by_length(true)), 1..30),
        long in prop::option::weighted(0.3, prop::sample::select(by_length(false))),
        at in any::<prop::sample::Index>(),
        budget in 0..BUDGETS.len(),
        threads in 0_usize..3,
    ) {
        if let Some(long) = long {
            indices.insert(at.index(indices.len()), long);
        }
        check_together(&indices, &models()[budget], &pools()[threads]);
    }
}

/// Jobs of different callers: all dimensions, some, and token states.
fn jobs(model: &LoadedModel) -> Vec<Job> {
    let texts = ["One caller's text.", "A second one, a good deal longer than that.", "Third"];
    let plan = |texts: &[&str], dimensions| {
        let options = EmbedOptions { dimensions, ..EmbedOptions::default() };
        model.plan(texts, &options).unwrap().0
    };
    let (whole, cut, other) =
        (plan(&texts, None), plan(&texts[1..], Some(100)), plan(&texts[..1], None));
    let token = |seq, start| Span { seq, start, end: start + 1 };
    let spans = vec![token(2, 1), token(0, 0), token(1, 3), token(0, 2), token(0, 0)];
    let states = Job { spans, output: Output::MeanStates, ..whole.clone() };
    let unread = Job { spans: Vec::new(), ..other.clone() };
    vec![whole, states, unread, cut, other]
}

#[test]
fn jobs_run_together_are_each_alone() {
    let model = support::real(Backend::Native);
    let jobs = jobs(model);
    let alone: Vec<Vec<u32>> =
        jobs.iter().map(|job| bits(&model.encode(job.clone()).unwrap())).collect();
    let lengths: Vec<usize> = alone.iter().map(Vec::len).collect();
    assert_eq!(lengths, [3 * 384, 5 * 384, 0, 2 * 100, 384]);
    for order in [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [3, 4, 1, 0, 2]] {
        let together = order.iter().map(|&index| jobs[index].clone()).collect();
        for (rows, index) in scheduler::together(model, together).iter().zip(order) {
            assert_eq!(bits(rows), alone[index], "job {index} of {order:?}");
        }
    }
}

/// A Dense head sees one row a text, where encoders see one a token.
#[test]
fn vectors_through_a_dense_head_are_each_alone() {
    let model = support::load(&support::golden("tiny"), Backend::Native, ONE_BATCH);
    let texts: Vec<&str> = support::minilm().texts.iter().map(String::as_str).take(150).collect();
    let together = embed(&model, &texts);
    for (row, text) in together.iter().zip(texts) {
        assert_eq!(embed(&model, &[text])[0], *row, "{text:?}");
    }
}

#[test]
fn no_texts_have_no_rows() {
    for engine in ENGINES {
        let embeddings = support::real(engine).embed(&[], &EmbedOptions::default()).unwrap();
        assert_eq!((embeddings.dim, embeddings.rows().len()), (384, 0), "{engine:?}");
    }
}
