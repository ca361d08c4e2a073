//! `tokenizer.json` as the tokenizers crate reads it, after a look at its size.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::guard::guarded;

/// What the file holds.
pub(super) struct TokenizerJson {
    pub(super) tokenizer: tokenizers::Tokenizer,
    /// Its normaliser's description.
    pub(super) normalizer: Option<Value>,
    /// The unknown piece of a Unigram model.
    pub(super) unk_id: Option<usize>,
}

impl TokenizerJson {
    /// Reads a file whose vocabulary has at most `vocabulary` entries.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(bytes: Vec<u8>, vocabulary: usize) -> Result<Self, String> {
        let outline: Outline = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let entries = outline.model.vocab.0;
        if entries > vocabulary {
            return Err(format!("has {entries} entries, config.json's vocab_size is {vocabulary}"));
        }
        // tokenizers 0.23 panics on some malformed files where it should refuse them.
        let tokenizer = guarded(|| tokenizers::Tokenizer::from_bytes(bytes))
            .map_err(|why| format!("{CANNOT_READ}: {why}"))?
            .map_err(|error| error.to_string())?;
        Ok(Self { tokenizer, normalizer: outline.normalizer, unk_id: outline.model.unk_id })
    }
}

/// What is said where the tokenizers crate panics.
pub(super) const CANNOT_READ: &str = "tokenizers cannot read it";

/// What is read of `tokenizer.json` before it costs memory.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    model: OutlineModel,
    #[serde(default)]
    normalizer: Option<Value>,
}

#[derive(Default, Deserialize)]
struct OutlineModel {
    #[serde(default)]
    vocab: Count,
    #[serde(default)]
    unk_id: Option<usize>,
}

/// The number of entries of a list or an object.
#[derive(Default)]
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;

        impl<'de> Visitor<'de> for Counter {
            type Value = Count;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a vocabulary")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while entries.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_any(Counter)
    }
}
