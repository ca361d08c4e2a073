//! `chunkflow demo`: what a newcomer wants to see: a document cut where its topics change, and the
//! chunks nearest to a question.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::arguments::{GlobalArgs, ModelArgs, load_model, set_up};
use super::bench::SAMPLE;
use crate::chunking::Chunk;
use crate::embeddings::{EmbedOptions, LoadedModel};
use crate::{Error, pipeline};

const QUERY: &str = "Why do we always see the same side of the Moon?";
/// Chunks shown for the query.
const NEAREST: usize = 3;

/// Cut a built-in document into chunks and ask it a question.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let config = set_up(global, args.model.flags()?, "warn")?;
    let loaded = load_model(global, &config)?;
    let model = loaded.model();
    let mut out = std::io::stdout().lock();
    writeln!(out, "model   {}, {} dimensions", model.name(), model.dimensions())?;
    writeln!(out, "device  {}", loaded.device())?;
    let start = Instant::now();
    let spec = config.chunk.resolve().map_err(Error::from)?;
    let options = EmbedOptions {
        prompt: model.prompt(None).map_err(Error::from)?,
        ..EmbedOptions::default()
    };
    let chunks = pipeline::chunk(&loaded, SAMPLE, &spec, &options).map_err(Error::from)?.chunks;
    let seconds = start.elapsed().as_secs_f64();
    let tokens: usize = chunks.iter().map(|chunk| chunk.tokens).sum();
    let rate = tokens as f64 / seconds;
    let count = chunks.len();
    writeln!(
        out,
        "\n{tokens} tokens, {count} chunks in {:.0} ms: {rate:.0} tokens/s",
        seconds * 1e3
    )?;
    print_chunks(&mut out, &chunks)?;
    print_nearest(&mut out, &loaded, &chunks)?;
    Ok(ExitCode::SUCCESS)
}

fn print_chunks(out: &mut impl Write, chunks: &[Chunk]) -> std::io::Result<()> {
    writeln!(out, "\nchunk  strength  tokens  bytes       begins")?;
    for (number, chunk) in chunks.iter().enumerate() {
        let strength = chunk.strength.map_or("-".to_owned(), |strength| format!("{strength:.2}"));
        let bytes = format!("{}..{}", chunk.bytes.start, chunk.bytes.end);
        let tokens = chunk.tokens;
        writeln!(
            out,
            "{number:>5}  {strength:>8}  {tokens:>6}  {bytes:<10}  {}",
            beginning(chunk, 48)
        )?;
    }
    writeln!(out, "\nstrength: how far the topic moves at a chunk's start, 0 to 2")
}

fn print_nearest(
    out: &mut impl Write,
    loaded: &LoadedModel,
    chunks: &[Chunk],
) -> anyhow::Result<()> {
    let planned = loaded.model().embed(&[QUERY], &EmbedOptions::default());
    let query = planned.and_then(|planned| planned.run(loaded)).map_err(Error::from)?;
    let cosine = |chunk: &Chunk| query.data.iter().zip(&chunk.vector).map(|(x, y)| x * y).sum();
    let mut nearest: Vec<(f32, usize)> =
        chunks.iter().enumerate().map(|(number, chunk)| (cosine(chunk), number)).collect();
    nearest.sort_by(|a, b| b.0.total_cmp(&a.0));
    writeln!(out, "\nnearest to \"{QUERY}\"\n\nchunk    cosine  begins")?;
    for (cosine, number) in nearest.into_iter().take(NEAREST) {
        writeln!(out, "{number:>5}  {cosine:>8.3}  {}", beginning(&chunks[number], 64))?;
    }
    Ok(())
}

/// The first characters of a chunk of the sample.
fn beginning(chunk: &Chunk, chars: usize) -> String {
    let text = &SAMPLE[chunk.bytes.clone()];
    let beginning: String = text.chars().take(chars).collect();
    if beginning.len() < text.len() { format!("{beginning}…") } else { beginning }
}
