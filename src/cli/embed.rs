//! `chunkflow embed`: texts in, vectors out.

use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use clap::{Args, ValueEnum};

use super::arguments::{
    GlobalArgs, ModelArgs, OutputArgs, VectorArgs, flag, load_model, set_up, warn_of_cuts,
};
use super::input::{Documents, InputArgs};
use super::progress::Progress;
use super::refuse_arguments;
use crate::Error;
use crate::embeddings::{EmbedOptions, Embeddings, Forward, Kind, Model, Truncate};
use crate::files::{Document, Format, Plain, Writer, open_writer};
use crate::records::{SparseVectors, TokenVectors, Vectors};

/// Texts embedded at a time, and their bytes: what is held in memory.
const BLOCK_TEXTS: usize = 1_024;
const BLOCK_BYTES: usize = 2 << 20;
/// The same where every token has a row: about 16,000 of them.
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
    #[arg(long, value_name = "left|right", hide_possible_values = true)]
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
        flags.extend(flag("model.kind", "--output-kind", Some(Kind::Sparse))?);
    }
    flags.extend(flag("embed.truncate", "--truncate", args.truncate)?);
    let config = set_up(global, flags, "warn")?;
    let documents = args.input.documents(Plain::Lines)?;
    let destination = args.output.open()?;
    let model = Arc::new(load_model(global, &config)?);
    let options = args.vectors.options(&model, config.embed.truncate)?;
    let fields = match args.output_kind {
        OutputKind::Dense => {
            let dimensions = model.check_dimensions(options.dimensions).map_err(Error::from)?;
            Vectors::fields(dimensions)
        }
        OutputKind::Tokens => TokenVectors::fields(),
        OutputKind::Sparse => SparseVectors::fields(),
    };
    let writer = open_writer(format, destination, &fields).map_err(Error::from)?;
    let progress = Progress::new(args.input.total_bytes(), global.quiet);
    let lanes = model.lanes();
    let kind = args.output_kind;
    let mut run = Run { model, options, kind, writer, progress, rows: 0, truncated: 0 };
    let block_bytes = match kind {
        OutputKind::Tokens => TOKENS_BLOCK_BYTES,
        OutputKind::Dense | OutputKind::Sparse => BLOCK_BYTES,
    };
    let mut blocks = Blocks { documents, bytes: block_bytes };
    if args.output_kind == OutputKind::Dense && lanes > 1 {
        run.embed_ahead(blocks)?;
    } else {
        blocks.try_for_each(|block| Ok::<_, anyhow::Error>(run.embed(&block?)?))?;
    }
    run.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Documents in blocks of `BLOCK_TEXTS` or about so many bytes of text; none is empty.
struct Blocks {
    documents: Documents,
    bytes: usize,
}

impl Iterator for Blocks {
    type Item = anyhow::Result<Vec<Document>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut block, mut bytes) = (Vec::new(), 0);
        while block.len() < BLOCK_TEXTS && bytes < self.bytes {
            match self.documents.next() {
                Some(Ok(document)) => {
                    bytes += document.text.len();
                    block.push(document);
                }
                Some(Err(error)) => return Some(Err(error.into())),
                None => break,
            }
        }
        (!block.is_empty()).then_some(Ok(block))
    }
}

fn texts(block: &[Document]) -> Vec<&str> {
    block.iter().map(|document| document.text.as_str()).collect()
}

fn ids(block: &[Document]) -> Vec<Option<String>> {
    block.iter().map(|document| document.id.clone()).collect()
}

/// A run over an input, block by block.
struct Run {
    model: Arc<Model>,
    options: EmbedOptions,
    kind: OutputKind,
    writer: Box<dyn Writer>,
    progress: Progress,
    rows: u64,
    truncated: usize,
}

impl Run {
    /// Reads and tokenises the next block while the device runs the one before. After an error
    /// nobody waits for the reader: its input may have no end.
    fn embed_ahead(&mut self, blocks: Blocks) -> anyhow::Result<()> {
        let (model, options) = (Arc::clone(&self.model), self.options.clone());
        let (sender, planned) = mpsc::sync_channel(1);
        thread::Builder::new().name("chunkflow-reader".to_owned()).spawn(move || {
            for block in blocks {
                let plan = block.and_then(|block| {
                    let plan = model.plan(&texts(&block), &options).map_err(Error::from)?;
                    Ok((block, plan))
                });
                if sender.send(plan).is_err() {
                    break;
                }
            }
        })?;
        for plan in planned {
            let (block, (job, mut embeddings)) = plan?;
            embeddings.data = self.model.forward(job).map_err(Error::from)?;
            self.write(&block, &embeddings)?;
        }
        Ok(())
    }

    /// Writes a block's vectors.
    fn write(&mut self, block: &[Document], embeddings: &Embeddings) -> Result<(), Error> {
        let (ids, first_index) = (&ids(block)[..], self.rows);
        if self.kind == OutputKind::Tokens {
            self.writer.write(&TokenVectors { first_index, ids, embeddings })?;
        } else {
            self.writer.write(&Vectors { first_index, ids, embeddings })?;
        }
        self.count(block, &embeddings.tokens, &embeddings.truncated);
        Ok(())
    }

    fn embed(&mut self, block: &[Document]) -> Result<(), Error> {
        let texts = texts(block);
        match self.kind {
            OutputKind::Dense => {
                let embeddings = self.model.embed(&texts, &self.options)?;
                self.write(block, &embeddings)
            }
            OutputKind::Tokens => {
                let embeddings = self.model.embed_tokens(&texts, &self.options)?;
                self.write(block, &embeddings)
            }
            OutputKind::Sparse => {
                let embeddings = &self.model.embed_sparse(&texts, &self.options)?;
                let (ids, first_index) = (&ids(block)[..], self.rows);
                self.writer.write(&SparseVectors { first_index, ids, embeddings })?;
                self.count(block, &embeddings.tokens, &embeddings.truncated);
                Ok(())
            }
        }
    }

    fn count(&mut self, block: &[Document], tokens: &[usize], truncated: &[Option<usize>]) {
        self.rows += block.len() as u64;
        self.truncated += truncated.iter().flatten().count();
        let bytes = block.iter().map(|document| document.bytes).sum();
        self.progress.add(bytes, block.len(), tokens.iter().sum());
    }

    fn finish(self) -> Result<(), Error> {
        self.writer.finish()?;
        self.progress.finish();
        warn_of_cuts(self.truncated, self.rows as usize, &self.model);
        Ok(())
    }
}
