//! The added tokens of a tokenizer, which are matched anywhere in a text, and where they may be.
//!
//! Invariant: a place that is free of them has no match within, beside or across it, in the text as
//! it is or normalised.

use std::collections::HashSet;

use tokenizers::{NormalizedString, Normalizer, Tokenizer};

/// What stands for a space in vocabularies of `SentencePiece`.
pub(super) const META: char = '▁';

/// Contents of added tokens.
pub(super) struct AddedTokens {
    /// Of those that are matched in the text as it is.
    raw: HashSet<String>,
    /// Their lengths in bytes, each once.
    lengths: Vec<usize>,
    /// By byte, whether one of them begins with it.
    begins: [bool; 256],
    /// Of those that are matched in the normalised text, normalised.
    normalized: Vec<String>,
    /// Bytes of the longest of all.
    pub(super) longest: usize,
}

impl AddedTokens {
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        let (mut raw, mut normalized) = (HashSet::new(), Vec::new());
        let mut begins = [false; 256];
        for token in tokenizer.get_added_tokens_decoder().into_values() {
            if token.normalized {
                normalized.push(normalize(tokenizer, &token.content).unwrap_or(token.content));
            } else if let Some(&first) = token.content.as_bytes().first() {
                begins[usize::from(first)] = true;
                raw.insert(token.content);
            }
        }
        let mut lengths: Vec<usize> = raw.iter().map(String::len).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let longest = raw.iter().chain(&normalized).map(String::len).max().unwrap_or(0);
        Self { raw, lengths, begins, normalized, longest }
    }

    /// Whether no match ends, begins or lies across byte `at` of `text`, between `before` and
    /// `after`.
    pub(super) fn is_free(&self, text: &str, at: usize, before: char, after: char) -> bool {
        self.is_free_of_raw(text, at) && self.is_free_of_normalized(before, after)
    }

    /// Whether no content is made of such characters alone.
    pub(super) fn none_is_all(&self, of: impl Fn(char) -> bool) -> bool {
        !self.raw.iter().chain(&self.normalized).any(|content| content.chars().all(&of))
    }

    fn is_free_of_raw(&self, text: &str, at: usize) -> bool {
        let bytes = text.as_bytes();
        let mut starts = at.saturating_sub(self.longest)..=at.min(bytes.len().saturating_sub(1));
        !starts.any(|start| {
            let mut ends = self.lengths.iter().map(|length| start + length);
            self.begins[usize::from(bytes[start])]
                && ends.any(|end| {
                    end >= at && text.get(start..end).is_some_and(|part| self.raw.contains(part))
                })
        })
    }

    /// Told by the two characters alone: what lies beyond them may vanish when it is normalised,
    /// as accents do. Visible ASCII does not.
    fn is_free_of_normalized(&self, before: char, after: char) -> bool {
        let is_after = |c: char| {
            if after.is_whitespace() {
                c.is_whitespace() || c == META
            } else {
                c.eq_ignore_ascii_case(&after)
            }
        };
        let touches = |content: &String| {
            let pairs = content.chars().zip(content.chars().skip(1));
            content.chars().next().is_some_and(is_after)
                || content.chars().next_back().is_some_and(|c| c.eq_ignore_ascii_case(&before))
                || pairs
                    .into_iter()
                    .any(|(first, second)| first.eq_ignore_ascii_case(&before) && is_after(second))
        };
        self.normalized.is_empty()
            || before.is_ascii_graphic() && after.is_ascii() && !self.normalized.iter().any(touches)
    }
}

/// `text` as the tokenizer normalises it, where it can.
pub(super) fn normalize(tokenizer: &Tokenizer, text: &str) -> Option<String> {
    let mut normalized = NormalizedString::from(text);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        normalizer.normalize(&mut normalized).ok()?;
    }
    Some(normalized.get().to_owned())
}
