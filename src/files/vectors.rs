//! Vectors in: `.npy` files, mapped into memory, and Parquet files with a column of them.
//! Streaming, in bounded memory but for the ids of `.npy` files.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::Error;
use super::facts::{Columns, Facts, FactsByRow};
use super::lines::plain_lines;
use super::npy::MappedRows;
use super::parquet::{self, VectorTable};
use super::source;
use crate::compute::{RowFormat, UnitRows};

/// Values that are brought to length one at a time: 4 MiB, which caches hold.
const BLOCK_VALUES: usize = 1 << 20;

/// The position of a block's first row, and its rows of length one.
type Block<'a> = (usize, UnitRows<'a>);

/// Blocks in order, each or what is wrong with it.
type Blocks<'a> = Box<dyn Iterator<Item = Result<Block<'a>, Error>> + 'a>;

/// A file of vectors.
pub struct VectorFile {
    name: String,
    source: Source,
    dim: usize,
}

enum Source {
    Npy(MappedRows, Option<Ids>),
    Parquet(VectorTable),
}

/// The ids of a corpus, one after the other. Held, as a pipe can be read only once.
#[derive(Default)]
struct Ids {
    text: String,
    ends: Vec<usize>,
}

impl Ids {
    /// Reads a line for each of the `rows` of `corpus`.
    fn read(path: &Path, corpus: &str, rows: usize) -> Result<Self, Error> {
        let mut ids = Self::default();
        for line in plain_lines(path)? {
            ids.text.push_str(&line?);
            ids.ends.push(ids.text.len());
        }
        let count = ids.ends.len();
        if count == rows {
            return Ok(ids);
        }
        let problem = format!("has {count} ids, {corpus} has {rows} rows");
        Err(Error::Malformed { place: path.display().to_string(), problem })
    }

    fn get(&self, row: u64) -> Option<&str> {
        let row = usize::try_from(row).ok()?;
        let end = *self.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }
}

impl VectorFile {
    /// Opens a `.npy` or Parquet file, by its suffix; `ids`, one a line, go with the first.
    ///
    /// # Errors
    /// When a file cannot be read, holds no vectors, or there is not one id a row.
    pub fn open(path: &Path, columns: Columns<'_>, ids: Option<&Path>) -> Result<Self, Error> {
        source::open(path)?;
        let name = path.display().to_string();
        let refuse = |problem: &str| {
            Err(Error::Malformed { place: name.clone(), problem: problem.to_owned() })
        };
        match source::suffix(path).as_deref() {
            Some("npy") => {
                let map = MappedRows::open(path)?;
                let dim = map.dim();
                let ids = ids.map(|path| Ids::read(path, &name, map.len())).transpose()?;
                Ok(Self { name, source: Source::Npy(map, ids), dim })
            }
            Some("parquet") if ids.is_some() => {
                refuse("a Parquet file has its ids in a column, --ids goes with .npy")
            }
            Some("parquet") => {
                let table = VectorTable::open(path, columns)?;
                let dim = table.dim();
                Ok(Self { name, source: Source::Parquet(table), dim })
            }
            _ => refuse("vectors are read from .npy and .parquet files"),
        }
    }

    /// Whether a file is one of vectors rather than of texts.
    ///
    /// # Errors
    /// When a Parquet file cannot be read.
    pub fn are_in(path: &Path, columns: Columns<'_>) -> Result<bool, Error> {
        Ok(match source::suffix(path).as_deref() {
            Some("npy") => true,
            Some("parquet") => parquet::has_column(path, columns.vectors)?,
            _ => false,
        })
    }

    /// Its path, as it is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Columns of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What values are read as; those of Parquet as f32.
    #[must_use]
    pub fn format(&self) -> RowFormat {
        match &self.source {
            Source::Npy(map, _) => map.format(),
            Source::Parquet(_) => RowFormat::F32,
        }
    }

    /// All rows, of length one, in memory.
    ///
    /// # Errors
    /// When the file cannot be read, or a row lacks values or has too many.
    pub fn unit_rows(&self) -> Result<UnitRows<'_>, Error> {
        match &self.source {
            Source::Npy(map, _) => map.unit_rows(0..map.len()),
            Source::Parquet(table) => {
                let mut all = Vec::new();
                for values in table.batches(BLOCK_VALUES)? {
                    all.extend(values?);
                }
                Ok(UnitRows::from_f32(all, self.dim)?)
            }
        }
    }

    /// All rows in order, of length one, a block at a time with the position of its first.
    ///
    /// # Errors
    /// As [`unit_rows`](Self::unit_rows).
    pub fn blocks(&self) -> Result<Blocks<'_>, Error> {
        let block = (BLOCK_VALUES / self.dim).max(1);
        Ok(match &self.source {
            Source::Npy(map, _) => {
                let len = map.len();
                Box::new(
                    (0..len).step_by(block).map(move |first| {
                        Ok((first, map.unit_rows(first..len.min(first + block))?))
                    }),
                )
            }
            Source::Parquet(table) => {
                let mut first = 0;
                Box::new(table.batches(BLOCK_VALUES)?.map(move |values| {
                    let values = values?;
                    let here = first;
                    first += values.len() / self.dim;
                    Ok((here, UnitRows::from_f32(values, self.dim)?))
                }))
            }
        })
    }

    /// Refuses a file without texts.
    ///
    /// # Errors
    /// When it has none.
    pub fn check_texts(&self) -> Result<(), Error> {
        match &self.source {
            Source::Npy(..) => {
                let problem = "a .npy file has no texts".to_owned();
                Err(Error::Malformed { place: self.name.clone(), problem })
            }
            Source::Parquet(table) => table.check_texts(),
        }
    }

    /// What the file says of the rows `wanted`, with texts only if asked.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn facts(&self, wanted: &BTreeSet<u64>, texts: bool) -> Result<FactsByRow, Error> {
        match &self.source {
            Source::Npy(_, None) => Ok(FactsByRow::new()),
            Source::Npy(_, Some(ids)) => {
                let fact = |&row: &u64| {
                    let id = ids.get(row).map(str::to_owned);
                    (row, Facts { id, text: None })
                };
                Ok(wanted.iter().map(fact).collect())
            }
            Source::Parquet(table) => table.facts(wanted, texts),
        }
    }
}
