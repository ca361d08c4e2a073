//! Units: the pieces of a text that are never cut again, with exact byte ranges.
//!
//! Lines decide the blocks (`blocks`), stops the sentences of a block (`sentences`), tokens what is
//! too long (`pieces`). Invariant: units partition the text byte for byte and its tokens, every one
//! begins at a grapheme, and time is linear in the text, whatever it holds.

mod abbreviations;
mod blocks;
mod pieces;
mod sentences;

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use pieces::bisect;

/// What stands between a unit and the one before it, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// A cut is forbidden: within a fenced block, between the rows of a table, right after a
    /// heading. A run of joined units is within the limit of tokens: a longer one is opened.
    Joined,
    /// A place within a sentence that alone is over the limit of tokens.
    Piece,
    /// The end of a sentence, or of a phrase in a script without stops.
    Sentence,
    /// A new line: an item of a list, a verse, a turn of a conversation, code after text.
    Line,
    /// A blank line, or a rule.
    Paragraph,
    /// A heading follows.
    Heading,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// A sentence, a heading, a line of code, a row of a table.
    #[default]
    Sentence,
    /// The largest that fits of: all under a heading, a paragraph, a line, a sentence.
    Recursive,
}

/// A run of text that is never cut again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Bytes of the text.
    pub bytes: Range<usize>,
    /// Tokens of the text whose first visible byte is in it, special tokens not counted.
    pub tokens: Range<usize>,
    /// What stands between it and the unit before; of the first, what the text begins with.
    pub gap: Gap,
}

/// Cuts `text` into units of at most `max_tokens` tokens, special tokens not counted. `offsets` are
/// the byte ranges of the text's tokens in order.
///
/// The units partition the text and its tokens; an empty text has none. White space after a
/// sentence belongs to it, and a run without any token joins its neighbour.
///
/// Sentences are those of Unicode Standard Annex 29 with guards for abbreviations, initials,
/// ordinals, enumerators, addresses and quotations in many languages. A line ends a unit unless its
/// paragraph is prose that was wrapped to a width: no line had room for the next one's first word,
/// and one ends within a sentence. Of Markdown, headings, lists, quotes, fenced blocks and tables
/// are known. In Thai, Lao, Burmese and Khmer a space ends a unit.
///
/// What alone is over the limit is cut after a clause, else before a word, else at a token, always
/// at a grapheme: only a single grapheme can be over the limit.
#[must_use]
pub fn units(text: &str, offsets: &[Range<usize>], kind: UnitKind, max_tokens: usize) -> Vec<Unit> {
    if text.is_empty() {
        return Vec::new();
    }
    let max_tokens = max_tokens.max(1);
    let mut units = with_tokens(text, offsets, &sentences(text));
    if kind == UnitKind::Recursive {
        let mut merged = Vec::new();
        merge(&units, max_tokens, &mut merged);
        units = merged;
    }
    let pieces = |unit| pieces::pieces(text, offsets, unit, max_tokens);
    let mut units: Vec<Unit> = units.into_iter().flat_map(pieces).collect();
    open_long_runs(&mut units, max_tokens);
    units
}

/// Where units start, with the gap before each.
fn sentences(text: &str) -> Vec<(usize, Gap)> {
    let mut starts = Vec::new();
    for span in blocks::spans(text) {
        starts.push((span.start, span.gap));
        if let Some(prose) = span.prose {
            let wrapped = one_line(&text[prose.clone()]);
            let sentences = sentences::sentence_starts(&wrapped);
            starts.extend(sentences.into_iter().map(|at| (prose.start + at, Gap::Sentence)));
        }
    }
    starts
}

/// `prose` with spaces for each line break and the marks of a quote after it, byte for byte.
fn one_line(prose: &str) -> Cow<'_, str> {
    if !prose.contains(blocks::is_line_break) {
        return Cow::Borrowed(prose);
    }
    let mut joined = String::with_capacity(prose.len());
    for (index, line) in prose.split_inclusive(blocks::is_line_break).enumerate() {
        let inner = line.trim_end_matches(blocks::is_line_break);
        let content = if index == 0 { inner } else { blocks::unquoted(inner).0 };
        joined.extend(std::iter::repeat_n(' ', inner.len() - content.len()));
        joined.push_str(content);
        joined.extend(std::iter::repeat_n(' ', line.len() - inner.len()));
    }
    Cow::Owned(joined)
}

/// Units that start at `starts`, each with its tokens. One without tokens joins the one before,
/// the first one the next; so does one that starts within a grapheme.
fn with_tokens(text: &str, offsets: &[Range<usize>], starts: &[(usize, Gap)]) -> Vec<Unit> {
    let ends = starts.iter().skip(1).map(|&(start, _)| start).chain([text.len()]);
    let mut units: Vec<Unit> = Vec::new();
    let mut token = 0;
    // The strongest gap before a run that joined the unit before it.
    let mut passed = Gap::Joined;
    for (&(start, gap), end) in starts.iter().zip(ends) {
        let first = token;
        let inside = |offset: &&Range<usize>| pieces::anchor(text, offset) < end;
        token += offsets[first..].iter().take_while(inside).count();
        let gap = gap.max(passed);
        match units.last_mut() {
            Some(last)
                if first == token
                    || last.tokens.is_empty()
                    || !pieces::is_grapheme_boundary(text, start) =>
            {
                last.bytes.end = end;
                last.tokens.end = token;
                passed = if first == token { gap } else { Gap::Joined };
            }
            _ => {
                units.push(Unit { bytes: start..end, tokens: first..token, gap });
                passed = Gap::Joined;
            }
        }
    }
    if let Some(last) = units.last_mut() {
        last.tokens.end = offsets.len();
    }
    units
}

/// Merges `units` into the largest blocks of at most `max_tokens` tokens: a run that is too long
/// is split at its strongest gaps.
fn merge(units: &[Unit], max_tokens: usize, merged: &mut Vec<Unit>) {
    let [first, .., last] = units else {
        merged.extend_from_slice(units);
        return;
    };
    let tokens = first.tokens.start..last.tokens.end;
    if tokens.len() <= max_tokens {
        merged.push(Unit { bytes: first.bytes.start..last.bytes.end, tokens, gap: first.gap });
        return;
    }
    let strongest = units[1..].iter().map(|unit| unit.gap).max();
    let mut start = 0;
    for end in 1..=units.len() {
        if end == units.len() || Some(units[end].gap) == strongest {
            merge(&units[start..end], max_tokens, merged);
            start = end;
        }
    }
}

/// Opens the joins of a run of joined units where the next one would not fit.
fn open_long_runs(units: &mut [Unit], max_tokens: usize) {
    let mut run = 0;
    for unit in units {
        run += unit.tokens.len();
        if unit.gap == Gap::Joined && run > max_tokens {
            unit.gap = Gap::Line;
        }
        if unit.gap != Gap::Joined {
            run = unit.tokens.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::{UnitKind, bisect, units};

    /// Byte ranges of words, as a tokenizer would give them.
    fn words(text: &str) -> Vec<Range<usize>> {
        let mut start = None;
        let mut words = Vec::new();
        for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
            match (start, c.is_whitespace()) {
                (None, false) => start = Some(at),
                (Some(first), true) => {
                    words.push(first..at);
                    start = None;
                }
                _ => {}
            }
        }
        words
    }

    fn texts(text: &str, max_tokens: usize) -> Vec<&str> {
        let units = units(text, &words(text), UnitKind::Sentence, max_tokens);
        units.into_iter().map(|unit| &text[unit.bytes]).collect()
    }

    #[test]
    fn sentences_keep_their_trailing_space() {
        assert_eq!(texts("One two. Three!\n\nFour? ", 9), ["One two. ", "Three!\n\n", "Four? "]);
    }

    #[test]
    fn leading_space_joins_the_first_sentence() {
        assert_eq!(texts("\n\n One. Two.", 9), ["\n\n One. ", "Two."]);
    }

    #[test]
    fn a_long_sentence_is_cut_at_words() {
        assert_eq!(texts("a b c d e f g", 3), ["a b c ", "d e f ", "g"]);
    }

    #[test]
    fn a_cluster_is_never_bisected() {
        let text = "e\u{301}\u{302}\u{303}";
        let unit = units(text, &words(text), UnitKind::Sentence, 9).remove(0);
        assert_eq!(bisect(text, &words(text), &unit), None);
    }

    proptest! {
        #[test]
        fn units_partition_text_and_tokens(text in any::<String>(), max_tokens in 1_usize..8) {
            let offsets = words(&text);
            let units = units(&text, &offsets, UnitKind::Sentence, max_tokens);
            let mut byte = 0;
            let mut token = 0;
            for unit in &units {
                prop_assert_eq!(unit.bytes.start, byte);
                prop_assert!(unit.bytes.end > byte && text.is_char_boundary(unit.bytes.end));
                prop_assert_eq!(unit.tokens.start, token);
                byte = unit.bytes.end;
                token = unit.tokens.end;
            }
            prop_assert_eq!(byte, text.len());
            prop_assert_eq!(token, offsets.len());
        }
    }
}
