//! The forward pass allocates no more for six layers than for two.
//!
//! Every thread counts its own allocations, so that tests beside this one do not show in it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use chunkflow::compute::DtypeChoice;
use chunkflow::embeddings::{EmbedOptions, Engine, Job, LoadedModel, ModelOptions};
use rayon::ThreadPoolBuilder;

use crate::support;
use crate::support::random_model::{Sizes, write_random_model};
use crate::support::run_now::RunNow;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, and a count of what each thread asks of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that ends has no count any more, and still allocates.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

fn load(layers: usize, dtype: DtypeChoice) -> LoadedModel {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = support::golden("tiny").join("tokenizer.json");
    let sizes = Sizes { hidden: 48, layers, heads: 3, intermediate: 96, max_positions: 64 };
    write_random_model(folder.path(), &tokenizer, &sizes, 1).unwrap();
    let options = ModelOptions { dtype: Some(dtype), ..ModelOptions::default() };
    LoadedModel::load(folder.path().to_str().unwrap(), &options).unwrap()
}

/// Allocations of a forward pass once its memory is warm.
fn steady(model: &LoadedModel, job: &Job) -> usize {
    let pass = || {
        let job = job.clone();
        let before = COUNT.get();
        drop(model.encode(job).unwrap());
        COUNT.get() - before
    };
    for _ in 0..5 {
        pass();
    }
    pass()
}

#[test]
fn no_layer_allocates_in_steady_state() {
    let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let texts = ["one", "a second text, which is longer", "the third of them all"];
    for dtype in [DtypeChoice::F32, DtypeChoice::Bf16, DtypeChoice::Int8] {
        let [two, six] = [2, 6].map(|layers| {
            let model = load(layers, dtype);
            let (job, _) = model.plan(&texts, &EmbedOptions::default()).unwrap();
            pool.install(|| steady(&model, &job))
        });
        assert!(two > 0, "the count counts");
        assert_eq!(two, six, "allocations of two and of six layers in {dtype:?}");
    }
}
