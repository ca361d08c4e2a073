//! `chunkflow chunk`: documents in, chunks out.

use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::arguments::{
    GlobalArgs, ModelArgs, OutputArgs, VectorArgs, chunk_flags, load_model, set_up,
};
use super::input::{Documents, InputArgs};
use super::progress::Progress;
use super::refuse::{refuse_arguments, refuse_one_file};
use crate::Error;
use crate::chunking::{Chunk, ChunkOptions, ChunkSpec};
use crate::files::{Destination, Document, Plain, RecordFormat};
use crate::pipeline::{self, Chunked};
use crate::records::{Chunks, Explained, explain};

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
  chunkflow chunk book.txt --explain book.svg > chunks.jsonl
  chunkflow chunk corpus.jsonl --field body --vectors -o chunks.parquet")]
pub(super) struct ChunkArgs {
    /// How chunks are written [default: by the output's suffix, or jsonl].
    #[arg(long, value_name = "jsonl|parquet|text", hide_possible_values = true)]
    format: Option<RecordFormat>,
    /// Draw the similarities, cuts and chunk sizes of one document.
    #[arg(long, value_name = "FILE.svg")]
    explain: Option<PathBuf>,
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
    let suffix = args.output.output.as_deref().and_then(RecordFormat::from_suffix);
    let format = args.format.or(suffix).unwrap_or(RecordFormat::Jsonl);
    if args.vectors && format == RecordFormat::Text {
        refuse_arguments("--vectors goes with --format jsonl and parquet");
    }
    let output = args.output.output.as_ref();
    refuse_one_file(args.explain.as_ref(), "--explain", output, "--output");
    let mut flags = args.model.flags()?;
    flags.extend(chunk_flags(&args.choices)?);
    let config = set_up(global, flags, "warn")?;
    let spec = config.chunk.resolve().map_err(Error::from)?;
    let mut documents = args.input.documents(Plain::Whole)?;
    let mut drawing = None;
    if let Some(path) = &args.explain {
        documents = Box::new(iter::once(Ok(only_one(documents)?)));
        drawing = Some(args.output.file(path)?);
    }
    let destination = args.output.open()?;
    let loaded = load_model(global, &config)?;
    let model = loaded.model();
    let options = args.embedding.options(model, config.embed.truncate)?;
    let dimensions = model.check_dimensions(options.dimensions).map_err(Error::from)?;
    let vectors = args.vectors.then_some(dimensions);
    let mut writer = Chunks::writer(format, destination, vectors).map_err(Error::from)?;
    let mut progress = Progress::new(args.input.total_bytes(), global.quiet);
    for (index, document) in documents.enumerate() {
        let document = document?;
        let chunked = pipeline::chunk(&loaded, &document.text, &spec, &options);
        let chunked = chunked.map_err(Error::from)?;
        let name = document.id.unwrap_or_else(|| index.to_string());
        let chunks = Chunks {
            document: Some(&name),
            text: &document.text,
            mark: document.mark,
            chunks: &chunked.chunks,
            vectors: args.vectors,
        };
        writer.write(&chunks).map_err(Error::from)?;
        if let Some(drawing) = drawing.take() {
            draw(&name, &chunked, &spec, drawing)?;
        }
        progress.add(document.bytes, 1, chunked.document.tokens());
    }
    writer.finish().map_err(Error::from)?;
    progress.finish();
    Ok(ExitCode::SUCCESS)
}

/// The document of an input that has one, read before a model is loaded.
fn only_one(mut documents: Documents) -> anyhow::Result<Document> {
    let first = documents.next().transpose()?;
    let others = documents.count();
    match first {
        Some(document) if others == 0 => Ok(document),
        first => {
            let count = usize::from(first.is_some()) + others;
            refuse_arguments(&format!("--explain draws one document, the input has {count}"))
        }
    }
}

fn draw(
    title: &str,
    chunked: &Chunked<'_>,
    spec: &ChunkSpec,
    destination: Destination,
) -> Result<(), Error> {
    let units = chunked.document.units();
    // Chunks end with units, but may be more than the cuts made: none is above the token limit.
    let end = |chunk: &Chunk| units.partition_point(|unit| unit.bytes.end <= chunk.bytes.end);
    let ends: Vec<usize> = chunked.chunks.iter().map(end).collect();
    let chunk_tokens: Vec<usize> = chunked.chunks.iter().map(|chunk| chunk.tokens).collect();
    let explained = Explained {
        title,
        band: &chunked.cuts.band,
        curve: &chunked.cuts.curve,
        ends: &ends,
        chunk_tokens: &chunk_tokens,
        max_tokens: spec.max_tokens,
        target_tokens: spec.target_tokens,
    };
    Ok(explain(&explained, destination)?)
}
