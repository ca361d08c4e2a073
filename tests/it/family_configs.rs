//! What a family's config may say: older and newer keys mean the same, and what would change the
//! vectors without being run is refused by name.

use std::fs;
use std::path::Path;

use chunkflow::embeddings::{Backend, EmbedOptions, Error, LoadedModel, ModelOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, bits};

const TEXT: &str = "the dog and the cat";

/// A copy of a family's golden model whose config has these fields; null removes nothing, it stays
/// null.
fn changed(family: &str, fields: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("families").join(family), folder.path());
    support::edit_json(&folder.path().join("config.json"), |config| {
        for (field, value) in fields.as_object().unwrap() {
            config[field] = value.clone();
        }
    });
    folder
}

fn load(folder: &Path) -> Result<LoadedModel, Error> {
    let options = ModelOptions {
        backend: Backend::Native,
        max_batch_tokens: Some(ONE_BATCH),
        ..ModelOptions::default()
    };
    LoadedModel::load(folder.to_str().unwrap(), &options)
}

fn vector(model: &LoadedModel) -> Vec<u32> {
    bits(&model.embed(&[TEXT], &EmbedOptions::default()).unwrap().data)
}

#[track_caller]
fn refused(family: &str, fields: &Value, parts: &[&str]) {
    let folder = changed(family, fields);
    let Err(error) = load(folder.path()) else { panic!("{family} loads with {fields}") };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{family} {fields}: no {part:?} in {message:?}");
    }
}

#[test]
fn what_would_change_vectors_unseen_is_refused() {
    let refuse = |family, field: &str, value: Value| {
        let shown = value.to_string();
        refused(family, &json!({ field: value }), &[field, &shown]);
    };
    refuse("qwen3", "is_causal", json!(false));
    refuse("qwen3", "use_bidirectional_attention", json!(true));
    refuse("qwen3", "use_sliding_window", json!(true));
    refuse("qwen3", "layer_types", json!(["full_attention", "sliding_attention"]));
    refuse("qwen3", "rope_scaling", json!({"rope_type": "yarn"}));
    refuse("nomic-bert", "rotary_emb_scale_base", json!(512));
    refuse("nomic-bert", "activation_function", json!("geglu"));
    refuse("nomic-bert", "prenorm", json!(true));
    for field in ["qkv_proj_bias", "mlp_fc1_bias", "activation_function", "rotary_emb_fraction"] {
        refused("nomic-bert", &json!({ field: null }), &[field, "missing"]);
    }
    refuse("modernbert", "rope_scaling", json!({"rope_type": "linear"}));
    refuse("nomic-bert", "rotary_emb_interleaved", json!(true));
    refuse("modernbert", "rope_parameters", json!({"rope_theta": 1.0}));
    refuse("embeddinggemma", "attn_logit_softcapping", json!(50.0));
    refuse("embeddinggemma", "use_bidirectional_attention", json!(false));
    refuse("gte", "logn_attention_scale", json!(true));
    refuse("gte", "layer_norm_type", json!("rms_norm"));
    for family in ["qwen3", "nomic-bert", "gte"] {
        let scaled = json!({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}});
        refused(family, &scaled, &["rope_type", "yarn"]);
    }
}

#[test]
fn newer_keys_mean_what_older_ones_do() {
    let same = |family, older: Value, newer: Value| {
        let [older, newer] = [older, newer].map(|fields| {
            let folder = changed(family, &fields);
            vector(&load(folder.path()).unwrap())
        });
        assert_eq!(older, newer, "{family}");
        let folder = changed(family, &json!({}));
        assert_ne!(vector(&load(folder.path()).unwrap()), newer, "{family}: no key is read");
    };
    let plain = |theta: f32| json!({"rope_type": "default", "rope_theta": theta});
    let parameters = json!({"rope_parameters": plain(7.0)});
    same("qwen3", json!({"rope_theta": 7.0}), parameters.clone());
    same("nomic-bert", json!({"rotary_emb_base": 7.0}), parameters.clone());
    same("gte", json!({"rope_theta": 7.0, "rope_scaling": null}), parameters);
    let both =
        json!({"rope_parameters": {"full_attention": plain(7.0), "sliding_attention": plain(5.0)}});
    let older = json!({"global_rope_theta": 7.0, "local_rope_theta": 5.0});
    same("modernbert", older, both.clone());
    same("embeddinggemma", json!({"rope_theta": 7.0, "rope_local_base_freq": 5.0}), both);
    // transformers: a null for windows means the base of the whole text.
    let null = json!({"global_rope_theta": 7.0, "local_rope_theta": null});
    same("modernbert", json!({"global_rope_theta": 7.0, "local_rope_theta": 7.0}), null);
}

#[test]
fn a_head_that_the_family_does_not_have_is_refused() {
    for (family, architecture) in [
        ("qwen3", "Qwen3ForSequenceClassification"),
        ("embeddinggemma", "GemmaForSequenceClassification"),
    ] {
        let folder = changed(family, &json!({"architectures": [architecture]}));
        fs::remove_file(folder.path().join("modules.json")).unwrap();
        let message = load(folder.path()).err().unwrap().to_string();
        assert!(message.contains("architectures") && message.contains(architecture), "{message}");
    }
    let sparse = json!([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"},
        {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling"}
    ]);
    let folder = changed("qwen3", &json!({}));
    fs::write(folder.path().join("modules.json"), sparse.to_string()).unwrap();
    fs::create_dir(folder.path().join("1_SpladePooling")).unwrap();
    fs::write(folder.path().join("1_SpladePooling/config.json"), "{}").unwrap();
    let message = load(folder.path()).err().unwrap().to_string();
    assert!(message.contains("architectures"), "{message}");
}

#[test]
fn settings_of_a_head_matter_only_where_it_runs() {
    let fields = json!({"classifier_activation": "silu", "classifier_bias": true});
    let folder = changed("modernbert", &fields);
    let plain = changed("modernbert", &json!({}));
    assert_eq!(vector(&load(folder.path()).unwrap()), vector(&load(plain.path()).unwrap()));
    let head = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("heads/rerank-modernbert"), head.path());
    support::edit_json(&head.path().join("config.json"), |config| {
        config["classifier_activation"] = json!("silu");
    });
    let message = load(head.path()).err().unwrap().to_string();
    assert!(message.contains("classifier_activation is \"silu\""), "{message}");
}

#[test]
fn an_added_token_beyond_the_word_table_fails_only_the_texts_that_hold_it() {
    // As in EmbeddingGemma, whose tokenizer has one for images.
    let folder = changed("embeddinggemma", &json!({}));
    let rows = 420;
    support::edit_json(&folder.path().join("tokenizer.json"), |tokenizer| {
        let token = json!({
            "id": rows, "content": "<image>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true
        });
        tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
    });
    let plain = changed("embeddinggemma", &json!({}));
    let model = load(folder.path()).unwrap();
    assert_eq!(vector(&model), vector(&load(plain.path()).unwrap()));
    let error = model.embed(&["a <image> here"], &EmbedOptions::default()).err().unwrap();
    let message = error.to_string();
    for part in ["<image>", "token 420", "420 tokens"] {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
    assert_eq!(chunkflow::Error::from(error).kind(), chunkflow::ErrorKind::Input);
}
