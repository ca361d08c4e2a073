//! The transformer module's settings, `sentence_bert_config.json` and its kin, as
//! sentence-transformers reads them.

use serde_json::{Map, Value, json};

use super::Error;
use super::config_file::ConfigFile;
use super::known_keys::{self, CONFIG_INERT, Unknown};
use crate::models::layout::{SENTENCE_CONFIGS, in_directory};
use crate::models::{self, Folder};

/// What the transformer module is told beside its own files.
#[derive(Debug, Clone, Default)]
pub(super) struct SentenceConfig {
    /// The longest sequence, unless the tokenizer's settings say another.
    pub(super) max_seq_length: Option<usize>,
    /// The longest sequence of a call, which goes before the tokenizer's.
    pub(super) call_length: Option<usize>,
    pub(super) do_lower_case: bool,
    /// Over those of `tokenizer_config.json`.
    pub(super) processor: Map<String, Value>,
    /// Over those of `config.json`.
    pub(super) config: Map<String, Value>,
}

impl SentenceConfig {
    /// Reads the first of the files that is there, in the transformer's `directory`.
    pub(super) fn read(folder: &Folder, directory: &str, unknown: Unknown) -> Result<Self, Error> {
        let mut files = SENTENCE_CONFIGS.iter().map(|file| in_directory(directory, file));
        let Some(file) = files.find(|file| folder.exists(file)) else { return Ok(Self::default()) };
        let own = ConfigFile::read(folder, &file)?;
        known_keys::SENTENCE.check(&own, unknown)?;
        require_text(&own)?;
        if let Some(model) = newer_or_older(&own, "model_kwargs", "model_args")? {
            known_keys::MODEL.check(&model, unknown)?;
        }
        let processor = newer_or_older(&own, "processor_kwargs", "tokenizer_args")?;
        if let Some(processor) = &processor {
            known_keys::PROCESSOR.check(processor, unknown)?;
        }
        let mut config = newer_or_older(&own, "config_kwargs", "config_args")?
            .map(ConfigFile::into_fields)
            .unwrap_or_default();
        config.retain(|key, _| !CONFIG_INERT.contains(&key.as_str()));
        Ok(Self {
            max_seq_length: if own.has("max_seq_length") {
                Some(own.size("max_seq_length")?)
            } else {
                None
            },
            call_length: read_call_length(&own)?,
            do_lower_case: own.flag_or("do_lower_case", false)?,
            processor: processor.map(ConfigFile::into_fields).unwrap_or_default(),
            config,
        })
    }
}

/// An object under its newer name or, as sentence-transformers takes it before that, the older.
fn newer_or_older(
    own: &ConfigFile,
    newer: &'static str,
    older: &'static str,
) -> Result<Option<ConfigFile>, models::Error> {
    let found = own.object(older)?;
    if found.is_some() { Ok(found) } else { own.object(newer) }
}

/// Refuses what is no transformer over plain text.
fn require_text(own: &ConfigFile) -> Result<(), models::Error> {
    let tasks = ["feature-extraction", "fill-mask", "sequence-classification"];
    own.require("transformer_task", &tasks.map(|task| json!(task)))?;
    let outputs = ["token_embeddings", "scores"];
    own.require("module_output_name", &outputs.map(|output| json!(output)))?;
    for field in ["query_length", "document_length", "query_expansion", "tokenizer_name_or_path"] {
        own.require(field, &[])?;
    }
    let Some(modalities) = own.object("modality_config")? else { return Ok(()) };
    let Some(text) = modalities.object("text")? else {
        return Err(modalities.unsupported("text", "an object"));
    };
    // Texts would be put into a chat's template.
    modalities.require("message", &[])?;
    text.require("method", &[json!("forward")])?;
    let outputs = ["last_hidden_state", "logits"];
    let outputs = outputs.iter().flat_map(|output| [json!(output), json!([output])]);
    text.require("method_output_name", &outputs.collect::<Vec<_>>())
}

/// `max_length` of the settings of a call, of which no others may change tokens.
fn read_call_length(own: &ConfigFile) -> Result<Option<usize>, models::Error> {
    let Some(processing) = own.object("processing_kwargs")? else { return Ok(None) };
    let mut length = None;
    for kind in ["text", "common"] {
        let Some(call) = processing.object(kind)? else { continue };
        call.require("truncation", &[json!(true), json!("longest_first")])?;
        call.require("add_special_tokens", &[json!(true)])?;
        call.require("return_overflowing_tokens", &[json!(false)])?;
        call.require("is_split_into_words", &[json!(false)])?;
        call.require("split_special_tokens", &[json!(false)])?;
        call.require("return_token_type_ids", &[])?;
        call.require("return_attention_mask", &[json!(true)])?;
        length = call.length("max_length")?.or(length);
    }
    Ok(length)
}
