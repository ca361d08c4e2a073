//! What a chunk specification can get wrong.

/// Errors of this module.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `max_tokens` leaves no room for text.
    #[error("max_tokens is {0}, at least 16 are needed")]
    MaxTokens(usize),
    /// `target_tokens` is not within the limit.
    #[error("target_tokens is {target}, allowed are 1 to max_tokens ({limit})")]
    TargetTokens {
        /// As given.
        target: usize,
        /// The hard limit.
        limit: usize,
    },
    /// `size_weight` is negative or not a number.
    #[error("size_weight is {0}, allowed are finite values from 0")]
    SizeWeight(f64),
}

impl Error {
    /// The field that is wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::MaxTokens(_) => "max_tokens",
            Self::TargetTokens { .. } => "target_tokens",
            Self::SizeWeight(_) => "size_weight",
        }
    }
}
