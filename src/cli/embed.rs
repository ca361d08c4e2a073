//! `chunkflow embed`: texts in, vectors out.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::ahead::{BLOCK_BYTES, Blocks};
use super::arguments::{
    GlobalArgs, ModelArgs, OutputArgs, VectorArgs, flag, load_model, set_up, warn_of_truncated,
};
use super::input::InputArgs;
use super::progress::Progress;
use super::refuse::refuse_arguments;
use crate::Error;
use crate::embeddings::{self, EmbedOptions, LoadedModel, Model, Planned, ReadRows, Truncate};
use crate::files::{Document, Format, Plain, Records, Writer, open_writer};
use crate::models::Task;
use crate::records::{SparseVectors, TokenVectors, Vectors};

/// Bytes of a block where every token has a row: about 16,000 of them.
const TOKENS_BLOCK_BYTES: usize = 64 << 10;

/// Embed texts: a text per line, JSON lines, or Parquet.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'a text per line' | chunkflow embed --format text
  chunkflow embed corpus.jsonl --field body -o vectors.parquet
  chunkflow embed corpus.jsonl --model splade-v3 --output-kind sparse -o sparse.jsonl
  chunkflow embed corpus.parquet --column text --dimensions 128 -o vectors.npy")]
pub(super) struct EmbedArgs {
    /// One vector a text, one of every token, or weights of vocabulary entries (SPLADE); the last
    /// two are written as jsonl.
    #[arg(
        long,
        value_name = "dense|tokens|sparse",
        hide_possible_values = true,
        default_value = "dense"
    )]
    output_kind: OutputKind,
    /// How vectors are written [default: by the output's suffix, or jsonl].
    #[arg(long, value_name = "jsonl|parquet|npy|text", hide_possible_values = true)]
    format: Option<Format>,
    /// Which end of a text beyond the model's length is dropped.
    #[arg(long, value_name = "left|right|model", hide_possible_values = true)]
    truncate: Option<Truncate>,
    #[command(flatten)]
    vectors: VectorArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// What is written of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputKind {
    Dense,
    Tokens,
    Sparse,
}

pub(super) fn run(global: &GlobalArgs, args: &EmbedArgs) -> anyhow::Result<ExitCode> {
    let suffix = args.output.output.as_deref().and_then(Format::from_suffix);
    let format = args.format.or(suffix).unwrap_or(Format::Jsonl);
    if args.output_kind != OutputKind::Dense {
        if format != Format::Jsonl {
            refuse_arguments("--output-kind tokens and sparse are written as jsonl");
        }
        if args.vectors.dimensions.is_some() {
            refuse_arguments("--dimensions goes with --output-kind dense");
        }
    }
    let mut flags = args.model.flags()?;
    if args.output_kind == OutputKind::Sparse {
        flags.extend(flag("model.kind", "--output-kind", Some(Task::Sparse))?);
    }
    flags.extend(flag("embed.truncate", "--truncate", args.truncate)?);
    let config = set_up(global, flags, "warn")?;
    let documents = args.input.documents(Plain::Lines)?;
    let destination = args.output.open()?;
    let loaded = Arc::new(load_model(global, &config)?);
    let options = args.vectors.options(loaded.model(), config.embed.truncate)?;
    let fields = match args.output_kind {
        OutputKind::Dense => {
            let dimensions = loaded.model().check_dimensions(options.dimensions);
            Vectors::fields(dimensions.map_err(Error::from)?)
        }
        OutputKind::Tokens => TokenVectors::fields(),
        OutputKind::Sparse => SparseVectors::fields(),
    };
    let writer = open_writer(format, destination, &fields).map_err(Error::from)?;
    let progress = Progress::new(args.input.total_bytes(), global.quiet);
    let mut run = Run { loaded, options, writer, progress, rows: 0, truncated: 0 };
    match args.output_kind {
        OutputKind::Dense => run.dense(Blocks::new(documents, BLOCK_BYTES))?,
        OutputKind::Tokens => run.tokens(Blocks::new(documents, TOKENS_BLOCK_BYTES))?,
        OutputKind::Sparse => run.sparse(Blocks::new(documents, BLOCK_BYTES))?,
    }
    run.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn texts(block: &[Document]) -> Vec<&str> {
    block.iter().map(|document| document.text.as_str()).collect()
}

fn ids(block: &[Document]) -> Vec<Option<String>> {
    block.iter().map(|document| document.id.clone()).collect()
}

/// A run over an input, block by block.
struct Run {
    loaded: Arc<LoadedModel>,
    options: EmbedOptions,
    writer: Box<dyn Writer>,
    progress: Progress,
    rows: u64,
    truncated: usize,
}

/// A way to plan texts.
type Plan<R> = fn(&Model, &[&str], &EmbedOptions) -> Result<Planned<R>, embeddings::Error>;

impl Run {
    fn dense(&mut self, blocks: Blocks) -> anyhow::Result<()> {
        self.each(blocks, Model::embed, |run, block, embeddings| {
            let ids = &ids(block)[..];
            let vectors = Vectors { first_index: run.rows, ids, embeddings: &embeddings };
            run.write(&vectors, block, &embeddings.tokens, &embeddings.truncated)
        })
    }

    fn tokens(&mut self, blocks: Blocks) -> anyhow::Result<()> {
        self.each(blocks, Model::embed_tokens, |run, block, embeddings| {
            let ids = &ids(block)[..];
            let vectors = TokenVectors { first_index: run.rows, ids, embeddings: &embeddings };
            run.write(&vectors, block, &embeddings.tokens, &embeddings.truncated)
        })
    }

    fn sparse(&mut self, blocks: Blocks) -> anyhow::Result<()> {
        self.each(blocks, Model::embed_sparse, |run, block, embeddings| {
            let ids = &ids(block)[..];
            let vectors = SparseVectors { first_index: run.rows, ids, embeddings: &embeddings };
            run.write(&vectors, block, &embeddings.tokens, &embeddings.truncated)
        })
    }

    /// Plans every block, runs it, and writes what comes of it.
    fn each<R: ReadRows>(
        &mut self,
        blocks: Blocks,
        plan: Plan<R>,
        mut write: impl FnMut(&mut Self, &[Document], R::Answer) -> Result<(), Error>,
    ) -> anyhow::Result<()> {
        let (loaded, options) = (Arc::clone(&self.loaded), self.options.clone());
        let plan = move |block: &[Document]| {
            Ok(plan(loaded.model(), &texts(block), &options).map_err(Error::from)?)
        };
        blocks.run_ahead(plan, |block, planned| {
            let answer = planned.run(&*self.loaded).map_err(Error::from)?;
            Ok(write(self, &block, answer)?)
        })
    }

    /// Writes a block's records.
    fn write(
        &mut self,
        records: &dyn Records,
        block: &[Document],
        tokens: &[usize],
        truncated: &[Option<usize>],
    ) -> Result<(), Error> {
        self.writer.write(records)?;
        self.rows += block.len() as u64;
        self.truncated += truncated.iter().flatten().count();
        let bytes = block.iter().map(|document| document.bytes).sum();
        self.progress.add(bytes, block.len(), tokens.iter().sum());
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        self.writer.finish()?;
        self.progress.finish();
        warn_of_truncated(self.truncated, self.rows as usize, self.loaded.model());
        Ok(())
    }
}
