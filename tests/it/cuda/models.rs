//! Whole models on CUDA beside the processor's form, which is held to the references elsewhere.

use chunkflow::compute::DtypeChoice;
use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel, ModelOptions};
use chunkflow::models::Task;

use super::options;
use crate::families::cosine;
use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, bits, golden, json, max_difference, widen};

/// The largest difference of a component of a unit vector in f32.
const TOLERANCE: f64 = 1e-5;
/// The least cosine in f16, and of real weights in bf16.
const COSINE: f64 = 0.9995;
/// The least cosine of the families' tiny models in bf16, whose random weights are badly conditioned:
/// rounding them to bf16 alone takes JinaBERT's to 0.9992. Their mean is held to `COSINE`.
const COSINE_TINY_BF16: f64 = 0.998;
/// Texts of each family that are compared.
const TEXTS: usize = 24;

fn load(folder: &std::path::Path, options: &ModelOptions) -> LoadedModel {
    LoadedModel::load(folder.to_str().unwrap(), options).unwrap()
}

/// Vectors of `texts` in every dtype beside those of the processor in f32; `bf16` is the least cosine
/// in that.
fn check(folder: &std::path::Path, texts: &[String], bf16: f64) {
    let _turn = super::turn();
    // The family's own, then the real model's.
    let texts = texts.iter().chain(&support::minilm().texts);
    let texts: Vec<&str> = texts.take(TEXTS).map(String::as_str).collect();
    let embed = |model: &LoadedModel| model.embed(&texts, &EmbedOptions::default()).unwrap();
    let expected = embed(&support::load(folder, Backend::Native, ONE_BATCH));
    for dtype in [DtypeChoice::F32, DtypeChoice::F16, DtypeChoice::Bf16] {
        let model = load(folder, &options(dtype));
        let actual = embed(&model);
        let least = if dtype == DtypeChoice::Bf16 { bf16 } else { COSINE };
        let mut sum = 0.0;
        for ((row, expected), text) in actual.rows().zip(expected.rows()).zip(&texts) {
            let expected = widen(expected);
            let (difference, cosine) = (max_difference(row, &expected), cosine(row, &expected));
            if dtype == DtypeChoice::F32 {
                assert!(difference <= TOLERANCE, "{difference:e} at {text:?}");
            }
            assert!(cosine >= least, "{dtype:?}: cosine {cosine} at {text:?}");
            sum += cosine;
        }
        assert!(sum / TEXTS as f64 >= COSINE, "{dtype:?}: mean cosine {}", sum / TEXTS as f64);
        // In two runs, alone, and in other company: the same bits.
        let again = embed(&model);
        assert_eq!(bits(&again.data), bits(&actual.data), "{dtype:?} again");
        let mut reversed = texts.clone();
        reversed.truncate(5);
        reversed.reverse();
        let company = model.embed(&reversed, &EmbedOptions::default()).unwrap();
        let company: Vec<&[f32]> = company.rows().collect();
        for (row, expected) in company.into_iter().rev().zip(actual.rows()) {
            assert_eq!(bits(row), bits(expected), "{dtype:?} in other company");
        }
    }
}

/// A family of `tests/golden/families`, see [`crate::families`].
pub(crate) fn check_family(family: &str) {
    let folder = golden("families").join(family);
    check(&folder, &json::<Vec<String>>(&folder.join("texts.json")), COSINE_TINY_BF16);
}

#[test]
fn the_real_model() {
    check(&support::real_folder(), &support::minilm().texts[20..], COSINE);
}

#[test]
fn rerankers_and_sparse_models_are_those_of_the_processor() {
    let _turn = super::turn();
    for name in ["rerank-bert", "rerank-modernbert", "sparse-bert", "sparse-plain"] {
        let folder = golden("heads").join(name);
        let kind = name.starts_with("sparse").then_some(Task::Sparse);
        let cuda = load(&folder, &ModelOptions { kind, ..options(DtypeChoice::F32) });
        let cpu = load(&folder, &ModelOptions { kind, ..ModelOptions::default() });
        if kind.is_some() {
            let texts = ["The cat sat on the mat.", "", "One dog would not sleep! Who could see?"];
            let options = EmbedOptions::default();
            let (actual, expected) = (
                cuda.embed_sparse(&texts, &options).unwrap(),
                cpu.embed_sparse(&texts, &options).unwrap(),
            );
            for (actual, expected) in actual.rows.iter().zip(&expected.rows) {
                assert_eq!(actual.len(), expected.len(), "{name}");
                for (actual, expected) in actual.iter().zip(expected) {
                    assert_eq!(actual.index, expected.index, "{name}");
                    assert!((actual.value - expected.value).abs() <= 1e-5, "{name}");
                }
            }
        } else {
            let pairs = [("the cat", "The cat sat on the mat."), ("sleep", "One dog barked.")];
            let (actual, expected) = (cuda.score(&pairs).unwrap(), cpu.score(&pairs).unwrap());
            assert!(max_difference(&actual.data, &widen(&expected.data)) <= TOLERANCE, "{name}");
        }
    }
}
