//! Text to packed ids with byte offsets. Truncation and padding are ours, not tokenizer.json's.

use std::ops::Range;

use rayon::prelude::*;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, truncate_encodings};
use tokenizers::{Encoding, PostProcessor};

use super::Error;
use super::batch::Packed;
use super::encoder::EncoderSpec;
use super::options::Truncate;
use super::pieces::{Encoded, Pieces, Prompted, checked};
use super::sentence_config::SentenceConfig;
use super::tokenizer_json::{CANNOT_READ, TokenizerJson};
use super::tokenizer_settings::TokenizerSettings;
use crate::compute::Span;
use crate::guard::guarded;
use crate::models::layout::{TOKENIZER, in_directory};
use crate::models::{self, Folder, ModelSpec};

/// A prefix for every text, and whether pooling sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// Put before every text as it is.
    pub text: String,
    /// Leading tokens that pooling leaves out, special tokens included; 0 pools all.
    pub skip: usize,
}

/// What a classifier reads: a text, or two, such as a query and a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The only text, or the first.
    pub first: &'a str,
    /// The second.
    pub second: Option<&'a str>,
}

impl<'a> Pair<'a> {
    /// Two texts.
    #[must_use]
    pub fn of(first: &'a str, second: &'a str) -> Self {
        Self { first, second: Some(second) }
    }
}

/// A token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Vocabulary index.
    pub id: u32,
    /// As the vocabulary has it.
    pub text: String,
    /// Its bytes in the text; none of a special token.
    pub place: Option<Range<usize>>,
}

/// Texts ready for the encoder.
#[derive(Debug, Default)]
pub(super) struct PackedTexts {
    pub(super) packed: Packed,
    /// The part of each sequence that is pooled.
    pub(super) spans: Vec<Span>,
    /// For each text that was cut: its length in tokens as far as it was read, special tokens
    /// included.
    pub(super) truncated: Vec<Option<usize>>,
}

/// A model's tokenizer and the limits that its folder sets.
pub struct Tokenizer {
    pieces: Pieces,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    max_tokens: usize,
    /// Rows of the model's word table.
    vocabulary: usize,
    /// The end that the model's files have dropped.
    side: Truncate,
    /// Whether the model is told the texts of a pair apart.
    segments: bool,
    /// Tokens that the settings name as special.
    special: Vec<u32>,
}

/// What the files beside `tokenizer.json` say of texts.
pub(super) struct Limits {
    /// The longest sequence, special tokens included.
    pub(super) max_tokens: usize,
    lowercase: bool,
    settings: TokenizerSettings,
}

impl Limits {
    /// Where none of sentence-transformers' files limits a text's length, the registry may.
    pub(super) fn new(
        settings: TokenizerSettings,
        sentence: &SentenceConfig,
        spec: &EncoderSpec,
        known: Option<&ModelSpec>,
    ) -> Result<Self, Error> {
        let length = settings.max_tokens()?;
        let is_told = sentence.processor.contains_key("model_max_length");
        let told = if is_told { length } else { sentence.max_seq_length };
        let known = known.and_then(|spec| spec.max_tokens).unwrap_or(usize::MAX);
        let own = told.unwrap_or_else(|| length.unwrap_or(usize::MAX).min(known));
        let max_tokens = sentence.call_length.unwrap_or(own).min(spec.max_tokens);
        Ok(Self { max_tokens, lowercase: sentence.do_lower_case, settings })
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a model whose word table has `vocabulary` rows.
    pub(super) fn load(
        folder: &Folder,
        directory: &str,
        vocabulary: usize,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let file = in_directory(directory, TOKENIZER);
        let malformed = |problem: String| -> Error {
            models::Error::Malformed { path: folder.path(&file), problem }.into()
        };
        let json = TokenizerJson::read(folder.read(&file)?, vocabulary).map_err(malformed)?;
        let tokenizer = Self::build(json, vocabulary, limits, malformed)?;
        // Added tokens may lie beyond the word table, as those of images do: they are refused
        // where a text has them.
        let largest = tokenizer.inner().get_vocab(false).into_values().max();
        match largest.filter(|&id| id as usize >= vocabulary) {
            None => Ok(tokenizer),
            Some(largest) => Err(malformed(format!(
                "has token ids up to {largest}, config.json's vocab_size is {vocabulary}"
            ))),
        }
    }

    fn build(
        json: TokenizerJson,
        vocabulary: usize,
        limits: &Limits,
        malformed: impl Fn(String) -> Error,
    ) -> Result<Self, Error> {
        let Limits { max_tokens, lowercase, settings } = limits;
        let (max_tokens, lowercase) = (*max_tokens, *lowercase);
        let panicked = |why: String| malformed(format!("{CANNOT_READ}: {why}"));
        let own = json.tokenizer.get_truncation();
        let side = settings.truncate(own.map(|own| match own.direction {
            TruncationDirection::Left => Truncate::Left,
            TruncationDirection::Right => Truncate::Right,
        }))?;
        let mut inner = guarded(|| settings.build(json)).map_err(panicked)??;
        inner.with_truncation(None).map_err(|error| malformed(error.to_string()))?;
        inner.with_padding(None);
        if lowercase {
            let own = inner.get_normalizer().cloned();
            let steps = std::iter::once(NormalizerWrapper::Lowercase(Lowercase)).chain(own);
            inner
                .with_normalizer(Some(Sequence::new(steps.collect())))
                .map_err(|error| malformed(error.to_string()))?;
        }
        let (prefix, suffix) = guarded(|| special_tokens(&inner))
            .map_err(panicked)?
            .ok_or_else(|| malformed("special tokens stand within the text".to_owned()))?;
        if prefix.len() + suffix.len() >= max_tokens {
            return Err(malformed(format!("special tokens fill all {max_tokens} tokens")));
        }
        let segments = settings.gives_segments();
        let special = settings.special_ids(&inner)?;
        let pieces = Pieces::new(inner);
        let tokenizer =
            Self { pieces, prefix, suffix, max_tokens, vocabulary, side, segments, special };
        let special = tokenizer.prefix.iter().chain(&tokenizer.suffix);
        special
            .copied()
            .try_for_each(|id| tokenizer.check(id))
            .map_err(|error| malformed(format!("special tokens cannot be used: {error}")))?;
        Ok(tokenizer)
    }

    /// The longest sequence, special tokens included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Special tokens added to every sequence.
    #[must_use]
    pub fn special_tokens(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Special tokens before the text.
    #[must_use]
    pub(crate) fn leading_tokens(&self) -> usize {
        self.prefix.len()
    }

    /// Tokenises `text` whole, a piece at a time, with the byte range of every token.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    pub fn encode(&self, text: &str) -> Result<Encoded, Error> {
        let encoded = self.pieces.encode(text)?;
        self.check_all(&encoded.ids)?;
        Ok(encoded)
    }

    /// The tokens of `text` whole, with the special tokens around it where they are wanted.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn tokens(&self, text: &str, special: bool) -> Result<Vec<Token>, Error> {
        let Encoded { ids, offsets } = self.encode(text)?;
        let (prefix, suffix) =
            if special { (&self.prefix[..], &self.suffix[..]) } else { (&[][..], &[][..]) };
        let own = ids.into_iter().zip(offsets.into_iter().map(Some));
        let around = |ids: &[u32]| ids.iter().map(|&id| (id, None)).collect::<Vec<_>>();
        let all = around(prefix).into_iter().chain(own).chain(around(suffix));
        let token = |(id, place)| {
            let text = self.inner().id_to_token(id).unwrap_or_default();
            Token { id, text, place }
        };
        Ok(all.map(token).collect())
    }

    /// The text of token ids, as the tokenizer joins them; special tokens are left out where they
    /// are to be skipped.
    ///
    /// # Errors
    /// When an id is beyond the model's vocabulary or the tokenizer cannot join them.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Error> {
        self.check_all(ids)?;
        checked(|| self.inner().decode(ids, skip_special))
    }

    /// Tokens of `text` alone, special tokens included.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn count(&self, text: &str) -> Result<usize, Error> {
        Ok(self.pieces.count(text)? + self.special_tokens())
    }

    /// Appends `content` between the special tokens.
    pub(crate) fn push(&self, packed: &mut Packed, content: &[u32]) {
        let content = content.iter().copied();
        let prefix = self.prefix.iter().copied();
        packed.push(prefix.chain(content).chain(self.suffix.iter().copied()));
    }

    /// The prompt `text`. When pooling leaves it out, so it does all special tokens before it.
    pub(super) fn prompt(&self, text: &str, pooled: bool) -> Result<Prompt, Error> {
        let ids = self.pieces.first(text.into(), usize::MAX)?;
        self.check_all(&ids)?;
        let tokens = ids.len();
        if tokens + self.special_tokens() >= self.max_tokens {
            return Err(Error::PromptTooLong { tokens, limit: self.max_tokens });
        }
        // As sentence-transformers has a prompt's length: that of its own sequence, less the last
        // token where that is known to be special.
        let last = self.suffix.last().or(ids.last());
        let is_special = last.is_some_and(|last| self.special.contains(last));
        let length = tokens + self.special_tokens() - usize::from(is_special);
        let skip = if pooled || text.is_empty() { 0 } else { length };
        Ok(Prompt { text: text.to_owned(), skip })
    }

    /// Tokenises in parallel as far as is kept, cuts to the limit and packs in the order given.
    pub(super) fn pack(
        &self,
        texts: &[&str],
        prompt: &Prompt,
        truncate: Truncate,
    ) -> Result<PackedTexts, Error> {
        let room = self.max_tokens - self.special_tokens();
        let side = if truncate == Truncate::Model { self.side } else { truncate };
        let read = |text: &&str| self.end(Prompted { prompt: &prompt.text, text }, side, room);
        let ids: Vec<Vec<u32>> = texts.par_iter().map(read).collect::<Result<_, _>>()?;
        let mut texts = PackedTexts::default();
        for (seq, ids) in ids.iter().enumerate() {
            let kept = kept(ids, side, room);
            self.check_all(kept)?;
            self.push(&mut texts.packed, kept);
            let is_cut = kept.len() < ids.len();
            texts.truncated.push(is_cut.then_some(ids.len() + self.special_tokens()));
            let end = kept.len() + self.special_tokens();
            // A prompt that was cut away at the left, or that is all there is, is not left out.
            let start = if is_cut && side == Truncate::Left { 0 } else { prompt.skip };
            let start = if start < end { start } else { 0 };
            texts.spans.push(Span { seq: seq as u32, start: start as u32, end: end as u32 });
        }
        Ok(texts)
    }

    /// Tokenises texts and pairs in parallel, cuts the longer text of each first, and packs them in the
    /// order given; segments beyond `types` are those of the last.
    pub(super) fn pack_pairs(
        &self,
        pairs: &[Pair<'_>],
        types: usize,
    ) -> Result<PackedTexts, Error> {
        let encoded: Vec<(Encoding, Option<usize>)> =
            pairs.par_iter().map(|pair| self.pair(pair)).collect::<Result<_, _>>()?;
        let mut texts = PackedTexts::default();
        for (seq, (pair, truncated)) in (0..).zip(encoded) {
            self.check_all(pair.get_ids())?;
            let last = if self.segments { types.saturating_sub(1) as u32 } else { 0 };
            let type_ids = pair.get_type_ids().iter().map(|&type_id| type_id.min(last));
            texts.packed.push_segments(pair.get_ids().iter().copied().zip(type_ids));
            texts.spans.push(Span { seq, start: 0, end: pair.len() as u32 });
            texts.truncated.push(truncated);
        }
        Ok(texts)
    }

    /// A pair cut and between its special tokens, and its length as far as it was read where it
    /// was cut.
    fn pair(&self, pair: &Pair<'_>) -> Result<(Encoding, Option<usize>), Error> {
        let processor = self.inner().get_post_processor();
        let special =
            processor.map_or(0, |processor| processor.added_tokens(pair.second.is_some()));
        let max_length = self.max_tokens.saturating_sub(special);
        let read = |text: &str| self.end(text.into(), self.side, max_length);
        let mut first = read(pair.first)?;
        let mut second = pair.second.map(read).transpose()?;
        let whole = first.len() + second.as_ref().map_or(0, Vec::len) + special;
        if let (Some(text), Some(second)) = (pair.second, &mut second) {
            // Beyond the limit lengths tell only which is the longer one: that is cut less.
            if first.len().min(second.len()) > max_length {
                let is_longer = self.pieces.is_longer(pair.first, text)?;
                let lengths = (max_length + usize::from(is_longer), max_length);
                first = kept(&first, self.side, lengths.0).to_vec();
                *second = kept(second, self.side, lengths.1).to_vec();
            }
        }
        let direction = match self.side {
            Truncate::Left => TruncationDirection::Left,
            Truncate::Right | Truncate::Model => TruncationDirection::Right,
        };
        let limits = TruncationParams { max_length, direction, ..TruncationParams::default() };
        let pair = checked(|| {
            let (first, second) = truncate_encodings(of_ids(first), second.map(of_ids), &limits)?;
            self.inner().post_process(first, second, true)
        })?;
        Ok((pair, (whole > self.max_tokens).then_some(whole)))
    }

    /// The ids at the end of a text that is kept, more than `room` where there are more.
    fn end(&self, text: Prompted<'_>, dropped: Truncate, room: usize) -> Result<Vec<u32>, Error> {
        match dropped {
            Truncate::Left => self.pieces.last(text, room),
            Truncate::Right | Truncate::Model => self.pieces.first(text, room),
        }
    }

    /// The tokenizer as the crate of that name has it.
    pub(super) fn inner(&self) -> &tokenizers::Tokenizer {
        self.pieces.tokenizer()
    }

    fn check_all(&self, ids: &[u32]) -> Result<(), Error> {
        ids.iter().try_for_each(|&id| self.check(id))
    }

    /// Refuses a token that the model's word table has no row for.
    fn check(&self, id: u32) -> Result<(), Error> {
        if (id as usize) < self.vocabulary {
            return Ok(());
        }
        let token = self.inner().id_to_token(id).unwrap_or_default();
        Err(Error::TokenBeyondTable { token, id, limit: self.vocabulary })
    }
}

/// What the post-processor puts before and after a text.
fn special_tokens(tokenizer: &tokenizers::Tokenizer) -> Option<(Vec<u32>, Vec<u32>)> {
    let bare = tokenizer.encode_fast("a", false).ok()?;
    let whole = tokenizer.encode_fast("a", true).ok()?;
    let (bare, whole) = (bare.get_ids(), whole.get_ids());
    let at = whole.windows(bare.len().max(1)).position(|window| window == bare)?;
    Some((whole[..at].to_vec(), whole[at + bare.len()..].to_vec()))
}

/// The part of `ids` that `room` has a place for.
fn kept(ids: &[u32], dropped: Truncate, room: usize) -> &[u32] {
    let cut = ids.len().saturating_sub(room);
    match dropped {
        Truncate::Left => &ids[cut..],
        Truncate::Right | Truncate::Model => &ids[..ids.len() - cut],
    }
}

/// Ids for the post-processor, which looks at nothing else of them.
fn of_ids(ids: Vec<u32>) -> Encoding {
    let token = |id| tokenizers::Token::new(id, String::new(), (0, 0));
    Encoding::from_tokens(ids.into_iter().map(token).collect(), 0)
}
