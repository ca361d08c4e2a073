//! `chunkflow evaluate intrinsic`: chunks of any documents, without a reference.

use std::collections::HashSet;
use std::process::ExitCode;

use clap::Args;

use super::output::ReportArgs;
use crate::Error;
use crate::chunking::ChunkOptions;
use crate::cli::arguments::{GlobalArgs, ModelArgs, VectorArgs, chunk_flags, load_model, set_up};
use crate::cli::input::InputArgs;
use crate::cli::progress::Progress;
use crate::evaluation::datasets::check_new;
use crate::evaluation::{evaluate_intrinsic, name_of};
use crate::files::Plain;
use crate::records::Run;

/// Look at the chunks of documents without a reference: how alike their units are, and how unlike
/// those of the neighbours; how even their sizes; and whether they stay where they are.
#[derive(Debug, Args)]
#[command(after_help = "\
cohesion: mean cosine of two units of a segment. separation: one minus the cosine of the segments on
both sides of a cut. silhouette: of units against the neighbouring segments. size_compliance: share
of chunks from half the target to the limit. stability: Pk between the chunks without and with a
paragraph in front. Averaged over documents.

Examples:
  chunkflow evaluate intrinsic book.txt
  chunkflow evaluate intrinsic corpus.jsonl --preset topics --report topics.html")]
pub(super) struct IntrinsicArgs {
    #[command(flatten)]
    choices: ChunkOptions,
    #[command(flatten)]
    embedding: VectorArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: ReportArgs,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &IntrinsicArgs) -> anyhow::Result<ExitCode> {
    let mut flags = args.model.flags()?;
    flags.extend(chunk_flags(&args.choices)?);
    let config = set_up(global, flags, "warn")?;
    let spec = config.chunk.resolve().map_err(Error::from)?;
    let documents = args.input.documents(Plain::Whole)?;
    let outputs = args.output.open()?;
    let model = load_model(global, &config)?;
    let options = args.embedding.options(model.model(), config.embed.truncate)?;
    let mut progress = Progress::new(args.input.total_bytes(), global.quiet);
    let mut run = Run::new(name_of(&config.chunk), "input");
    let mut seen = HashSet::new();
    for (index, document) in documents.enumerate() {
        let document = document?;
        let item = document.id.unwrap_or_else(|| index.to_string());
        let place = format!("document {}", index + 1);
        check_new(&mut seen, &item, &place).map_err(Error::from)?;
        let tokens = evaluate_intrinsic(&model, &item, &document.text, &spec, &options, &mut run)
            .map_err(Error::from)?;
        progress.add(document.bytes, 1, tokens);
    }
    progress.finish();
    outputs.write("Chunks without a reference", &[run], "cohesion", spec.seed)?;
    Ok(ExitCode::SUCCESS)
}
