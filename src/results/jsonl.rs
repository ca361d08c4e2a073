//! JSON lines: one object a vector.

use std::io::Write;

use serde::Serialize;

use super::rows::{Rows, Sink};
use super::{Destination, Error};

#[derive(Serialize)]
struct Record<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    tokens: usize,
    truncated: bool,
    embedding: &'a [f32],
}

/// Writes [`Record`]s.
pub(super) struct JsonlSink {
    destination: Destination,
}

impl JsonlSink {
    pub(super) fn new(destination: Destination) -> Self {
        Self { destination }
    }
}

impl Sink for JsonlSink {
    fn write(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        for (row, embedding) in rows.embeddings.rows().enumerate() {
            let record = Record {
                index: rows.first_index + row as u64,
                id: rows.ids[row].as_deref(),
                tokens: rows.embeddings.tokens[row],
                truncated: rows.embeddings.truncated[row].is_some(),
                embedding,
            };
            write_line(&mut self.destination, &record)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.destination.commit()
    }
}

/// One value as a line of JSON.
pub(super) fn write_line(
    destination: &mut Destination,
    value: &impl Serialize,
) -> Result<(), Error> {
    let written = serde_json::to_writer(&mut *destination, value).map_err(std::io::Error::from);
    let written = written.and_then(|()| destination.write_all(b"\n"));
    written.map_err(|source| destination.write_error(source))
}
