//! `chunkflow evaluate retrieval`: questions against the chunks of a corpus.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::output::{ReportArgs, dataset_name};
use crate::Error;
use crate::chunking::ChunkOptions;
use crate::cli::arguments::{GlobalArgs, ModelArgs, VectorArgs, chunk_flags, load_model, set_up};
use crate::cli::progress::Progress;
use crate::embeddings::{EmbedOptions, Model, Truncate};
use crate::evaluation::datasets::{RetrievalDataset, read_retrieval};
use crate::evaluation::{
    RetrievalOptions, Splitter, evaluate_retrieval, name_of, retrieval_metrics,
};

/// Retrieve chunks, or whole documents, for the questions of a corpus.
#[derive(Debug, Args)]
#[command(after_help = "\
A corpus is a folder in BEIR's layout (corpus.jsonl, queries*.jsonl and qrels/SPLIT.tsv or
qrels*.tsv: nDCG@10, recall@100, MRR@10) or in that of Chroma's chunking_evaluation (corpora/ and
questions_df.csv: recall, precision, precision-omega and IoU of the excerpts that answer, in code
points). One of BEIR has a vector a document unless a choice of chunking is given. Neighbours are
exact, by cosine.

Examples:
  chunkflow evaluate retrieval --corpus scifact
  chunkflow evaluate retrieval --corpus scifact --preset retrieval
  chunkflow evaluate retrieval --corpus general_evaluation_data --max-tokens 200 --report r.html")]
pub(super) struct RetrievalArgs {
    /// Folder with the corpus.
    #[arg(long, value_name = "DIR")]
    corpus: PathBuf,
    /// One vector a document, cut at the model's length.
    #[arg(long, conflicts_with = "ChunkOptions")]
    whole: bool,
    #[command(flatten)]
    choices: ChunkOptions,
    #[command(flatten)]
    questions: QuestionArgs,
    #[command(flatten)]
    output: ReportArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// How questions are asked.
#[derive(Debug, Args)]
pub(super) struct QuestionArgs {
    /// Split of the judgements: test where there is one, or else the only one.
    #[arg(long, value_name = "NAME")]
    pub(super) split: Option<String>,
    /// Chunks retrieved for each question on excerpts.
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// Put this before every question.
    #[arg(long, value_name = "TEXT", conflicts_with = "query_prompt_name")]
    query_prompt: Option<String>,
    /// Put the model's prompt of this name before every question.
    #[arg(long, value_name = "NAME")]
    query_prompt_name: Option<String>,
    #[command(flatten)]
    pub(super) embedding: VectorArgs,
}

impl QuestionArgs {
    /// What was typed, for `model`.
    pub(super) fn options(
        &self,
        model: &Model,
        truncate: Truncate,
    ) -> Result<RetrievalOptions, Error> {
        let documents = self.embedding.options(model, truncate)?;
        let prompt = match &self.query_prompt {
            Some(text) => model.prompt_text(text)?,
            None => model.prompt(self.query_prompt_name.as_deref())?,
        };
        let queries = EmbedOptions { prompt, ..documents.clone() };
        Ok(RetrievalOptions { documents, queries, k: self.k as usize })
    }

    /// All metrics of `dataset`.
    pub(super) fn metrics(&self, dataset: &RetrievalDataset) -> Vec<String> {
        retrieval_metrics(dataset, self.k as usize)
    }

    /// The metric that runs are ranked by: what Chroma's and BEIR's papers do.
    pub(super) fn metric(&self, dataset: &RetrievalDataset) -> String {
        match dataset {
            RetrievalDataset::Judged(_) => "ndcg@10".to_owned(),
            RetrievalDataset::Excerpts(_) => format!("iou@{}", self.k),
        }
    }
}

/// Bytes of all documents.
pub(super) fn bytes(dataset: &RetrievalDataset) -> u64 {
    let documents = match dataset {
        RetrievalDataset::Judged(corpus) => &corpus.documents,
        RetrievalDataset::Excerpts(corpus) => &corpus.documents,
    };
    documents.iter().map(|document| document.text.len() as u64).sum()
}

pub(super) fn run(global: &GlobalArgs, args: &RetrievalArgs) -> anyhow::Result<ExitCode> {
    let mut flags = args.model.flags()?;
    flags.extend(chunk_flags(&args.choices)?);
    let config = set_up(global, flags, "warn")?;
    let spec = config.chunk.resolve().map_err(Error::from)?;
    let dataset =
        read_retrieval(&args.corpus, args.questions.split.as_deref()).map_err(Error::from)?;
    let judged = matches!(dataset, RetrievalDataset::Judged(_));
    let whole = args.whole || (judged && args.choices == ChunkOptions::default());
    let splitter = if whole {
        ("whole".to_owned(), Splitter::Whole)
    } else {
        (name_of(&config.chunk), Splitter::Spec(spec))
    };
    let outputs = args.output.open()?;
    let model = load_model(global, &config)?;
    let options = args.questions.options(model.model(), config.embed.truncate)?;
    let mut progress = Progress::new(Some(bytes(&dataset)), global.quiet);
    let name = dataset_name(&args.corpus);
    let mut done = |bytes, tokens| progress.add(bytes as u64, 1, tokens);
    let runs = evaluate_retrieval(&model, &name, &dataset, &[splitter], &options, &mut done)
        .map_err(Error::from)?;
    progress.finish();
    let title = format!("Retrieval from {name}");
    outputs.write(&title, &runs, &args.questions.metric(&dataset), spec.seed)?;
    Ok(ExitCode::SUCCESS)
}
