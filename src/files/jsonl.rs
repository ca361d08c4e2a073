//! JSON lines: an object a line.

use std::io::{self, Write};

use serde_json::Value;

use super::destination::Destination;
use super::document::{Document, Documents};
use super::error::Error;
use super::lines::Lines;
use super::record::{Object, Records, Writer};
use super::source::Reader;
use super::text::MARK;

/// A document for each object: its field `text`, and its field `id` where it has one. Blank lines
/// are no objects.
pub(super) fn documents(reader: Reader, name: String, text: &str, id: &str) -> Documents {
    let (text, id) = (text.to_owned(), id.to_owned());
    let lines = Lines::new(reader, name)
        .filter(|line| line.as_ref().map_or(true, |(_, line)| !line.trim().is_empty()));
    Box::new(lines.map(move |line| {
        let (place, line) = line?;
        document(place, &line, &text, &id)
    }))
}

fn document(place: String, line: &str, field: &str, id: &str) -> Result<Document, Error> {
    let parsed: Result<serde_json::Map<String, Value>, _> =
        serde_json::from_str(line.trim_start_matches(MARK));
    let mut object = match parsed {
        Ok(object) => object,
        Err(error) => {
            // The parser saw this line alone, so its line number would only mislead.
            let problem = error.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
            return Err(Error::Json { place, column: error.column(), problem });
        }
    };
    let text = match object.remove(field) {
        Some(Value::String(text)) => text,
        Some(other) => {
            let problem = format!("field `{field}` is {}, expected a string", kind(&other));
            return Err(Error::Malformed { place, problem });
        }
        None => {
            let fields = object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let problem = format!("field `{field}` is missing, this object has: {fields}");
            return Err(Error::Malformed { place, problem });
        }
    };
    let id = match object.remove(id) {
        Some(Value::String(id)) => Some(id),
        Some(Value::Null) | None => None,
        Some(Value::Number(number)) if !is_exact(&number) => {
            let problem = format!("the number {number} is no exact id, expected a string");
            return Err(Error::Malformed { place, problem });
        }
        Some(other) => Some(other.to_string()),
    };
    Ok(Document { id, text, mark: "", bytes: line.len() as u64 + 1 })
}

/// Whether no other whole number reads as the same: floats are too coarse from 2^53 on.
fn is_exact(number: &serde_json::Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|value| value.abs() < 2_f64.powi(53))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A writer of an object a record.
pub(super) fn open(destination: Destination) -> Box<dyn Writer> {
    Box::new(JsonlWriter { destination })
}

struct JsonlWriter {
    destination: Destination,
}

impl JsonlWriter {
    fn write_objects(&mut self, records: &dyn Records) -> io::Result<()> {
        let (fields, mut values) = (records.fields(), Vec::new());
        for index in 0..records.len() {
            values.clear();
            records.values(index, &mut values);
            serde_json::to_writer(
                &mut self.destination,
                &Object { fields: &fields, values: &values },
            )?;
            self.destination.write_all(b"\n")?;
        }
        Ok(())
    }
}

impl Writer for JsonlWriter {
    fn write(&mut self, records: &dyn Records) -> Result<(), Error> {
        let written = self.write_objects(records);
        written.map_err(|source| self.destination.write_error(source))
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.destination.commit()
    }
}
