//! A tensor's other names give the same bits.

use std::path::Path;

use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel, ModelOptions};
use chunkflow::models::Task;

use crate::support::run_now::RunNow;
use crate::support::{self, ONE_BATCH, Stored, bits};

type Renamed = Vec<(String, Stored)>;

const TEXT: &str = "the dog and the cat read a book";

/// What a model of `tests/golden` gives, as bits.
fn output(folder: &Path) -> Vec<u32> {
    let kind = folder.join("modules.json").exists().then_some(Task::Embedding);
    let options = ModelOptions {
        backend: Backend::Native,
        max_batch_tokens: Some(ONE_BATCH),
        kind,
        ..ModelOptions::default()
    };
    let model = LoadedModel::load(folder.to_str().unwrap(), &options).unwrap();
    match model.model().kind() {
        Task::Embedding => bits(&model.embed(&[TEXT], &EmbedOptions::default()).unwrap().data),
        Task::Reranker => bits(&model.score(&[(TEXT, "a cat")]).unwrap().data),
        Task::Sparse => {
            let sparse = model.embed_sparse(&[TEXT], &EmbedOptions::default()).unwrap();
            sparse.rows[0].iter().flat_map(|entry| [entry.index, entry.value.to_bits()]).collect()
        }
    }
}

/// Renames the tensors of a model of `tests/golden`, at least one of them, and compares.
#[track_caller]
fn same(model: &str, rename: impl Fn(String, Stored) -> Renamed) {
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden(model), folder.path());
    let expected = output(folder.path());
    support::edit_tensors(&folder.path().join("model.safetensors"), |tensors| {
        let before: Vec<String> = tensors.keys().cloned().collect();
        let old = std::mem::take(tensors);
        tensors.extend(old.into_iter().flat_map(|(name, tensor)| rename(name, tensor)));
        let after: Vec<String> = tensors.keys().cloned().collect();
        assert_ne!(before, after, "{model}: nothing is renamed");
    });
    assert_eq!(output(folder.path()), expected, "{model}");
}

/// The same by parts of names, one after the other.
#[track_caller]
fn same_parts(model: &str, parts: &[(&str, &str)]) {
    same(model, |name, tensor| {
        let renamed = parts.iter().fold(name, |name, (from, to)| name.replace(from, to));
        vec![(renamed, tensor)]
    });
}

const GOOGLES: [(&str, &str); 2] =
    [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")];

#[test]
fn norms_may_have_gammas_and_betas_in_heads_too() {
    for family in ["bert", "roberta", "xlm-roberta", "camembert", "distilbert", "mpnet"] {
        same_parts(&format!("families/{family}"), &GOOGLES);
    }
    for family in ["jina-bert", "gte", "nomic-bert"] {
        same_parts(
            &format!("families/{family}"),
            &[("emb_ln", "embeddings.LayerNorm"), GOOGLES[0], GOOGLES[1]],
        );
    }
    for head in ["sparse-bert", "sparse-plain", "rerank-bert", "rerank-mpnet"] {
        same_parts(&format!("heads/{head}"), &GOOGLES);
    }
}

#[test]
fn the_prefix_of_a_familys_class_may_stand_or_be_left_out() {
    let prefixes = [
        ("bert", "bert."),
        ("roberta", "roberta."),
        ("xlm-roberta", "roberta."),
        ("camembert", "roberta."),
        ("distilbert", "distilbert."),
        ("mpnet", "mpnet."),
        ("jina-bert", "bert."),
        ("nomic-bert", "bert."),
        ("nomic-bert", "nomic_bert."),
        ("gte", "new."),
        ("gte", "gte."),
        ("modernbert", "model."),
        ("qwen3", "model."),
        ("embeddinggemma", "model."),
    ];
    for (family, prefix) in prefixes {
        let toggle = |name: String, tensor| {
            let known = ["bert.", "roberta.", "distilbert.", "new.", "model."];
            let bare = known.iter().find_map(|known| name.strip_prefix(known));
            let bare = bare.unwrap_or(&name);
            let renamed = if name == format!("{prefix}{bare}") {
                bare.to_owned()
            } else {
                format!("{prefix}{bare}")
            };
            vec![(renamed, tensor)]
        };
        same(&format!("families/{family}"), toggle);
    }
}

/// A tensor of several, one above the other, in as many.
fn apart(name: &str, part: &str, pieces: &[&str], tensor: &Stored) -> Renamed {
    let rows = tensor.shape[0] / pieces.len();
    let bytes = tensor.data.len() / pieces.len();
    let piece = |(index, piece): (usize, &&str)| {
        let mut shape = tensor.shape.clone();
        shape[0] = rows;
        let data = tensor.data[index * bytes..][..bytes].to_vec();
        (name.replace(part, piece), Stored { dtype: tensor.dtype, shape, data })
    };
    pieces.iter().enumerate().map(piece).collect()
}

const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

#[test]
fn gte_and_nomic_bert_may_have_the_names_of_transformers() {
    same("families/gte", |name, tensor| {
        let parts = [
            ("new.", ""),
            ("encoder.layer", "layers"),
            ("attention.o_proj", "self_attn.o_proj"),
            ("attn_ln", "post_attention_layernorm"),
            ("mlp_ln", "post_mlp_layernorm"),
        ];
        let name = parts.iter().fold(name, |name, (from, to)| name.replace(from, to));
        for (part, pieces) in [
            ("attention.qkv_proj", &QKV[..]),
            ("mlp.up_gate_proj", &["mlp.up_proj", "mlp.gate_proj"]),
        ] {
            if name.contains(part) {
                return apart(&name, part, pieces, &tensor);
            }
        }
        vec![(name, tensor)]
    });
    same("families/nomic-bert", |name, tensor| {
        let parts = [
            ("encoder.layers", "layers"),
            ("emb_ln", "embeddings.LayerNorm"),
            ("attn.out_proj", "self_attn.o_proj"),
            ("fc11", "up_proj"),
            ("fc12", "gate_proj"),
            ("fc2", "down_proj"),
            ("norm1", "post_attention_layernorm"),
            ("norm2", "post_mlp_layernorm"),
        ];
        let name = parts.iter().fold(name, |name, (from, to)| name.replace(from, to));
        if name.contains("attn.Wqkv") {
            return apart(&name, "attn.Wqkv", &QKV, &tensor);
        }
        vec![(name, tensor)]
    });
}

#[test]
fn a_decoder_and_the_word_table_stand_in_for_one_another() {
    let heads = [
        ("sparse-bert", "bert.embeddings.word_embeddings", "cls.predictions.decoder"),
        ("sparse-distilbert", "distilbert.embeddings.word_embeddings", "vocab_projector"),
        ("sparse-roberta", "roberta.embeddings.word_embeddings", "lm_head.decoder"),
        ("sparse-modernbert", "model.embeddings.tok_embeddings", "decoder"),
    ];
    for (head, words, decoder) in heads {
        let (words, decoder) = (format!("{words}.weight"), format!("{decoder}.weight"));
        let model = format!("heads/{head}");
        same(&model, |name, tensor| {
            let both = vec![(name.clone(), tensor.clone()), (decoder.clone(), tensor.clone())];
            if name == words { both } else { vec![(name, tensor)] }
        });
        same(&model, |name, tensor| {
            let name = if name == words { decoder.clone() } else { name };
            vec![(name, tensor)]
        });
    }
}

#[test]
fn an_untied_decoder_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&support::golden("heads/sparse-bert"), folder.path());
    support::edit_json(&folder.path().join("config.json"), |config| {
        config["tie_word_embeddings"] = false.into();
    });
    let loaded = LoadedModel::load(folder.path().to_str().unwrap(), &ModelOptions::default());
    let message = loaded.err().unwrap().to_string();
    assert!(message.contains("`cls.predictions.decoder.weight` is missing"), "{message}");
}
