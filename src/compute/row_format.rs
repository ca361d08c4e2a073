//! How the values of rows are stored, and which formats have scores with one another.

use std::fmt;

/// How a value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowFormat {
    /// f32.
    F32,
    /// IEEE half precision, widened exactly.
    F16,
    /// bfloat16, widened exactly.
    Bf16,
    /// i8 times the scale of its row.
    Int8,
    /// A bit, which stands for 1 where it is set and else for -1.
    Binary,
}

impl fmt::Display for RowFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Binary => "binary",
        })
    }
}

impl RowFormat {
    /// Whether rows of both have scores: of the same format, or both of floating point.
    #[must_use]
    pub fn compares_with(self, other: Self) -> bool {
        let is_integer = |format| matches!(format, Self::Int8 | Self::Binary);
        self == other || !(is_integer(self) || is_integer(other))
    }
}
