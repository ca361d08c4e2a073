//! What the files beside `tokenizer.json` say of a tokenizer: merged as transformers merges them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{AddedToken, Tokenizer};

use super::Error;
use super::config_file::ConfigFile;
use super::known_keys::{self, Unknown};
use super::options::Truncate;
use super::tokenizer_class::{Class, around};
use super::tokenizer_json::TokenizerJson;
use crate::models::layout::{ADDED_TOKENS, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG, in_directory};
use crate::models::{self, Folder};

/// The named special tokens, in transformers' order.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
const EXTRA: &str = "extra_special_tokens";
/// What [`EXTRA`] was called.
const ADDITIONAL: &str = "additional_special_tokens";
const DECODER: &str = "added_tokens_decoder";

/// A tokenizer's class and all that it is built with beside `tokenizer.json`.
pub(super) struct TokenizerSettings {
    class: Class,
    /// Of `tokenizer_config.json`, `special_tokens_map.json` and the transformer's settings.
    fields: ConfigFile,
    /// By id, where `tokenizer_config.json` says which there are.
    decoder: Option<BTreeMap<u32, Token>>,
    /// `added_tokens.json`, which is read where it does not.
    older: BTreeMap<String, u32>,
}

/// An added token as JSON has it: a string, or its properties too.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the properties that the format has")]
struct Token {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl Token {
    fn special(content: &str) -> Self {
        let content = content.to_owned();
        let (single_word, lstrip, rstrip) = (false, false, false);
        Self { content, single_word, lstrip, rstrip, normalized: None, special: true }
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(content) => Some(Self::special(content)),
            Value::Object(_) => serde_json::from_value(value.clone()).ok(),
            _ => None,
        }
    }

    fn added(self) -> AddedToken {
        AddedToken {
            // As the library has it where the file does not say.
            normalized: self.normalized.unwrap_or(!self.special),
            content: self.content,
            single_word: self.single_word,
            lstrip: self.lstrip,
            rstrip: self.rstrip,
            special: self.special,
        }
    }
}

impl From<AddedToken> for Token {
    fn from(token: AddedToken) -> Self {
        let AddedToken { content, single_word, lstrip, rstrip, normalized, special } = token;
        Self { content, single_word, lstrip, rstrip, normalized: Some(normalized), special }
    }
}

impl TokenizerSettings {
    /// Reads the files beside `tokenizer.json` in `directory`; `processor` is what the
    /// transformer's settings say, which goes before them.
    pub(super) fn read(
        folder: &Folder,
        directory: &str,
        config: &ConfigFile,
        processor: &Map<String, Value>,
        unknown: Unknown,
    ) -> Result<Self, Error> {
        let file = in_directory(directory, TOKENIZER_CONFIG);
        let own = ConfigFile::optional(folder, &file)?;
        if let Some(own) = &own {
            known_keys::TOKENIZER.check(own, unknown)?;
        }
        let model_type = config.text("model_type").unwrap_or_default();
        let class = Class::choose(model_type, own.as_ref(), config)?;
        let mut fields = own.unwrap_or_else(|| ConfigFile::empty(folder, &file));
        // Where there is a tokenizer.json, transformers asks that alone.
        for field in ["add_bos_token", "add_eos_token"] {
            fields.remove(field);
        }
        fields.overlay(processor);
        fields.rename(ADDITIONAL, EXTRA);
        let decoder =
            fields.remove(DECODER).map(|value| read_decoder(&fields, value)).transpose()?;
        let mut older = BTreeMap::new();
        if decoder.is_none() {
            if let Some(map) =
                ConfigFile::optional(folder, &in_directory(directory, SPECIAL_TOKENS_MAP))?
            {
                known_keys::TOKENIZER.check(&map, unknown)?;
                fields.overlay_unless(map, processor);
            }
            older =
                folder.optional_json(&in_directory(directory, ADDED_TOKENS))?.unwrap_or_default();
        }
        Ok(Self { class, fields, decoder, older })
    }

    /// The longest sequence, where the files say.
    pub(super) fn max_tokens(&self) -> Result<Option<usize>, models::Error> {
        let older =
            !self.fields.has("model_max_length") && !self.fields.is_null("model_max_length");
        self.fields.length(if older { "max_len" } else { "model_max_length" })
    }

    /// Whether pairs are told apart by segments.
    pub(super) fn gives_segments(&self) -> bool {
        if self.fields.has("model_input_names") {
            return self.fields.list("model_input_names").contains(&"token_type_ids");
        }
        self.class.gives_segments()
    }

    /// The end that is cut off where the caller does not say: `own` is that of `tokenizer.json`.
    pub(super) fn truncate(&self, own: Option<Truncate>) -> Result<Truncate, models::Error> {
        match self.fields.text("truncation_side") {
            Some("left") => Ok(Truncate::Left),
            Some("right") => Ok(Truncate::Right),
            None if !self.fields.has("truncation_side") => Ok(own.unwrap_or_default()),
            _ => Err(self.fields.unsupported("truncation_side", "left, right")),
        }
    }

    /// The tokenizer that the class makes of `tokenizer.json`.
    pub(super) fn build(&self, json: TokenizerJson) -> Result<Tokenizer, Error> {
        let in_file: BTreeMap<u32, AddedToken> =
            json.tokenizer.get_added_tokens_decoder().into_iter().collect();
        let built = self.class.build(&json, &self.fields)?;
        let has_own = built.is_some();
        let mut tokenizer = built.unwrap_or(json.tokenizer);
        let tokens = self.tokens(&in_file, !has_own)?;
        let failed = |error: tokenizers::Error| self.fields.malformed(error.to_string());
        tokenizer.add_tokens(tokens).map_err(failed)?;
        if self.class == Class::Qwen2 {
            let special = self.special_tokens()?.into_iter();
            let plain = special.map(|token| Token::special(&token.content).added());
            tokenizer.add_tokens(plain.collect::<Vec<_>>()).map_err(failed)?;
        }
        if let Some(processor) = self.template(&tokenizer)? {
            tokenizer.with_post_processor(Some(processor));
        }
        if let Some(processor) = self.class.post_processor(&tokenizer, &self.fields)? {
            tokenizer.with_post_processor(Some(processor));
        }
        let splits = self.fields.flag_or("split_special_tokens", false)?;
        tokenizer.set_encode_special_tokens(splits);
        Ok(tokenizer)
    }

    /// The ids of all tokens that are named as special.
    pub(super) fn special_ids(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>, Error> {
        let special = self.special_tokens()?.into_iter();
        Ok(special.filter_map(|token| tokenizer.token_to_id(&token.content)).collect())
    }

    /// The tokens to add, in order; `kept` says whether those of `tokenizer.json` are there.
    fn tokens(
        &self,
        in_file: &BTreeMap<u32, AddedToken>,
        kept: bool,
    ) -> Result<Vec<AddedToken>, Error> {
        let mut tokens: Vec<Token> = match &self.decoder {
            Some(decoder) => decoder.values().cloned().collect(),
            None => self.older_tokens(in_file)?,
        };
        let known: Vec<String> = tokens.iter().map(|token| token.content.clone()).collect();
        let is_known = |content: &str| {
            known.iter().any(|known| known == content)
                || kept && in_file.values().any(|token| token.content == content)
        };
        let special = self.special_tokens()?;
        let named = special.len() - self.extra_tokens()?.len();
        tokens.extend(special.iter().filter(|token| !is_known(&token.content)).cloned());
        for token in &mut tokens {
            token.special |= special[..named].iter().any(|own| own.content == token.content);
        }
        Ok(tokens.into_iter().map(Token::added).collect())
    }

    /// Added tokens where `tokenizer_config.json` lists none: those of `added_tokens.json` and,
    /// over them, those of `tokenizer.json`.
    fn older_tokens(&self, in_file: &BTreeMap<u32, AddedToken>) -> Result<Vec<Token>, Error> {
        let special = self.special_tokens()?;
        let mut tokens: BTreeMap<u32, Token> = BTreeMap::new();
        for (content, id) in &self.older {
            let is_special = special.iter().any(|token| token.content == *content);
            tokens.insert(*id, Token { special: is_special, ..Token::special(content) });
        }
        tokens.extend(in_file.iter().map(|(id, token)| (*id, Token::from(token.clone()))));
        Ok(tokens.into_values().collect())
    }

    /// The special tokens: the named ones, those of the model's own names, the others.
    fn special_tokens(&self) -> Result<Vec<Token>, Error> {
        let mut special = Vec::new();
        for name in NAMED {
            special.extend(self.named_token(name)?);
        }
        for (name, value) in self.fields.iter() {
            if name.ends_with("_token") && !NAMED.contains(&name.as_str()) {
                special.extend(Token::read(value));
            }
        }
        if let Ok(Some(named)) = self.fields.object(EXTRA) {
            special.extend(named.iter().filter_map(|(_, value)| Token::read(value)));
        }
        special.extend(self.extra_tokens()?);
        Ok(special)
    }

    fn named_token(&self, name: &'static str) -> Result<Option<Token>, Error> {
        if let Some(value) = self.fields.value(name) {
            let token = Token::read(value);
            return match token {
                Some(token) => Ok(Some(token)),
                None => Err(self.fields.unsupported(name, "a token").into()),
            };
        }
        let own = self.class.named_tokens().iter().find(|(own, _)| *own == name);
        Ok(own.filter(|_| !self.fields.is_null(name)).map(|(_, content)| Token {
            lstrip: name == "mask_token" && self.class.strips_before_mask(),
            ..Token::special(content)
        }))
    }

    fn extra_tokens(&self) -> Result<Vec<Token>, Error> {
        for field in [EXTRA, ADDITIONAL] {
            match self.fields.value(field) {
                Some(Value::Array(tokens)) => {
                    let tokens: Option<Vec<_>> = tokens.iter().map(Token::read).collect();
                    let malformed = || self.fields.unsupported(field_name(field), "tokens").into();
                    return tokens.ok_or_else(malformed);
                }
                // Tokens of the model's own names stand in an object.
                None | Some(Value::Object(_)) => {}
                Some(_) => {
                    return Err(self.fields.unsupported(field_name(field), "tokens").into());
                }
            }
        }
        Ok(self.class.extra_tokens().iter().map(|content| Token::special(content)).collect())
    }

    /// `<bos> A <eos>`, where the transformer's settings ask for either.
    fn template(&self, tokenizer: &Tokenizer) -> Result<Option<PostProcessorWrapper>, Error> {
        let fields = &self.fields;
        if !fields.has("add_bos_token") && !fields.has("add_eos_token") {
            return Ok(None);
        }
        let special = |flag, name| -> Result<Option<(String, u32)>, Error> {
            let token = if fields.flag_or(flag, false)? { self.named_token(name)? } else { None };
            Ok(token.and_then(|token| {
                let id = tokenizer.token_to_id(&token.content)?;
                Some((token.content, id))
            }))
        };
        let first = special("add_bos_token", "bos_token")?;
        let last = special("add_eos_token", "eos_token")?;
        let side = |token: &Option<(String, u32)>, kind: &str| {
            token.as_ref().map(|(content, _)| format!("{content}:{kind}"))
        };
        let mut pieces: Vec<Vec<String>> = Vec::new();
        for (kind, text) in [("0", "$A:0"), ("1", "$B:1")] {
            let text = Some(text.to_owned());
            pieces.push(
                [side(&first, kind), text, side(&last, kind)].into_iter().flatten().collect(),
            );
        }
        let single: Vec<&str> = pieces[0].iter().map(String::as_str).collect();
        let pair: Vec<&str> = pieces.iter().flatten().map(String::as_str).collect();
        let special = first.into_iter().chain(last).collect();
        let built = around(&single, &pair, special);
        Ok(Some(built.map_err(|problem| fields.malformed(problem))?))
    }
}

/// The static name of a list of special tokens.
fn field_name(field: &str) -> &'static str {
    if field == EXTRA { EXTRA } else { ADDITIONAL }
}

fn read_decoder(fields: &ConfigFile, value: Value) -> Result<BTreeMap<u32, Token>, Error> {
    let read = serde_json::from_value(value);
    Ok(read.map_err(|error| fields.malformed(format!("{DECODER}: {error}")))?)
}
