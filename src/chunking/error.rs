//! What a chunk specification can get wrong.

/// Errors of this module.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is outside its range, or does not go with another.
    #[error("{field} is {value}, allowed are {allowed}")]
    Field {
        /// The field that is wrong.
        field: &'static str,
        /// As given.
        value: String,
        /// What would be accepted.
        allowed: String,
    },
}

impl Error {
    /// `field` has a value that is not allowed.
    pub(super) fn new(
        field: &'static str,
        value: &impl ToString,
        allowed: impl Into<String>,
    ) -> Self {
        Self::Field { field, value: value.to_string(), allowed: allowed.into() }
    }

    /// The field that is wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Field { field, .. } => field,
        }
    }
}
