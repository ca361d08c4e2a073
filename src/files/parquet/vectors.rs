//! Vectors in Parquet: a column of lists of numbers, all of one length.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use arrow::record_batch::RecordBatch;

use super::super::error::Error;
use super::super::facts::{Columns, Facts, FactsByRow};
use super::reader::{self, builder, columns, in_row, missing, text_rows, unreadable};
use super::strings::{Part, check_texts};

/// Rows whose ids are decoded at a time.
const FACT_ROWS: usize = 1_024;

/// Vectors `[rows, dim]` of some rows at a time.
type Batches<'a> = Box<dyn Iterator<Item = Result<Vec<f32>, Error>> + 'a>;

/// A file with a column of vectors.
pub(crate) struct VectorTable {
    path: PathBuf,
    /// What the file is called in errors.
    place: String,
    column: String,
    id: String,
    text: String,
    dim: usize,
}

/// Whether the file has the column.
pub(crate) fn has_column(path: &Path, column: &str) -> Result<bool, Error> {
    let builder = builder(path, &path.display().to_string())?;
    Ok(builder.schema().column_with_name(column).is_some())
}

impl VectorTable {
    pub(crate) fn open(path: &Path, columns: Columns<'_>) -> Result<Self, Error> {
        let place = path.display().to_string();
        let builder = builder(path, &place)?;
        let mut table = Self {
            path: path.to_owned(),
            place,
            column: columns.vectors.to_owned(),
            id: columns.id.to_owned(),
            text: columns.text.to_owned(),
            dim: 0,
        };
        let field = field(&table.place, builder.schema(), &table.column)?;
        table.dim = match field.data_type() {
            // Of other values texts would be parsed and dates counted.
            DataType::FixedSizeList(value, dim) if value.data_type().is_numeric() => {
                usize::try_from(*dim).unwrap_or(0)
            }
            DataType::List(value) | DataType::LargeList(value)
                if value.data_type().is_numeric() =>
            {
                table.first_length()?
            }
            DataType::Null => return Err(table.error("has nulls alone, expected lists of numbers")),
            other => return Err(table.error(&format!("is {other}, expected a list of numbers"))),
        };
        if table.dim == 0 {
            return Err(table.error("has no values"));
        }
        Ok(table)
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The vectors in order, `[rows, dim]` f32, about so many values at a time.
    pub(crate) fn batches(&self, values: usize) -> Result<Batches<'_>, Error> {
        let mut first = 0;
        let batches = self.read(&[&self.column], (values / self.dim).max(1))?;
        Ok(Box::new(batches.map(move |batch| {
            let batch = batch?;
            let values = self.floats(&batch, first)?;
            first += batch.num_rows();
            Ok(values)
        })))
    }

    /// The ids and texts of the rows `wanted`, of the columns that there are.
    pub(crate) fn facts(&self, wanted: &BTreeSet<u64>, texts: bool) -> Result<FactsByRow, Error> {
        let names: &[&str] = if texts { &[&self.id, &self.text] } else { &[&self.id] };
        let builder = builder(&self.path, &self.place)?;
        let rows = if texts { text_rows(&builder, names) } else { FACT_ROWS };
        let (mut facts, mut first) = (FactsByRow::new(), 0);
        for batch in columns(builder, &self.place, names, rows)? {
            let batch = batch?;
            let end = first + batch.num_rows() as u64;
            let mut here = wanted.range(first..end).peekable();
            if here.peek().is_some() {
                let part = Part { place: &self.place, first: first as usize, batch: &batch };
                let ids = part.ids(&self.id)?;
                let texts = if texts { part.texts(&self.text)? } else { None };
                let value = |column: &Option<StringArray>, row: usize| {
                    let column = column.as_ref().filter(|column| !column.is_null(row))?;
                    Some(column.value(row).to_owned())
                };
                facts.extend(here.map(|&row| {
                    let at = (row - first) as usize;
                    (row, Facts { id: value(&ids, at), text: value(&texts, at) })
                }));
            }
            first = end;
        }
        Ok(facts)
    }

    /// Refuses a file without texts.
    pub(crate) fn check_texts(&self) -> Result<(), Error> {
        let builder = builder(&self.path, &self.place)?;
        let rows = builder.metadata().file_metadata().num_rows().max(0) as usize;
        check_texts(&self.place, field(&self.place, builder.schema(), &self.text)?, rows)
    }

    /// The length of the first row's list.
    fn first_length(&self) -> Result<usize, Error> {
        let Some(batch) = self.read(&[&self.column], 1)?.next() else {
            let problem = "has no rows".to_owned();
            return Err(Error::Malformed { place: self.place.clone(), problem });
        };
        let batch = batch?;
        let column = batch.column(0);
        if column.is_null(0) {
            return Err(self.error_in(0, "is null"));
        }
        Ok(match column.data_type() {
            DataType::List(_) => column.as_list::<i32>().value_length(0) as usize,
            _ => column.as_list::<i64>().value_length(0) as usize,
        })
    }

    /// Reads the columns of these names.
    fn read(&self, names: &[&str], rows: usize) -> Result<reader::Batches, Error> {
        columns(builder(&self.path, &self.place)?, &self.place, names, rows)
    }

    /// The vectors of a batch, whose first row is row `first` of the file.
    fn floats(&self, batch: &RecordBatch, first: usize) -> Result<Vec<f32>, Error> {
        let column = batch.column(0);
        if let Some(row) = (0..column.len()).find(|&row| column.is_null(row)) {
            return Err(self.error_in(first + row, "is null"));
        }
        let values = match column.data_type() {
            DataType::List(_) => self.list_values::<i32>(column, first)?,
            DataType::LargeList(_) => self.list_values::<i64>(column, first)?,
            _ => {
                let list = column.as_fixed_size_list();
                let start = if list.is_empty() { 0 } else { list.value_offset(0) as usize };
                list.values().slice(start, list.len() * self.dim)
            }
        };
        let floats = cast(&values, &DataType::Float32);
        let floats = floats.map_err(|source| unreadable(&self.place, source))?;
        if let Some(value) = (0..floats.len()).find(|&value| floats.is_null(value)) {
            let problem = "holds a value that is no number";
            return Err(self.error_in(first + value / self.dim, problem));
        }
        Ok(floats.as_primitive::<Float32Type>().values().to_vec())
    }

    /// The values of lists of any length, all of which must have the first one's.
    fn list_values<O: OffsetSizeTrait>(
        &self,
        column: &ArrayRef,
        first: usize,
    ) -> Result<ArrayRef, Error> {
        let list = column.as_list::<O>();
        for row in 0..list.len() {
            let length = list.value_length(row).as_usize();
            if length != self.dim {
                let problem = format!("has {length} values, row 0 has {}", self.dim);
                return Err(self.error_in(first + row, &problem));
            }
        }
        let start = list.value_offsets()[0].as_usize();
        Ok(list.values().slice(start, list.len() * self.dim))
    }

    fn error(&self, problem: &str) -> Error {
        let problem = format!("column `{}` {problem}", self.column);
        Error::Malformed { place: self.place.clone(), problem }
    }

    fn error_in(&self, row: usize, problem: &str) -> Error {
        in_row(&self.place, row, &self.column, problem)
    }
}

/// The column of a name.
fn field<'a>(place: &str, schema: &'a Schema, column: &str) -> Result<&'a Field, Error> {
    let found = schema.column_with_name(column);
    found.map(|(_, field)| field).ok_or_else(|| missing(place, column, schema))
}
