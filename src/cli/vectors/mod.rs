//! Vectors in: `.npy` files, mapped into memory, and Parquet files as `embed` and `chunk` write
//! them. Streaming, in bounded memory but for the ids of `.npy` files.

#[cfg(feature = "parquet")]
mod table;
#[cfg(not(feature = "parquet"))]
#[path = "table_disabled.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use self::table::Table;
use super::input;
use crate::Error;
use crate::similarity::{MappedRows, RowFormat, Rows, UnitRows};

/// Values that are brought to length one at a time: 4 MiB, which caches hold.
const BLOCK_VALUES: usize = 1 << 20;

/// The columns of a Parquet file that are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) vectors: &'a str,
    pub(super) id: &'a str,
    pub(super) text: &'a str,
}

/// What else a file says of a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) id: Option<String>,
    pub(super) text: Option<String>,
}

/// Rows that are looked up, by their position.
pub(super) type FactsByRow = BTreeMap<u64, Facts>;

/// A file of vectors.
pub(super) struct Vectors {
    name: String,
    source: Source,
    dim: usize,
}

enum Source {
    Npy(MappedRows, Option<Ids>),
    Parquet(Table),
}

/// The ids of a corpus, one after the other. Held, as a pipe can be read only once.
#[derive(Default)]
struct Ids {
    text: String,
    ends: Vec<usize>,
}

impl Ids {
    /// Reads a line for each of the `rows` of `corpus`.
    fn read(path: &Path, corpus: &str, rows: usize) -> Result<Self, input::Error> {
        let mut ids = Self::default();
        for line in input::plain_lines(path)? {
            ids.text.push_str(&line?);
            ids.ends.push(ids.text.len());
        }
        let count = ids.ends.len();
        if count == rows {
            return Ok(ids);
        }
        let problem = format!("has {count} ids, {corpus} has {rows} rows");
        Err(input::Error::Field { place: path.display().to_string(), problem })
    }

    fn get(&self, row: u64) -> Option<&str> {
        let row = usize::try_from(row).ok()?;
        let end = *self.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }
}

impl Vectors {
    /// Opens a `.npy` or Parquet file, by its suffix; `ids` go with the first.
    pub(super) fn open(
        path: &Path,
        columns: Columns<'_>,
        ids: Option<&Path>,
    ) -> anyhow::Result<Self> {
        File::open(path).map_err(|source| input::Error::Open { path: path.to_owned(), source })?;
        let name = path.display().to_string();
        let refuse = |problem: &str| {
            Err(input::Error::Field { place: name.clone(), problem: problem.to_owned() })
        };
        match input::suffix(path).as_deref() {
            Some("npy") => {
                let map = MappedRows::open(path).map_err(Error::from)?;
                let rows = map.rows().map_err(Error::from)?;
                let (dim, len) = (rows.dim(), rows.len());
                let ids = ids.map(|path| Ids::read(path, &name, len)).transpose()?;
                Ok(Self { name, source: Source::Npy(map, ids), dim })
            }
            Some("parquet") if ids.is_some() => {
                Ok(refuse("a Parquet file has its ids in a column, --ids goes with .npy")?)
            }
            Some("parquet") => {
                let table = Table::open(path, columns)?;
                let dim = table.dim();
                Ok(Self { name, source: Source::Parquet(table), dim })
            }
            _ => Ok(refuse("vectors are read from .npy and .parquet files")?),
        }
    }

    /// Whether a file is one of vectors rather than of texts.
    pub(super) fn are_in(path: &Path, columns: Columns<'_>) -> anyhow::Result<bool> {
        Ok(match input::suffix(path).as_deref() {
            Some("npy") => true,
            Some("parquet") => table::has_column(path, columns.vectors)?,
            _ => false,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// How values are stored; those of Parquet are read as f32.
    pub(super) fn format(&self) -> Result<RowFormat, Error> {
        match &self.source {
            Source::Npy(map, _) => Ok(map.rows()?.format()),
            Source::Parquet(_) => Ok(RowFormat::F32),
        }
    }

    /// All rows, of length one, in memory.
    pub(super) fn unit_rows(&self) -> anyhow::Result<UnitRows<'_>> {
        match &self.source {
            Source::Npy(map, _) => Ok(UnitRows::new(map.rows().map_err(Error::from)?)),
            Source::Parquet(table) => {
                let mut all = Vec::new();
                table.for_each_batch(BLOCK_VALUES, &mut |values| {
                    all.extend(values);
                    Ok(())
                })?;
                Ok(UnitRows::from_f32(all, self.dim).map_err(Error::from)?)
            }
        }
    }

    /// Shows `visit` all rows in order, of length one, a block at a time with the position of its
    /// first.
    pub(super) fn for_each_block(
        &self,
        mut visit: impl FnMut(usize, Rows<'_>) -> Result<(), Error>,
    ) -> anyhow::Result<()> {
        match &self.source {
            Source::Npy(map, _) => {
                let rows = map.rows().map_err(Error::from)?;
                let block = (BLOCK_VALUES / self.dim).max(1);
                for first in (0..rows.len()).step_by(block) {
                    let unit = UnitRows::new(rows.slice(first..rows.len().min(first + block)));
                    visit(first, unit.rows().map_err(Error::from)?)?;
                }
                Ok(())
            }
            Source::Parquet(table) => {
                let mut first = 0;
                table.for_each_batch(BLOCK_VALUES, &mut |values| {
                    let unit = UnitRows::from_f32(values, self.dim).map_err(Error::from)?;
                    let rows = unit.rows().map_err(Error::from)?;
                    visit(first, rows)?;
                    first += rows.len();
                    Ok(())
                })
            }
        }
    }

    /// Refuses a file without texts.
    pub(super) fn check_texts(&self) -> Result<(), input::Error> {
        match &self.source {
            Source::Npy(..) => {
                let problem = "a .npy file has no texts".to_owned();
                Err(input::Error::Field { place: self.name.clone(), problem })
            }
            Source::Parquet(table) => table.check_texts(),
        }
    }

    /// What the file says of the rows `wanted`, with texts only if asked.
    pub(super) fn facts(
        &self,
        wanted: &BTreeSet<u64>,
        texts: bool,
    ) -> Result<FactsByRow, input::Error> {
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
