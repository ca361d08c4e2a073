//! A complete BERT model with seeded random weights, in the layout of sentence-transformers.
//!
//! Invariant: the same seed, sizes and tokenizer write the same bytes on every machine. The
//! benchmarks include this file by its path, so it needs `serde_json`, `safetensors` and std alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// The generator of Steele, Lea and Flood 2014 (doi 10.1145/2714064.2660195): small and portable.
#[derive(Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// Starts at `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 uniform bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `len` values, uniform between `-scale` and `scale`.
    pub(crate) fn values(&mut self, len: usize, scale: f32) -> Vec<f32> {
        let unit = |bits: u64| (bits >> 40) as f32 / (1_u32 << 23) as f32 - 1.0;
        (0..len).map(|_| scale * unit(self.next_u64())).collect()
    }
}

/// Geometry of a random model. `heads` divides `hidden`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Columns of the hidden state and of the vectors.
    pub(crate) hidden: usize,
    /// Number of layers.
    pub(crate) layers: usize,
    /// Attention heads.
    pub(crate) heads: usize,
    /// Columns within the feed-forward layer.
    pub(crate) intermediate: usize,
    /// The longest sequence, special tokens included.
    pub(crate) max_positions: usize,
}

/// Writes a model with mean pooling and normalisation into the existing folder `folder`. Its
/// tokenizer is a copy of the `tokenizer.json` at `tokenizer`, which sets the vocabulary's size.
///
/// # Errors
/// When a file cannot be read or written, or the tokenizer is no JSON.
pub(crate) fn write_random_model(
    folder: &Path,
    tokenizer: &Path,
    sizes: &Sizes,
    seed: u64,
) -> io::Result<()> {
    let vocabulary = vocabulary(&serde_json::from_slice(&fs::read(tokenizer)?)?);
    fs::copy(tokenizer, folder.join("tokenizer.json"))?;
    let write = |file: &str, value: Value| fs::write(folder.join(file), value.to_string());
    write(
        "config.json",
        json!({
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.intermediate,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": sizes.max_positions,
            "num_attention_heads": sizes.heads,
            "num_hidden_layers": sizes.layers,
            "type_vocab_size": 2,
            "vocab_size": vocabulary,
        }),
    )?;
    let module = |path: &str, kind: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules =
        [module("", "Transformer"), module("1_Pooling", "Pooling"), module("2_Norm", "Normalize")];
    write("modules.json", json!(modules))?;
    write("sentence_bert_config.json", json!({"max_seq_length": sizes.max_positions}))?;
    fs::create_dir_all(folder.join("1_Pooling"))?;
    write("1_Pooling/config.json", json!({"pooling_mode_mean_tokens": true}))?;
    write_weights(&folder.join("model.safetensors"), sizes, vocabulary, seed)
}

/// One past the largest token id of a `tokenizer.json`.
fn vocabulary(tokenizer: &Value) -> usize {
    let own = tokenizer["model"]["vocab"].as_object().into_iter().flat_map(|map| map.values());
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    let ids = own.chain(added.map(|token| &token["id"])).filter_map(Value::as_u64);
    ids.max().map_or(0, |id| id as usize + 1)
}

fn write_weights(path: &Path, sizes: &Sizes, vocabulary: usize, seed: u64) -> io::Result<()> {
    let mut tensors = Tensors { random: SplitMix64::new(seed), bytes: BTreeMap::new() };
    let Sizes { hidden, intermediate, .. } = *sizes;
    tensors.table("embeddings.word_embeddings", vocabulary, hidden);
    tensors.table("embeddings.position_embeddings", sizes.max_positions, hidden);
    tensors.table("embeddings.token_type_embeddings", 2, hidden);
    tensors.norm("embeddings.LayerNorm", hidden);
    for layer in 0..sizes.layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for part in ["query", "key", "value"] {
            tensors.dense(&name(&format!("attention.self.{part}")), hidden, hidden);
        }
        tensors.dense(&name("attention.output.dense"), hidden, hidden);
        tensors.norm(&name("attention.output.LayerNorm"), hidden);
        tensors.dense(&name("intermediate.dense"), intermediate, hidden);
        tensors.dense(&name("output.dense"), hidden, intermediate);
        tensors.norm(&name("output.LayerNorm"), hidden);
    }
    let views = tensors.bytes.iter().map(|(name, (shape, data))| {
        Ok((name, TensorView::new(Dtype::F32, shape.clone(), data).map_err(io::Error::other)?))
    });
    let views = views.collect::<io::Result<Vec<_>>>()?;
    fs::write(path, safetensors::serialize(views, None).map_err(io::Error::other)?)
}

/// Tensors as they are drawn, by name.
struct Tensors {
    random: SplitMix64,
    bytes: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl Tensors {
    fn put(&mut self, name: String, shape: &[usize], centre: f32, scale: f32) {
        let values = self.random.values(shape.iter().product(), scale);
        let data = values.iter().flat_map(|value| (centre + value).to_le_bytes()).collect();
        self.bytes.insert(name, (shape.to_vec(), data));
    }

    fn table(&mut self, name: &str, entries: usize, hidden: usize) {
        self.put(format!("{name}.weight"), &[entries, hidden], 0.0, 1.0);
    }

    fn norm(&mut self, name: &str, hidden: usize) {
        self.put(format!("{name}.weight"), &[hidden], 1.0, 0.2);
        self.put(format!("{name}.bias"), &[hidden], 0.0, 0.2);
    }

    /// Scaled so that outputs have about the variance of inputs.
    fn dense(&mut self, name: &str, output: usize, input: usize) {
        let scale = (3.0 / input as f32).sqrt();
        self.put(format!("{name}.weight"), &[output, input], 0.0, scale);
        self.put(format!("{name}.bias"), &[output], 0.0, 0.2);
    }
}
