//! What records are made of, whatever the format: fields, and a value for each.
//!
//! A format is written once, as a [`Writer`] of any records; a record once, as [`Records`] for any
//! format.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::error::Error;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A whole number from 0 on.
    Integer,
    /// f32.
    Float,
    /// f64.
    Double,
    /// UTF-8.
    Text,
    /// So many f32.
    Vector(usize),
    /// Several values or records; JSON lines alone have a place for them.
    List,
}

/// Whether every record has a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every one.
    Required,
    /// Some; the others have a null.
    Nullable,
    /// Some; the others leave it out where the format lets them, or else have a null.
    Optional,
}

/// A field of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// What it is called.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether every record has it.
    pub presence: Presence,
    /// Whether many records have the same value, so that a dictionary pays.
    pub repeats: bool,
}

impl Field {
    /// A field that every record has, with values that do not repeat.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, presence: Presence::Required, repeats: false }
    }

    /// The same where some have a null.
    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { presence: Presence::Nullable, ..self }
    }

    /// The same where some leave it out.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { presence: Presence::Optional, ..self }
    }

    /// The same with values that repeat.
    #[must_use]
    pub const fn repeating(self) -> Self {
        Self { repeats: true, ..self }
    }
}

/// The value of a field in a record.
#[derive(Clone)]
pub enum Value<'a> {
    /// There is none.
    None,
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Integer`].
    Integer(u64),
    /// Of [`Kind::Float`].
    Float(f32),
    /// Of [`Kind::Double`].
    Double(f64),
    /// Of [`Kind::Text`].
    Text(&'a str),
    /// Of [`Kind::Vector`], or a list.
    Vector(Cow<'a, [f32]>),
    /// A list of vectors of `dim`, `[rows, dim]` row-major.
    Vectors {
        /// All of them.
        data: &'a [f32],
        /// Columns.
        dim: usize,
    },
    /// A list of numbers.
    Integers(Vec<u32>),
    /// A list of records.
    Records(&'a dyn Records),
}

impl<'a> Value<'a> {
    /// A vector that stands in memory.
    #[must_use]
    pub fn vector(values: &'a [f32]) -> Self {
        Self::Vector(Cow::Borrowed(values))
    }

    /// A text, where there is one.
    #[must_use]
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::None, Self::Text)
    }
}

/// Consecutive records of one kind.
pub trait Records {
    /// The fields of each, in order.
    fn fields(&self) -> Vec<Field>;

    /// Their number.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the values of record `index` to `values`, one a field, in order.
    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>);

    /// Writes all as text for people, with a line end at the end.
    ///
    /// # Errors
    /// When `out` fails, or such records have no form as text.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let _ = out;
        Err(io::Error::new(io::ErrorKind::Unsupported, "records that have no form as text"))
    }
}

/// Takes records in order and writes them in a format.
pub trait Writer {
    /// Appends records, whose fields are those that it was opened with.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, records: &dyn Records) -> Result<(), Error>;

    /// Completes the output.
    ///
    /// # Errors
    /// When the end cannot be written or the output's name is taken.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Serialises records as a list of objects.
///
/// # Errors
/// Those of `serializer`.
pub fn serialize_records<S: Serializer>(
    records: &dyn Records,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(records.len()))?;
    let (fields, mut values) = (records.fields(), Vec::new());
    for index in 0..records.len() {
        values.clear();
        records.values(index, &mut values);
        list.serialize_element(&Object { fields: &fields, values: &values })?;
    }
    list.end()
}

/// A record as an object.
pub(super) struct Object<'a> {
    pub(super) fields: &'a [Field],
    pub(super) values: &'a [Value<'a>],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (field, value) in self.fields.iter().zip(self.values) {
            if field.presence != Presence::Optional || !matches!(value, Value::None) {
                object.serialize_entry(field.name, value)?;
            }
        }
        object.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f32(*value),
            Self::Double(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Vector(values) => values.serialize(serializer),
            Self::Vectors { data, dim } => serializer.collect_seq(data.chunks_exact((*dim).max(1))),
            Self::Integers(values) => values.serialize(serializer),
            Self::Records(records) => serialize_records(*records, serializer),
        }
    }
}
