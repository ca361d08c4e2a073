//! candle-transformers' models against both engines. They share no line with ours, and run each
//! text alone, in f32, on the CPU: over the golden model of every family that they have, and over
//! seeded random models of odd sizes, whose texts we run in company.
//!
//! What candle-transformers 0.11.1 does not reproduce:
//! - `MPNet`: it has no such model.
//! - `DistilBERT` with `gelu`: it computes the tanh form, whose states are off by 4.7e-4 on the
//!   golden model. That one runs here as `gelu_new`, the same form by its right name.
//! - `EmbeddingGemma`: its Gemma 3 is causal and gives logits of the last token alone, so there is
//!   nothing to hold against the golden model. In one layer the last token sees the same either
//!   way, and so does a text of one token in many: random models are compared there.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Module, Result, Tensor, safetensors};
use candle_nn::{VarBuilder, VarMap};
use candle_transformers::models as candle;
use chunkflow::embeddings::{EmbedOptions, Embeddings, LoadedModel};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::families::{Golden, STATES, TOLERANCE};
use crate::support::random_model::SplitMix64;
use crate::support::run_now::RunNow;
use crate::support::{self, ENGINES, ONE_BATCH, max_difference, max_value};

/// The largest differences from candle: of a state, relative to the largest of its text, and of a
/// component of a unit vector.
struct Tolerance {
    states: f64,
    vectors: f64,
}

/// Golden models are badly conditioned on purpose; ours and candle's are each within
/// `families::STATES` and `families::TOLERANCE` of the reference.
const GOLDEN: Tolerance = Tolerance { states: 2.0 * STATES, vectors: 2.0 * TOLERANCE };
/// Three times the largest that was seen with any instruction set.
const RANDOM: Tolerance = Tolerance { states: 4.5e-6, vectors: 2.4e-6 };
/// Random models of a family.
const MODELS: u64 = 8;
/// Rows of position tables.
const POSITIONS: usize = 70;
/// Tokens of the texts: one, and about the widths of vectors and tiles.
const LENGTHS: [usize; 10] = [1, 3, 2, 1, 67, 5, 17, 33, 15, 8];

macro_rules! oracles {
    ($($name:ident: $($folder:literal)?),+ $(,)?) => {
        $(mod $name {
            $(#[test]
            fn golden_model() {
                super::check_golden($folder);
            })?

            #[test]
            fn random_models() {
                super::check_random(stringify!($name));
            }
        })+
    };
}

oracles! {
    bert: "bert",
    roberta: "roberta",
    xlm_roberta: "xlm-roberta",
    camembert: "camembert",
    distilbert: "distilbert",
    nomic_bert: "nomic-bert",
    jina_bert: "jina-bert",
    gte: "gte",
    modernbert: "modernbert",
    qwen3: "qwen3",
    gemma3: ,
}

/// `[1, tokens]` ids to `[1, tokens, H]` last hidden states; Gemma's are the last token's alone.
type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// candle's model of a config with the weights in `weights`.
fn oracle(config: &Value, weights: VarBuilder<'static>) -> Result<Forward> {
    Ok(match config["model_type"].as_str().unwrap() {
        "bert" if config["position_embedding_type"] == "alibi" => {
            let model = candle::jina_bert::BertModel::new(weights, &read(config))?;
            Box::new(move |ids| model.forward(ids))
        }
        "bert" => {
            let model = candle::bert::BertModel::load(weights, &read(config))?;
            Box::new(move |ids| model.forward(ids, &ids.zeros_like()?, None))
        }
        "distilbert" => {
            let mut config = config.clone();
            if config["activation"] == "gelu_new" {
                config["activation"] = json!("gelu");
            }
            let model = candle::distilbert::DistilBertModel::load(weights, &read(&config))?;
            // Its mask is of what is hidden.
            Box::new(move |ids| model.forward(ids, &ids.zeros_like()?))
        }
        "roberta" | "xlm-roberta" | "camembert" => {
            let model = candle::xlm_roberta::XLMRobertaModel::new(&read(config), weights)?;
            Box::new(move |ids| {
                model.forward(ids, &ids.ones_like()?, &ids.zeros_like()?, None, None, None)
            })
        }
        "nomic_bert" => {
            let model = candle::nomic_bert::NomicBertModel::load(weights, &read(config))?;
            Box::new(move |ids| model.forward(ids, None, None))
        }
        "new" => {
            let model = candle::stella_en_v5::Model::new(&read(config), weights)?;
            Box::new(move |ids| model.clone().forward(ids, &ids.ones_like()?))
        }
        "modernbert" => {
            let model = candle::modernbert::ModernBert::load(weights, &read(config))?;
            Box::new(move |ids| model.forward(ids, &ids.ones_like()?))
        }
        // A clone for each text: a model keeps the keys of what it has seen.
        "qwen3" => {
            let model = candle::qwen3::Model::new(&read(config), weights)?;
            Box::new(move |ids| model.clone().forward(ids, 0))
        }
        "gemma3_text" => {
            let hidden = size(config, "hidden_size");
            let model = candle::gemma3::Model::new(false, &read(config), weights)?;
            // The first rows of the output table are the identity's.
            Box::new(move |ids| model.clone().forward(ids, 0)?.narrow(2, 0, hidden))
        }
        other => panic!("no oracle for {other}"),
    })
}

fn size(config: &Value, field: &str) -> usize {
    config[field].as_u64().unwrap() as usize
}

/// The config of candle's model.
fn read<T: DeserializeOwned>(config: &Value) -> T {
    // What candle's configs need and ours do not have.
    let stella = json!({
        "activation_fn": "gelu", "embed_head": {"in_features": 0, "out_features": 0},
        "num_key_value_heads": 0, "variant": "Small",
        "scaling_factor": config.pointer("/rope_scaling/factor").unwrap_or(&json!(0.0)),
    });
    let defaults = json!({
        "attention_bias": false, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0,
        "initializer_range": 0.02, "max_window_layers": 0, "pad_token_id": 0,
        "position_embedding_type": "absolute", "tie_word_embeddings": true,
        "use_sliding_window": false,
        "layer_norm_eps": config["norm_eps"], "norm_eps": config["layer_norm_eps"],
    });
    let mut complete = fields(stella);
    complete.extend(fields(defaults));
    complete.extend(fields(config.clone()));
    // Windows to one side.
    if let Some(window) = config["sliding_window"].as_u64() {
        complete.insert("sliding_window".to_owned(), json!(window / 2));
    }
    serde_json::from_value(complete.into()).unwrap()
}

fn fields(object: Value) -> Map<String, Value> {
    let Value::Object(fields) = object else { panic!("{object} is no object") };
    fields
}

/// The model in `folder` as candle has it.
fn load_oracle(folder: &Path) -> Forward {
    let config: Value = support::json(&folder.join("config.json"));
    // Checkpoints of an encoder alone have no prefix, which candle needs here and refuses there.
    let prefix = match config["model_type"].as_str().unwrap() {
        "new" => "new.",
        "modernbert" | "qwen3" | "gemma3_text" => "model.",
        _ => "",
    };
    let tensors = safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let rename = |name: String| {
        let known = ["bert.", "roberta.", "distilbert.", "new.", "model."];
        let bare = known.iter().find_map(|prefix| name.strip_prefix(prefix));
        format!("{prefix}{}", bare.unwrap_or(&name))
    };
    let tensors: HashMap<_, _> =
        tensors.into_iter().map(|(name, tensor)| (rename(name), tensor)).collect();
    oracle(&config, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)).unwrap()
}

/// Vectors and states of the model in `folder` by one of our engines.
fn run(model: &LoadedModel, texts: &[&str]) -> (Embeddings, Embeddings) {
    let options = EmbedOptions::default();
    (model.embed(texts, &options).unwrap(), model.embed_tokens(texts, &options).unwrap())
}

/// The unit vector of `[tokens, columns]` states by the model's own Pooling module.
fn pool(folder: &Path, states: &[f64], columns: usize) -> Vec<f64> {
    let config: Value = support::json(&folder.join("1_Pooling/config.json"));
    let rows = || states.chunks_exact(columns);
    let is_set = |mode: &str| config[format!("pooling_mode_{mode}")] == true;
    let pooled: Vec<f64> = if is_set("cls_token") {
        states[..columns].to_vec()
    } else if is_set("lasttoken") {
        states[states.len() - columns..].to_vec()
    } else {
        assert!(is_set("mean_tokens"), "{config}");
        (0..columns).map(|column| rows().map(|row| row[column]).sum()).collect()
    };
    let length = pooled.iter().map(|value| value * value).sum::<f64>().sqrt();
    pooled.into_iter().map(|value| value / length).collect()
}

/// The last hidden states of one text.
fn states(forward: &Forward, ids: &[u32]) -> Vec<f64> {
    let ids = Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let states = forward(&ids).unwrap().flatten_all().unwrap();
    support::widen(&states.to_vec1::<f32>().unwrap())
}

/// Both engines against candle's states, text by text.
fn check(folder: &Path, texts: &[String], expected: &[Vec<f64>], tolerance: &Tolerance) {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    assert_eq!(texts.len(), expected.len());
    for engine in ENGINES {
        let (vectors, tokens) = run(&support::load(folder, engine, ONE_BATCH), &texts);
        for (index, (vector, expected)) in vectors.rows().zip(expected).enumerate() {
            let rows = tokens.text_rows(index);
            let rows = &rows[rows.len() - expected.len()..];
            let states = max_difference(rows, expected) / max_value(expected).max(1.0);
            let vector = max_difference(vector, &pool(folder, expected, tokens.dim));
            assert!(
                states <= tolerance.states && vector <= tolerance.vectors,
                "{engine:?}: states {states:e}, vector {vector:e} at {:?} of {config}",
                texts[index]
            );
        }
    }
}

fn check_golden(family: &str) {
    let golden = Golden::read(family);
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("families").join(family), folder.path());
    let is_reproduced = family != "distilbert";
    if !is_reproduced {
        support::edit_json(&folder.path().join("config.json"), |config| {
            config["activation"] = json!("gelu_new");
        });
    }
    let forward = load_oracle(folder.path());
    let ranges = golden.cu_seqlens.windows(2).map(|ends| ends[0] as usize..ends[1] as usize);
    let expected: Vec<Vec<f64>> =
        ranges.map(|range| states(&forward, &golden.ids[range])).collect();
    if is_reproduced {
        let states: Vec<f32> = expected.concat().into_iter().map(|value| value as f32).collect();
        let relative = max_difference(&states, &golden.states) / max_value(&golden.states);
        assert!(relative <= STATES, "candle's {family} is off by {relative:e}");
    }
    check(folder.path(), &golden.texts, &expected, &GOLDEN);
}

fn check_random(family: &str) {
    for seed in 0..MODELS {
        let mut random = SplitMix64::new(seed);
        let config = random_config(family, &mut random);
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), &config, &mut random);
        // Of several layers Gemma's states are ours for one token alone.
        let one = family == "gemma3" && size(&config, "num_hidden_layers") > 1;
        let vocabulary = size(&config, "vocab_size");
        let mut draw = |length: usize| -> Vec<u32> {
            (0..if one { 1 } else { length }).map(|_| random.below(vocabulary) as u32).collect()
        };
        let ids: Vec<Vec<u32>> = LENGTHS.into_iter().map(&mut draw).collect();
        let text = |ids: &Vec<u32>| ids.iter().map(|id| format!("w{id} ")).collect();
        let texts: Vec<String> = ids.iter().map(text).collect();
        let forward = load_oracle(folder.path());
        let expected: Vec<Vec<f64>> = ids.iter().map(|ids| states(&forward, ids)).collect();
        check(folder.path(), &texts, &expected, &RANDOM);
    }
}

/// A config of `family` with sizes that no vector width divides.
fn random_config(family: &str, random: &mut SplitMix64) -> Value {
    let turns = ["nomic_bert", "gte", "modernbert", "qwen3", "gemma3"].contains(&family);
    let heads = random.choose(&[1, 2, 3, 5, 6, 7]);
    let head_dim = random.choose(&[5, 7, 9, 11, 19, 33]) * if turns { 2 } else { 1 };
    let hidden = heads * head_dim;
    let kv_heads = random.choose(&[1, heads]);
    let intermediate = random.choose(&[1, 13, 31, 50, 97]);
    let layers = 1 + random.below(4);
    let vocabulary = hidden + random.choose(&[3, 37, 64]);
    let eps = random.choose(&[1e-12, 1e-5]);
    let theta = random.choose(&[1_000.0, 10_000.0, 160_000.0]);
    let activation = random.choose(&["gelu", "relu", "gelu_new"]);
    let bert = json!({
        "model_type": "bert", "vocab_size": vocabulary, "hidden_size": hidden, "pad_token_id": 1,
        "num_hidden_layers": layers, "num_attention_heads": heads, "hidden_act": "gelu",
        "intermediate_size": intermediate, "max_position_embeddings": POSITIONS,
        "layer_norm_eps": eps, "type_vocab_size": 1 + random.below(2),
    });
    let ntk = |factor: f64| json!({"type": "ntk", "factor": factor});
    let own = match family {
        "bert" => json!({"hidden_act": random.choose(&["gelu", "relu"])}),
        "roberta" | "camembert" => json!({"model_type": family, "hidden_act": activation}),
        "xlm_roberta" => json!({"model_type": "xlm-roberta", "hidden_act": activation}),
        // Its norms have one epsilon, whatever a config says.
        "distilbert" => json!({
            "model_type": "distilbert", "dim": hidden, "n_layers": layers, "n_heads": heads,
            "hidden_dim": intermediate, "layer_norm_eps": 1e-12,
            "activation": random.choose(&["gelu_new", "relu"]),
        }),
        "nomic_bert" => json!({
            "model_type": "nomic_bert", "n_embd": hidden, "n_layer": layers, "n_head": heads,
            "n_inner": intermediate, "n_positions": POSITIONS, "layer_norm_epsilon": eps,
            "rotary_emb_base": theta, "activation_function": "swiglu", "rotary_emb_fraction": 1.0,
            "qkv_proj_bias": false, "mlp_fc1_bias": false, "mlp_fc2_bias": false,
        }),
        "jina_bert" => json!({"position_embedding_type": "alibi", "feed_forward_type": "geglu"}),
        "gte" => json!({
            "model_type": "new", "position_embedding_type": "rope", "rope_theta": theta,
            "layer_norm_type": "layer_norm", "pack_qkv": true, "logn_attention_scale": false,
            "rope_scaling": random.choose(&[None, Some(2.0)]).map(ntk),
        }),
        "modernbert" => json!({
            "model_type": "modernbert", "norm_eps": eps, "local_attention": 1 + random.below(24),
            "global_attn_every_n_layers": 1 + random.below(4), "global_rope_theta": theta,
            "local_rope_theta": 10_000.0,
        }),
        "qwen3" => json!({
            "model_type": "qwen3", "hidden_act": "silu", "rms_norm_eps": eps, "rope_theta": theta,
            "hidden_size": hidden - 1, "head_dim": head_dim, "num_key_value_heads": kv_heads,
        }),
        // candle's cache refuses several heads of keys.
        "gemma3" => json!({
            "model_type": "gemma3_text", "hidden_activation": "gelu_pytorch_tanh",
            "num_hidden_layers": random.choose(&[1, 1, 1, 4]), "rms_norm_eps": eps,
            "hidden_size": hidden - 1, "head_dim": head_dim, "num_key_value_heads": 1,
            "query_pre_attn_scalar": head_dim, "rope_theta": theta,
            "rope_local_base_freq": 10_000.0, "sliding_window_pattern": 1 + random.below(2),
            "sliding_window": 2 + random.below(40), "use_bidirectional_attention": true,
        }),
        other => panic!("no random config of {other}"),
    };
    let mut config = fields(bert);
    config.extend(fields(own));
    config.into()
}

/// Writes a model whose tensors are those that candle's asks for, and a tokenizer of words `w0`,
/// `w1` and so on, one a token.
fn write_model(folder: &Path, config: &Value, random: &mut SplitMix64) {
    let write = |file: &str, value: Value| fs::write(folder.join(file), value.to_string()).unwrap();
    write("config.json", config.clone());
    let vocabulary: Map<String, Value> =
        (0..size(config, "vocab_size")).map(|id| (format!("w{id}"), json!(id))).collect();
    let words = json!({"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"});
    let splitter = json!({"type": "WhitespaceSplit"});
    write("tokenizer.json", json!({"model": words, "pre_tokenizer": splitter}));
    write("tokenizer_config.json", json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
    let module = |path: &str, kind: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules =
        [module("", "Transformer"), module("1_Pooling", "Pooling"), module("2_Norm", "Normalize")];
    write("modules.json", json!(modules));
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let is_gemma = config["model_type"] == "gemma3_text";
    let modes =
        if is_gemma { &["lasttoken"][..] } else { &["mean_tokens", "cls_token", "lasttoken"] };
    let mode = random.choose(modes);
    write("1_Pooling/config.json", json!({format!("pooling_mode_{mode}"): true}));
    write_weights(&folder.join("model.safetensors"), config, random);
}

fn write_weights(path: &Path, config: &Value, random: &mut SplitMix64) {
    let map = VarMap::new();
    drop(oracle(config, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu)).unwrap());
    // The embedding's norm is that of the first layer.
    map.data().lock().unwrap().remove("model.layers.0.attn_norm.weight");
    let is_gemma = config["model_type"] == "gemma3_text";
    let data = map.data().lock().unwrap();
    let mut names: Vec<&String> = data.keys().collect();
    names.sort();
    for name in names {
        let shape = data[name].dims();
        let (centre, scale) = match shape {
            // Gemma's are differences from 1.
            [_] if name.ends_with(".weight") && !is_gemma => (1.0, 0.2),
            [_] => (0.0, 0.2),
            _ if name.contains("embed") => (0.0, 1.0),
            // Outputs have about the variance of inputs.
            _ => (0.0, (3.0 / shape[1] as f32).sqrt()),
        };
        let values = random.values(shape.iter().product(), scale);
        let mut values: Vec<f32> = values.into_iter().map(|value| centre + value).collect();
        if is_gemma && name.contains("embed") {
            let columns = shape[1];
            for (index, value) in values[..columns * columns].iter_mut().enumerate() {
                *value = f32::from(u8::from(index % (columns + 1) == 0));
            }
        }
        data[name].set(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
    }
    drop(data);
    map.save(path).unwrap();
}
