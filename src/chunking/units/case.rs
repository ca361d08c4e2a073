//! What a text's letters say of where sentences begin.

/// Whether a sentence of a text begins with a capital.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// As people write: a small letter after a full stop goes on with the sentence.
    Capitals,
    /// Speech to text, chat, a corpus that was lower-cased: a small letter begins one.
    Lower,
}
