//! What several modules share: the models under test, the golden files, and ways to compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use chunkflow::embeddings::{Backend, LoadedModel, ModelOptions};
use chunkflow::models::Places;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::random_model::SplitMix64;

pub(crate) mod naive;
pub(crate) mod random_model;
pub(crate) mod run_now;

/// The fast form and the oracle.
pub(crate) const ENGINES: [Backend; 2] = [Backend::Native, Backend::Candle];

/// A token budget that no test with few texts reaches.
pub(crate) const ONE_BATCH: usize = 16_384;

/// The package's folder. Cargo names it to what it runs; the device pack names a folder of its own.
#[expect(clippy::disallowed_methods, reason = "says where tests run, no setting")]
fn root() -> PathBuf {
    let named = std::env::var_os("CARGO_MANIFEST_DIR");
    named.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// Where known models stand.
pub(crate) fn models_dir() -> PathBuf {
    root().join("models")
}

/// That place alone.
pub(crate) fn places() -> Places {
    Places { models_dir: models_dir(), ..Places::default() }
}

/// The folder of the real all-MiniLM-L6-v2. A test without it fails: a skipped one proves nothing.
pub(crate) fn real_folder() -> PathBuf {
    let folder = models_dir().join("sentence-transformers/all-MiniLM-L6-v2");
    let weights = folder.join("model.safetensors");
    assert!(weights.is_file(), "{} is missing: run `make model`", weights.display());
    folder
}

/// The real model, loaded once for each engine.
pub(crate) fn real(engine: Backend) -> &'static Arc<LoadedModel> {
    static NATIVE: OnceLock<Arc<LoadedModel>> = OnceLock::new();
    static CANDLE: OnceLock<Arc<LoadedModel>> = OnceLock::new();
    let cell = match engine {
        Backend::Native => &NATIVE,
        Backend::Candle => &CANDLE,
    };
    cell.get_or_init(|| Arc::new(load(&real_folder(), engine, ONE_BATCH)))
}

/// Loads the model in `folder`.
pub(crate) fn load(folder: &Path, engine: Backend, max_batch_tokens: usize) -> LoadedModel {
    let places = places();
    let max_batch_tokens = Some(max_batch_tokens);
    let backend = engine;
    let options = ModelOptions { places, backend, max_batch_tokens, ..ModelOptions::default() };
    LoadedModel::load(folder.to_str().unwrap(), &options).unwrap()
}

/// A file or folder of `tests/golden`.
pub(crate) fn golden(name: &str) -> PathBuf {
    root().join("tests/golden").join(name)
}

/// Texts, token ids and vectors of the real model, as sentence-transformers has them in f64.
pub(crate) struct Minilm {
    pub(crate) texts: Vec<String>,
    pub(crate) ids: Vec<Vec<u32>>,
    /// One row a text.
    pub(crate) vectors: Vec<Vec<f32>>,
}

/// The golden data of the real model.
pub(crate) fn minilm() -> &'static Minilm {
    static MINILM: OnceLock<Minilm> = OnceLock::new();
    MINILM.get_or_init(|| Minilm {
        texts: json(&golden("minilm/texts.json")),
        ids: json(&golden("minilm/ids.json")),
        vectors: npy(&golden("minilm/vectors.npy")),
    })
}

/// Reads a JSON file.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Rewrites a JSON file.
pub(crate) fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = json(path);
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// The rows of a two-dimensional `.npy` file of version 1 with little-endian f32 in C order.
fn npy(path: &Path) -> Vec<Vec<f32>> {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let (header, data) = bytes[10..].split_at(usize::from(bytes[8]) + 256 * usize::from(bytes[9]));
    let header = std::str::from_utf8(header).unwrap();
    assert!(header.contains("'descr': '<f4', 'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let shape: Vec<usize> = shape.split(", ").map(|size| size.parse().unwrap()).collect();
    let values: Vec<f32> =
        data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(values.len(), shape[0] * shape[1]);
    values.chunks_exact(shape[1]).map(<[f32]>::to_vec).collect()
}

/// The values of a tensor of any number type that the golden files have.
pub(crate) fn numbers(tensors: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = tensors.tensor(name).unwrap();
    let (words, halves) = (view.data().as_chunks::<8>().0, view.data().as_chunks::<4>().0);
    match view.dtype() {
        Dtype::F64 => words.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        Dtype::I64 => words.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
        Dtype::F32 => halves.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
        other => panic!("{name} has dtype {other:?}"),
    }
}

/// A tensor as stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

impl Stored {
    /// The values of an f32 tensor.
    pub(crate) fn values(&self) -> Vec<f32> {
        assert_eq!(self.dtype, Dtype::F32);
        self.data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

/// Rewrites a safetensors file.
pub(crate) fn edit_tensors(path: &Path, edit: impl FnOnce(&mut BTreeMap<String, Stored>)) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let stored = |view: &TensorView<'_>| Stored {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        data: view.data().to_vec(),
    };
    let mut tensors = file
        .iter()
        .map(|(name, view)| (name.to_owned(), stored(&view)))
        .collect::<BTreeMap<_, _>>();
    edit(&mut tensors);
    let views = tensors.iter().map(|(name, tensor)| {
        (name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The bit patterns of `values`, which unlike the values tell 0 from -0.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The largest absolute difference of two rows; infinite where one is NaN.
pub(crate) fn max_difference(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let differences = actual.iter().zip(expected).map(|(&x, y)| (f64::from(x) - y).abs());
    differences.map(|x| if x.is_nan() { f64::INFINITY } else { x }).fold(0.0, f64::max)
}

/// The largest absolute value.
pub(crate) fn max_value(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

/// `values` in f64.
pub(crate) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Chooses for the tests that run on seeded data.
impl SplitMix64 {
    /// An index below `limit`; its bias is far below what a test could see.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next_u64() % limit as u64) as usize
    }

    /// One of `items`.
    pub(crate) fn choose<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}
