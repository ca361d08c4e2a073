//! Queries of `chunkflow similar`: their names and texts, and which cannot be asked.

use std::path::Path;

use crate::Error;
use crate::cli::input::InputArgs;
use crate::files::{self, Columns, Plain};

/// Names of queries, where they have some.
pub(super) type Names = Vec<Option<String>>;

/// Refuses queries that bits cannot stand for, as they would be found to point somewhere.
pub(super) fn check_signs(
    source: &str,
    names: &Names,
    floats: &[f32],
    dim: usize,
) -> Result<(), files::Error> {
    for (number, (query, name)) in floats.chunks_exact(dim).zip(names).enumerate() {
        let what = if query.iter().any(|x| !x.is_finite()) {
            "has a value that is not finite"
        } else if query.iter().all(|&x| x == 0.0) {
            "is all zeros"
        } else {
            continue;
        };
        let query = name.clone().unwrap_or_else(|| number.to_string());
        let problem = format!("query {query} {what}, which bits such as the corpus's cannot say");
        return Err(files::Error::Malformed { place: source.to_owned(), problem });
    }
    Ok(())
}

/// The texts of a file, with their ids.
pub(super) fn read_texts(path: &Path, columns: Columns<'_>) -> Result<(Names, Vec<String>), Error> {
    let input = InputArgs::named(path.to_owned(), columns.text, columns.id);
    let (mut names, mut texts) = (Vec::new(), Vec::new());
    for document in input.documents(Plain::Lines)? {
        let document = document?;
        names.push(document.id);
        texts.push(document.text);
    }
    if texts.is_empty() {
        let problem = "has 0 texts, at least 1 is needed".to_owned();
        return Err(files::Error::Malformed { place: path.display().to_string(), problem }.into());
    }
    Ok((names, texts))
}
