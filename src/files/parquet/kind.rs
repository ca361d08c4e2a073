//! The columns that fields are.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::super::record::Kind;

/// The type of a column of `kind`; `None` where there is none.
pub(super) fn data_type(kind: Kind) -> Option<DataType> {
    Some(match kind {
        Kind::Boolean => DataType::Boolean,
        Kind::Integer => DataType::Int64,
        Kind::Float => DataType::Float32,
        Kind::Double => DataType::Float64,
        Kind::Text => DataType::Utf8,
        Kind::Vector(dim) => DataType::FixedSizeList(element(), dim as i32),
        Kind::List => return None,
    })
}

/// An element of a vector.
pub(super) fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, false))
}
