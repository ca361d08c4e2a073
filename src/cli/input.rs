//! Which documents go in, as arguments.

use std::path::PathBuf;

use clap::Args;

use crate::Error;
use crate::files::{Document, Plain, TextNames, is_json_lines, read_documents};

/// What is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(super) struct InputArgs {
    /// Files to read; `-` or none is standard input.
    #[arg(value_name = "FILES", help_heading = "Arguments")]
    files: Vec<PathBuf>,
    /// Field with the text: reads JSON lines [default for .jsonl: text].
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// Column with the text in Parquet files.
    #[arg(long, value_name = "NAME", default_value = "text")]
    column: String,
    /// Field or column with each text's id, carried along where it exists.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id: String,
}

pub(super) type Documents = Box<dyn Iterator<Item = Result<Document, Error>> + Send>;

impl InputArgs {
    /// One file, read as the command line would.
    pub(super) fn of_file(path: PathBuf, field: Option<String>, column: String) -> Self {
        Self { files: vec![path], field, column, id: "id".to_owned() }
    }

    /// One file whose texts and ids have these names, in JSON lines and in Parquet.
    pub(super) fn named(path: PathBuf, text: &str, id: &str) -> Self {
        let field = is_json_lines(&path).then(|| text.to_owned());
        Self { id: id.to_owned(), ..Self::of_file(path, field, text.to_owned()) }
    }

    /// The documents of all files in order. Files are opened as they are reached, but a missing
    /// one is an error at once.
    pub(super) fn documents(&self, plain: Plain) -> Result<Documents, Error> {
        let names = TextNames {
            field: self.field.clone(),
            column: self.column.clone(),
            id: self.id.clone(),
        };
        let documents = read_documents(self.files(), names, plain)?;
        Ok(Box::new(documents.map(|document| Ok(document?))))
    }

    /// Bytes of all files; `None` when one has no length, as standard input.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        let lengths = self.files().into_iter().map(|path| {
            let meta = path.metadata().ok()?;
            meta.is_file().then_some(meta.len())
        });
        lengths.sum()
    }

    fn files(&self) -> Vec<PathBuf> {
        if self.files.is_empty() { vec![PathBuf::from("-")] } else { self.files.clone() }
    }
}
