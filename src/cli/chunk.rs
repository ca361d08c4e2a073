//! `chunkflow chunk`: documents in, chunks out.

use std::process::ExitCode;

use clap::Args;

use super::arguments::{GlobalArgs, ModelArgs, OutputArgs, flag, load_model, set_up};
use super::input::{InputArgs, Plain};
use super::progress::Progress;
use crate::Error;
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
    /// The most tokens of a chunk, special tokens included.
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// The size that chunks tend to.
    #[arg(long, value_name = "N")]
    target_tokens: Option<usize>,
    /// How strongly they tend to it, against the cohesion of sentences.
    #[arg(long, value_name = "WEIGHT")]
    size_weight: Option<f64>,
    /// Write each chunk's vector.
    #[arg(long)]
    vectors: bool,
    /// Leading dimensions of the vectors to keep, before normalisation.
    #[arg(long, value_name = "N")]
    dimensions: Option<usize>,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &ChunkArgs) -> anyhow::Result<ExitCode> {
    let mut flags = args.model.flags()?;
    flags.extend(flag("chunk.max_tokens", "--max-tokens", args.max_tokens)?);
    flags.extend(flag("chunk.target_tokens", "--target-tokens", args.target_tokens)?);
    flags.extend(flag("chunk.size_weight", "--size-weight", args.size_weight)?);
    let config = set_up(global, flags, "warn")?;
    let documents = args.input.documents(Plain::Whole)?;
    let mut writer = ChunkWriter::new(args.output.open()?, args.vectors);
    let model = load_model(global, &config)?;
    let mut progress = Progress::new(args.input.total_bytes(), global.quiet);
    for (index, document) in documents.enumerate() {
        let document = document?;
        let chunks = pipeline::chunk(&model, &document.text, &config.chunk, args.dimensions)?;
        let name = document.id.unwrap_or_else(|| index.to_string());
        writer.write(&name, &document.text, &chunks).map_err(Error::from)?;
        let tokens = chunks.iter().map(|chunk| chunk.tokens).sum();
        progress.add(document.bytes, 1, tokens);
    }
    writer.finish().map_err(Error::from)?;
    progress.finish();
    Ok(ExitCode::SUCCESS)
}
