//! The keys of the files beside a model's weights: which are obeyed, and which are known to change
//! nothing that a vector depends on. The rest is refused.
//!
//! `config.json` is read by its family, which refuses the values that it does not run; other keys
//! of it are the reference's notes. Sentence-transformers' modules take the keys below and no
//! others; transformers' tokenizers take any and ignore what their class does not know.

use std::path::Path;

use serde_json::Value;

use super::config_file::ConfigFile;
use crate::models::Error;

/// What becomes of a model with keys that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// It is refused.
    #[default]
    Refused,
    /// It is loaded, with a warning of each.
    Allowed,
}

/// The keys of a file.
pub(super) struct Keys {
    /// Read, and obeyed or refused by value.
    obeyed: &'static [&'static str],
    /// Change nothing, whatever their value.
    inert: &'static [&'static str],
    /// Endings of keys that are obeyed or change nothing.
    endings: &'static [&'static str],
}

impl Keys {
    /// Refuses a file with another key than these whose value is not null.
    pub(super) fn check(&self, config: &ConfigFile, unknown: Unknown) -> Result<(), Error> {
        self.check_fields(config.path(), config.iter(), unknown)
    }

    /// The same of what was read of the file at `path`.
    pub(super) fn check_fields<'a>(
        &self,
        path: &Path,
        fields: impl Iterator<Item = (&'a String, &'a Value)>,
        unknown: Unknown,
    ) -> Result<(), Error> {
        for (key, value) in fields.filter(|(_, value)| !value.is_null()) {
            let is_known = self.obeyed.contains(&key.as_str())
                || self.inert.contains(&key.as_str())
                || self.endings.iter().any(|ending| key.ends_with(ending));
            if is_known {
                continue;
            }
            let (path, key, value) = (path.to_owned(), key.clone(), value.to_string());
            match unknown {
                Unknown::Refused => return Err(Error::UnknownKey { path, key, value }),
                Unknown::Allowed => {
                    tracing::warn!(path = %path.display(), key, value, "unknown key, ignored");
                }
            }
        }
        Ok(())
    }
}

/// `tokenizer_config.json`.
pub(super) const TOKENIZER: Keys = Keys {
    obeyed: &[
        "add_prefix_space",
        "added_tokens_decoder",
        "additional_special_tokens",
        "do_lower_case",
        "extra_special_tokens",
        "max_len",
        "model_input_names",
        "model_max_length",
        "split_special_tokens",
        "strip_accents",
        "tokenize_chinese_chars",
        "tokenizer_class",
        "trim_offsets",
        "truncation_side",
    ],
    // Of decoding, padding, chat, training, older versions and other libraries. What tells how
    // texts begin and end, and the normaliser's details, stand in tokenizer.json or in the class.
    inert: &[
        "__version__",
        "_commit_hash",
        "_from_auto",
        "_name_or_path",
        "add_bos_token",
        "add_eos_token",
        "add_special_tokens",
        "architectures",
        "auto_map",
        "backend",
        "chat_control_tokens",
        "chat_template",
        "clean_text",
        "clean_up_tokenization_spaces",
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
        "device_map",
        "do_basic_tokenize",
        "errors",
        "fix_mistral_regex",
        "from_slow",
        "full_tokenizer_file",
        "image_processor_type",
        "is_local",
        "keep_accents",
        "language",
        "languages",
        "legacy",
        "legacy_behaviour",
        "local_files_only",
        "mask_token_sent",
        "max_length",
        "max_model_input_sizes",
        "max_seq_length",
        "mecab_kwargs",
        "merges_file",
        "model_type",
        "name_or_path",
        "never_split",
        "normalization",
        "offset",
        "pad_to_max_length",
        "pad_to_multiple_of",
        "padding",
        "padding_side",
        "pretrained_model_name_or_path",
        "processor_class",
        "remove_space",
        "response_schema",
        "response_template",
        "return_token_type_ids",
        "revision",
        "slow_tokenizer_class",
        "sp_model_kwargs",
        "spaces_between_special_tokens",
        "special_tokens_map_file",
        "stride",
        "subfolder",
        "task",
        "tokenizer_file",
        "tokenizer_type",
        "torch_dtype",
        "transformers_version",
        "truncation",
        "truncation_strategy",
        "trust_remote_code",
        "unk_id",
        "use_default_system_prompt",
        "use_fast",
        "verbose",
        "vocab_file",
        "vocab_size",
        "wordpieces_prefix",
    ],
    endings: &["_token", "_token_id", "_token_type", "_token_type_id"],
};

/// What the transformer's settings give the tokenizer.
pub(super) const PROCESSOR: Keys = Keys {
    obeyed: &[
        "add_bos_token",
        "add_eos_token",
        "add_prefix_space",
        "additional_special_tokens",
        "do_lower_case",
        "extra_special_tokens",
        "max_len",
        "model_input_names",
        "model_max_length",
        "split_special_tokens",
        "strip_accents",
        "tokenize_chinese_chars",
        "trim_offsets",
        "truncation_side",
    ],
    // Those of the hub are overwritten by whoever loads the model.
    inert: &[
        "cache_dir",
        "chat_template",
        "clean_up_tokenization_spaces",
        "fix_mistral_regex",
        "force_download",
        "from_slow",
        "legacy",
        "local_files_only",
        "max_length",
        "max_pixels",
        "min_pixels",
        "padding",
        "padding_side",
        "proxies",
        "revision",
        "subfolder",
        "token",
        "truncation",
        "trust_remote_code",
        "use_auth_token",
        "use_fast",
        "verbose",
    ],
    endings: &["_token"],
};

/// `sentence_bert_config.json` and its kin.
pub(super) const SENTENCE: Keys = Keys {
    obeyed: &[
        "config_args",
        "config_kwargs",
        "do_lower_case",
        "document_length",
        "max_seq_length",
        "modality_config",
        "model_args",
        "model_kwargs",
        "module_output_name",
        "processing_kwargs",
        "processor_kwargs",
        "query_expansion",
        "query_length",
        "tokenizer_args",
        "tokenizer_name_or_path",
        "transformer_task",
    ],
    inert: &["__version__", "backend", "model_name_or_path", "unpad_inputs"],
    endings: &[],
};

/// What the transformer's settings give the model: those that change how its weights are held and
/// run, not what they compute.
pub(super) const MODEL: Keys = Keys {
    obeyed: &[],
    inert: &[
        "add_pooling_layer",
        "attn_implementation",
        "cache_dir",
        "device_map",
        "dtype",
        "file_name",
        "ignore_mismatched_sizes",
        "local_files_only",
        "low_cpu_mem_usage",
        "provider",
        "revision",
        "subfolder",
        "token",
        "torch_dtype",
        "trust_remote_code",
        "use_auth_token",
        "use_safetensors",
    ],
    endings: &[],
};

/// What the transformer's settings put over `config.json` and changes nothing; the rest is read by
/// the family.
pub(super) const CONFIG_INERT: &[&str] = &[
    "cache_dir",
    "code_revision",
    "force_download",
    "local_files_only",
    "revision",
    "subfolder",
    "token",
    "trust_remote_code",
    "use_auth_token",
];

/// `config_sentence_transformers.json`.
pub(super) const SETTINGS: Keys = Keys {
    obeyed: &[
        "activation_fn",
        "default_prompt_name",
        "max_active_dims",
        "model_type",
        "prompts",
        "truncate_dim",
    ],
    inert: &[
        "__version__",
        "keep_in_fp32_modules",
        "model_card_data",
        "requirements",
        "similarity_fn_name",
    ],
    endings: &[],
};

/// A module of `modules.json`.
pub(super) const MODULE: Keys =
    Keys { obeyed: &["path", "type"], inert: &["idx", "kwargs", "name"], endings: &[] };

/// A Pooling module.
pub(super) const POOLING: Keys = Keys {
    obeyed: &[
        "embedding_dimension",
        "include_prompt",
        "pooling_mode",
        "pooling_mode_cls_token",
        "pooling_mode_lasttoken",
        "pooling_mode_max_tokens",
        "pooling_mode_mean_sqrt_len_tokens",
        "pooling_mode_mean_tokens",
        "pooling_mode_weightedmean_tokens",
        "word_embedding_dimension",
    ],
    inert: &["__version__"],
    endings: &[],
};

/// A `SpladePooling` module.
pub(super) const SPLADE_POOLING: Keys = Keys {
    obeyed: &["activation_function", "pooling_strategy"],
    inert: &["__version__", "chunk_size", "embedding_dimension", "word_embedding_dimension"],
    endings: &[],
};

/// A Dense module.
pub(super) const DENSE: Keys = Keys {
    obeyed: &[
        "activation_function",
        "bias",
        "in_features",
        "module_input_name",
        "module_output_name",
        "out_features",
        "use_residual",
    ],
    inert: &["__version__", "init_bias", "init_weight"],
    endings: &[],
};

/// A Normalize module.
pub(super) const NORMALIZE: Keys = Keys {
    obeyed: &["module_input_name", "module_output_name"],
    inert: &["__version__"],
    endings: &[],
};

/// A `LayerNorm` module.
pub(super) const LAYER_NORM: Keys =
    Keys { obeyed: &["dimension"], inert: &["__version__"], endings: &[] };

/// A Dropout module, which does nothing to a model that is not trained.
pub(super) const DROPOUT: Keys =
    Keys { obeyed: &[], inert: &["__version__", "dropout"], endings: &[] };
