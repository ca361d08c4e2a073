//! What must hold of the units of any text, checked by a fuzz target and, over seeded inputs, by a
//! test.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use chunkflow::chunking::{Gap, Unit, UnitKind, bisect, units as cut};
use unicode_segmentation::UnicodeSegmentation;

/// The first byte chooses how tokens cover the text, the second the kind and the limit; the rest is
/// the text.
pub(crate) fn units(input: &[u8]) {
    let [style, limit, text @ ..] = input else { return };
    let text = String::from_utf8_lossy(text);
    let offsets = offsets(&text, *style);
    let max_tokens = 1 + usize::from(limit % 64);
    check_units(&text, &offsets, max_tokens);
}

/// Byte ranges of tokens as different tokenizers give them.
fn offsets(text: &str, style: u8) -> Vec<Range<usize>> {
    let visible = text.char_indices().filter(|(_, c)| !c.is_whitespace());
    let chars = visible.map(|(start, c)| start..start + c.len_utf8());
    let words = text.split_whitespace().map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        start..start + word.len()
    });
    match style % 6 {
        // A word that a vocabulary does not know is one token.
        0 => words.collect(),
        // The space before a word is a part of its first token.
        1 => words
            .map(|word| {
                let lead = text[..word.start].chars().next_back().map_or(0, char::len_utf8);
                word.start - lead..word.end
            })
            .collect(),
        2 => chars.collect(),
        // What is in no vocabulary becomes bytes, which all cover their character.
        3 => chars.flat_map(|char| vec![char.clone(); char.len()]).collect(),
        // White space is a token too.
        4 => text.char_indices().map(|(start, c)| start..start + c.len_utf8()).collect(),
        // Controls and marks have none.
        _ => chars.filter(|char| text[char.clone()].chars().all(char::is_alphanumeric)).collect(),
    }
}

/// Checks the units of both kinds against `text` and its tokens.
pub(crate) fn check_units(text: &str, offsets: &[Range<usize>], max_tokens: usize) {
    let page = Page {
        text,
        offsets,
        graphemes: text
            .grapheme_indices(true)
            .map(|(start, _)| start)
            .chain([text.len()])
            .collect(),
    };
    let sentences = cut(text, offsets, UnitKind::Sentence, max_tokens);
    let blocks = cut(text, offsets, UnitKind::Recursive, max_tokens);
    for (kind, units) in [(UnitKind::Sentence, &sentences), (UnitKind::Recursive, &blocks)] {
        assert_eq!(*units, cut(text, offsets, kind, max_tokens), "not the same twice");
        page.check(units, max_tokens);
    }
    let starts: HashSet<usize> = sentences.iter().map(|unit| unit.bytes.start).collect();
    for block in blocks.iter().filter(|block| block.gap != Gap::Piece) {
        assert!(starts.contains(&block.bytes.start), "a block starts within a sentence");
    }
}

struct Page<'a> {
    text: &'a str,
    offsets: &'a [Range<usize>],
    /// Where graphemes start, and the end of the text.
    graphemes: BTreeSet<usize>,
}

impl Page<'_> {
    fn check(&self, units: &[Unit], max_tokens: usize) {
        assert_eq!(units.is_empty(), self.text.is_empty());
        let (mut byte, mut token) = (0, 0);
        for (index, unit) in units.iter().enumerate() {
            assert_eq!((unit.bytes.start, unit.tokens.start), (byte, token), "a hole or overlap");
            assert!(unit.bytes.end > byte, "an empty unit");
            assert!(self.graphemes.contains(&unit.bytes.end), "a grapheme is cut");
            (byte, token) = (unit.bytes.end, unit.tokens.end);

            assert!(!unit.tokens.is_empty() || units.len() == 1, "a unit without a token");
            let tokens = &self.offsets[unit.tokens.clone()];
            assert!(tokens.iter().all(|token| unit.bytes.contains(&self.shown(token))));
            let size = tokens.len();
            assert!(size <= max_tokens || self.in_one_grapheme(tokens), "{size} > {max_tokens}");

            if index == 0 {
                assert!(matches!(unit.gap, Gap::Paragraph | Gap::Heading), "{:?}", unit.gap);
            }
            self.check_halves(unit);
        }
        if !units.is_empty() {
            assert_eq!((byte, token), (self.text.len(), self.offsets.len()), "the end is missing");
        }
    }

    /// The first byte of `token` that is not white space.
    fn shown(&self, token: &Range<usize>) -> usize {
        let own = &self.text[token.clone()];
        let visible = own.trim_start();
        if visible.is_empty() { token.start } else { token.end - visible.len() }
    }

    fn in_one_grapheme(&self, tokens: &[Range<usize>]) -> bool {
        let grapheme = |token| self.graphemes.range(..=self.shown(token)).next_back();
        tokens.windows(2).all(|pair| grapheme(&pair[0]) == grapheme(&pair[1]))
    }

    fn check_halves(&self, unit: &Unit) {
        let inner = self.graphemes.range(unit.bytes.start + 1..unit.bytes.end).next();
        let halves = bisect(self.text, self.offsets, unit);
        assert_eq!(halves.is_some(), inner.is_some(), "{unit:?}");
        if let Some((left, right)) = halves {
            assert_eq!(left.bytes.start..right.bytes.end, unit.bytes);
            assert_eq!(left.tokens.start..right.tokens.end, unit.tokens);
            assert_eq!((left.bytes.end, left.tokens.end), (right.bytes.start, right.tokens.start));
            assert_eq!((left.gap, right.gap), (unit.gap, Gap::Piece));
            assert!(self.graphemes.contains(&right.bytes.start), "a grapheme is cut");
        }
    }
}
