//! `chunkflow similar`: which rows of a corpus of vectors are near queries, or one another.

mod queries;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};

use self::queries::{Names, check_signs, read_texts};
use super::arguments::{
    GlobalArgs, ModelArgs, OutputArgs, VectorArgs, load_model, set_up, warn_of_truncated,
};
use crate::Error;
use crate::config::Config;
use crate::embeddings::Devices;
use crate::files::{
    self, Columns, Destination, Format, MatrixWriter, RecordFormat, VectorFile, open_writer,
};
use crate::records::{Cluster, Clusters, Match, Matches, Member};
use crate::similarity::{
    self, Device, Neighbour, Pairs, RowFormat, Rows, UnitRows, min_cosine, pairwise, scan,
    threshold, top_k,
};

/// Queries up to which a corpus is read in one pass for all; with more, products pay.
const FEW_QUERIES: usize = 8;
/// Bytes of a matrix that are computed before they are written.
const MATRIX_BYTES: usize = 64 << 20;

/// Find the vectors that are nearest to queries, or to one another.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("task").required(true).multiple(true)), after_help = "\
A corpus is Parquet as `embed` and `chunk --vectors` write it, or .npy of f64, f32, f16, int8 or
packed bits, which is mapped into memory. Scores are cosines: rows are divided by their lengths, and
a row of zeros has the score 0. Writes JSON lines: query, rank, index, id, score.

Examples:
  chunkflow similar vectors.parquet --query 'what is rust?' -k 5
  chunkflow similar chunks.parquet --id document --query 'what is rust?' --return-documents
  chunkflow similar corpus.npy --ids ids.txt --queries queries.npy --threshold 0.8
  chunkflow similar vectors.parquet --duplicates 0.95
  chunkflow similar vectors.parquet --matrix -o cosines.npy")]
pub(super) struct SimilarArgs {
    /// Vectors to search.
    #[arg(value_name = "CORPUS", help_heading = "Arguments")]
    corpus: PathBuf,
    /// A text to search for, or several.
    #[arg(long, value_name = "TEXT", group = "task", conflicts_with = "queries")]
    query: Vec<String>,
    /// Texts to search for (a text per line, JSON lines, Parquet), or vectors (.npy, Parquet).
    #[arg(long, value_name = "FILE", group = "task")]
    queries: Option<PathBuf>,
    /// How many are found for each query.
    #[arg(short = 'k', long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    top_k: usize,
    /// Find all with at least this score instead.
    #[arg(
        long,
        value_name = "SCORE",
        conflicts_with = "top_k",
        value_parser = cosine,
        allow_negative_numbers = true
    )]
    threshold: Option<f32>,
    /// Write all scores as .npy: of queries by rows, or without queries of rows by rows.
    #[arg(long, group = "task", conflicts_with_all = ["top_k", "threshold"])]
    matrix: bool,
    /// Find clusters of rows linked by at least this score; scores of equal rows may be rounded to
    /// a little less than 1.
    #[arg(
        long,
        value_name = "SCORE",
        group = "task",
        conflicts_with_all = ["query", "queries", "top_k", "threshold", "matrix"],
        value_parser = cosine
    )]
    duplicates: Option<f32>,
    /// The corpus's texts are written too.
    #[arg(long, conflicts_with_all = ["matrix", "duplicates"])]
    return_documents: bool,
    /// How matches are written [default: by the output's suffix, or jsonl].
    #[arg(
        long,
        value_name = "jsonl|parquet|text",
        hide_possible_values = true,
        conflicts_with_all = ["matrix", "duplicates"]
    )]
    format: Option<RecordFormat>,
    /// Ids of a .npy corpus, one a line: a line for every row.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Column with the vectors in Parquet files.
    #[arg(long, value_name = "NAME", default_value = "embedding")]
    column: String,
    /// Column with ids in Parquet files, and field with them in JSON lines of queries.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id: String,
    /// Column with texts in Parquet files, and field with them in JSON lines of queries.
    #[arg(long, value_name = "NAME", default_value = "text")]
    text: String,
    #[command(flatten)]
    embedding: VectorArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    model: ModelArgs,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 is not at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("not a number".to_owned()),
    }
}

fn cosine(text: &str) -> Result<f32, String> {
    let score: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (-1.0..=1.0).contains(&score) {
        Ok(min_cosine(score))
    } else {
        Err("not from -1 to 1".to_owned())
    }
}

pub(super) fn run(global: &GlobalArgs, args: &SimilarArgs) -> anyhow::Result<ExitCode> {
    let config = set_up(global, args.model.flags()?, "warn")?;
    let corpus =
        VectorFile::open(&args.corpus, args.columns(), args.ids.as_deref()).map_err(Error::from)?;
    if args.return_documents {
        corpus.check_texts().map_err(Error::from)?;
    }
    let devices = Devices::open(&config.model_options()).map_err(Error::from)?;
    let device = devices.similarity().map_err(Error::from)?;
    let search = Search { global, args, config, corpus, device };
    let destination = args.output.open()?;
    if let Some(min_score) = args.duplicates {
        search.duplicates(min_score, destination)?;
    } else if let Some(path) = &args.queries
        && VectorFile::are_in(path, args.columns()).map_err(Error::from)?
    {
        search.with_file(path, destination)?;
    } else if args.matrix && args.queries.is_none() && args.query.is_empty() {
        search.whole_matrix(destination)?;
    } else {
        let (model, names, rows) = search.embed()?;
        search.with_queries(&model, names, &rows, destination)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl SimilarArgs {
    fn columns(&self) -> Columns<'_> {
        Columns { vectors: &self.column, id: &self.id, text: &self.text }
    }
}

/// A corpus and what is asked of it.
struct Search<'a> {
    global: &'a GlobalArgs,
    args: &'a SimilarArgs,
    config: Config,
    corpus: VectorFile,
    device: Device,
}

impl Search<'_> {
    /// The queries' texts as vectors of length one, with the model's name and their ids.
    fn embed(&self) -> anyhow::Result<(String, Names, UnitRows<'static>)> {
        let (names, texts) = match &self.args.queries {
            Some(path) => read_texts(path, self.args.columns())?,
            None => (vec![None; self.args.query.len()], self.args.query.clone()),
        };
        let loaded = load_model(self.global, &self.config)?;
        let model = loaded.model();
        let options = self.args.embedding.query_options(model, self.config.embed.truncate)?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embeddings = model.embed(&texts, &options).and_then(|planned| planned.run(&loaded));
        let embeddings = embeddings.map_err(Error::from)?;
        let cut = embeddings.truncated.iter().flatten().count();
        warn_of_truncated(cut, texts.len(), model);
        let rows = UnitRows::from_f32(embeddings.data, embeddings.dim).map_err(Error::from)?;
        Ok((model.name().to_owned(), names, rows))
    }

    /// Answers the vectors of a file.
    fn with_file(&self, path: &Path, destination: Destination) -> Result<(), Error> {
        let file = VectorFile::open(path, self.args.columns(), None)?;
        let unit = file.unit_rows()?;
        let all = (0..unit.rows()?.len() as u64).collect();
        let mut ids = file.facts(&all, false)?;
        let names = all.iter().map(|row| ids.remove(row).and_then(|facts| facts.id)).collect();
        self.with_queries(file.name(), names, &unit, destination)
    }

    /// Answers queries, in the corpus's format. `source` is where they come from.
    fn with_queries(
        &self,
        source: &str,
        names: Names,
        queries: &UnitRows<'_>,
        destination: Destination,
    ) -> Result<(), Error> {
        let rows = queries.rows()?;
        self.check_queries(source, rows, queries.floats().is_some())?;
        match (queries.floats(), self.corpus.format()) {
            (Some(floats), RowFormat::Int8) => {
                let quantised = similarity::int8(floats, rows.dim())?;
                let unit = UnitRows::new(quantised.rows()?);
                self.answer(names, unit.rows()?, destination)
            }
            (Some(floats), RowFormat::Binary) => {
                check_signs(source, &names, floats, rows.dim())?;
                let bits = similarity::bits(floats, rows.dim())?;
                let rows = Rows::binary(&bits, rows.dim())?;
                self.answer(names, rows, destination)
            }
            _ => self.answer(names, rows, destination),
        }
    }

    /// Refuses queries that have no scores with the corpus. Those of floating point can be brought
    /// to any format.
    fn check_queries(
        &self,
        source: &str,
        queries: Rows<'_>,
        are_floats: bool,
    ) -> Result<(), Error> {
        let (dim, format, corpus) = (self.corpus.dim(), self.corpus.format(), self.corpus.name());
        let problem = if queries.dim() != dim {
            format!("vectors have {} dimensions, those of {corpus} {dim}", queries.dim())
        } else if !are_floats && queries.format() != format {
            let own = queries.format();
            format!("vectors are {own}, those of {corpus} {format}: the same or floats are needed")
        } else {
            return Ok(());
        };
        Err(files::Error::Malformed { place: source.to_owned(), problem }.into())
    }

    fn answer(
        &self,
        names: Names,
        queries: Rows<'_>,
        destination: Destination,
    ) -> Result<(), Error> {
        if self.args.matrix {
            let columns = self.corpus.unit_rows()?;
            return self.matrix(queries, columns.rows()?, destination);
        }
        let found = match self.args.threshold {
            Some(min_score) => self.above(queries, min_score)?,
            None => self.best(queries, self.args.top_k)?,
        };
        let wanted: BTreeSet<u64> = found.iter().flatten().map(|hit| hit.index).collect();
        let facts = self.corpus.facts(&wanted, self.args.return_documents)?;
        let suffix = self.args.output.output.as_deref().and_then(RecordFormat::from_suffix);
        let format = self.args.format.or(suffix).unwrap_or(RecordFormat::Jsonl);
        let texts = self.args.return_documents;
        let mut writer = open_writer(format.into(), destination, &Matches::fields(texts))?;
        for (number, (name, hits)) in names.into_iter().zip(found).enumerate() {
            let query = name.unwrap_or_else(|| number.to_string());
            let matches = hits.iter().enumerate().map(|(place, hit)| {
                let facts = facts.get(&hit.index).cloned().unwrap_or_default();
                Match {
                    query: query.clone(),
                    rank: place + 1,
                    index: hit.index,
                    id: facts.id,
                    score: hit.score,
                    text: facts.text,
                }
            });
            let matches: Vec<Match> = matches.collect();
            writer.write(&Matches { matches: &matches, texts })?;
        }
        Ok(writer.finish()?)
    }

    /// The `k` best rows of each query.
    fn best(&self, queries: Rows<'_>, k: usize) -> Result<Vec<Vec<Hit>>, Error> {
        let mut best = vec![Vec::new(); queries.len()];
        for block in self.corpus.blocks()? {
            let (first, unit) = block?;
            let rows = unit.rows()?;
            let found = if queries.len() <= FEW_QUERIES {
                scan(&self.device, queries, rows, k)?
            } else {
                top_k(&self.device, queries, rows, k, false)?
            };
            for (best, found) in best.iter_mut().zip(found) {
                best.extend(found.into_iter().map(|Neighbour { row, score }| Hit {
                    index: first as u64 + u64::from(row),
                    score,
                }));
                sort(best);
                best.truncate(k);
            }
        }
        Ok(best)
    }

    /// All rows with a score of at least `least`, the best first.
    fn above(&self, queries: Rows<'_>, min_score: f32) -> Result<Vec<Vec<Hit>>, Error> {
        let mut hits = vec![Vec::new(); queries.len()];
        for block in self.corpus.blocks()? {
            let (first, unit) = block?;
            for pair in threshold(&self.device, queries, unit.rows()?, min_score, Pairs::All)? {
                let index = first as u64 + u64::from(pair.second);
                hits[pair.first as usize].push(Hit { index, score: pair.score });
            }
        }
        for hits in &mut hits {
            sort(hits);
        }
        Ok(hits)
    }

    /// The scores of all rows of the corpus with all.
    fn whole_matrix(&self, destination: Destination) -> Result<(), Error> {
        let unit = self.corpus.unit_rows()?;
        let rows = unit.rows()?;
        self.matrix(rows, rows, destination)
    }

    /// The scores of `rows` with `columns`, some rows at a time.
    fn matrix(
        &self,
        rows: Rows<'_>,
        columns: Rows<'_>,
        destination: Destination,
    ) -> Result<(), Error> {
        let mut writer = MatrixWriter::new(destination, [rows.len(), columns.len()])?;
        let block = (MATRIX_BYTES / 4 / columns.len().max(1)).max(1);
        let mut scores = Vec::new();
        for first in (0..rows.len()).step_by(block) {
            let rows = rows.slice(first..rows.len().min(first + block));
            scores.resize(rows.len() * columns.len(), 0.0);
            pairwise(&self.device, rows, columns, &mut scores)?;
            writer.write(&scores)?;
        }
        Ok(writer.finish()?)
    }

    /// Clusters of rows of the corpus.
    fn duplicates(&self, min_score: f32, destination: Destination) -> Result<(), Error> {
        let unit = self.corpus.unit_rows()?;
        let rows = unit.rows()?;
        let clusters = similarity::duplicates(&self.device, rows, min_score)?;
        let wanted = clusters.iter().flatten().map(|&row| u64::from(row)).collect();
        let mut facts = self.corpus.facts(&wanted, false)?;
        let mut member = |row: u32| {
            let index = u64::from(row);
            Member { index, id: facts.remove(&index).and_then(|facts| facts.id) }
        };
        let clusters = clusters.into_iter().enumerate().map(|(cluster, rows)| Cluster {
            cluster,
            members: rows.into_iter().map(&mut member).collect(),
        });
        let clusters: Vec<Cluster> = clusters.collect();
        let mut writer = open_writer(Format::Jsonl, destination, &Clusters::FIELDS)?;
        writer.write(&Clusters(&clusters))?;
        Ok(writer.finish()?)
    }
}

/// A row of the corpus that was found.
#[derive(Debug, Clone, Copy)]
struct Hit {
    index: u64,
    score: f32,
}

/// The best first, of equal ones the first of the corpus.
fn sort(hits: &mut [Hit]) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
}
