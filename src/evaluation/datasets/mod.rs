//! Data sets as they stand on disk. Every problem names its file and line.

mod beir;
mod chroma;
mod corpus;
mod gold;
mod lines;

use std::path::Path;

use super::error::Error;

pub use beir::{JudgedCorpus, JudgedQuery, read_beir};
pub use chroma::{ExcerptCorpus, ExcerptQuestion, read_chroma};
pub use corpus::CorpusDocument;
pub(crate) use corpus::check_new;
pub use gold::{GoldDocument, read_gold, read_predictions};

/// A data set for retrieval.
#[derive(Debug, Clone, PartialEq)]
pub enum RetrievalDataset {
    /// Documents, and queries for which some are judged to be relevant.
    Judged(JudgedCorpus),
    /// Documents, and questions that excerpts of them answer.
    Excerpts(ExcerptCorpus),
}

/// Reads the folder `path`: in Chroma's layout where it has a folder `corpora`, else in BEIR's, of
/// which `split` is wanted.
///
/// # Errors
/// When a file is missing or is not what it should be, and for a split of Chroma's layout.
pub fn read_retrieval(path: &Path, split: Option<&str>) -> Result<RetrievalDataset, Error> {
    if !path.join("corpora").is_dir() {
        return read_beir(path, split).map(RetrievalDataset::Judged);
    }
    if let Some(split) = split {
        let problem = format!("has no split `{split}`: a corpus of excerpts has none");
        return Err(Error::Data { place: path.display().to_string(), problem });
    }
    read_chroma(path).map(RetrievalDataset::Excerpts)
}
