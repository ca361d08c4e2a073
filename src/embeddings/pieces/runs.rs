//! Runs of characters whose length makes no difference to a tokenizer, and texts without most of
//! them.
//!
//! Invariant: a shortened text has the ids of the whole one, and each offset can be told from it.

use std::borrow::Cow;

use tokenizers::Tokenizer;
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper as Normalizer;

use super::cuts::Cuts;

/// What may be shortened.
#[derive(Default)]
pub(super) struct Runs {
    /// Words of letters and digits, of which the model reads none that are longer than a limit.
    words: bool,
    /// Whitespace that is dropped.
    spaces: Vec<char>,
    /// Bytes that stay at both ends of a run: more than a word may have, and than any added token.
    kept: usize,
}

/// A text without the middle of its long runs.
pub(super) struct Shortened<'a> {
    pub(super) text: Cow<'a, str>,
    /// Places in it at which something is missing, and the bytes that are missing up to there.
    missing: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Word,
    Space,
    Other,
}

impl Runs {
    /// What may be shortened for `tokenizer`, whose places are `cuts`.
    pub(super) fn of(tokenizer: &Tokenizer, cuts: &Cuts) -> Self {
        let rules = cuts.rules();
        if !rules.drops_spaces {
            return Self::default();
        }
        let limit = match tokenizer.get_model() {
            ModelWrapper::WordPiece(pieces) => Some(pieces.max_input_chars_per_word),
            _ => None,
        };
        let has_letters = tokenizer.get_normalizer().is_none_or(keeps_every_letter);
        let spaces = if cuts.added.none_is_all(char::is_whitespace) {
            rules.spaces.clone()
        } else {
            Vec::new()
        };
        // A character has four bytes at most.
        let kept = limit.unwrap_or(0).saturating_add(2).saturating_mul(4);
        Self {
            words: limit.is_some() && has_letters && cuts.added.none_is_all(char::is_alphanumeric),
            spaces,
            kept: kept.saturating_add(cuts.added.longest),
        }
    }

    /// `text` without the middle of its long runs.
    pub(super) fn shorten<'a>(&self, text: &'a str) -> Shortened<'a> {
        let mut shortened = String::new();
        let mut missing: Vec<(usize, usize)> = Vec::new();
        let (mut copied, mut start, mut kind) = (0, 0, Kind::Other);
        for (at, c) in text.char_indices().chain([(text.len(), '\0')]) {
            let next = if at == text.len() { Kind::Other } else { self.kind(c) };
            if next == kind {
                continue;
            }
            if kind != Kind::Other && (at - start) / 2 > self.kept {
                let from = text.floor_char_boundary(start + self.kept);
                let to = text.ceil_char_boundary(at - self.kept);
                shortened.push_str(&text[copied..from]);
                let before = missing.last().map_or(0, |&(_, bytes)| bytes);
                missing.push((shortened.len(), before + to - from));
                copied = to;
            }
            (start, kind) = (at, next);
        }
        if missing.is_empty() {
            return Shortened::whole(text);
        }
        shortened.push_str(&text[copied..]);
        Shortened { text: shortened.into(), missing }
    }

    fn kind(&self, c: char) -> Kind {
        if self.words && is_word(c) {
            Kind::Word
        } else if self.spaces.contains(&c) {
            Kind::Space
        } else {
            Kind::Other
        }
    }
}

impl<'a> Shortened<'a> {
    /// A text of which nothing is missing.
    pub(super) fn whole(text: &'a str) -> Self {
        Self { text: text.into(), missing: Vec::new() }
    }

    /// The byte of the whole text that byte `at` of this one is.
    pub(super) fn original(&self, at: usize) -> usize {
        let before = self.missing.partition_point(|&(place, _)| place < at);
        at + before.checked_sub(1).map_or(0, |last| self.missing[last].1)
    }
}

/// Letters and digits of which every normaliser named below leaves a character at least, and no
/// whitespace or punctuation.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || c.is_alphabetic()
            && matches!(c, '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{52f}' | '\u{3041}'..='\u{30fa}'
                | '\u{ac00}'..='\u{d7a3}')
}

fn keeps_every_letter(normalizer: &Normalizer) -> bool {
    match normalizer {
        Normalizer::Sequence(all) => all.as_ref().iter().all(keeps_every_letter),
        Normalizer::BertNormalizer(_)
        | Normalizer::Lowercase(_)
        | Normalizer::StripAccents(_)
        | Normalizer::NFC(_)
        | Normalizer::NFD(_) => true,
        _ => false,
    }
}
