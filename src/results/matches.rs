//! Rows that were found for queries, as JSON lines, Parquet or text; clusters of rows as JSON
//! lines.

use std::io::Write;

use serde::Serialize;

use super::jsonl::write_line;
use super::{Destination, Error, RecordFormat, parquet};

/// A row that was found for a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Match {
    /// The query's id, or else its number.
    pub query: String,
    /// Its place among the query's, from 1.
    pub rank: usize,
    /// Position in the corpus, from 0.
    pub index: u64,
    /// Its id where the corpus has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its cosine with the query.
    pub score: f32,
    /// Its text, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Takes matches in order and writes them.
pub trait MatchSink {
    /// Appends matches.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, matches: &[Match]) -> Result<(), Error>;

    /// Completes the output.
    ///
    /// # Errors
    /// When the end cannot be written or the output's name is taken.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// A sink of `format`; Parquet has a column of texts only with `texts`.
///
/// # Errors
/// When this build does not have the format or its first bytes cannot be written.
pub fn open_match_sink(
    format: RecordFormat,
    destination: Destination,
    texts: bool,
) -> Result<Box<dyn MatchSink>, Error> {
    match format {
        RecordFormat::Jsonl => Ok(Box::new(JsonlMatches { destination })),
        RecordFormat::Parquet => parquet::open_matches(destination, texts),
        RecordFormat::Text => Ok(Box::new(TextMatches { destination })),
    }
}

/// Writes one object a match.
struct JsonlMatches {
    destination: Destination,
}

impl MatchSink for JsonlMatches {
    fn write(&mut self, matches: &[Match]) -> Result<(), Error> {
        matches.iter().try_for_each(|found| write_line(&mut self.destination, found))
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.destination.commit()
    }
}

/// Writes a line a match: query, rank, score, index, id and text between tabs.
struct TextMatches {
    destination: Destination,
}

impl MatchSink for TextMatches {
    fn write(&mut self, matches: &[Match]) -> Result<(), Error> {
        for found in matches {
            let Match { rank, score, index, .. } = found;
            let query = one_line(&found.query);
            let mut line = format!("{query}\t{rank}\t{score:.4}\t{index}\t");
            line += &one_line(found.id.as_deref().unwrap_or_default());
            if let Some(text) = &found.text {
                line.push('\t');
                line += &one_line(text);
            }
            line.push('\n');
            let written = self.destination.write_all(line.as_bytes());
            written.map_err(|source| self.destination.write_error(source))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.destination.commit()
    }
}

/// `text` with spaces for what would end its line or column.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Rows that are alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cluster {
    /// Its number, from 0.
    pub cluster: usize,
    /// Its number of members.
    pub size: usize,
    /// In the order of the corpus.
    pub members: Vec<Member>,
}

/// A row of a [`Cluster`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// Position in the corpus, from 0.
    pub index: u64,
    /// Its id where the corpus has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Writes one object a cluster.
///
/// # Errors
/// When they cannot be written or the output's name is taken.
pub fn write_clusters(
    mut destination: Destination,
    clusters: impl IntoIterator<Item = Cluster>,
) -> Result<(), Error> {
    for cluster in clusters {
        write_line(&mut destination, &cluster)?;
    }
    destination.commit()
}
