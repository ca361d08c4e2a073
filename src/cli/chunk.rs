//! `chunkflow chunk`: documents in, chunks out.

use std::process::ExitCode;

use clap::Args;

use super::arguments::{
    GlobalArgs, ModelArgs, OutputArgs, VectorArgs, chunk_flags, load_model, set_up,
};
use super::input::{InputArgs, Plain};
use super::progress::Progress;
use crate::Error;
use crate::chunking::ChunkOptions;
use crate::pipeline;
use crate::results::ChunkWriter;

/// Cut documents into chunks where the topic changes, with vectors from the same pass.
#[derive(Debug, Args)]
#[command(after_help = "\
A file is a document, and so is a line of JSON lines or a row of Parquet. Writes JSON lines:
document, chunk, start and end in bytes, start_char and end_char in code points, tokens,
strength (how far the topic moves at the chunk's start, 0 to 2), text, and the vector if asked.

Examples:
  chunkflow chunk book.txt --max-tokens 200
  chunkflow chunk corpus.jsonl --field body --vectors -o chunks.jsonl")]
pub(super) struct ChunkArgs {
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
    let mut flags = args.model.flags()?;
    flags.extend(chunk_flags(&args.choices)?);
    let config = set_up(global, flags, "warn")?;
    let spec = config.chunk.resolve().map_err(Error::from)?;
    let documents = args.input.documents(Plain::Whole)?;
    let mut writer = ChunkWriter::new(args.output.open()?, args.vectors);
    let model = load_model(global, &config)?;
    let options = args.embedding.options(&model, config.embed.truncate)?;
    let mut progress = Progress::new(args.input.total_bytes(), global.quiet);
    for (index, document) in documents.enumerate() {
        let document = document?;
        let chunked = pipeline::chunk(&model, &document.text, &spec, &options)?;
        let name = document.id.unwrap_or_else(|| index.to_string());
        writer.write(&name, &document.text, &chunked.chunks).map_err(Error::from)?;
        progress.add(document.bytes, 1, chunked.document.tokens());
    }
    writer.finish().map_err(Error::from)?;
    progress.finish();
    Ok(ExitCode::SUCCESS)
}
