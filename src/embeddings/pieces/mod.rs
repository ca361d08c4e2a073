//! Texts read in pieces: only as far as their tokens count, or whole and never at once.
//!
//! Invariant: pieces end where the tokenizer's result cannot change ([`cuts`]), so that they have
//! the ids and offsets of the whole text; a text without such a place is one piece.

mod added;
mod cuts;
mod runs;

use std::borrow::Cow;
use std::iter::from_fn;
use std::ops::Range;

use rayon::prelude::*;

use self::cuts::Cuts;
use self::runs::{Runs, Shortened};
use super::Error;
use crate::guard::guarded;

/// A text of so many bytes is read at once: its whole length in tokens is known.
const SMALL: usize = 16 << 10;
/// Bytes of a piece where many tokens are wanted. The tokenizers crate takes several hundred bytes
/// for one.
const LARGE: usize = 64 << 10;
/// More bytes than most texts have for a token.
const TOKEN_BYTES: usize = 16;

/// The tokens of a text without special tokens, uncut.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// Vocabulary indices.
    pub ids: Vec<u32>,
    /// Byte range of each token in the text.
    pub offsets: Vec<Range<usize>>,
}

/// A tokenizer, and where texts can be cut for it.
pub(super) struct Pieces {
    tokenizer: tokenizers::Tokenizer,
    cuts: Option<Cuts>,
    runs: Runs,
}

/// A text behind a prompt.
#[derive(Clone, Copy)]
pub(super) struct Prompted<'a> {
    pub(super) prompt: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Prompted<'a> {
    /// A part of the text; one that begins it is behind the prompt.
    fn piece(self, range: Range<usize>) -> Cow<'a, str> {
        let part = &self.text[range.clone()];
        if range.start > 0 || self.prompt.is_empty() {
            return part.into();
        }
        format!("{}{part}", self.prompt).into()
    }
}

impl<'a> From<&'a str> for Prompted<'a> {
    fn from(text: &'a str) -> Self {
        Self { prompt: "", text }
    }
}

impl Pieces {
    pub(super) fn new(tokenizer: tokenizers::Tokenizer) -> Self {
        // Some files make the tokenizers crate panic at some texts: they are read whole.
        let cuts = guarded(|| Cuts::of(&tokenizer)).ok().flatten();
        let runs = cuts.as_ref().map_or_else(Runs::default, |cuts| Runs::of(&tokenizer, cuts));
        Self { tokenizer, cuts, runs }
    }

    /// The tokenizer, which reads texts whole.
    pub(super) fn tokenizer(&self) -> &tokenizers::Tokenizer {
        &self.tokenizer
    }

    /// All tokens of `text`, with the byte range of each.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    pub(super) fn encode(&self, text: &str) -> Result<Encoded, Error> {
        self.encode_by(text, LARGE)
    }

    /// The number of tokens of `text`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub(super) fn count(&self, text: &str) -> Result<usize, Error> {
        self.forwards(text.into(), LARGE).map(|ids| Ok(ids?.len())).sum()
    }

    /// The first `most` tokens of `text` at least, where it has so many; all of them where it has
    /// fewer.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), of what is read.
    pub(super) fn first(&self, text: Prompted<'_>, most: usize) -> Result<Vec<u32>, Error> {
        let pieces = self.forwards(text, piece_bytes(most));
        Ok(up_to(pieces, most)?.concat())
    }

    /// As [`first`](Self::first), of the last tokens.
    ///
    /// # Errors
    /// As there.
    pub(super) fn last(&self, text: Prompted<'_>, most: usize) -> Result<Vec<u32>, Error> {
        let mut pieces = up_to(self.backwards(text, piece_bytes(most)), most)?;
        pieces.reverse();
        Ok(pieces.concat())
    }

    /// Whether `first` has more tokens than `second`. Neither is read much further than the shorter
    /// one is long.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), of what is read.
    pub(super) fn is_longer(&self, first: &str, second: &str) -> Result<bool, Error> {
        let (mut left, mut right) =
            (self.forwards(first.into(), LARGE), self.forwards(second.into(), LARGE));
        let (mut lefts, mut rights) = (0, 0);
        loop {
            let (side, tokens) = if lefts <= rights {
                (&mut left as &mut dyn Iterator<Item = Result<Vec<u32>, Error>>, &mut lefts)
            } else {
                (&mut right as &mut dyn Iterator<Item = _>, &mut rights)
            };
            match side.next() {
                Some(ids) => *tokens += ids?.len(),
                None => return Ok(lefts > rights),
            }
        }
    }

    fn encode_by(&self, text: &str, size: usize) -> Result<Encoded, Error> {
        let ranges: Vec<Range<usize>> = self.ranges(text, 0, size).collect();
        let encode = |range: Range<usize>| {
            let short = self.shortened(&text[range.clone()], size);
            let encoding = checked(|| self.tokenizer.encode(&*short.text, false))?;
            let place = |at| range.start + short.original(at);
            let offsets = encoding.get_offsets().iter();
            let offsets = offsets.map(|&(start, end)| place(start)..place(end)).collect();
            Ok(Encoded { ids: encoding.get_ids().to_vec(), offsets })
        };
        let parts: Result<Vec<Encoded>, Error> = ranges.into_par_iter().map(encode).collect();
        let mut whole = Encoded::default();
        for part in parts? {
            whole.ids.extend(part.ids);
            whole.offsets.extend(part.offsets);
        }
        Ok(whole)
    }

    /// The ids of the pieces of `text`, from its beginning.
    fn forwards<'a>(
        &'a self,
        text: Prompted<'a>,
        size: usize,
    ) -> impl Iterator<Item = Result<Vec<u32>, Error>> + 'a {
        let ranges = self.ranges(text.text, self.uncut_behind(text.prompt), size);
        ranges.map(move |range| self.ids(&text.piece(range), size))
    }

    /// The ids of the pieces of `text`, from its end.
    fn backwards<'a>(
        &'a self,
        text: Prompted<'a>,
        size: usize,
    ) -> impl Iterator<Item = Result<Vec<u32>, Error>> + 'a {
        let uncut = self.uncut_behind(text.prompt);
        let mut end = Some(text.text.len());
        let ranges = from_fn(move || {
            let before = end?;
            end = self.cut_before(text.text, before, uncut, size);
            Some(end.unwrap_or(0)..before)
        });
        ranges.map(move |range| self.ids(&text.piece(range), size))
    }

    /// Pieces of `text` of about `size` bytes, in order; the first `uncut` bytes stay together.
    fn ranges<'a>(
        &'a self,
        text: &'a str,
        uncut: usize,
        size: usize,
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut start = Some(0);
        from_fn(move || {
            let from = start?;
            start = self.cut_after(text, from, uncut, size);
            Some(from..start.unwrap_or(text.len()))
        })
    }

    /// The first bytes of a text in which a match may begin within its prompt.
    fn uncut_behind(&self, prompt: &str) -> usize {
        let longest = self.cuts.as_ref().map_or(0, |cuts| cuts.added.longest);
        if prompt.is_empty() { 0 } else { longest }
    }

    /// Where a piece from `start` ends, if it is not the last.
    fn cut_after(&self, text: &str, start: usize, uncut: usize, size: usize) -> Option<usize> {
        let cuts = self.cuts.as_ref()?;
        let wanted = start + size;
        if wanted >= text.len() {
            return None;
        }
        let least = start.max(uncut) + 1;
        let farther = least.max(wanted + 1)..text.len();
        (least..=wanted).rev().chain(farther).find(|&at| cuts.is_cut(text, at))
    }

    /// Where a piece to `end` begins, if it is not the first.
    fn cut_before(&self, text: &str, end: usize, uncut: usize, size: usize) -> Option<usize> {
        let cuts = self.cuts.as_ref()?;
        let wanted = end.checked_sub(size).filter(|&wanted| wanted > uncut)?;
        let farther = (uncut + 1..wanted).rev();
        (wanted..end).chain(farther).find(|&at| cuts.is_cut(text, at))
    }

    fn ids(&self, piece: &str, size: usize) -> Result<Vec<u32>, Error> {
        let short = self.shortened(piece, size);
        let encoding = checked(|| self.tokenizer.encode_fast(&*short.text, false))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// A piece without the middle of long runs, where it is much longer than was wanted.
    fn shortened<'a>(&self, piece: &'a str, size: usize) -> Shortened<'a> {
        if piece.len() > 2 * size { self.runs.shorten(piece) } else { Shortened::whole(piece) }
    }
}

/// Pieces of ids until there are more than `most`.
fn up_to(
    pieces: impl Iterator<Item = Result<Vec<u32>, Error>>,
    most: usize,
) -> Result<Vec<Vec<u32>>, Error> {
    let (mut read, mut tokens) = (Vec::new(), 0);
    for ids in pieces {
        read.push(ids?);
        tokens += read.last().map_or(0, Vec::len);
        if tokens > most {
            break;
        }
    }
    Ok(read)
}

/// How much to read at once where `most` tokens are wanted.
fn piece_bytes(most: usize) -> usize {
    most.saturating_mul(TOKEN_BYTES).clamp(SMALL, LARGE)
}

/// What the tokenizers crate makes of a text. Some files make it panic at some texts.
pub(super) fn checked<T>(work: impl FnOnce() -> Result<T, tokenizers::Error>) -> Result<T, Error> {
    let done = guarded(work).map_err(Error::Tokenizer)?;
    done.map_err(|error| Error::Tokenizer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use proptest::prelude::*;
    use proptest::sample::select;
    use tokenizers::AddedToken;
    use tokenizers::pre_tokenizers::PreTokenizerWrapper;
    use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
    use tokenizers::pre_tokenizers::sequence::Sequence;
    use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;

    use super::*;
    use crate::embeddings::{LoadedModel, ModelOptions};

    const FAMILIES: [&str; 12] = [
        "bert",
        "camembert",
        "distilbert",
        "embeddinggemma",
        "gte",
        "jina-bert",
        "modernbert",
        "mpnet",
        "nomic-bert",
        "qwen3",
        "roberta",
        "xlm-roberta",
    ];

    /// What rules of tokenizers turn on, and letters for it to stand between.
    #[rustfmt::skip]
    const PARTS: [&str; 92] = [
        "a", "B", "the", "The ", "cat", "word", "s", "t", "'s", "'ll", "'", "'S", "1", "42", "x9", "0",
        ".", ",", "!", "-", "_", "...", "<", ">", "[", "]", "|", "(", "\"", "/", "#", "##", "=",
        " ", " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\u{a0}", "\u{3000}",
        "\u{2028}", "\u{85}", "\u{b}", "\u{200b}", "\0", "\u{7f}", "\u{fffd}", "\u{feff}",
        "é", "e\u{301}", "\u{301}", "\u{345}", "\u{338}", "İ", "ß", "Σ", "\u{a8}", "\u{fdfa}", "ﬁ",
        "今", "天气", "。", "，", "か", "か\u{3099}", "が", "ー", "한", "\u{1112}\u{1161}\u{11ab}", "สวัสดี",
        "\u{915}\u{94d}\u{937}", "\u{600}", "\u{d4e}", "\u{1f600}", "\u{1f468}\u{200d}\u{1f469}", "\u{fe0f}",
        "\u{1f1e9}", "▁", "▁▁", "[MASK]", "[SEP]", "<mask>", "<s>", "</s>", "<|im_start|>",
    ];

    /// Contents of the added tokens below and what is nearly one.
    const ADDED: [&str; 12] =
        ["<x y>", "<x", "y>", "Tag", "TAG", "tag", "one", "one.", " lead", "trail ", "<n>", "<N>"];

    fn golden(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
    }

    fn token(content: &str) -> AddedToken {
        AddedToken::from(content, true)
    }

    /// `base` with tokens that take what stands around them, and those that are matched normalised.
    fn variants(name: &str, base: &tokenizers::Tokenizer) -> Vec<(String, Pieces)> {
        let sets = [
            ("plain", vec![]),
            ("spaces", vec![token("<x y>"), token(" lead"), token("trail "), token("。")]),
            ("strips", vec![token("<n>").lstrip(true), token("Tag").rstrip(true)]),
            ("words", vec![token("one").single_word(true), token("s")]),
            (
                "normalized",
                vec![
                    token("Tag").normalized(true).lstrip(true),
                    token("<n>").normalized(true).single_word(true),
                    token("é").normalized(true),
                ],
            ),
        ];
        let with = |(set, tokens): (&str, Vec<AddedToken>)| {
            let mut tokenizer = base.clone();
            tokenizer.add_tokens(tokens).unwrap();
            (format!("{name}, {set}"), Pieces::new(tokenizer))
        };
        sets.into_iter().map(with).collect()
    }

    /// Tokenizers whose pre-tokenizers put something before a text or a word.
    fn prefixing() -> Vec<(String, Pieces)> {
        let metaspace = |scheme, split| Metaspace::new('▁', scheme, split);
        let cases: [(&str, &str, Vec<PreTokenizerWrapper>); 6] = [
            ("roberta", "a space", vec![ByteLevel::new(true, true, true).into()]),
            ("xlm-roberta", "first", vec![metaspace(PrependScheme::First, true).into()]),
            ("xlm-roberta", "never", vec![metaspace(PrependScheme::Never, true).into()]),
            ("xlm-roberta", "unsplit", vec![metaspace(PrependScheme::Always, false).into()]),
            (
                "xlm-roberta",
                "first of words",
                vec![WhitespaceSplit.into(), metaspace(PrependScheme::First, true).into()],
            ),
            (
                "roberta",
                "spaces of words",
                vec![BertPreTokenizer.into(), ByteLevel::new(true, true, false).into()],
            ),
        ];
        let build = |(family, name, mut parts): (&str, &str, Vec<PreTokenizerWrapper>)| {
            let file = golden("families").join(family).join("tokenizer.json");
            let mut tokenizer = tokenizers::Tokenizer::from_file(file).unwrap();
            let only = if parts.len() == 1 { parts.pop() } else { None };
            let own = only.unwrap_or_else(|| Sequence::new(parts).into());
            tokenizer.with_pre_tokenizer(Some(own));
            variants(&format!("{family}, {name}"), &tokenizer)
        };
        cases.into_iter().flat_map(build).collect()
    }

    /// Of every family, as its class makes it and as its file alone has it, and the real model's.
    fn all() -> &'static [(String, Pieces)] {
        static ALL: OnceLock<Vec<(String, Pieces)>> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut all = prefixing();
            let mut folders: Vec<PathBuf> =
                FAMILIES.iter().map(|family| golden("families").join(family)).collect();
            folders.push(golden("tiny"));
            folders.push(golden("../../models/sentence-transformers/all-MiniLM-L6-v2"));
            for folder in folders {
                let name = folder.file_name().unwrap().to_str().unwrap();
                let options = ModelOptions::default();
                let model = LoadedModel::load(folder.to_str().unwrap(), &options).unwrap();
                all.extend(variants(name, model.model().tokenizer().inner()));
                let file = folder.join("tokenizer.json");
                let mut own = tokenizers::Tokenizer::from_file(file).unwrap();
                own.with_truncation(None).unwrap();
                own.with_padding(None);
                all.extend(variants(&format!("{name}'s file"), &own));
            }
            all
        })
    }

    fn whole(pieces: &Pieces, text: &str) -> Encoded {
        let encoding = pieces.tokenizer.encode(text, false).unwrap();
        let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end).collect();
        Encoded { ids: encoding.get_ids().to_vec(), offsets }
    }

    fn check(name: &str, pieces: &Pieces, prompt: &str, text: &str, size: usize) {
        let expected = whole(pieces, text);
        let of = format!("{name}: {text:?} in pieces of {size}");
        assert_eq!(pieces.encode_by(text, size).unwrap(), expected, "{of}");
        let ids = whole(pieces, &format!("{prompt}{text}")).ids;
        let text = Prompted { prompt, text };
        let forwards: Result<Vec<_>, _> = pieces.forwards(text, size).collect();
        assert_eq!(forwards.unwrap().concat(), ids, "{of} behind {prompt:?}");
        let backwards: Result<Vec<_>, _> = pieces.backwards(text, size).collect();
        let mut backwards = backwards.unwrap();
        backwards.reverse();
        assert_eq!(backwards.concat(), ids, "{of} from the end, behind {prompt:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn pieces_have_the_tokens_of_the_whole(
            parts in prop::collection::vec(
                prop_oneof![4 => select(&PARTS[..]), 1 => select(&ADDED[..])],
                0..24,
            ),
            prompt in select(&["", "", "query: ", "<x", "a", "one", "か"][..]),
            size in 1_usize..24,
        ) {
            for (name, pieces) in all() {
                check(name, pieces, prompt, &parts.concat(), size);
            }
        }

        #[test]
        fn long_runs_make_no_difference(
            parts in prop::collection::vec(
                (prop_oneof![select(&PARTS[..]), select(&["a", "я", " ", "\n", "が", "é", "1"][..])],
                select(&[1, 1, 2, 300, 950][..])),
                0..8,
            ),
            size in 1_usize..2_000,
        ) {
            let text: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
            let named = |name: &str| name.contains("MiniLM") || name.starts_with("mpnet");
            for (name, pieces) in all().iter().filter(|(name, _)| named(name)) {
                check(name, pieces, "", &text, size);
            }
        }
    }

    #[test]
    fn of_two_texts_the_longer_is_found() {
        let (_, pieces) = &all()[0];
        let texts = ["", "a", "a.", "a b c", &"a. ".repeat(40_000), &"a ".repeat(100_000)];
        for first in texts {
            for second in texts {
                let expected = pieces.count(first).unwrap() > pieces.count(second).unwrap();
                assert_eq!(pieces.is_longer(first, second).unwrap(), expected);
            }
        }
    }

    /// The longest piece of a text, in bytes; after shortening.
    fn longest(pieces: &Pieces, text: &str) -> usize {
        let range = |range: Range<usize>| pieces.shortened(&text[range], SMALL).text.len();
        pieces.ranges(text, 0, SMALL).map(range).max().unwrap()
    }

    fn pieces_of(name: &str) -> &'static Pieces {
        &all().iter().find(|(own, _)| own == name).unwrap().1
    }

    #[test]
    fn every_family_is_read_in_pieces() {
        let words = "The cat sat on the mat, of all places; it slept.\n".repeat(10_000);
        let is_known = |name: &str| !name.contains("unsplit") && !name.contains("first of words");
        for (name, pieces) in all() {
            assert_eq!(longest(pieces, &words) <= SMALL, is_known(name), "{name}");
        }
        let chinese = "今天天气很好，我们去公园散步。".repeat(10_000);
        for name in ["bert", "mpnet", "all-MiniLM-L6-v2", "roberta", "modernbert", "qwen3"] {
            let pieces = pieces_of(&format!("{name}, plain"));
            assert!(longest(pieces, &chinese) <= SMALL, "{name}");
        }
    }

    #[test]
    fn words_of_bert_may_have_any_length() {
        for name in ["bert", "mpnet", "all-MiniLM-L6-v2"] {
            let pieces = pieces_of(&format!("{name}, plain"));
            for part in [".", "a", " ", "я", "[", "今"] {
                assert!(longest(pieces, &part.repeat(1_000_000)) <= SMALL, "{name}: {part:?}");
            }
        }
    }
}
