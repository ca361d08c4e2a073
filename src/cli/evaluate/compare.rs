//! `chunkflow evaluate compare`: whether the difference of two runs is more than chance.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::output::{aligned, mean_and_sd};
use crate::Error;
use crate::cli::arguments::{GlobalArgs, set_up};
use crate::cli::refuse::refuse_arguments;
use crate::evaluation::{CHUNK_TOKENS, Comparison, Summary, compare, format_value};
use crate::records::{Run, read_runs};

/// Compare two runs item by item: the mean difference of each metric with its 95% interval, by a
/// paired bootstrap of 10,000 resamples.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads what --results wrote. Only items that both runs have are compared; a * marks intervals without
zero. The tokens of chunks, which are no items of both, stand below with mean and standard deviation.

Examples:
  chunkflow evaluate compare langchain.parquet mine.parquet
  chunkflow evaluate compare sweep.parquet sweep.parquet --before-run none --after-run mine")]
pub(super) struct CompareArgs {
    /// Results of the first run.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// Results of the second run.
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Which run of the first file, if it has several.
    #[arg(long, value_name = "NAME")]
    before_run: Option<String>,
    /// Which run of the second file, if it has several.
    #[arg(long, value_name = "NAME")]
    after_run: Option<String>,
    /// Seed of the resamples.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &GlobalArgs, args: &CompareArgs) -> anyhow::Result<ExitCode> {
    set_up(global, Vec::new(), "warn")?;
    let before = one_run(&args.before, args.before_run.as_deref(), "--before-run")?;
    let after = one_run(&args.after, args.after_run.as_deref(), "--after-run")?;
    let compared = compare(&before, &after, args.seed).map_err(Error::from)?;
    anyhow::ensure!(!compared.is_empty(), "the two runs have no item and metric in common");
    let mut out = std::io::stdout().lock();
    let sizes = Sizes::of(&before, &after);
    if args.json {
        let compared = compared.iter().map(Row::Metric);
        let rows: Vec<Row<'_>> = compared.chain(sizes.as_ref().map(Row::Sizes)).collect();
        writeln!(out, "{}", serde_json::to_string(&rows)?)?;
    } else {
        write!(out, "{} -> {}\n{}", before.name, after.name, table(&compared))?;
        if let Some(Sizes { metric, before, after }) = &sizes {
            let [before, after] = [before, after].map(|sizes| mean_and_sd(metric, sizes));
            writeln!(out, "{metric}, not paired: {before} -> {after}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The tokens of chunks in both runs. What retrieval gains by larger chunks is no merit of the cuts.
#[derive(Serialize)]
struct Sizes {
    metric: &'static str,
    before: Summary,
    after: Summary,
}

impl Sizes {
    /// `None` where a run has no chunks.
    fn of(before: &Run, after: &Run) -> Option<Self> {
        let [before, after] = [before, after].map(|run| run.summary(CHUNK_TOKENS));
        let both = before.count > 0 && after.count > 0;
        both.then_some(Self { metric: CHUNK_TOKENS, before, after })
    }
}

/// A line of JSON's list.
#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Metric(&'a Comparison),
    Sizes(&'a Sizes),
}

/// The run of `path` that is called `name`, or its only one.
fn one_run(path: &Path, name: Option<&str>, flag: &str) -> anyhow::Result<Run> {
    let mut runs = read_runs(path).map_err(Error::from)?;
    let quoted = |names: Vec<&String>| {
        names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let names = quoted(runs.iter().map(|run| &run.name).collect());
    runs.retain(|run| name.is_none_or(|name| run.name == name));
    let (path, datasets) = (path.display(), runs.iter().map(|run| &run.dataset).collect());
    match runs.as_slice() {
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|run| run.name == first.name) => {
            let (name, datasets) = (&first.name, quoted(datasets));
            refuse_arguments(&format!(
                "`{name}` of {path} stands for several data sets: {datasets}"
            ))
        }
        [_] => Ok(runs.remove(0)),
        _ => refuse_arguments(&format!("{flag} is to name one of the runs of {path}: {names}")),
    }
}

fn table(compared: &[Comparison]) -> String {
    let head = ["metric", "before", "after", "difference", "95% interval", "", "items"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(compared.iter().map(|row| {
        let value = |value: f64| format_value(&row.metric, value);
        let difference = &row.difference;
        [
            row.metric.clone(),
            value(row.before),
            value(row.after),
            value(difference.mean),
            format!("{} to {}", value(difference.low), value(difference.high)),
            if difference.is_significant() { "*" } else { "" }.to_owned(),
            difference.count.to_string(),
        ]
    }));
    aligned(&lines)
}
