//! Tokens and vectors against those of sentence-transformers in f64, for both engines.

use std::collections::BTreeMap;
use std::path::Path;

use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel, Truncate};
use half::{bf16, f16};
use safetensors::Dtype;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::support::run_now::RunNow;
use crate::support::{self, ENGINES, ONE_BATCH, Stored};

/// The largest difference of a component from the f64 reference.
const TOLERANCE: f64 = 2e-6;
/// The same for the tiny model's outputs that are not of length one, relative to their largest
/// component where that is above 1. Its hidden states reach 3, and its random Dense layer doubles
/// their rounding: the differences seen are up to 4.1e-6 (native) and 2.0e-6 (candle).
const RAW_TOLERANCE: f64 = 8e-6;

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// `what` names the rows' engine and case.
fn check_rows(what: &str, actual: &[f32], rows: &[Vec<f64>], tolerance: f64) {
    let columns = rows[0].len();
    assert_eq!(actual.len(), rows.len() * columns, "{what}");
    for (index, (actual, expected)) in actual.chunks_exact(columns).zip(rows).enumerate() {
        let difference = support::max_difference(actual, expected);
        let limit = tolerance * support::max_value(expected).max(1.0);
        assert!(difference <= limit, "{what}, text {index}: {difference:e}, limit {limit:e}");
    }
}

fn check_minilm_vectors(engine: Backend) {
    let golden = support::minilm();
    let vectors: Vec<Vec<f64>> = golden.vectors.iter().map(|row| support::widen(row)).collect();
    let model = support::real(engine);
    let embeddings = model.embed(&strs(&golden.texts), &EmbedOptions::default()).unwrap();
    assert_eq!(embeddings.dim, 384);
    check_rows(&format!("{engine:?} minilm"), &embeddings.data, &vectors, TOLERANCE);
}

#[test]
fn native_vectors_of_the_real_model_are_the_references() {
    check_minilm_vectors(Backend::Native);
}

#[test]
fn candle_vectors_of_the_real_model_are_the_references() {
    check_minilm_vectors(Backend::Candle);
}

#[test]
fn token_ids_of_the_real_model_are_the_references() {
    let golden = support::minilm();
    let model = support::real(Backend::Native);
    let (job, plan) = model.plan(&strs(&golden.texts), &EmbedOptions::default()).unwrap();
    assert_eq!(job.packed.sequences(), golden.texts.len());
    for (index, ids) in golden.ids.iter().enumerate() {
        assert_eq!(job.packed.sequence(index), ids, "{:?}", golden.texts[index]);
        assert_eq!(plan.tokens[index], ids.len());
    }
}

/// The reference's tokenizer, without the truncation that its file asks for.
fn uncut_ids(texts: &[String]) -> Vec<Vec<u32>> {
    let file = support::real_folder().join("tokenizer.json");
    let mut tokenizer = tokenizers::Tokenizer::from_file(file).unwrap();
    tokenizer.with_truncation(None).unwrap();
    tokenizer.with_padding(None);
    let ids = texts.iter().map(|text| tokenizer.encode(text.as_str(), true).unwrap());
    ids.map(|encoding| encoding.get_ids().to_vec()).collect()
}

#[test]
fn texts_above_256_tokens_are_reported_with_their_whole_length() {
    let golden = support::minilm();
    let model = support::real(Backend::Native);
    let (_, plan) = model.plan(&strs(&golden.texts), &EmbedOptions::default()).unwrap();
    let expected: Vec<Option<usize>> =
        uncut_ids(&golden.texts).iter().map(|ids| (ids.len() > 256).then_some(ids.len())).collect();
    assert_eq!(plan.truncated, expected);
    // `make_golden.py` ends the texts with some that it cut to these lengths.
    let measured = [None, None, None, Some(257), Some(2_000)];
    assert_eq!(plan.truncated[plan.truncated.len() - 5..], measured);
}

#[test]
fn left_truncation_keeps_the_last_tokens_between_the_special_ones() {
    let golden = support::minilm();
    let model = support::real(Backend::Native);
    let options = EmbedOptions { truncate: Truncate::Left, ..EmbedOptions::default() };
    let (job, _) = model.plan(&strs(&golden.texts), &options).unwrap();
    for (index, whole) in uncut_ids(&golden.texts).iter().enumerate() {
        let cut = whole.len().saturating_sub(256);
        let expected = [&whole[..1], &whole[1 + cut..]].concat();
        assert_eq!(job.packed.sequence(index), expected, "{:?}", golden.texts[index]);
    }
}

/// One entry of `tiny_cases.json`; `tiny_cases.py` tells what each field changes.
#[derive(Deserialize)]
struct Case {
    name: String,
    pooling: String,
    include_prompt: bool,
    prompt_name: Option<String>,
    dense: bool,
    normalize: bool,
    truncate_dim: Option<usize>,
    checkpoint_dtype: String,
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    vectors: Vec<Vec<f64>>,
}

fn tiny_cases() -> Vec<Case> {
    support::json(&support::golden("tiny_cases.json"))
}

/// A copy of the tiny model with the settings of `case`.
fn tiny_folder(case: &Case) -> TempDir {
    assert_eq!(case.checkpoint_dtype, "f32", "{}", case.name);
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("tiny"), folder.path());
    support::edit_json(&folder.path().join("modules.json"), |modules| {
        modules.as_array_mut().unwrap().retain(|module| {
            let path = &module["path"];
            (case.dense || path != "2_Dense") && (case.normalize || path != "3_Normalize")
        });
    });
    support::edit_json(&folder.path().join("1_Pooling/config.json"), |pooling| {
        pooling["pooling_mode"] = json!(case.pooling);
        pooling["include_prompt"] = json!(case.include_prompt);
    });
    folder
}

fn check_tiny_cases(engine: Backend) {
    let cases = tiny_cases();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    for case in &cases {
        let folder = tiny_folder(case);
        let model = support::load(folder.path(), engine, ONE_BATCH);
        let prompt = model.model().prompt(case.prompt_name.as_deref()).unwrap();
        let options =
            EmbedOptions { dimensions: case.truncate_dim, prompt, ..EmbedOptions::default() };
        let texts = strs(&case.texts);
        let (job, _) = model.plan(&texts, &options).unwrap();
        for (index, ids) in case.ids.iter().enumerate() {
            assert_eq!(job.packed.sequence(index), ids, "{} {:?}", case.name, texts[index]);
        }
        let vectors = model.embed(&texts, &options).unwrap().data;
        let tolerance = if case.normalize { TOLERANCE } else { RAW_TOLERANCE };
        check_rows(&format!("{engine:?} {}", case.name), &vectors, &case.vectors, tolerance);
    }
}

#[test]
fn native_vectors_of_every_tiny_case_are_the_references() {
    check_tiny_cases(Backend::Native);
}

#[test]
fn candle_vectors_of_every_tiny_case_are_the_references() {
    check_tiny_cases(Backend::Candle);
}

/// A stored form of f32 values, and the values that remain.
struct Half {
    dtype: Dtype,
    narrow: fn(f32) -> [u8; 2],
    round: fn(f32) -> f32,
}

const F16: Half = Half {
    dtype: Dtype::F16,
    narrow: |value| f16::from_f32(value).to_le_bytes(),
    round: |value| f16::from_f32(value).to_f32(),
};
const BF16: Half = Half {
    dtype: Dtype::BF16,
    narrow: |value| bf16::from_f32(value).to_le_bytes(),
    round: |value| bf16::from_f32(value).to_f32(),
};

/// Rewrites both checkpoints of the tiny model in `folder`.
fn edit_checkpoints(folder: &Path, edit: impl Fn(&mut Stored)) {
    for file in ["model.safetensors", "2_Dense/model.safetensors"] {
        let edit_all =
            |tensors: &mut BTreeMap<String, Stored>| tensors.values_mut().for_each(&edit);
        support::edit_tensors(&folder.join(file), edit_all);
    }
}

fn check_half(half: &Half) {
    let cases = tiny_cases();
    let case = cases.iter().find(|case| case.name == "mean_dense_normalize").unwrap();
    let (stored, rounded) = (tiny_folder(case), tiny_folder(case));
    edit_checkpoints(stored.path(), |tensor| {
        tensor.data = tensor.values().iter().flat_map(|&value| (half.narrow)(value)).collect();
        tensor.dtype = half.dtype;
    });
    edit_checkpoints(rounded.path(), |tensor| {
        let values = tensor.values();
        tensor.data = values.iter().flat_map(|&x| (half.round)(x).to_le_bytes()).collect();
    });
    let texts = strs(&case.texts);
    for engine in ENGINES {
        let embed =
            |model: &LoadedModel| model.embed(&texts, &EmbedOptions::default()).unwrap().data;
        let actual = embed(&support::load(stored.path(), engine, ONE_BATCH));
        let expected = embed(&support::load(rounded.path(), engine, ONE_BATCH));
        assert_eq!(support::bits(&actual), support::bits(&expected), "{engine:?}");
        // The rounding has to matter, or the comparison would prove nothing.
        let unrounded: Vec<f64> = case.vectors.concat();
        assert!(support::max_difference(&actual, &unrounded) > 1e-4, "{engine:?}");
    }
}

#[test]
fn an_f16_checkpoint_is_the_f32_one_of_its_rounded_values() {
    check_half(&F16);
}

#[test]
fn a_bf16_checkpoint_is_the_f32_one_of_its_rounded_values() {
    check_half(&BF16);
}
