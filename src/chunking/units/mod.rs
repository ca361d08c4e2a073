//! Units: sentences by UAX 29 with exact byte ranges, over-long ones cut at tokens.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

/// What stands between a unit and the one before it, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// Nothing: a cut is forbidden. So it is within a fenced block, between a table's rows and
    /// right after a heading, as far as the limit of tokens allows.
    Joined,
    /// A place within a sentence that alone is over the limit of tokens.
    Piece,
    /// The end of a sentence.
    Sentence,
    /// A new line: an item of a list, a verse, a turn of a conversation.
    Line,
    /// A blank line.
    Paragraph,
    /// A heading follows.
    Heading,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// A sentence, a heading, or a line of code or of a table.
    #[default]
    Sentence,
    /// The largest that fits of: a section under a heading, a paragraph, a line, a sentence.
    Recursive,
}

/// A run of text that is never cut again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Bytes of the text.
    pub bytes: Range<usize>,
    /// Tokens of the text that start in it, special tokens not counted.
    pub tokens: Range<usize>,
    /// What stands between it and the unit before; of the first, what the text begins with.
    pub gap: Gap,
}

/// Splits `text` into sentences (Unicode Standard Annex 29), and a sentence of more than
/// `max_tokens` tokens into pieces. `offsets` are the byte ranges of the text's tokens in order.
///
/// The units partition the text. White space after a sentence belongs to it, and a run without any
/// token joins its neighbour. A piece ends at a grapheme boundary, before a word where one starts
/// in its second half.
#[must_use]
pub fn units(text: &str, offsets: &[Range<usize>], kind: UnitKind, max_tokens: usize) -> Vec<Unit> {
    let _ = kind;
    let mut units: Vec<Unit> = Vec::new();
    let mut token = 0;
    for (start, sentence) in text.split_sentence_bound_indices() {
        let end = start + sentence.len();
        let first = token;
        token += offsets[first..].partition_point(|offset| offset.start < end);
        // A rule of sentences may break within a grapheme: U+203C, ZWJ and an emoji are one.
        let within = grapheme_start(text, start) != start;
        match units.last_mut() {
            Some(last) if first == token || last.tokens.is_empty() || within => {
                last.bytes.end = end;
                last.tokens.end = token;
            }
            _ => units.push(Unit { bytes: start..end, tokens: first..token, gap: Gap::Sentence }),
        }
    }
    units.into_iter().flat_map(|unit| pieces(text, offsets, unit, max_tokens.max(1))).collect()
}

/// Cuts `unit` into pieces of at most `max_tokens` tokens each, as far as graphemes allow.
fn pieces(text: &str, offsets: &[Range<usize>], unit: Unit, max_tokens: usize) -> Vec<Unit> {
    let mut pieces = Vec::new();
    let mut rest = unit;
    while rest.tokens.len() > max_tokens {
        let limit = rest.tokens.start + max_tokens;
        let word = (rest.tokens.start + max_tokens / 2 + 1..=limit)
            .rev()
            .find(|&token| starts_word(text, offsets[token].start));
        let wanted = offsets[word.unwrap_or(limit)].start;
        let cut = grapheme_start(text, wanted);
        let Some((piece, tail)) = split(offsets, &rest, cut) else { break };
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

/// Cuts `unit` at the grapheme boundary nearest its middle byte; `None` where it has no other.
#[must_use]
pub fn bisect(text: &str, offsets: &[Range<usize>], unit: &Unit) -> Option<(Unit, Unit)> {
    let middle = unit.bytes.start.midpoint(unit.bytes.end);
    let before = grapheme_start(text, text.floor_char_boundary(middle));
    let cut = if before > unit.bytes.start { before } else { grapheme_end(text, before) };
    split(offsets, unit, cut)
}

/// `unit` in two at byte `cut`; `None` where that leaves one of them empty.
fn split(offsets: &[Range<usize>], unit: &Unit, cut: usize) -> Option<(Unit, Unit)> {
    if cut <= unit.bytes.start || cut >= unit.bytes.end {
        return None;
    }
    let tokens = &offsets[unit.tokens.clone()];
    let token = unit.tokens.start + tokens.partition_point(|offset| offset.start < cut);
    Some((
        Unit { bytes: unit.bytes.start..cut, tokens: unit.tokens.start..token, gap: unit.gap },
        Unit { bytes: cut..unit.bytes.end, tokens: token..unit.tokens.end, gap: Gap::Piece },
    ))
}

fn starts_word(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(char::is_whitespace)
}

/// The last grapheme boundary at or before `at`, which is a character boundary.
fn grapheme_start(text: &str, at: usize) -> usize {
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    match cursor.is_boundary(text, 0) {
        Ok(true) => at,
        _ => cursor.prev_boundary(text, 0).ok().flatten().unwrap_or(0),
    }
}

/// The first grapheme boundary after `at`.
fn grapheme_end(text: &str, at: usize) -> usize {
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    cursor.next_boundary(text, 0).ok().flatten().unwrap_or(text.len())
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
