//! Chunks of documents.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::chunk_text::write_chunks;
use crate::chunking::Chunk;
use crate::files::{
    self, Destination, Error, Field, Kind, RecordFormat, Records, Value, Writer, open_writer,
};

/// The chunks of a document. They serialise as a list of objects.
#[derive(Debug, Clone, Copy)]
pub struct Chunks<'a> {
    /// What the document is called; `None` where the records do not say.
    pub document: Option<&'a str>,
    /// All of it.
    pub text: &'a str,
    /// What stands before the text in its file, as a byte order mark: ranges count it, so that they
    /// are the file's.
    pub mark: &'a str,
    /// In order.
    pub chunks: &'a [Chunk],
    /// Whether each chunk's vector is written.
    pub vectors: bool,
}

impl Chunks<'_> {
    /// A writer of `format` for chunks of documents with names. Where `vectors` is given, each
    /// chunk's vector is written too, of so many dimensions.
    ///
    /// # Errors
    /// When the format holds no vectors or is not in this build, or its first bytes cannot be
    /// written.
    pub fn writer(
        format: RecordFormat,
        destination: Destination,
        vectors: Option<usize>,
    ) -> Result<Box<dyn Writer>, Error> {
        if format == RecordFormat::Text && vectors.is_some() {
            return Err(Error::NoPlace { format: "text", field: "vectors" });
        }
        open_writer(format.into(), destination, &fields(true, vectors))
    }
}

fn fields(document: bool, vectors: Option<usize>) -> Vec<Field> {
    let document = document.then_some(Field::new("document", Kind::Text));
    let numbers = ["chunk", "start", "end", "start_char", "end_char", "tokens"];
    let vector = vectors.map(|dim| Field::new("vector", Kind::Vector(dim)));
    document
        .into_iter()
        .chain(numbers.map(|name| Field::new(name, Kind::Integer)))
        .chain([Field::new("strength", Kind::Float).nullable(), Field::new("text", Kind::Text)])
        .chain(vector)
        .collect()
}

impl Records for Chunks<'_> {
    fn fields(&self) -> Vec<Field> {
        let dim = self.chunks.first().map_or(0, |chunk| chunk.vector.len());
        fields(self.document.is_some(), self.vectors.then_some(dim))
    }

    fn len(&self) -> usize {
        self.chunks.len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let Chunk { bytes, chars, tokens, strength, vector } = &self.chunks[index];
        values.extend(self.document.map(Value::Text));
        let (byte, char) = (self.mark.len(), self.mark.chars().count());
        let (start, end) = (byte + bytes.start, byte + bytes.end);
        let (start_char, end_char) = (char + chars.start, char + chars.end);
        let numbers = [index, start, end, start_char, end_char, *tokens];
        values.extend(numbers.map(|number| Value::Integer(number as u64)));
        values.push(strength.map_or(Value::None, Value::Float));
        values.push(Value::Text(&self.text[bytes.clone()]));
        values.extend(self.vectors.then_some(Value::vector(vector)));
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let document = self.document.unwrap_or_default();
        write_chunks(out, document, self.text, self.mark.len(), self.chunks)
    }
}

impl Serialize for Chunks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        files::serialize_records(self, serializer)
    }
}
