//! The tokenizer classes of transformers 5: which of them a model's files name, and what each
//! builds around the vocabulary of `tokenizer.json`.
//!
//! Invariant: a class that is built anew takes its model's vocabulary and merges, the character map
//! of its normaliser and nothing else from `tokenizer.json`; all the rest comes from the settings.

use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::models::ModelWrapper;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::template::TemplateProcessing;

use super::config_file::ConfigFile;
use super::tokenizer_json::TokenizerJson;
use super::tokenizer_names::{BERT, GEMMA, MPNET, Named, OTHERS, QWEN2, ROBERTA};
use crate::models::Error;

/// What splits text for Qwen2, by transformers' `tokenization_qwen2.py`.
pub(super) const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A tokenizer class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `tokenizer.json` as it is.
    Whole,
    Bert,
    /// BERT's for models without segments.
    DistilBert,
    MpNet,
    Roberta,
    XlmRoberta,
    Camembert,
    Qwen2,
    Gemma,
}

impl Class {
    /// The class that `AutoTokenizer` makes for a model of `model_type`, where the tokenizer's own
    /// config and the model's name one or none.
    pub(super) fn choose(
        model_type: &str,
        own: Option<&ConfigFile>,
        config: &ConfigFile,
    ) -> Result<Self, Error> {
        let field = "tokenizer_class";
        // transformers holds whatever their files say of it for wrong.
        if model_type == "modernbert" {
            return Ok(Self::Whole);
        }
        let places = own.into_iter().chain([config]);
        let Some((place, name)) =
            places.into_iter().find_map(|place| Some((place, place.text(field)?)))
        else {
            return Ok(Self::of_model(model_type));
        };
        let name = name.strip_suffix("Fast").unwrap_or(name);
        let Some(stem) = name.strip_suffix("Tokenizer") else { return Ok(Self::Whole) };
        match stem {
            "Bert" | "ConvBert" | "DPRContextEncoder" | "DPRQuestionEncoder" | "Electra"
            | "LayoutLM" | "Lxmert" | "MobileBert" | "SqueezeBert" => Ok(Self::Bert),
            "DistilBert" => Ok(Self::DistilBert),
            "MPNet" => Ok(Self::MpNet),
            "Roberta" | "Bart" | "LED" | "Longformer" | "Mvp" => Ok(Self::Roberta),
            "XLMRoberta" => Ok(Self::XlmRoberta),
            "Camembert" => Ok(Self::Camembert),
            "Qwen2" => Ok(Self::Qwen2),
            "Gemma" => Ok(Self::Gemma),
            _ if OTHERS.contains(&stem) => Err(place.unsupported(
                field,
                "BertTokenizer, DistilBertTokenizer, MPNetTokenizer, RobertaTokenizer, \
                 XLMRobertaTokenizer, CamembertTokenizer, Qwen2Tokenizer, GemmaTokenizer, and \
                 PreTrainedTokenizerFast or TokenizersBackend for tokenizer.json as it is",
            )),
            _ => Ok(Self::Whole),
        }
    }

    /// The class of a model that names none.
    fn of_model(model_type: &str) -> Self {
        match model_type {
            "bert" | "distilbert" | "nomic_bert" => Self::Bert,
            "mpnet" => Self::MpNet,
            "roberta" => Self::Roberta,
            "xlm-roberta" | "gte" => Self::XlmRoberta,
            "camembert" => Self::Camembert,
            "qwen3" => Self::Qwen2,
            "gemma3_text" => Self::Gemma,
            _ => Self::Whole,
        }
    }

    /// Whether models of this class are told the segments of a pair, where the files do not say.
    pub(super) fn gives_segments(self) -> bool {
        self == Self::Bert
    }

    /// The special tokens that it has where the settings name no others.
    pub(super) fn named_tokens(self) -> &'static [Named] {
        match self {
            Self::Whole => &[],
            Self::Bert | Self::DistilBert => BERT,
            Self::MpNet => MPNET,
            Self::Roberta | Self::XlmRoberta | Self::Camembert => ROBERTA,
            Self::Qwen2 => QWEN2,
            Self::Gemma => GEMMA,
        }
    }

    /// Whether its own mask token takes the space before it.
    pub(super) fn strips_before_mask(self) -> bool {
        matches!(self, Self::MpNet | Self::Camembert)
    }

    /// Special tokens beside those, where the settings list none.
    pub(super) fn extra_tokens(self) -> &'static [&'static str] {
        match self {
            Self::Camembert => &["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
            _ => &[],
        }
    }

    /// A tokenizer of this class without added tokens, around the model of `tokenizer.json`;
    /// `None` where the file as it is is what the class means.
    pub(super) fn build(
        self,
        json: &TokenizerJson,
        settings: &ConfigFile,
    ) -> Result<Option<Tokenizer>, Error> {
        if self == Self::Whole {
            return Ok(None);
        }
        let model = self.model(json, settings)?;
        let mut built = Tokenizer::new(model);
        built.with_pre_tokenizer(Some(self.pre_tokenizer(settings)?));
        if let Some(normalizer) = self.normalizer(json.normalizer.as_ref(), settings)? {
            built
                .with_normalizer(Some(normalizer))
                .map_err(|error| settings.malformed(error.to_string()))?;
        }
        // Taken from the file by the classes that set none of their own.
        built.with_post_processor(json.tokenizer.get_post_processor().cloned());
        Ok(Some(built))
    }

    fn model(self, json: &TokenizerJson, settings: &ConfigFile) -> Result<ModelWrapper, Error> {
        let unknown = || self.token(settings, "unk_token");
        match (self, json.tokenizer.get_model().clone()) {
            (Self::Bert | Self::DistilBert | Self::MpNet, ModelWrapper::WordPiece(mut pieces)) => {
                pieces.unk_token = unknown()?;
                "##".clone_into(&mut pieces.continuing_subword_prefix);
                pieces.max_input_chars_per_word = 100;
                Ok(pieces.into())
            }
            (Self::Roberta | Self::Qwen2 | Self::Gemma, ModelWrapper::BPE(mut pairs)) => {
                let falls_back = self == Self::Gemma;
                pairs.dropout = None;
                pairs.unk_token = falls_back.then(unknown).transpose()?;
                pairs.continuing_subword_prefix = None;
                pairs.end_of_word_suffix = None;
                pairs.fuse_unk = falls_back;
                pairs.byte_fallback = falls_back;
                pairs.ignore_merges = false;
                Ok(pairs.into())
            }
            (Self::XlmRoberta | Self::Camembert, ModelWrapper::Unigram(pieces)) => {
                let unk_id = if self == Self::Camembert {
                    let unknown = unknown()?;
                    pieces.iter().position(|(piece, _)| *piece == unknown).unwrap_or(0)
                } else {
                    3
                };
                if json.unk_id == Some(unk_id) && !pieces.byte_fallback() {
                    return Ok(pieces.into());
                }
                let vocabulary = pieces.iter().cloned().collect();
                let pieces = Unigram::from(vocabulary, Some(unk_id), false);
                pieces.map(Into::into).map_err(|error| settings.malformed(error.to_string()))
            }
            _ => Err(settings.malformed(format!(
                "tokenizer_class means a {self:?} tokenizer, tokenizer.json has another kind of model"
            ))),
        }
    }

    /// The content of a special token that the class cannot do without.
    fn token(self, settings: &ConfigFile, name: &'static str) -> Result<String, Error> {
        let own = self.named_tokens().iter().find(|(own, _)| *own == name);
        match (settings.token_content(name), own) {
            (Some(content), _) => Ok(content.to_owned()),
            (None, Some((_, default))) if !settings.is_null(name) => Ok((*default).to_owned()),
            _ => Err(settings.unsupported(name, "a token")),
        }
    }

    fn normalizer(
        self,
        own: Option<&Value>,
        settings: &ConfigFile,
    ) -> Result<Option<NormalizerWrapper>, Error> {
        let description = match self {
            Self::Whole | Self::Roberta => None,
            Self::Bert | Self::DistilBert | Self::MpNet => {
                let strip_accents = if settings.has("strip_accents") {
                    Some(settings.flag_or("strip_accents", false)?)
                } else {
                    None
                };
                Some(json!({
                    "type": "BertNormalizer",
                    "clean_text": true,
                    "handle_chinese_chars": settings.flag_or("tokenize_chinese_chars", true)?,
                    "strip_accents": strip_accents,
                    "lowercase": settings.flag_or("do_lower_case", true)?,
                }))
            }
            Self::XlmRoberta | Self::Camembert => own.and_then(character_map).cloned(),
            Self::Qwen2 => Some(json!({"type": "NFC"})),
            Self::Gemma => {
                Some(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}))
            }
        };
        let read = description.map(serde_json::from_value).transpose();
        read.map_err(|error| settings.malformed(error.to_string()))
    }

    fn pre_tokenizer(self, settings: &ConfigFile) -> Result<PreTokenizerWrapper, Error> {
        let prefix = |default| settings.flag_or("add_prefix_space", default);
        let bytes = |prefix: bool, pattern: bool| {
            json!({
                "type": "ByteLevel",
                "add_prefix_space": prefix,
                "trim_offsets": true,
                "use_regex": pattern,
            })
        };
        let description = match self {
            Self::Whole | Self::Bert | Self::DistilBert | Self::MpNet => {
                json!({"type": "BertPreTokenizer"})
            }
            Self::Roberta => bytes(prefix(false)?, true),
            Self::XlmRoberta | Self::Camembert => {
                let scheme = if prefix(true)? { "always" } else { "never" };
                json!({"type": "Sequence", "pretokenizers": [
                    {"type": "WhitespaceSplit"},
                    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true},
                ]})
            }
            Self::Qwen2 => json!({"type": "Sequence", "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": QWEN2_PATTERN},
                    "behavior": "Isolated",
                    "invert": false,
                },
                bytes(prefix(false)?, false),
            ]}),
            Self::Gemma => json!({
                "type": "Split",
                "pattern": {"String": " "},
                "behavior": "MergedWithPrevious",
                "invert": false,
            }),
        };
        serde_json::from_value(description).map_err(|error| settings.malformed(error.to_string()))
    }

    /// What the class puts around texts, once all tokens are added; `None` where that is the
    /// affair of `tokenizer.json`.
    pub(super) fn post_processor(
        self,
        tokenizer: &Tokenizer,
        settings: &ConfigFile,
    ) -> Result<Option<PostProcessorWrapper>, Error> {
        let [first, last] = match self {
            Self::Whole | Self::Qwen2 | Self::Gemma => return Ok(None),
            Self::XlmRoberta | Self::Camembert => ["bos_token", "eos_token"],
            _ => ["cls_token", "sep_token"],
        };
        let unknown = self.token(settings, "unk_token").ok();
        let unknown = unknown.and_then(|unknown| tokenizer.token_to_id(&unknown));
        let special = |name| -> Result<(String, u32), Error> {
            let content = self.token(settings, name)?;
            let id = tokenizer.token_to_id(&content).or(unknown);
            id.map(|id| (content, id)).ok_or_else(|| settings.unsupported(name, "a known token"))
        };
        let (first, last) = (special(first)?, special(last)?);
        let (trim, prefix) = match self {
            Self::Roberta => (
                settings.flag_or("trim_offsets", true)?,
                settings.flag_or("add_prefix_space", false)?,
            ),
            Self::MpNet => (true, false),
            _ => return template(self, &first, &last, settings).map(Some),
        };
        let description = json!({
            "type": "RobertaProcessing",
            "sep": last,
            "cls": first,
            "trim_offsets": trim,
            "add_prefix_space": prefix,
        });
        let read = serde_json::from_value(description);
        read.map(Some).map_err(|error| settings.malformed(error.to_string()))
    }
}

/// `first A last`, and pairs as the class has them.
fn template(
    class: Class,
    first: &(String, u32),
    last: &(String, u32),
    settings: &ConfigFile,
) -> Result<PostProcessorWrapper, Error> {
    let (from, to) = (first.0.as_str(), last.0.as_str());
    let second = format!("{to}:1");
    let pair = match class {
        Class::XlmRoberta | Class::Camembert => vec![from, "$A", to, to, "$B", to],
        _ => vec![from, "$A", to, "$B:1", &second],
    };
    around(&[from, "$A", to], &pair, vec![first.clone(), last.clone()])
        .map_err(|problem| settings.malformed(problem))
}

/// A template of these pieces.
pub(super) fn around(
    single: &[&str],
    pair: &[&str],
    special: Vec<(String, u32)>,
) -> Result<PostProcessorWrapper, String> {
    let mut builder = TemplateProcessing::builder();
    builder.try_single(single.to_vec())?;
    builder.try_pair(pair.to_vec())?;
    let built = builder.special_tokens(special).build();
    built.map(Into::into).map_err(|error| error.to_string())
}

/// The first precompiled character map of a normaliser, or of the sequence that it is.
fn character_map(normalizer: &Value) -> Option<&Value> {
    let single = std::slice::from_ref(normalizer);
    let parts = match normalizer.get("normalizers") {
        Some(Value::Array(parts)) => parts.as_slice(),
        _ => single,
    };
    parts.iter().find(|part| part.get("type").and_then(Value::as_str) == Some("Precompiled"))
}
