//! `chunkflow rerank`: documents in, sorted by how well they answer a query.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::ahead::{BLOCK_BYTES, Blocks};
use super::arguments::{GlobalArgs, ModelArgs, OutputArgs, load_model, set_up, warn_of_truncated};
use super::input::InputArgs;
use super::progress::Progress;
use crate::Error;
use crate::embeddings::{self, LoadedModel, Planned, ScoreReader, Scores};
use crate::files::{Document, Format, Plain, open_writer};
use crate::records::{Ranked, RankedDocuments};

/// Score documents against a query with a cross-encoder, the best first.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes JSON lines: index in the input, id, score, tokens, truncated, and the text if asked.

Examples:
  chunkflow rerank --query 'what is rust?' docs.txt --model bge-reranker-base --top-n 5
  chunkflow rerank --query 'what is rust?' corpus.jsonl --field body --return-documents")]
pub(super) struct RerankArgs {
    /// What the documents are to answer.
    #[arg(long, value_name = "TEXT")]
    query: String,
    /// Only the best N.
    #[arg(long, value_name = "N")]
    top_n: Option<usize>,
    /// Write the documents' texts too.
    #[arg(long)]
    return_documents: bool,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &RerankArgs) -> anyhow::Result<ExitCode> {
    let config = set_up(global, args.model.flags()?, "warn")?;
    let documents = args.input.documents(Plain::Lines)?;
    let destination = args.output.open()?;
    let mut writer =
        open_writer(Format::Jsonl, destination, &RankedDocuments::FIELDS).map_err(Error::from)?;
    let loaded = Arc::new(load_model(global, &config)?);
    check_labels(&loaded).map_err(Error::from)?;
    let progress = Progress::new(args.input.total_bytes(), global.quiet);
    let mut run = Run { args, progress, ranked: Vec::new() };
    let (planner, query) = (Arc::clone(&loaded), args.query.clone());
    let plan = move |block: &[Document]| Ok(plan(&planner, &query, block).map_err(Error::from)?);
    Blocks::new(documents, BLOCK_BYTES).run_ahead(plan, |block, planned| {
        run.rank(block, &planned.run(&*loaded).map_err(Error::from)?);
        Ok(())
    })?;
    let Run { progress, mut ranked, .. } = run;
    progress.finish();
    let cut = ranked.iter().filter(|document| document.truncated).count();
    warn_of_truncated(cut, ranked.len(), loaded.model());
    // Equal scores keep the order of the input.
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked.truncate(args.top_n.unwrap_or(usize::MAX));
    writer.write(&RankedDocuments(&ranked)).map_err(Error::from)?;
    writer.finish().map_err(Error::from)?;
    Ok(ExitCode::SUCCESS)
}

/// Several labels have no one order.
fn check_labels(loaded: &LoadedModel) -> Result<(), embeddings::Error> {
    match loaded.model().score(&[])?.run(loaded)?.labels {
        1 => Ok(()),
        labels => Err(embeddings::Error::Labels { labels }),
    }
}

fn plan(
    loaded: &LoadedModel,
    query: &str,
    block: &[Document],
) -> Result<Planned<ScoreReader>, embeddings::Error> {
    let pairs: Vec<_> = block.iter().map(|document| (query, document.text.as_str())).collect();
    loaded.model().score(&pairs)
}

/// The documents scored so far.
struct Run<'a> {
    args: &'a RerankArgs,
    progress: Progress,
    ranked: Vec<Ranked>,
}

impl Run<'_> {
    fn rank(&mut self, block: Vec<Document>, scores: &Scores) {
        let bytes = block.iter().map(|document| document.bytes).sum();
        self.progress.add(bytes, block.len(), scores.tokens.iter().sum());
        for (place, document) in block.into_iter().enumerate() {
            self.ranked.push(Ranked {
                index: self.ranked.len() as u64,
                id: document.id,
                score: scores.data[place],
                tokens: scores.tokens[place],
                truncated: scores.truncated[place].is_some(),
                text: self.args.return_documents.then_some(document.text),
            });
        }
    }
}
