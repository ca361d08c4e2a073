//! Where a text can be cut so that its tokens are those of the parts, worked out from the
//! normaliser, the pre-tokenizer, the model and the added tokens of a tokenizer.
//!
//! Invariant: at a place that is named, each of the four works on either side as if the other were
//! not there. A tokenizer with a part that is not known here has no such place.

use serde_json::json;
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper as Normalizer;
use tokenizers::pre_tokenizers::PreTokenizerWrapper as PreTokenizer;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::PostProcessorWrapper as PostProcessor;
use tokenizers::{SplitDelimiterBehavior, Tokenizer};
use unicode_segmentation::UnicodeSegmentation;

use super::added::{AddedTokens, META, normalize};
use crate::embeddings::tokenizer_class::QWEN2_PATTERN;

/// Whitespace before which a word may end. None of it is a control character, which some
/// normalisers take out.
const SPACES: [char; 6] = [' ', '\t', '\n', '\r', '\u{a0}', '\u{3000}'];
/// Ideographs that no normal form changes.
const IDEOGRAPHS: std::ops::RangeInclusive<char> = '\u{4e00}'..='\u{9fff}';

/// The places of a tokenizer.
pub(super) struct Cuts {
    rules: Rules,
    pub(super) added: AddedTokens,
}

/// Between which characters a text may be cut.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "rules that know nothing of one another")]
pub(super) struct Rules {
    /// Before these, after what is no whitespace.
    pub(super) spaces: Vec<char>,
    /// But not after these, which a token of the vocabulary has before a space.
    joined: Vec<char>,
    /// Beside these, which are words of their own.
    isolated: Vec<char>,
    /// Beside ideographs, which are too.
    ideographs: bool,
    /// Between a letter and a mark: runs of letters end there.
    letters: bool,
    /// After a line's end, before what is no whitespace.
    line_ends: bool,
    /// Whether whitespace leaves no trace but an end of words.
    pub(super) drops_spaces: bool,
}

impl Cuts {
    /// The places of `tokenizer`, where its parts are known.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let normalizer = tokenizer.get_normalizer();
        if !normalizer.is_none_or(is_local)
            || !tokenizer.get_post_processor().is_none_or(treats_all_alike)
            || !model_is_local(tokenizer.get_model())
        {
            return None;
        }
        let rules = match tokenizer.get_pre_tokenizer() {
            Some(PreTokenizer::Sequence(all)) => match all.as_ref() {
                [first, rest @ ..] if makes_words(first) && rest.iter().all(is_local_to_words) => {
                    Rules::of(tokenizer, Some(first))
                }
                _ => None,
            },
            own => Rules::of(tokenizer, own),
        }?;
        (!rules.spaces.is_empty()).then(|| Self { rules, added: AddedTokens::of(tokenizer) })
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether the tokens of `text` are those before byte `at` and those from it on.
    pub(super) fn is_cut(&self, text: &str, at: usize) -> bool {
        if !text.is_char_boundary(at) {
            return false;
        }
        let (left, right) = text.split_at(at);
        let mut after = right.chars();
        let (Some(before), Some(first)) = (left.chars().next_back(), after.next()) else {
            return false;
        };
        self.rules.allow(before, first)
            && are_apart(&text[at - before.len_utf8()..at + first.len_utf8()])
            && after
                .next()
                .is_none_or(|next| are_apart(&right[..first.len_utf8() + next.len_utf8()]))
            && self.added.is_free(text, at, before, first)
    }
}

impl Rules {
    fn of(tokenizer: &Tokenizer, pre_tokenizer: Option<&PreTokenizer>) -> Option<Self> {
        let rules =
            match pre_tokenizer {
                Some(PreTokenizer::BertPreTokenizer(_)) => {
                    let marks = (0..128_u8).map(char::from).filter(char::is_ascii_punctuation);
                    let kept = |&mark: &char| normalized_within(tokenizer, mark) == Some(mark);
                    Self {
                        isolated: marks.filter(kept).collect(),
                        ideographs: parts_ideographs(tokenizer),
                        ..Self::words(tokenizer)
                    }
                }
                Some(PreTokenizer::Whitespace(_) | PreTokenizer::WhitespaceSplit(_)) => {
                    Self::words(tokenizer)
                }
                Some(PreTokenizer::Metaspace(pieces)) if pieces.get_split() => {
                    Self { spaces: kept_space(tokenizer), ..Self::default() }
                }
                Some(PreTokenizer::ByteLevel(bytes)) if bytes.use_regex => {
                    // What begins without a space may be given one.
                    Self { letters: !bytes.add_prefix_space, ..Self::pattern(tokenizer)? }
                }
                Some(PreTokenizer::Split(split)) if is_qwen2(split) => {
                    Self { line_ends: true, ..Self::pattern(tokenizer)? }
                }
                Some(PreTokenizer::Split(Split {
                    pattern: SplitPattern::String(pattern), ..
                })) if pattern == " " => Self::merges(tokenizer)?,
                None => Self::merges(tokenizer)?,
                _ => return None,
            };
        Some(rules)
    }

    /// Of words between whitespace, which is dropped.
    fn words(tokenizer: &Tokenizer) -> Self {
        let is_kept =
            |&space: &char| normalized_within(tokenizer, space).is_some_and(char::is_whitespace);
        let spaces = SPACES.into_iter().filter(is_kept).collect();
        Self { spaces, drops_spaces: true, ..Self::default() }
    }

    /// Of a byte-level pattern, whose matches go across no place between a letter and a mark, nor
    /// before a space. What follows a space decides how it is matched, so none may vanish.
    fn pattern(tokenizer: &Tokenizer) -> Option<Self> {
        let keeps_all = matches!(tokenizer.get_normalizer(), None | Some(Normalizer::NFC(_)));
        keeps_all.then(|| Self { spaces: vec![' '], letters: true, ..Self::default() })
    }

    /// Of pairs merged in whole texts, whose spaces stand in the vocabulary as [`META`]. No merge
    /// goes across a place that no entry of the vocabulary has within.
    fn merges(tokenizer: &Tokenizer) -> Option<Self> {
        let Some(Normalizer::Replace(_)) = tokenizer.get_normalizer() else { return None };
        let ModelWrapper::BPE(pairs) = tokenizer.get_model() else { return None };
        let vocabulary = tokenizer.get_vocab(false);
        if normalized_within(tokenizer, ' ') != Some(META)
            || !vocabulary.contains_key(META.encode_utf8(&mut [0; 4]) as &str)
            || pairs.continuing_subword_prefix.is_some()
            || pairs.end_of_word_suffix.is_some()
            || pairs.ignore_merges
        {
            return None;
        }
        let mut joined = vec![META];
        for token in vocabulary.keys() {
            let pairs = token.chars().zip(token.chars().skip(1));
            joined.extend(pairs.filter(|&(_, c)| c == META).map(|(before, _)| before));
        }
        joined.sort_unstable();
        joined.dedup();
        // `<0x0A>` stands for a byte: what it is merged with is not told by characters.
        (!joined.contains(&'>')).then(|| Self { spaces: vec![' '], joined, ..Self::default() })
    }

    fn allow(&self, before: char, after: char) -> bool {
        if before.is_whitespace() {
            return self.line_ends && before == '\n' && !after.is_whitespace();
        }
        if after.is_whitespace() {
            return self.spaces.contains(&after)
                && !before.is_control()
                && self.joined.binary_search(&before).is_err();
        }
        self.isolates(before)
            || self.isolates(after)
            || self.letters && is_letter(before) && is_mark(after)
    }

    fn isolates(&self, c: char) -> bool {
        self.isolated.binary_search(&c).is_ok() || self.ideographs && IDEOGRAPHS.contains(&c)
    }
}

/// Whether a normaliser makes of every character, with the marks on it, the same in any text.
fn is_local(normalizer: &Normalizer) -> bool {
    match normalizer {
        Normalizer::Sequence(all) => all.as_ref().iter().all(is_local),
        Normalizer::Replace(replace) => {
            let pattern = &json!(replace)["pattern"];
            let is_one = |pattern: &str| pattern.chars().count() == 1;
            replace.content.chars().all(|c| c.is_ascii() || c == META)
                && (pattern["String"].as_str().is_some_and(is_one) || pattern["Regex"] == " {2,}")
        }
        Normalizer::Nmt(_) | Normalizer::Precompiled(_) => true,
        own => is_plain(own),
    }
}

/// Whether a normaliser leaves ideographs what they are.
fn is_plain(normalizer: &Normalizer) -> bool {
    match normalizer {
        Normalizer::Sequence(all) => all.as_ref().iter().all(is_plain),
        Normalizer::BertNormalizer(_)
        | Normalizer::Lowercase(_)
        | Normalizer::StripAccents(_)
        | Normalizer::NFC(_)
        | Normalizer::NFD(_)
        | Normalizer::NFKC(_)
        | Normalizer::NFKD(_) => true,
        _ => false,
    }
}

/// Whether a pre-tokenizer that is known here leaves no text uncut, for others to cut.
fn makes_words(pre_tokenizer: &PreTokenizer) -> bool {
    let string = |split: &Split| matches!(split.pattern, SplitPattern::String(_));
    !matches!(pre_tokenizer, PreTokenizer::Split(split) if string(split))
}

/// Whether a pre-tokenizer makes of every word the same wherever it stands, given that words are
/// cut out already.
fn is_local_to_words(pre_tokenizer: &PreTokenizer) -> bool {
    match pre_tokenizer {
        PreTokenizer::Metaspace(pieces) => pieces.get_prepend_scheme() != PrependScheme::First,
        PreTokenizer::ByteLevel(_) | PreTokenizer::Punctuation(_) | PreTokenizer::Digits(_) => true,
        _ => false,
    }
}

/// Whether the first token's offsets are trimmed as those of all others.
fn treats_all_alike(processor: &PostProcessor) -> bool {
    match processor {
        PostProcessor::Roberta(own) => !(own.trim_offsets && own.add_prefix_space),
        PostProcessor::ByteLevel(own) => !(own.trim_offsets && own.add_prefix_space),
        PostProcessor::Bert(_) | PostProcessor::Template(_) => true,
        PostProcessor::Sequence(_) => false,
    }
}

/// Whether the model gives a word the same tokens every time.
fn model_is_local(model: &ModelWrapper) -> bool {
    !matches!(model, ModelWrapper::BPE(pairs) if pairs.dropout.is_some())
}

/// What becomes of `c` within a word, where that is one character.
fn normalized_within(tokenizer: &Tokenizer, c: char) -> Option<char> {
    let normalized = normalize(tokenizer, &format!("a{c}a"))?;
    let mut within = normalized.strip_prefix('a')?.strip_suffix('a')?.chars();
    within.next().filter(|_| within.next().is_none())
}

/// The space, where it stays one.
fn kept_space(tokenizer: &Tokenizer) -> Vec<char> {
    [' '].into_iter().filter(|_| normalized_within(tokenizer, ' ') == Some(' ')).collect()
}

fn parts_ideographs(tokenizer: &Tokenizer) -> bool {
    tokenizer.get_normalizer().is_some_and(is_plain)
        && normalize(tokenizer, "a一a").is_some_and(|text| text == "a 一 a")
}

fn is_qwen2(split: &Split) -> bool {
    let is_own = matches!(&split.pattern, SplitPattern::Regex(regex) if regex == QWEN2_PATTERN);
    is_own && split.behavior == SplitDelimiterBehavior::Isolated && !split.invert
}

/// Some of the letters of byte-level patterns, which no normal form changes to anything else.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic()
        || IDEOGRAPHS.contains(&c)
        || matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{ac00}'..='\u{d7a3}')
}

/// Some of what is neither letter, number nor whitespace in them.
fn is_mark(c: char) -> bool {
    c.is_ascii_punctuation() || matches!(c, '、' | '。' | '，' | '！' | '？')
}

/// Whether two characters are two for the reader: none is a mark on the other.
fn are_apart(two: &str) -> bool {
    two.is_ascii() || two.graphemes(true).count() == 2
}
