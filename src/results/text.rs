//! Plain text: one line a vector, for `awk` and friends.

use std::io::{self, Write};

use super::rows::{Rows, Sink};
use super::{Destination, Error};

/// Writes numbers separated by spaces, each with as few digits as bring back its bits.
pub(super) struct TextSink {
    destination: Destination,
}

impl TextSink {
    pub(super) fn new(destination: Destination) -> Self {
        Self { destination }
    }

    fn write_rows(&mut self, rows: Rows<'_>) -> io::Result<()> {
        for row in rows.embeddings.rows() {
            for (column, value) in row.iter().enumerate() {
                let separator = if column == 0 { "" } else { " " };
                write!(self.destination, "{separator}{value}")?;
            }
            self.destination.write_all(b"\n")?;
        }
        Ok(())
    }
}

impl Sink for TextSink {
    fn write(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        self.write_rows(rows).map_err(|source| self.destination.write_error(source))
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.destination.commit()
    }
}
