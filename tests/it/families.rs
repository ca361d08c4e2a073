//! Every family of `tests/golden/families` against transformers in f64: tokens, states, vectors,
//! for both engines; and what each promises beyond one text at a time.

use std::fs;

use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel, Truncate};
use safetensors::SafeTensors;

use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, bits, golden, max_difference, max_value};

/// The largest difference of a component of a unit vector from the f64 reference.
pub(crate) const TOLERANCE: f64 = 5e-6;
/// Of single states, before a mean evens rounding out: JinaBERT's tiny model is so badly conditioned
/// that candle's own form is off by 4e-6.
pub(crate) const STATES: f64 = 8e-6;
/// The least cosine.
const COSINE: f64 = 0.999_999;

macro_rules! families {
    ($($name:ident: $folder:literal),+ $(,)?) => {
        $(mod $name {
            use chunkflow::embeddings::Backend;

            #[test]
            fn native_is_the_reference() {
                super::check($folder, Backend::Native);
            }

            #[test]
            fn candle_is_the_reference() {
                super::check($folder, Backend::Candle);
            }

            #[test]
            fn company_changes_no_bit() {
                super::check_company($folder);
            }

            #[cfg(feature = "cuda")]
            #[test]
            fn cuda_is_the_processor() {
                crate::cuda::models::check_family($folder);
            }
        })+
    };
}

families! {
    bert: "bert",
    roberta: "roberta",
    xlm_roberta: "xlm-roberta",
    camembert: "camembert",
    distilbert: "distilbert",
    mpnet: "mpnet",
    nomic_bert: "nomic-bert",
    jina_bert: "jina-bert",
    gte: "gte",
    modernbert: "modernbert",
    qwen3: "qwen3",
    embeddinggemma: "embeddinggemma",
}

/// A family's texts and what they must become.
pub(crate) struct Golden {
    pub(crate) texts: Vec<String>,
    pub(crate) ids: Vec<u32>,
    pub(crate) cu_seqlens: Vec<u32>,
    /// `[tokens, H]`
    pub(crate) states: Vec<f64>,
    embeddings: Vec<f64>,
}

impl Golden {
    pub(crate) fn read(family: &str) -> Self {
        let folder = golden("families").join(family);
        let bytes = fs::read(folder.join("expected.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        Self {
            texts: support::json(&folder.join("texts.json")),
            ids: integers(&tensors, "ids"),
            cu_seqlens: integers(&tensors, "cu_seqlens"),
            states: support::numbers(&tensors, "states"),
            embeddings: support::numbers(&tensors, "embeddings"),
        }
    }

    fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(String::as_str).collect()
    }
}

fn integers(tensors: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    support::numbers(tensors, name).into_iter().map(|x| x as u32).collect()
}

fn model(family: &str, engine: Backend) -> LoadedModel {
    support::load(&golden("families").join(family), engine, ONE_BATCH)
}

pub(crate) fn cosine(a: &[f32], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let a = support::widen(a);
    dot(&a, b) / (dot(&a, &a) * dot(b, b)).sqrt()
}

fn check(family: &str, engine: Backend) {
    let golden = Golden::read(family);
    let model = model(family, engine);
    let options = EmbedOptions::default();
    let (job, _) = model.plan(&golden.texts(), &options).unwrap();
    assert_eq!(job.packed.cu_seqlens, golden.cu_seqlens, "{family} lengths");
    assert_eq!(job.packed.ids, golden.ids, "{family} ids");

    let tokens = model.embed_tokens(&golden.texts(), &options).unwrap();
    let columns = tokens.dim;
    for (index, text) in golden.texts.iter().enumerate() {
        let rows = tokens.cu_rows[index] * columns..tokens.cu_rows[index + 1] * columns;
        let expected = &golden.states[rows];
        let difference = max_difference(tokens.text_rows(index), expected);
        let relative = difference / max_value(expected).max(1.0);
        assert!(relative <= STATES, "{family} states: {relative:e} at {text:?}");
    }

    let embeddings = model.embed(&golden.texts(), &options).unwrap();
    let expected = golden.embeddings.chunks_exact(embeddings.dim);
    assert_eq!(expected.len(), golden.texts.len());
    for ((row, expected), text) in embeddings.rows().zip(expected).zip(&golden.texts) {
        let (difference, cosine) = (max_difference(row, expected), cosine(row, expected));
        assert!(difference <= TOLERANCE, "{family}: {difference:e} at {text:?}");
        assert!(cosine >= COSINE, "{family}: cosine {cosine} at {text:?}");
    }
}

/// Every text alone, in several batches and in one, in either order.
fn check_company(family: &str) {
    let golden = Golden::read(family);
    let folder = support::golden("families").join(family);
    let embed = |budget: usize, texts: &[&str]| -> Vec<Vec<u32>> {
        let model = support::load(&folder, Backend::Native, budget);
        model.embed(texts, &EmbedOptions::default()).unwrap().rows().map(bits).collect()
    };
    let mut texts = golden.texts();
    let alone = embed(1, &texts);
    assert_eq!(embed(200, &texts), alone, "{family} in batches of 200 tokens");
    assert_eq!(embed(ONE_BATCH, &texts), alone, "{family} together");
    texts.reverse();
    let mut reversed = embed(ONE_BATCH, &texts);
    reversed.reverse();
    assert_eq!(reversed, alone, "{family} in the other order");
}

#[test]
fn left_truncation_keeps_the_ends_of_long_texts() {
    let model = model("modernbert", Backend::Native);
    let long = format!("{}the very end", "word ".repeat(300));
    let options = EmbedOptions { truncate: Truncate::Left, ..EmbedOptions::default() };
    let (job, plan) = model.plan(&[&long], &options).unwrap();
    assert_eq!(job.packed.tokens(), model.model().tokenizer().max_tokens());
    assert!(plan.truncated[0].unwrap() > 300);
    let end = model.model().tokenizer().encode(" the very end").unwrap().ids;
    let kept = job.packed.sequence(0);
    assert_eq!(&kept[kept.len() - 1 - end.len()..kept.len() - 1], end);
}
