//! Vectors in: `.npy` files, mapped into memory, and Parquet files as `embed` and `chunk` write
//! them. Streaming, in bounded memory.

#[cfg(feature = "parquet")]
mod table;
#[cfg(not(feature = "parquet"))]
#[path = "table_disabled.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use self::table::Table;
use super::input::{self, InputArgs, Plain};
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
    len: usize,
}

enum Source {
    /// With a file of ids, a line each.
    Npy(MappedRows, Option<PathBuf>),
    Parquet(Table),
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
        match suffix(path).as_deref() {
            Some("npy") => {
                let map = MappedRows::open(path).map_err(Error::from)?;
                let rows = map.rows().map_err(Error::from)?;
                let (dim, len) = (rows.dim(), rows.len());
                Ok(Self { name, source: Source::Npy(map, ids.map(Path::to_owned)), dim, len })
            }
            Some("parquet") if ids.is_some() => {
                Ok(refuse("a Parquet file has its ids in a column, --ids goes with .npy")?)
            }
            Some("parquet") => {
                let table = Table::open(path, columns)?;
                let (dim, len) = (table.dim(), table.len());
                Ok(Self { name, source: Source::Parquet(table), dim, len })
            }
            _ => Ok(refuse("vectors are read from .npy and .parquet files")?),
        }
    }

    /// Whether a file is one of vectors rather than of texts.
    pub(super) fn are_in(path: &Path, columns: Columns<'_>) -> anyhow::Result<bool> {
        Ok(match suffix(path).as_deref() {
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

    pub(super) fn len(&self) -> usize {
        self.len
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
                let mut all = Vec::with_capacity(self.len * self.dim);
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
                for first in (0..self.len).step_by(block) {
                    let unit = UnitRows::new(rows.slice(first..self.len.min(first + block)));
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
            Source::Npy(_, Some(ids)) => self.lines(ids, wanted),
            Source::Parquet(table) => table.facts(wanted, texts),
        }
    }

    /// The ids of `wanted`, a line each.
    fn lines(&self, path: &Path, wanted: &BTreeSet<u64>) -> Result<FactsByRow, input::Error> {
        let lines = InputArgs::of_file(path.to_owned(), None, String::new());
        let (mut facts, mut count) = (FactsByRow::new(), 0);
        for line in lines.documents(Plain::Lines)? {
            let id = line?.text;
            if wanted.contains(&count) {
                facts.insert(count, Facts { id: Some(id), text: None });
            }
            count += 1;
        }
        if count == self.len as u64 {
            return Ok(facts);
        }
        let problem = format!("has {count} ids, {} has {} rows", self.name, self.len);
        Err(input::Error::Field { place: path.display().to_string(), problem })
    }
}

fn suffix(path: &Path) -> Option<String> {
    path.extension().and_then(|suffix| suffix.to_str()).map(str::to_ascii_lowercase)
}
