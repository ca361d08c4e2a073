//! The words around a stop: which it belongs to, and which may begin a sentence.
//!
//! Invariant: so many characters are looked at whatever the text, but for spaces before a number.

use super::abbreviations::{is_abbreviation, is_lower_name, is_numbered, is_ordinal, is_starter};
use super::case::Case;

/// Longer words are no abbreviations.
const WORD_CHARS: usize = 16;
/// Digits of an ordinal, or of a number in an enumerator; a year has more.
pub(super) const ORDINAL_DIGITS: usize = 2;
/// Quotes, brackets and dashes that may stand before a sentence's first word.
const OPENING_CHARS: usize = 8;

/// The beginning of what follows.
pub(super) struct Next<'a> {
    /// Its first character.
    pub(super) raw: Option<char>,
    /// Its first letter or digit, after quotes, brackets and dashes.
    pub(super) first: Option<char>,
    /// A dash is before that.
    pub(super) dash: bool,
    word: &'a str,
    /// The word ends in a full stop: an initial.
    stopped: bool,
}

impl<'a> Next<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let opening = |c: char| {
            c.is_whitespace()
                || is_quote(c)
                || is_bracket(c)
                || is_dash(c)
                || matches!(c, '¿' | '¡' | '*' | '_' | '`')
        };
        let mut dash = false;
        let mut start = 0;
        for c in text.chars().take(OPENING_CHARS).take_while(|&c| opening(c)) {
            dash |= is_dash(c);
            start += c.len_utf8();
        }
        let word = &text[start..];
        let mut behind =
            word.char_indices().take(WORD_CHARS).skip_while(|(_, c)| c.is_alphabetic());
        let (end, after) = behind.next().unwrap_or((0, ' '));
        Self {
            raw: text.chars().next(),
            first: word.chars().next(),
            dash,
            word: &word[..end],
            stopped: after == '.',
        }
    }

    pub(super) fn is_lower(&self) -> bool {
        self.first.is_some_and(char::is_lowercase)
    }

    /// Whether its first word has a case of its own, wherever it stands: `iPhone`, `npm`, what is
    /// between backticks.
    pub(super) fn has_own_case(&self) -> bool {
        self.raw == Some('`')
            || self.word.chars().any(char::is_uppercase)
            || is_lower_name(self.word)
    }

    fn starts_sentence(&self) -> bool {
        is_starter(self.word) && !self.stopped
    }
}

/// Whether the stop after `before` is part of its last word.
pub(super) fn is_short_form(before: &str, next: &Next, case: Case) -> bool {
    let Some(word) = last_word(before) else { return false };
    if word.ends_with(is_phrase_letter) {
        // These scripts have no full stop.
        return true;
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        let lead = last_word(before[..before.len() - word.len()].trim_end()).unwrap_or_default();
        return word.len() <= ORDINAL_DIGITS
            && is_ordinal(lead, next.word, case)
            && !next.starts_sentence();
    }
    if next.first.is_some_and(char::is_numeric) && is_numbered(word, case) {
        return true;
    }
    let part = |part: &str| {
        (1..=3).contains(&part.chars().count()) && part.chars().all(char::is_alphabetic)
    };
    let dotted = word.contains('.') && word.split('.').all(part);
    // "km/h", "20 °C": a unit, and no initial.
    let alone = !before[..before.len() - word.len()].ends_with(['/', '°', '%', '²']);
    // Italian and French: "l'Avv. Rossi".
    let article = word.rsplit(['\'', '’']).next().unwrap_or_default();
    (dotted || (is_letter(word) && alone) || is_abbreviation(article, case))
        && !next.starts_sentence()
}

/// The letters, digits, full stops and apostrophes at the end of `text`; `None` where there are
/// none or too many.
fn last_word(text: &str) -> Option<&str> {
    let within = |c: char| {
        c.is_alphanumeric() || matches!(c, '.' | '\'' | '’') || ('\u{900}'..'\u{e00}').contains(&c)
    };
    let mut chars = text.char_indices().rev().take(WORD_CHARS + 1);
    let mut start = text.len();
    let ended = chars.by_ref().find_map(|(at, c)| {
        let inside = within(c);
        start = if inside { at } else { start };
        (!inside).then_some(())
    });
    let word = text[start..].trim_start_matches(['\'', '’', '.']);
    ((ended.is_some() || start == 0) && !word.is_empty()).then_some(word)
}

/// A letter alone, of a script in which a letter is no word.
pub(super) fn is_letter(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() && !is_wide(c)) && chars.next().is_none()
}

/// Chinese, Japanese, Korean, and what comes after them: emoji.
pub(super) fn is_wide(c: char) -> bool {
    c >= '\u{2e80}' || ('\u{1100}'..'\u{1200}').contains(&c)
}

pub(super) fn is_quote(c: char) -> bool {
    "\"'“”„‟‘’‚«»‹›＂".contains(c)
}

pub(super) fn is_closing_bracket(c: char) -> bool {
    ")]}）］｝」』】〉》〕〗｣".contains(c)
}

pub(super) fn is_bracket(c: char) -> bool {
    is_closing_bracket(c) || "([{（［｛「『【〈《〔〖｢".contains(c)
}

pub(super) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '‐'..='―' | '－')
}

/// A letter of Thai, Lao, Burmese or Khmer, without the marks of repetition and abbreviation.
pub(super) fn is_phrase_letter(c: char) -> bool {
    matches!(
        c,
        '\u{e01}'..='\u{e2e}' | '\u{e30}'..='\u{e3a}' | '\u{e40}'..='\u{e45}' | '\u{e47}'..='\u{e4e}'
            | '\u{e81}'..='\u{eae}' | '\u{eb0}'..='\u{ec5}' | '\u{ec8}'..='\u{ecd}'
            | '\u{edc}'..='\u{edf}' | '\u{1000}'..='\u{103f}' | '\u{1780}'..='\u{17d3}'
    )
}
