//! `chunkflow evaluate segmentation`: found segments against gold ones.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output::{ReportArgs, dataset_name};
use crate::Error;
use crate::chunking::{ChunkOptions, ChunkSpec, Preset};
use crate::cli::arguments::{GlobalArgs, ModelArgs, VectorArgs, chunk_flags, load_model, set_up};
use crate::cli::progress::Progress;
use crate::cli::refuse::refuse_arguments;
use crate::config::Config;
use crate::embeddings::{EmbedOptions, Engine};
use crate::evaluation::datasets::{GoldDocument, read_gold, read_predictions};
use crate::evaluation::{Baseline, Segmenter, evaluate_segmentation, name_of};
use crate::records::Run;

/// Compare segments with gold ones: Pk, WindowDiff, boundary similarity B and F1 with a tolerance
/// of two units, averaged over documents.
#[derive(Debug, Args)]
#[command(after_help = "\
Gold data are .ref files (a sentence a line, segments between lines of =) or JSON lines with id;
units, turns or the lines of text; and segments (lengths in units) or boundaries (units at which
one starts). Units are cut as the preset `topics` says unless --preset or other choices are given.

Examples:
  chunkflow evaluate segmentation --gold wiki50
  chunkflow evaluate segmentation --gold qmsum/Product.test.jsonl --known-segments
  chunkflow evaluate segmentation --gold wiki50 --baseline langchain --results langchain.parquet
  chunkflow evaluate segmentation --gold wiki50 --predictions mine.jsonl --report mine.html")]
pub(super) struct SegmentationArgs {
    /// File or folder with the gold data.
    #[arg(long, value_name = "DIR|FILE")]
    gold: PathBuf,
    /// Take each document's number of segments from the gold data, so that places alone are
    /// compared.
    #[arg(long, conflicts_with_all = ["baseline", "predictions", "segments"])]
    known_segments: bool,
    /// none, every:N, texttiling, c99 or langchain, also langchain:RULE, in place of a
    /// specification.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["predictions", "ChunkOptions"])]
    baseline: Option<Baseline>,
    /// Score segments from JSON lines of id and segments, found by another program.
    #[arg(long, value_name = "FILE", conflicts_with = "ChunkOptions")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    choices: ChunkOptions,
    #[command(flatten)]
    embedding: VectorArgs,
    #[command(flatten)]
    output: ReportArgs,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &SegmentationArgs) -> anyhow::Result<ExitCode> {
    let mut flags = args.model.flags()?;
    flags.extend(chunk_flags(&args.choices.over(topics()))?);
    let config = set_up(global, flags, "warn")?;
    let spec = config.chunk.resolve().map_err(Error::from)?;
    if args.known_segments {
        check_counts(&spec);
    }
    let gold = read_gold(&args.gold).map_err(Error::from)?;
    let segmenter = segmenter(args, &config.chunk, spec, &gold)?;
    let outputs = args.output.open()?;
    let dataset = dataset_name(&args.gold);
    let title = format!("Segments of {dataset}");
    let segmentation =
        Segmentation { global, config: &config, embedding: &args.embedding, dataset };
    let runs = segmentation.run(&gold, &[segmenter])?;
    outputs.write(&title, &runs, "pk", spec.seed)?;
    Ok(ExitCode::SUCCESS)
}

/// What is left out on gold segments is of the preset that finds topics.
pub(super) fn topics() -> ChunkOptions {
    ChunkOptions { preset: Some(Preset::Topics), ..ChunkOptions::default() }
}

/// Refuses a method that gives no number of segments.
pub(super) fn check_counts(spec: &ChunkSpec) {
    if !spec.method.is_semantic() {
        let method = spec.method.to_possible_value();
        let method = method.as_ref().map_or("", |method| method.get_name());
        refuse_arguments(&format!(
            "--known-segments takes the methods kcpd, cvs, cluster and window, not {method}, which \
             knows no number of segments"
        ));
    }
}

/// An evaluation that is about to run.
pub(super) struct Segmentation<'a> {
    pub(super) global: &'a GlobalArgs,
    pub(super) config: &'a Config,
    pub(super) embedding: &'a VectorArgs,
    pub(super) dataset: String,
}

impl Segmentation<'_> {
    /// Runs all segmenters, with a model if one of them reads vectors.
    pub(super) fn run(
        &self,
        gold: &[GoldDocument],
        segmenters: &[(String, Segmenter)],
    ) -> anyhow::Result<Vec<Run>> {
        let needs_model = segmenters.iter().any(|(_, segmenter)| segmenter.encoding().is_some());
        let model = needs_model.then(|| load_model(self.global, self.config)).transpose()?;
        let options = match &model {
            Some(model) => self.embedding.options(model.model(), self.config.embed.truncate)?,
            None => EmbedOptions::default(),
        };
        let bytes = gold.iter().map(|document| document.text.len() as u64).sum();
        let mut progress = Progress::new(Some(bytes), self.global.quiet);
        let runs = evaluate_segmentation(
            model.as_ref().map(|model| model as &dyn Engine),
            &self.dataset,
            gold,
            segmenters,
            &options,
            &mut |bytes, tokens| progress.add(bytes as u64, 1, tokens),
        )
        .map_err(Error::from)?;
        progress.finish();
        Ok(runs)
    }
}

/// What finds the segments, with its name.
fn segmenter(
    args: &SegmentationArgs,
    options: &ChunkOptions,
    spec: ChunkSpec,
    gold: &[GoldDocument],
) -> Result<(String, Segmenter), Error> {
    if let Some(path) = &args.predictions {
        let segments = read_predictions(path, gold)?;
        return Ok((dataset_name(path), Segmenter::Predictions(segments)));
    }
    if let Some(baseline) = args.baseline {
        return Ok((baseline.to_string(), Segmenter::Baseline(baseline)));
    }
    let name = name_of(options);
    Ok(if args.known_segments {
        (format!("{name} known-segments"), Segmenter::KnownCount(spec))
    } else {
        (name, Segmenter::Spec(spec))
    })
}
