//! Records as rows, in row groups of bounded size.

use std::io;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array,
    RecordBatch, StringArray,
};
use arrow::datatypes::{Field as Column, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::super::destination::Destination;
use super::super::error::Error;
use super::super::record::{Field, Kind, Presence, Records, Value, Writer};
use super::kind::{data_type, element};

/// Bytes of a row group, about: what is held in memory before it is written.
const ROW_GROUP_BYTES: usize = 8 << 20;
/// Records copied at a time.
const BATCH_RECORDS: usize = 1_024;
/// What vectors are called, whatever the records call them.
const VECTORS: &str = "embedding";

/// A writer of a row a record and a column a field.
pub(crate) fn open(destination: Destination, fields: &[Field]) -> Result<Box<dyn Writer>, Error> {
    let columns = fields.iter().map(column).collect::<Result<Vec<Column>, Error>>()?;
    let schema = Arc::new(Schema::new(columns));
    let mut properties = WriterProperties::builder()
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        // Vectors and texts do not repeat: a dictionary only costs time.
        .set_dictionary_enabled(false)
        .set_compression(Compression::SNAPPY);
    for field in fields.iter().filter(|field| field.repeats) {
        let path = ColumnPath::from(field.name);
        properties = properties.set_column_dictionary_enabled(path, true);
    }
    let path = destination.path().to_owned();
    let writer = ArrowWriter::try_new(destination, Arc::clone(&schema), Some(properties.build()))
        .map_err(|error| Error::Write { path, source: io_error(error) })?;
    let kinds = fields.iter().map(|field| field.kind).collect();
    Ok(Box::new(ParquetWriter { writer, schema, kinds }))
}

fn column(field: &Field) -> Result<Column, Error> {
    let lists = Error::NoPlace { format: "parquet", field: "lists" };
    let name = if let Kind::Vector(_) = field.kind { VECTORS } else { field.name };
    let nullable = field.presence != Presence::Required;
    Ok(Column::new(name, data_type(field.kind).ok_or(lists)?, nullable))
}

/// A file that is being written, row group by row group.
struct ParquetWriter {
    writer: ArrowWriter<Destination>,
    schema: Arc<Schema>,
    kinds: Vec<Kind>,
}

impl ParquetWriter {
    /// Appends the records from `start` to `end`.
    fn write_batch(
        &mut self,
        records: &dyn Records,
        start: usize,
        end: usize,
    ) -> Result<(), ParquetError> {
        let mut columns: Vec<Cells<'_>> =
            self.kinds.iter().map(|&kind| Cells::new(kind, end - start)).collect();
        let mut values = Vec::new();
        for index in start..end {
            values.clear();
            records.values(index, &mut values);
            for (column, value) in columns.iter_mut().zip(values.drain(..)) {
                column.push(value)?;
            }
        }
        let columns = columns.into_iter().map(Cells::into_array).collect::<Result<_, _>>()?;
        self.writer.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl Writer for ParquetWriter {
    fn write(&mut self, records: &dyn Records) -> Result<(), Error> {
        for start in (0..records.len()).step_by(BATCH_RECORDS) {
            let end = records.len().min(start + BATCH_RECORDS);
            let written = self.write_batch(records, start, end);
            written.map_err(|error| self.writer.inner().write_error(io_error(error)))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        let path = self.writer.inner().path().to_owned();
        // It writes the footer itself and refuses after the writer's own `finish`.
        let finished = self.writer.into_inner();
        finished.map_err(|error| Error::Write { path, source: io_error(error) })?.commit()
    }
}

/// The values of a column, until they are an array.
enum Cells<'a> {
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Float(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
    Text(Vec<Option<&'a str>>),
    /// `[rows, dim]`.
    Vector(Vec<f32>, usize),
}

impl<'a> Cells<'a> {
    /// Cells of `kind`, with room for so many.
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Boolean => Self::Boolean(Vec::with_capacity(rows)),
            Kind::Integer => Self::Integer(Vec::with_capacity(rows)),
            Kind::Float => Self::Float(Vec::with_capacity(rows)),
            Kind::Double => Self::Double(Vec::with_capacity(rows)),
            Kind::Text => Self::Text(Vec::with_capacity(rows)),
            Kind::Vector(dim) => Self::Vector(Vec::with_capacity(rows * dim), dim),
            // No writer is opened for them.
            Kind::List => Self::Vector(Vec::new(), 0),
        }
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), ParquetError> {
        match (self, value) {
            (Self::Boolean(cells), Value::Boolean(value)) => cells.push(Some(value)),
            (Self::Boolean(cells), Value::None) => cells.push(None),
            (Self::Integer(cells), Value::Integer(value)) => cells.push(Some(value as i64)),
            (Self::Integer(cells), Value::None) => cells.push(None),
            (Self::Float(cells), Value::Float(value)) => cells.push(Some(value)),
            (Self::Float(cells), Value::None) => cells.push(None),
            (Self::Double(cells), Value::Double(value)) => cells.push(Some(value)),
            (Self::Double(cells), Value::None) => cells.push(None),
            (Self::Text(cells), Value::Text(value)) => cells.push(Some(value)),
            (Self::Text(cells), Value::None) => cells.push(None),
            (Self::Vector(cells, _), Value::Vector(value)) => cells.extend_from_slice(&value),
            _ => {
                let problem = "a value is not of its field's kind";
                return Err(ParquetError::General(problem.to_owned()));
            }
        }
        Ok(())
    }

    fn into_array(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(cells) => Arc::new(BooleanArray::from(cells)),
            Self::Integer(cells) => Arc::new(Int64Array::from(cells)),
            Self::Float(cells) => Arc::new(Float32Array::from(cells)),
            Self::Double(cells) => Arc::new(Float64Array::from(cells)),
            Self::Text(cells) => Arc::new(StringArray::from(cells)),
            Self::Vector(cells, dim) => {
                let values: ArrayRef = Arc::new(Float32Array::from(cells));
                let list = FixedSizeListArray::try_new(element(), dim as i32, values, None)?;
                Arc::new(list)
            }
        })
    }
}

/// The operating system's error where there is one below.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
