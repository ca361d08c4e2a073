//! `chunkflow chunk`: documents in, chunks out.

use std::process::ExitCode;

use clap::Args;

use super::arguments::{
    GlobalArgs, ModelArgs, OutputArgs, VectorArgs, chunk_flags, load_model, set_up,
};
use super::input::{InputArgs, Plain};
use super::progress::Progress;
use super::refuse_arguments;
use crate::Error;
use crate::chunking::ChunkOptions;
use crate::pipeline;
use crate::results::{ChunkFormat, open_chunk_sink};

/// Cut documents into chunks where the topic changes, with vectors from the same pass.
#[derive(Debug, Args)]
#[command(after_help = "\
A file is a document, and so is a line of JSON lines or a row of Parquet. Writes JSON lines or
Parquet: document, chunk, start and end in bytes, start_char and end_char in code points, tokens,
strength (how far the topic moves at the chunk's start, 0 to 2), text, and if asked the vector
(embedding in Parquet). Format text is for people: each chunk, then a line on it and on the cut.

Examples:
  chunkflow chunk book.txt --max-tokens 200
  chunkflow chunk book.txt --format text | less
  chunkflow chunk corpus.jsonl --field body --vectors -o chunks.parquet")]
pub(super) struct ChunkArgs {
    /// How chunks are written [default: by the output's suffix, or jsonl].
    #[arg(long, value_name = "jsonl|parquet|text", hide_possible_values = true)]
    format: Option<ChunkFormat>,
    /// Write each chunk's vector.
    #[arg(long)]
    vectors: bool,
    #[command(flatten)]
    choices: ChunkOptions,
    #[command(flatten)]
    embedding: VectorArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &ChunkArgs) -> anyhow::Result<ExitCode> {
    let suffix = args.output.output.as_deref().and_then(ChunkFormat::from_suffix);
    let format = args.format.or(suffix).unwrap_or(ChunkFormat::Jsonl);
    if args.vectors && format == ChunkFormat::Text {
        refuse_arguments("--vectors goes with --format jsonl and parquet");
    }
    let mut flags = args.model.flags()?;
    flags.extend(chunk_flags(&args.choices)?);
    let config = set_up(global, flags, "warn")?;
    let spec = config.chunk.resolve().map_err(Error::from)?;
    let documents = args.input.documents(Plain::Whole)?;
    let destination = args.output.open()?;
    let model = load_model(global, &config)?;
    let options = args.embedding.options(&model, config.embed.truncate)?;
    let dimensions = model.check_dimensions(options.dimensions).map_err(Error::from)?;
    let vectors = args.vectors.then_some(dimensions);
    let mut sink = open_chunk_sink(format, destination, vectors).map_err(Error::from)?;
    let mut progress = Progress::new(args.input.total_bytes(), global.quiet);
    for (index, document) in documents.enumerate() {
        let document = document?;
        let chunked = pipeline::chunk(&model, &document.text, &spec, &options)?;
        let name = document.id.unwrap_or_else(|| index.to_string());
        sink.write(&name, &document.text, &chunked.chunks).map_err(Error::from)?;
        progress.add(document.bytes, 1, chunked.document.tokens());
    }
    sink.finish().map_err(Error::from)?;
    progress.finish();
    Ok(ExitCode::SUCCESS)
}
