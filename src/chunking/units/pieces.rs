//! Cuts within a unit: an over-long one into pieces at the best place, any one in two.
//!
//! Invariant: a cut is a grapheme boundary, and no piece of an over-long unit is without a token.
//! Time is linear in the unit: the stretches that are searched for a place do not overlap.

use std::ops::Range;

use icu_segmenter::WordSegmenter;
use icu_segmenter::options::WordBreakInvariantOptions;
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use super::{Gap, Unit};

/// Bytes in which the last word boundary is searched. The words of scripts without spaces come
/// from a neural network at under a megabyte a second, so it sees no more than it must.
const WORD_SEARCH_BYTES: usize = 256;
/// Bytes after it that the network sees too.
const WORD_CONTEXT_BYTES: usize = 32;

/// The first byte of a token that shows: some tokenizers count the space before a word in.
pub(super) fn anchor(text: &str, offset: &Range<usize>) -> usize {
    let token = text.get(offset.clone()).unwrap_or_default();
    token.find(|c: char| !c.is_whitespace()).map_or(offset.start, |lead| offset.start + lead)
}

/// A grapheme boundary, and the text's tokens before it.
#[derive(Debug, Clone, Copy)]
struct Place {
    byte: usize,
    token: usize,
}

/// The grapheme boundaries of `unit` after its start, its end included.
fn places(text: &str, offsets: &[Range<usize>], unit: &Unit) -> Vec<Place> {
    let mut token = unit.tokens.start;
    let own = &text[unit.bytes.clone()];
    let mut places: Vec<Place> = own
        .grapheme_indices(true)
        .map(|(start, grapheme)| {
            let byte = unit.bytes.start + start + grapheme.len();
            while token < unit.tokens.end && anchor(text, &offsets[token]) < byte {
                token += 1;
            }
            Place { byte, token }
        })
        .collect();
    if let Some(last) = places.last_mut() {
        last.token = unit.tokens.end;
    }
    places
}

/// Cuts `unit` into pieces of at most `max_tokens` tokens each, as far as graphemes allow.
///
/// A piece ends in its second half at the first kind of `ends` that there is, else before any word
/// (UAX 29, dictionaries and networks of ICU for scripts without spaces), and else as late as it
/// can.
pub(super) fn pieces(
    text: &str,
    offsets: &[Range<usize>],
    unit: Unit,
    max_tokens: usize,
    ends: &[PieceEnd],
) -> Vec<Unit> {
    if unit.tokens.len() <= max_tokens {
        return vec![unit];
    }
    let places = places(text, offsets, &unit);
    let mut open = &places[..];
    let mut pieces = Vec::new();
    let mut rest = unit;
    while rest.tokens.len() > max_tokens
        && let Some(index) = best(text, open, rest.tokens.start, max_tokens, ends)
    {
        let Place { byte, token } = open[index];
        let (bytes, tokens) = (rest.bytes.start..byte, rest.tokens.start..token);
        pieces.push(Unit { bytes, tokens, gap: rest.gap });
        rest =
            Unit { bytes: byte..rest.bytes.end, tokens: token..rest.tokens.end, gap: Gap::Piece };
        open = &open[index + 1..];
    }
    pieces.push(rest);
    pieces
}

/// The index in `places` of the best end of a piece that begins with token `first`; `None` where
/// a single grapheme holds the tokens that are left.
fn best(
    text: &str,
    places: &[Place],
    first: usize,
    max_tokens: usize,
    ends: &[PieceEnd],
) -> Option<usize> {
    let up_to = |token: usize| places.partition_point(|place| place.token <= token);
    let filled = up_to(first);
    let end = up_to(first + max_tokens);
    if end == filled {
        // One grapheme is over the limit. What has no token after it stays with it.
        let index = up_to(places.get(filled)?.token) - 1;
        return (index + 1 < places.len()).then_some(index);
    }
    let half = up_to(first + max_tokens / 2).max(filled);
    let find = |fits: &PieceEnd| (half..end).rev().find(|&index| fits(text, places[index].byte));
    let found = ends.iter().find_map(find);
    Some(found.or_else(|| last_word(text, places, half..end)).unwrap_or(end - 1))
}

/// The last of `range` at which a word starts, near its end.
fn last_word(text: &str, places: &[Place], range: Range<usize>) -> Option<usize> {
    if range.len() < 2 {
        return None;
    }
    let last = places[range.end - 1].byte;
    let near = |place: &Place| place.byte + WORD_SEARCH_BYTES < last;
    let start = range.start + places[range.clone()].partition_point(near);
    let from = places[start].byte;
    let behind = &places[range.end..];
    let behind = behind.partition_point(|place| place.byte <= last + WORD_CONTEXT_BYTES);
    let to = places[range.end + behind - 1].byte;
    let words = WordSegmenter::new_auto(WordBreakInvariantOptions::default());
    let boundaries: Vec<usize> = words.segment_str(&text[from..to]).map(|at| from + at).collect();
    boundaries.into_iter().rev().filter(|&at| at > from && at <= last).find_map(|at| {
        let word = text[at..].chars().next().is_some_and(char::is_alphanumeric);
        let index = places[range.clone()].binary_search_by_key(&at, |place| place.byte).ok()?;
        word.then_some(range.start + index)
    })
}

/// Whether a byte of a text is a good place for a piece to end.
pub(super) type PieceEnd = fn(&str, usize) -> bool;

/// Before a word that a space is before.
pub(super) fn starts_word(text: &str, at: usize) -> bool {
    text[..at].ends_with(char::is_whitespace) && !text[at..].starts_with(char::is_whitespace)
}

/// Whether a comma or the like is before `at`, and a space after it where the script has spaces.
pub(super) fn follows_clause(text: &str, at: usize) -> bool {
    let before = text[..at].strip_suffix(char::is_whitespace);
    let spaced = before.unwrap_or(&text[..at]);
    let wide = ['，', '、', '；', '：', '､'];
    !text[at..].starts_with(char::is_whitespace)
        && (spaced.ends_with(wide)
            || before.is_some_and(|before| {
                before.ends_with([',', ';', ':', '–', '—', '،', '؛', '·', '၊', '፣', '፤', '፥', '՝'])
            }))
}

/// Cuts `unit` at the grapheme boundary nearest its middle byte; `None` where it has no other.
#[must_use]
pub fn bisect(text: &str, offsets: &[Range<usize>], unit: &Unit) -> Option<(Unit, Unit)> {
    let middle = unit.bytes.start.midpoint(unit.bytes.end);
    let before = grapheme_start(text, text.floor_char_boundary(middle));
    let cut = if before > unit.bytes.start { before } else { grapheme_end(text, before) };
    if cut <= unit.bytes.start || cut >= unit.bytes.end {
        return None;
    }
    let tokens = &offsets[unit.tokens.clone()];
    let before = tokens.partition_point(|offset| anchor(text, offset) < cut);
    let token = unit.tokens.start + before;
    Some((
        Unit { bytes: unit.bytes.start..cut, tokens: unit.tokens.start..token, gap: unit.gap },
        Unit { bytes: cut..unit.bytes.end, tokens: token..unit.tokens.end, gap: Gap::Piece },
    ))
}

/// Whether `at`, a character boundary, is one between graphemes.
pub(super) fn is_grapheme_boundary(text: &str, at: usize) -> bool {
    GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(true)
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

    use unicode_segmentation::UnicodeSegmentation;

    use super::{bisect, pieces};
    use crate::chunking::units::{Gap, Unit};

    /// Each byte of each character is a token that spans the character.
    fn byte_tokens(text: &str) -> Vec<Range<usize>> {
        let chars = text.char_indices().filter(|(_, c)| !c.is_whitespace());
        let tokens = chars.flat_map(|(at, c)| vec![at..at + c.len_utf8(); c.len_utf8()]);
        tokens.collect()
    }

    fn char_tokens(text: &str) -> Vec<Range<usize>> {
        let mut tokens = byte_tokens(text);
        tokens.dedup();
        tokens
    }

    fn whole(text: &str, tokens: &[Range<usize>]) -> Unit {
        Unit { bytes: 0..text.len(), tokens: 0..tokens.len(), gap: Gap::Line }
    }

    fn cut<'a>(text: &'a str, tokens: &[Range<usize>], max_tokens: usize) -> Vec<&'a str> {
        let pieces = pieces(
            text,
            tokens,
            whole(text, tokens),
            max_tokens,
            &[super::follows_clause, super::starts_word],
        );
        assert!(pieces.iter().skip(1).all(|piece| piece.gap == Gap::Piece));
        assert_eq!(pieces[0].gap, Gap::Line);
        pieces.into_iter().map(|piece| &text[piece.bytes]).collect()
    }

    #[test]
    fn scripts_without_spaces_are_cut_at_words() {
        // "This sentence has no space."
        let thai = "ประโยคนี้ไม่มีช่องว่าง";
        assert_eq!(cut(thai, &char_tokens(thai), 12), ["ประโยคนี้ไม่", "มีช่องว่าง"]);
        // "This is a sentence without punctuation".
        let chinese = "这是一个没有标点符号的句子";
        assert_eq!(cut(chinese, &char_tokens(chinese), 5), ["这是一个", "没有标点", "符号的句子"]);
        let clauses = "今天天气，很好我们去公园";
        assert_eq!(cut(clauses, &char_tokens(clauses), 8), ["今天天气，", "很好我们去公园"]);
    }

    #[test]
    fn no_piece_cuts_a_grapheme_or_is_without_a_token() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        let text =
            format!("  {family}  e\u{301}\u{302}\u{1f1e9}\u{1f1ea}\u{1f1eb}\u{1f1f7} {family}a ");
        let tokens = byte_tokens(&text);
        for max_tokens in 1..40 {
            let pieces = pieces(
                &text,
                &tokens,
                whole(&text, &tokens),
                max_tokens,
                &[super::follows_clause, super::starts_word],
            );
            for piece in &pieces {
                let own = &text[piece.bytes.clone()];
                assert!(!piece.tokens.is_empty(), "{own:?}");
                let visible = own.graphemes(true).filter(|part| !part.trim().is_empty()).count();
                assert!(piece.tokens.len() <= max_tokens || visible == 1, "{max_tokens} {own:?}");
            }
            let parts = pieces.iter().flat_map(|piece| text[piece.bytes.clone()].graphemes(true));
            assert!(parts.eq(text.graphemes(true)), "{max_tokens}");
        }
    }

    #[test]
    fn a_unit_is_bisected_down_to_its_graphemes() {
        let text = "e\u{301}\u{302}\u{303} ab\u{1f1e9}\u{1f1ea}";
        let tokens = byte_tokens(text);
        let mut pending = vec![whole(text, &tokens)];
        let mut found = Vec::new();
        while let Some(unit) = pending.pop() {
            match bisect(text, &tokens, &unit) {
                Some((left, right)) => pending.extend([right, left]),
                None => found.push(&text[unit.bytes]),
            }
        }
        assert_eq!(found, text.graphemes(true).collect::<Vec<_>>());
    }
}
