//! Models in the shapes of BERT-base and Qwen3-0.6B with seeded weights and another model's tokenizer,
//! and files of texts: the same bytes on every machine.

#[path = "../../tests/it/support/random_model.rs"]
mod random_model;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use half::bf16;
use serde_json::{Map, Value, json};

use self::random_model::{Sizes, SplitMix64, write_random_model};
use super::Result;

/// Words that texts are drawn from.
const WORDS: &str = include_str!("../../src/cli/sample.txt");
/// Files of texts: how many, and the least and most words of each.
const TEXTS: [(&str, usize, u64, u64); 3] =
    [("short", 20_000, 5, 20), ("mixed", 6_000, 20, 250), ("long", 2_000, 300, 400)];
const BERT_BASE: Sizes =
    Sizes { hidden: 768, layers: 12, heads: 12, intermediate: 3_072, max_positions: 512 };
/// Qwen3-0.6B.
const HIDDEN: usize = 1_024;
const LAYERS: usize = 28;
const HEADS: usize = 16;
const KV_HEADS: usize = 8;
const HEAD_DIM: usize = 128;
const INTERMEDIATE: usize = 3_072;

/// Writes `bert-base`, `qwen3-0.6b` and the files of texts into `folder`; the tokenizer is that of
/// the model in `model`.
pub(super) fn make(model: &Path, folder: &Path) -> Result<()> {
    let tokenizer = model.join("tokenizer.json");
    for (name, count, least, most) in TEXTS {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.txt")), texts(count, least, most)?)?;
    }
    let bert = folder.join("bert-base");
    fs::create_dir_all(&bert)?;
    write_random_model(&bert, &tokenizer, &BERT_BASE, 1)?;
    write_qwen3(&folder.join("qwen3-0.6b"), &tokenizer)?;
    for name in ["bert-base", "qwen3-0.6b"] {
        // Other programs build the tokenizer from this one too.
        fs::copy(
            model.join("tokenizer_config.json"),
            folder.join(name).join("tokenizer_config.json"),
        )?;
    }
    Ok(())
}

/// `count` lines of words.
fn texts(count: usize, least: u64, most: u64) -> Result<String> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = SplitMix64::new(1);
    let mut lines = String::new();
    for _ in 0..count {
        for _ in 0..least + random.next_u64() % (most - least) {
            let word = words[(random.next_u64() % words.len() as u64) as usize];
            write!(lines, "{word} ")?;
        }
        lines.push('\n');
    }
    Ok(lines)
}

fn write_qwen3(folder: &Path, tokenizer: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("1_Pooling"))?;
    fs::copy(tokenizer, folder.join("tokenizer.json"))?;
    let read: Value = serde_json::from_slice(&fs::read(tokenizer)?)?;
    let vocabulary = read["model"]["vocab"].as_object().ok_or("a tokenizer without words")?.len();
    let write = |file: &str, value: Value| fs::write(folder.join(file), value.to_string());
    write(
        "config.json",
        json!({
            "architectures": ["Qwen3Model"],
            "model_type": "qwen3",
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-6,
            "num_hidden_layers": LAYERS,
            "hidden_act": "silu",
            "rope_theta": 1_000_000,
            "attention_bias": false,
            "use_sliding_window": false,
            "vocab_size": vocabulary,
        }),
    )?;
    let module = |path: &str, kind: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules =
        [module("", "Transformer"), module("1_Pooling", "Pooling"), module("2_Norm", "Normalize")];
    write("modules.json", json!(modules))?;
    write("sentence_bert_config.json", json!({"max_seq_length": 512}))?;
    let pooling = json!({"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": false, "pooling_mode_lasttoken": true});
    write("1_Pooling/config.json", pooling)?;
    write_weights(&folder.join("model.safetensors"), &tensors(vocabulary))
}

/// Names and shapes in the order of the file; one dimension is a norm's.
fn tensors(vocabulary: usize) -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![("embed_tokens.weight".to_owned(), vec![vocabulary, HIDDEN])];
    for layer in 0..LAYERS {
        let (queries, keys) = (HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM);
        let parts: [(&str, &[usize]); 11] = [
            ("input_layernorm", &[HIDDEN]),
            ("self_attn.q_proj", &[queries, HIDDEN]),
            ("self_attn.k_proj", &[keys, HIDDEN]),
            ("self_attn.v_proj", &[keys, HIDDEN]),
            ("self_attn.o_proj", &[HIDDEN, queries]),
            ("self_attn.q_norm", &[HEAD_DIM]),
            ("self_attn.k_norm", &[HEAD_DIM]),
            ("post_attention_layernorm", &[HIDDEN]),
            ("mlp.gate_proj", &[INTERMEDIATE, HIDDEN]),
            ("mlp.up_proj", &[INTERMEDIATE, HIDDEN]),
            ("mlp.down_proj", &[HIDDEN, INTERMEDIATE]),
        ];
        let named = |(part, shape): (&str, &[usize])| {
            (format!("layers.{layer}.{part}.weight"), shape.to_vec())
        };
        tensors.extend(parts.into_iter().map(named));
    }
    tensors.push(("norm.weight".to_owned(), vec![HIDDEN]));
    tensors
}

/// Writes tensors in bf16, drawn as they are written: all at once would take a gigabyte.
fn write_weights(path: &Path, tensors: &[(String, Vec<usize>)]) -> Result<()> {
    let (mut header, mut offset) = (Map::new(), 0);
    for (name, shape) in tensors {
        let end = offset + 2 * shape.iter().product::<usize>();
        header.insert(
            name.clone(),
            json!({"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}),
        );
        offset = end;
    }
    // Its length is a multiple of eight.
    let header = Value::Object(header).to_string();
    let header = format!("{header:width$}", width = header.len().next_multiple_of(8));
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut random = SplitMix64::new(2);
    for (_, shape) in tensors {
        // As in a random BERT: outputs have about the variance of inputs.
        let (rows, centre, scale) = match shape[..] {
            [rows, columns] => (rows, 0.0, (3.0 / columns as f32).sqrt()),
            _ => (1, 1.0, 0.2),
        };
        for _ in 0..rows {
            let values = random.values(shape.iter().product::<usize>() / rows, scale);
            let rounded: Vec<u8> = values
                .iter()
                .flat_map(|value| bf16::from_f32(centre + value).to_le_bytes())
                .collect();
            file.write_all(&rounded)?;
        }
    }
    Ok(file.flush()?)
}
