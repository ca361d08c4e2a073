//! Units: the pieces of a text that are never cut again, with exact byte ranges.
//!
//! Lines decide the blocks (`blocks`), stops the sentences of a block (`sentences`), tokens what is
//! too long (`pieces`). Invariant: units partition the text byte for byte and its tokens, every one
//! begins at a grapheme, and time is linear in the text, whatever it holds.

mod abbreviations;
mod blocks;
mod case;
mod pieces;
mod sentences;
mod unit;
mod words;

use std::borrow::Cow;
use std::ops::Range;

use self::pieces::PieceEnd;

pub use pieces::bisect;
pub use unit::{Gap, Unit, UnitKind};

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
/// In a text whose sentences begin with small letters, as of speech or chat, they do not tell a
/// sentence from an abbreviation: there a full stop ends one unless it is known not to.
///
/// What alone is over the limit is cut after a stop, else after a clause, else before a word, else at a token, always
/// at a grapheme: only a single grapheme can be over the limit.
#[must_use]
pub fn units(text: &str, offsets: &[Range<usize>], kind: UnitKind, max_tokens: usize) -> Vec<Unit> {
    if text.is_empty() {
        return Vec::new();
    }
    let max_tokens = max_tokens.max(1);
    if kind == UnitKind::Tokens {
        let whole = Unit { bytes: 0..text.len(), tokens: 0..offsets.len(), gap: Gap::Paragraph };
        return pieces::pieces(text, offsets, whole, max_tokens, &[pieces::starts_word]);
    }
    let mut units = with_tokens(text, offsets, &sentences(text));
    if kind == UnitKind::Recursive {
        let mut merged = Vec::new();
        merge(&units, max_tokens, &mut merged);
        units = merged;
    }
    let ends: [PieceEnd; 3] =
        [sentences::follows_stop, pieces::follows_clause, pieces::starts_word];
    let pieces = |unit| pieces::pieces(text, offsets, unit, max_tokens, &ends);
    units.into_iter().flat_map(pieces).collect()
}

/// Where units start, with the gap before each.
fn sentences(text: &str) -> Vec<(usize, Gap)> {
    let mut starts = Vec::new();
    let case = sentences::case_of(text);
    for span in blocks::spans(text) {
        starts.push((span.start, span.gap));
        if let Some(prose) = span.prose {
            let wrapped = one_line(&text[prose.clone()]);
            let sentences = sentences::sentence_starts(&wrapped, case);
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

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::Gap::{Heading, Joined, Line, Paragraph, Piece, Sentence};
    use super::{Gap, UnitKind, units};

    /// Byte ranges of words, as a tokenizer would give them; `lead` counts the space before in.
    fn words(text: &str, lead: usize) -> Vec<Range<usize>> {
        let words = text.split_whitespace();
        let ranges = words.map(|word| {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            start.saturating_sub(lead)..start + word.len()
        });
        ranges.collect()
    }

    fn found(text: &str, kind: UnitKind, max_tokens: usize) -> Vec<(Gap, &str)> {
        let units = units(text, &words(text, 0), kind, max_tokens);
        units.into_iter().map(|unit| (unit.gap, &text[unit.bytes])).collect()
    }

    fn sentences(text: &str, max_tokens: usize) -> Vec<(Gap, &str)> {
        found(text, UnitKind::Sentence, max_tokens)
    }

    #[test]
    fn white_space_belongs_to_the_sentence_before() {
        assert_eq!(
            sentences("\n\n One two. Three!\n\nFour? \n", 9),
            [(Paragraph, "\n\n One two. "), (Sentence, "Three!\n\n"), (Paragraph, "Four? \n")]
        );
        assert_eq!(sentences(" \n ", 9), [(Paragraph, " \n ")]);
        assert_eq!(sentences("", 9), []);
    }

    #[test]
    fn sentences_go_on_over_the_lines_of_a_wrapped_paragraph() {
        let text = "> The first sentence of this note is wrapped to a\n> width, as mails are. So is \
                    the one after it by\n> the same program.\n> - And an item. With two.\n";
        assert_eq!(
            sentences(text, 99),
            [
                (Paragraph, &text[..73]),
                (Sentence, &text[73..119]),
                (Line, "> - And an item. "),
                (Sentence, "With two.\n")
            ]
        );
    }

    #[test]
    fn a_token_belongs_where_it_shows() {
        let text = "One two. Three four.";
        let units = units(text, &words(text, 1), UnitKind::Sentence, 9);
        let tokens: Vec<Range<usize>> = units.into_iter().map(|unit| unit.tokens).collect();
        assert_eq!(tokens, [0..2, 2..4]);
    }

    #[test]
    fn a_run_without_tokens_joins_its_neighbour_and_hands_on_its_gap() {
        let text = "One. ... Two.\n\n***\n\u{b7}\u{b7}\nThree.";
        let tokens: Vec<Range<usize>> = words(text, 0)
            .into_iter()
            .filter(|word| text[word.clone()].is_ascii() && word.len() > 3)
            .collect();
        let units = units(text, &tokens, UnitKind::Sentence, 9);
        let found: Vec<(Gap, &str)> =
            units.into_iter().map(|unit| (unit.gap, &text[unit.bytes])).collect();
        let expected = [
            (Paragraph, "One. ... "),
            (Sentence, "Two.\n\n***\n\u{b7}\u{b7}\n"),
            (Paragraph, "Three."),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_block_is_joined_however_small_units_are() {
        let text = "# T\n```\na b c\nd e f\ng\n```\nh";
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for max_tokens in [11, 4] {
            let (gaps, texts): (Vec<Gap>, Vec<&str>) =
                sentences(text, max_tokens).into_iter().unzip();
            assert_eq!(texts, lines);
            assert_eq!(gaps, [Heading, Joined, Joined, Joined, Joined, Joined, Line]);
        }
    }

    #[test]
    fn a_long_sentence_is_cut_after_clauses_else_at_words() {
        assert_eq!(
            sentences("a b c d e f g", 3),
            [(Paragraph, "a b c "), (Piece, "d e f "), (Piece, "g")]
        );
        // The comma in the first half would make a small piece, and that in a number is none.
        assert_eq!(
            sentences("a, b c, d e f 1,000 g h; i", 5),
            [(Paragraph, "a, b c, "), (Piece, "d e f 1,000 g "), (Piece, "h; i")]
        );
    }

    #[test]
    fn a_long_sentence_is_cut_after_a_stop_rather_than_a_comma() {
        assert_eq!(
            sentences("Aa bb cc. dd, ee ff", 4),
            [(Paragraph, "Aa bb cc. "), (Piece, "dd, ee ff")]
        );
        assert_eq!(
            sentences("Aa bb (cc.) dd, ee ff", 4),
            [(Paragraph, "Aa bb (cc.) "), (Piece, "dd, ee ff")]
        );
        // Not after an abbreviation or within a number.
        assert_eq!(
            sentences("Aa bb dr. dd, ee ff", 4),
            [(Paragraph, "Aa bb dr. dd, "), (Piece, "ee ff")]
        );
        assert_eq!(
            sentences("Aa bb 3.5 dd, ee ff", 4),
            [(Paragraph, "Aa bb 3.5 dd, "), (Piece, "ee ff")]
        );
    }

    #[test]
    fn the_largest_block_that_fits_is_a_recursive_unit() {
        let text = "# A\n\nBb cc. Dd ee.\n\nf g\nh\n\n# I\nJj kk ll mm. Nn, oo pp qq rr.\n";
        let recursive = |max_tokens| found(text, UnitKind::Recursive, max_tokens);
        assert_eq!(recursive(99), [(Paragraph, text)].map(|(_, text)| (Heading, text)));
        let (first, second) = text.split_at(27);
        assert_eq!(recursive(11), [(Heading, first), (Heading, second)]);
        assert_eq!(
            recursive(6),
            [
                (Heading, "# A\n\nBb cc. Dd ee.\n\n"),
                (Paragraph, "f g\nh\n\n"),
                (Heading, "# I\nJj kk ll mm. "),
                (Sentence, "Nn, oo pp qq rr.\n")
            ]
        );
        assert_eq!(
            recursive(2),
            [
                (Heading, "# A\n\n"),
                (Joined, "Bb cc. "),
                (Sentence, "Dd ee.\n\n"),
                (Paragraph, "f g\n"),
                (Line, "h\n\n"),
                (Heading, "# I\n"),
                (Joined, "Jj kk "),
                (Piece, "ll mm. "),
                (Sentence, "Nn, oo "),
                (Piece, "pp qq "),
                (Piece, "rr.\n")
            ]
        );
    }
}
