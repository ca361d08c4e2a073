//! What the files beside the weights say, against the libraries that obey it: `tokenizers.json`,
//! `pairs.json` and `modules.json` of `tests/golden`; and keys that nobody knows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chunkflow::embeddings::{
    Backend, EmbedOptions, Error, LoadedModel, ModelOptions, Truncate, Unknown,
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::families::TOLERANCE;
use crate::support::run_now::RunNow;
use crate::support::{self, ENGINES, ONE_BATCH, bits, max_difference, max_value};

/// The transformer's files, which may stand in a folder of their own.
const TRANSFORMER: [&str; 5] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
];

/// What all cases of a file have in common.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    pairs: Vec<(String, String)>,
    /// The texts that a case has vectors of.
    #[serde(default)]
    vectors_of: Vec<usize>,
}

/// A change of a tiny model, and what the reference makes of it.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    family: Option<String>,
    /// A reranker of `tests/golden/heads`.
    #[serde(default)]
    model: Option<String>,
    name: String,
    #[serde(default)]
    absent: Vec<String>,
    files: BTreeMap<String, Map<String, Value>>,
    #[serde(default)]
    modules: Option<Value>,
    #[serde(default)]
    weights: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    ids: Vec<Vec<u32>>,
    #[serde(default)]
    vectors: Vec<Vec<f64>>,
    #[serde(default)]
    scores: Vec<Vec<f64>>,
}

impl Case {
    /// The model of this case.
    fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let model = match (&self.model, &self.family) {
            (Some(model), _) => support::golden("heads").join(model),
            (None, family) => support::golden("families").join(family.as_deref().unwrap_or("bert")),
        };
        support::copy_folder(&model, folder.path());
        for file in &self.absent {
            fs::remove_file(folder.path().join(file)).unwrap();
        }
        for (file, keys) in &self.files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut fields: Map<String, Value> =
                if path.exists() { support::json(&path) } else { Map::new() };
            fields.extend(keys.clone());
            fs::write(path, Value::Object(fields).to_string()).unwrap();
        }
        for (directory, tensors) in &self.weights {
            write_weights(&folder.path().join(directory), tensors);
        }
        if let Some(modules) = &self.modules {
            fs::write(folder.path().join("modules.json"), modules.to_string()).unwrap();
            let own = folder.path().join(modules[0]["path"].as_str().unwrap());
            if own != folder.path() {
                fs::create_dir(&own).unwrap();
                for file in TRANSFORMER {
                    fs::rename(folder.path().join(file), own.join(file)).unwrap();
                }
            }
        }
        folder
    }
}

/// Tensors of one or two dimensions as f32.
fn write_weights(directory: &Path, tensors: &BTreeMap<String, Value>) {
    let read = |value: &Value| -> (Vec<usize>, Vec<u8>) {
        let rows = value.as_array().unwrap();
        let columns = rows[0].as_array().map(Vec::len);
        let shape = [rows.len()].into_iter().chain(columns).collect();
        let flat = rows.iter().flat_map(|row| match row {
            Value::Array(values) => values.clone(),
            value => vec![value.clone()],
        });
        let bytes = flat.flat_map(|value| (value.as_f64().unwrap() as f32).to_le_bytes());
        (shape, bytes.collect())
    };
    let tensors: Vec<_> = tensors.iter().map(|(name, value)| (name, read(value))).collect();
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::create_dir_all(directory).unwrap();
    let file = safetensors::serialize(views, None).unwrap();
    fs::write(directory.join("model.safetensors"), file).unwrap();
}

fn read_cases(file: &str) -> (Head, Vec<Case>) {
    let mut lines: Vec<Value> = support::json(&support::golden(file));
    let head = serde_json::from_value(lines.remove(0)).unwrap();
    (head, lines.into_iter().map(|line| serde_json::from_value(line).unwrap()).collect())
}

fn load(folder: &Path, backend: Backend, unknown: Unknown) -> Result<LoadedModel, Error> {
    let options = ModelOptions {
        backend,
        unknown,
        max_batch_tokens: Some(ONE_BATCH),
        ..ModelOptions::default()
    };
    LoadedModel::load(folder.to_str().unwrap(), &options)
}

/// What is wrong with the vectors of `texts`.
fn differing(model: &LoadedModel, texts: &[&str], case: &Case) -> Option<String> {
    let prompt = match &case.prompt {
        Some(prompt) => model.model().prompt_text(prompt),
        None => model.model().prompt(None),
    };
    let options = EmbedOptions { prompt: prompt.unwrap(), ..EmbedOptions::default() };
    let embeddings = match model.embed(texts, &options) {
        Ok(embeddings) => embeddings,
        Err(error) => return Some(error.to_string()),
    };
    let mut rows = embeddings.rows().zip(&case.vectors);
    rows.find_map(|(row, expected)| {
        if row.len() != expected.len() {
            return Some(format!("{} columns, not {}", row.len(), expected.len()));
        }
        let difference = max_difference(row, expected) / max_value(expected).max(1.0);
        (difference > TOLERANCE).then(|| format!("vectors differ by {difference:e}"))
    })
}

#[test]
fn tokenizers_are_those_that_the_files_ask_for() {
    let (head, cases) = read_cases("tokenizers.json");
    let texts: Vec<&str> = head.texts.iter().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let family = case.family.as_deref().unwrap();
        let folder = case.folder();
        let model = match load(folder.path(), Backend::Native, Unknown::Refused) {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{family}, {}: {error}", case.name));
                continue;
            }
        };
        for (text, expected) in texts.iter().zip(&case.ids) {
            let ids = match model.plan(&[text], &EmbedOptions::default()) {
                Ok((job, _)) => job.packed.ids,
                // Added tokens may have no row of the word table: the reference fails on them too.
                Err(Error::TokenBeyondTable { id, .. }) if expected.contains(&id) => continue,
                Err(error) => panic!("{family}, {}: {error}", case.name),
            };
            if ids != *expected {
                let found = format!("{text:?}\n  {ids:?}\n  {expected:?}");
                wrong.push(format!("{family}, {}: {found}", case.name));
                break;
            }
        }
        if !case.vectors.is_empty() {
            let texts: Vec<&str> = head.vectors_of.iter().map(|&index| texts[index]).collect();
            let found = differing(&model, &texts, case);
            wrong.extend(found.map(|found| format!("{family}, {}: {found}", case.name)));
        }
    }
    assert!(cases.len() > 200);
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn pairs_are_put_together_as_the_files_ask() {
    let (head, cases) = read_cases("pairs.json");
    let pairs: Vec<(&str, &str)> =
        head.pairs.iter().map(|(first, second)| (first.as_str(), second.as_str())).collect();
    for case in &cases {
        let name = format!("{}, {}", case.model.as_deref().unwrap(), case.name);
        let folder = case.folder();
        let model = load(folder.path(), Backend::Native, Unknown::Refused).unwrap();
        let job = model.model().score(&pairs).unwrap().job().clone();
        for (index, expected) in case.ids.iter().enumerate() {
            assert_eq!(job.packed.sequence(index), expected, "{name}: {:?}", pairs[index]);
        }
        let scores = model.score(&pairs).unwrap();
        let expected = case.scores.concat();
        let difference = max_difference(&scores.data, &expected) / max_value(&expected).max(1.0);
        assert!(difference <= TOLERANCE, "{name}: scores differ by {difference:e}");
    }
    assert!(cases.len() > 40);
}

#[test]
fn modules_are_those_that_the_files_ask_for() {
    let (head, cases) = read_cases("modules.json");
    let texts: Vec<&str> = head.texts.iter().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let folder = case.folder();
        for engine in ENGINES {
            let found = match load(folder.path(), engine, Unknown::Refused) {
                Ok(model) => {
                    assert_eq!(model.model().dimensions(), case.vectors[0].len(), "{}", case.name);
                    let texts = &texts[texts.len() - case.vectors.len()..];
                    differing(&model, texts, case)
                }
                Err(error) => Some(error.to_string()),
            };
            wrong.extend(found.map(|found| format!("{} ({engine:?}): {found}", case.name)));
        }
    }
    assert!(cases.len() > 30);
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// A family's tiny model with keys set in a file, which need not be there before.
fn changed(family: &str, file: &str, keys: &Value) -> TempDir {
    let files = BTreeMap::from([(file.to_owned(), keys.as_object().unwrap().clone())]);
    let case = Case {
        family: Some(family.to_owned()),
        model: None,
        name: String::new(),
        absent: Vec::new(),
        files,
        modules: None,
        weights: BTreeMap::new(),
        prompt: None,
        ids: Vec::new(),
        vectors: Vec::new(),
        scores: Vec::new(),
    };
    case.folder()
}

/// The bits of a text's vector.
fn vector(folder: &Path, unknown: Unknown) -> Vec<u32> {
    let model = load(folder, Backend::Native, unknown).unwrap();
    bits(&model.embed(&["The cat sat."], &EmbedOptions::default()).unwrap().data)
}

#[test]
fn a_key_that_nobody_knows_is_refused_by_name_unless_it_is_allowed() {
    let plain = changed("embeddinggemma", "config.json", &json!({}));
    let expected = vector(plain.path(), Unknown::Refused);
    for file in [
        "tokenizer_config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "4_Normalize/config.json",
    ] {
        let folder = changed("embeddinggemma", file, &json!({"frobnication": 0.25}));
        let error = load(folder.path(), Backend::Native, Unknown::Refused).err().unwrap();
        let message = error.to_string();
        for part in [file, "frobnication is 0.25", "--allow-unknown"] {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert_eq!(chunkflow::Error::from(error).kind(), chunkflow::ErrorKind::Model);
        assert_eq!(vector(folder.path(), Unknown::Allowed), expected, "{file}");
        // What is null says nothing.
        let folder = changed("embeddinggemma", file, &json!({"frobnication": null}));
        assert_eq!(vector(folder.path(), Unknown::Refused), expected, "{file}");
    }
}

#[test]
fn keys_of_published_models_that_change_nothing_are_known() {
    let known = |family: &str, file: &str, keys: Value| {
        let [plain, changed] = [json!({}), keys].map(|keys| changed(family, file, &keys));
        let plain = vector(plain.path(), Unknown::Refused);
        assert_eq!(vector(changed.path(), Unknown::Refused), plain, "{family} {file}");
    };
    known(
        "bert",
        "tokenizer_config.json",
        json!({
            "clean_up_tokenization_spaces": true, "name_or_path": "a/b", "never_split": null,
            "do_basic_tokenize": true, "special_tokens_map_file": "/root/x", "padding_side": "left",
            "max_length": 128, "stride": 0, "truncation_strategy": "longest_first", "pad_to_multiple_of": null,
            "pad_token_type_id": 0, "model_input_names": ["input_ids"], "mask_token": "[MASK]",
            "chat_template": "{{ x }}", "extra_special_tokens": {}, "legacy": true, "errors": "replace",
            "auto_map": {}, "sp_model_kwargs": {}, "add_bos_token": true, "use_fast": true
        }),
    );
    known(
        "bert",
        "config.json",
        json!({
            "_name_or_path": "a/b", "architectures": ["BertModel"], "transformers_version": "4.8.2",
            "torch_dtype": "float16", "dtype": "bfloat16", "gradient_checkpointing": false, "use_cache": true,
            "classifier_dropout": null, "initializer_range": 0.02, "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0},
            "finetuning_task": "mnli", "directionality": "bidi", "pooler_fc_size": 768, "output_past": true,
            "pruned_heads": {}, "is_encoder_decoder": false, "some_note": "of the author's"
        }),
    );
    known(
        "bert",
        "config_sentence_transformers.json",
        json!({
            "__version__": {"sentence_transformers": "2.0.0", "transformers": "4.7.0", "pytorch": "1.9.0"},
            "prompts": {}, "default_prompt_name": null, "similarity_fn_name": "cosine", "model_type": "SentenceTransformer"
        }),
    );
}

#[test]
fn settings_that_are_not_run_are_refused_by_value() {
    let refused = |file: &str, keys: Value, parts: &[&str]| {
        let folder = changed("bert", file, &keys);
        let Err(error) = load(folder.path(), Backend::Native, Unknown::Allowed) else {
            panic!("{file} loads with {keys}")
        };
        let message = error.to_string();
        for part in [&[file], parts].concat() {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
    };
    let sentence = |keys, parts: &[&str]| refused("sentence_bert_config.json", keys, parts);
    sentence(json!({"query_length": 32}), &["query_length is 32"]);
    sentence(json!({"document_length": 32}), &["document_length is 32"]);
    sentence(json!({"query_expansion": {"length": 32}}), &["query_expansion"]);
    sentence(
        json!({"transformer_task": "text-generation"}),
        &["transformer_task", "text-generation"],
    );
    let method = json!({"method": "forward", "method_output_name": "last_hidden_state"});
    let messages = json!({"modality_config": {"text": method, "message": method}});
    sentence(messages, &["message"]);
    let pooler = json!({"text": {"method": "forward", "method_output_name": "pooler_output"}});
    sentence(json!({"modality_config": pooler}), &["method_output_name", "pooler_output"]);
    let bare = json!({"text": {"add_special_tokens": false}});
    sentence(json!({"processing_kwargs": bare}), &["add_special_tokens is false"]);
    sentence(json!({"max_seq_length": "long"}), &["max_seq_length is \"long\""]);
    sentence(json!({"do_lower_case": "yes"}), &["do_lower_case is \"yes\""]);

    let tokenizer = |keys, parts: &[&str]| refused("tokenizer_config.json", keys, parts);
    tokenizer(json!({"tokenizer_class": "T5Tokenizer"}), &["tokenizer_class is \"T5Tokenizer\""]);
    tokenizer(json!({"tokenizer_class": "RobertaTokenizer"}), &["Roberta", "tokenizer.json"]);
    tokenizer(json!({"truncation_side": "middle"}), &["truncation_side is \"middle\""]);
    tokenizer(json!({"model_max_length": "512"}), &["model_max_length is \"512\""]);
    let bert = json!({"tokenizer_class": "BertTokenizer", "do_lower_case": "false"});
    tokenizer(bert, &["do_lower_case is \"false\""]);
    tokenizer(json!({"added_tokens_decoder": {"x": "y"}}), &["added_tokens_decoder"]);

    let folder = changed("bert", "tokenizer_config.json", &json!({"chat_template": "{{ x }}"}));
    fs::remove_file(folder.path().join("modules.json")).unwrap();
    let error = load(folder.path(), Backend::Native, Unknown::Refused).err().unwrap().to_string();
    assert!(error.contains("chat_template is set"), "{error}");

    refused("config.json", json!({"quantization_config": {"bits": 4}}), &["quantization_config"]);
    refused("config.json", json!({"add_cross_attention": true}), &["add_cross_attention is true"]);
    refused("config.json", json!({"pruned_heads": {"0": [1]}}), &["pruned_heads"]);
    let place = json!({"module_input_name": "token_embeddings"});
    refused("2_Normalize/config.json", place, &["module_input_name is \"token_embeddings\""]);
    let place = json!({"module_output_name": "other"});
    refused("2_Normalize/config.json", place, &["module_output_name is \"other\""]);
    let settings = "config_sentence_transformers.json";
    refused(settings, json!({"truncate_dim": 0}), &["truncate_dim is 0"]);
}

#[test]
fn segments_are_told_only_where_the_tokenizer_gives_them() {
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("heads/rerank-bert"), folder.path());
    let segments = |keys: Value| {
        support::edit_json(&folder.path().join("tokenizer_config.json"), |config| {
            for (key, value) in keys.as_object().unwrap() {
                config[key] = value.clone();
            }
        });
        let model = load(folder.path(), Backend::Native, Unknown::Refused).unwrap();
        let planned = model.model().score(&[("a cat", "a dog")]).unwrap();
        planned.job().packed.type_ids.clone()
    };
    let told = segments(json!({}));
    assert!(told.contains(&1), "{told:?}");
    let none = vec![0; told.len()];
    assert_eq!(segments(json!({"model_input_names": ["input_ids", "attention_mask"]})), none);
    let names = json!({"model_input_names": null, "tokenizer_class": "DistilBertTokenizer"});
    assert_eq!(segments(names), none);
    let whole = "PreTrainedTokenizerFast";
    assert_eq!(segments(json!({"tokenizer_class": whole})), none);
    let names = json!({"model_input_names": ["input_ids", "token_type_ids"]});
    assert_eq!(segments(names), told);
}

#[test]
fn the_end_to_drop_is_the_callers_before_the_models() {
    let keys = json!({"truncation_side": "left", "model_max_length": 6});
    let folder = changed("bert", "tokenizer_config.json", &keys);
    let path = folder.path().join("sentence_bert_config.json");
    fs::remove_file(path).unwrap();
    let model = load(folder.path(), Backend::Native, Unknown::Refused).unwrap();
    let ids = |truncate| {
        let options = EmbedOptions { truncate, ..EmbedOptions::default() };
        let (job, _) = model.plan(&["one two three four five six seven"], &options).unwrap();
        job.packed.ids
    };
    assert_eq!(ids(Truncate::Model), ids(Truncate::Left));
    assert_ne!(ids(Truncate::Model), ids(Truncate::Right));
}
