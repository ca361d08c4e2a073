//! `chunkflow evaluate sweep`: many specifications on one data set, each document read as few times
//! as they allow.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::output::{ReportArgs, dataset_name, sort};
use super::retrieval::{QuestionArgs, bytes};
use super::segmentation::{Segmentation, check_counts, topics};
use crate::Error;
use crate::chunking::{ChunkOptions, ChunkSpec, Preset};
use crate::cli::arguments::{GlobalArgs, ModelArgs, chunk_flags, load_model, set_up};
use crate::cli::progress::Progress;
use crate::cli::refuse::refuse_arguments;
use crate::config::Config;
use crate::evaluation::datasets::{read_gold, read_retrieval};
use crate::evaluation::{
    Baseline, SEGMENTATION_METRICS, Segmenter, Splitter, evaluate_retrieval, name_of, read_specs,
};
use crate::records::Run;

/// Try many specifications on one data set and rank them.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is a list in YAML or JSON. Each entry has the choices of a specification, as in section
`chunk` of the settings, and may have a name; a choice that is a list stands for each of its values,
which go after the name: mine size_weight=0.5. Without a name a run is called by its choices.

  - {preset: topics, penalty: [0.05, 0.09, 0.12], segments: penalty}
  - {name: mine, method: cvs, size_weight: [0.5, 1, 2]}

Examples:
  chunkflow evaluate sweep specs.yaml --gold wiki50 --baseline langchain,none --report sweep.html
  chunkflow evaluate sweep --preset retrieval,fixed,recursive --corpus general_evaluation_data")]
pub(super) struct SweepArgs {
    /// Specifications to try.
    #[arg(value_name = "FILE", required_unless_present_any = ["preset", "baseline"])]
    specs: Option<PathBuf>,
    /// Presets to try.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    preset: Vec<Preset>,
    /// Gold segments, as `evaluate segmentation` reads them.
    #[arg(
        long,
        value_name = "DIR|FILE",
        required_unless_present = "corpus",
        conflicts_with = "corpus"
    )]
    gold: Option<PathBuf>,
    /// Corpus with questions, as `evaluate retrieval` reads it.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Baselines to try too, on gold segments.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', conflicts_with = "corpus")]
    baseline: Vec<Baseline>,
    /// Take each document's number of segments from the gold data.
    #[arg(long, conflicts_with = "corpus")]
    known_segments: bool,
    /// What to rank by [default: pk, iou@k or ndcg@10].
    #[arg(long, value_name = "METRIC")]
    sort: Option<String>,
    /// Seed of the report's intervals.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    questions: QuestionArgs,
    #[command(flatten)]
    output: ReportArgs,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let mut flags = args.model.flags()?;
    if args.gold.is_some() {
        flags.extend(chunk_flags(&topics())?);
    }
    let config = set_up(global, flags, "warn")?;
    let specs = specs(args, &config.chunk)?;
    check_names(&specs, &args.baseline);
    if args.known_segments {
        for (_, spec) in &specs {
            check_counts(spec);
        }
    }
    let outputs = args.output.open()?;
    let sweep = Sweep { global, args, config: &config };
    let (mut runs, metric) = match (&args.gold, &args.corpus) {
        (Some(gold), _) => sweep.segment(gold, &specs)?,
        (None, Some(corpus)) => sweep.retrieve(corpus, &specs)?,
        (None, None) => refuse_arguments("one of --gold and --corpus is needed"),
    };
    sort(&mut runs, &metric);
    let dataset = runs.first().map_or("", |run| run.dataset.as_str());
    outputs.write(&format!("Sweep on {dataset}"), &runs, &metric, args.seed)?;
    Ok(ExitCode::SUCCESS)
}

/// The specifications to try, by name.
fn specs(args: &SweepArgs, base: &ChunkOptions) -> anyhow::Result<Vec<(String, ChunkSpec)>> {
    let mut specs = Vec::new();
    for &preset in &args.preset {
        let options = ChunkOptions { preset: Some(preset), ..*base };
        specs.push((name_of(&options), options.resolve().map_err(Error::from)?));
    }
    if let Some(path) = &args.specs {
        specs.extend(read_specs(path, base).map_err(Error::from)?);
    }
    Ok(specs)
}

/// Refuses a name that two runs would have, wherever it comes from: results are joined by them.
fn check_names(specs: &[(String, ChunkSpec)], baselines: &[Baseline]) {
    let names = specs.iter().map(|(name, _)| name.clone());
    let mut seen = HashSet::new();
    for name in names.chain(baselines.iter().map(Baseline::to_string)) {
        if !seen.insert(name.clone()) {
            refuse_arguments(&format!(
                "two runs would be called `{name}`, and each preset, entry and baseline needs a \
                 name of its own"
            ));
        }
    }
}

/// What both kinds of data set need.
struct Sweep<'a> {
    global: &'a GlobalArgs,
    args: &'a SweepArgs,
    config: &'a Config,
}

impl Sweep<'_> {
    fn segment(
        &self,
        path: &Path,
        specs: &[(String, ChunkSpec)],
    ) -> anyhow::Result<(Vec<Run>, String)> {
        let metric = self.metric(&SEGMENTATION_METRICS, "pk");
        let gold = read_gold(path).map_err(Error::from)?;
        let of_spec =
            if self.args.known_segments { Segmenter::KnownCount } else { Segmenter::Spec };
        let baselines = self.args.baseline.iter();
        let baselines = baselines.map(|&found| (found.to_string(), Segmenter::Baseline(found)));
        let specs = specs.iter().map(|(name, spec)| (name.clone(), of_spec(*spec)));
        let segmenters: Vec<(String, Segmenter)> = specs.chain(baselines).collect();
        let segmentation = Segmentation {
            global: self.global,
            config: self.config,
            embedding: &self.args.questions.embedding,
            dataset: dataset_name(path),
        };
        let runs = segmentation.run(&gold, &segmenters)?;
        Ok((runs, metric))
    }

    fn retrieve(
        &self,
        path: &Path,
        specs: &[(String, ChunkSpec)],
    ) -> anyhow::Result<(Vec<Run>, String)> {
        let dataset =
            read_retrieval(path, self.args.questions.split.as_deref()).map_err(Error::from)?;
        let questions = &self.args.questions;
        let metrics = questions.metrics(&dataset);
        let known: Vec<&str> = metrics.iter().map(String::as_str).collect();
        let metric = self.metric(&known, &questions.metric(&dataset));
        let splitters: Vec<(String, Splitter)> =
            specs.iter().map(|(name, spec)| (name.clone(), Splitter::Spec(*spec))).collect();
        let model = load_model(self.global, self.config)?;
        let options = questions.options(model.model(), self.config.embed.truncate)?;
        let mut progress = Progress::new(Some(bytes(&dataset)), self.global.quiet);
        let mut done = |bytes, tokens| progress.add(bytes as u64, 1, tokens);
        let name = dataset_name(path);
        let runs = evaluate_retrieval(&model, &name, &dataset, &splitters, &options, &mut done)
            .map_err(Error::from)?;
        progress.finish();
        Ok((runs, metric))
    }

    /// What runs are ranked by, refused before anything runs.
    fn metric(&self, known: &[&str], default: &str) -> String {
        let metric = self.args.sort.as_deref().unwrap_or(default);
        if !known.contains(&metric) {
            refuse_arguments(&format!("--sort takes one of {}, not {metric}", known.join(", ")));
        }
        metric.to_owned()
    }
}
