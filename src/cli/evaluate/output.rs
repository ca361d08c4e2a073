//! Runs as they leave the command: a table or JSON on standard output, Parquet, and a report.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::cli::refuse::refuse_one_file;
use crate::evaluation::{CHUNK_TOKENS, Summary, format_value, html_report, is_error};
use crate::files::Destination;
use crate::records::{Run, write_runs};

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct ReportArgs {
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write every value to a Parquet file: run, dataset, item, metric, value.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Write a report with plots, one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace existing files.
    #[arg(long)]
    force: bool,
}

impl ReportArgs {
    /// Opens the files, so that a name that is taken is known before anything runs.
    pub(super) fn open(&self) -> Result<Outputs, Error> {
        refuse_one_file(self.results.as_ref(), "--results", self.report.as_ref(), "--report");
        let open = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| Destination::file(path, self.force)).transpose()
        };
        Ok(Outputs { json: self.json, results: open(&self.results)?, report: open(&self.report)? })
    }
}

/// Outputs that wait for runs.
pub(super) struct Outputs {
    json: bool,
    results: Option<Destination>,
    report: Option<Destination>,
}

impl Outputs {
    /// Writes `runs`. The report's plots are of `metric`, its intervals of `seed`.
    pub(super) fn write(
        self,
        title: &str,
        runs: &[Run],
        metric: &str,
        seed: u64,
    ) -> anyhow::Result<()> {
        let text = match (self.json, runs) {
            (true, _) => format!("{}\n", serde_json::to_string(&summaries(runs))?),
            (false, [run]) => list(run),
            (false, _) => table(runs),
        };
        if let Some(mut report) = self.report {
            let page = html_report(title, runs, metric, seed).map_err(Error::from)?;
            report.write_all(page.as_bytes())?;
            report.commit().map_err(Error::from)?;
        }
        if let Some(results) = self.results {
            write_runs(results, runs).map_err(Error::from)?;
        }
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// Sorts runs by their mean of `metric`, the best first.
pub(super) fn sort(runs: &mut [Run], metric: &str) {
    let key = |run: &Run| {
        let mean = run.summary(metric).mean;
        if is_error(metric) { mean } else { -mean }
    };
    runs.sort_by(|a, b| key(a).total_cmp(&key(b)));
}

#[derive(Serialize)]
struct Summaries<'a> {
    run: &'a str,
    dataset: &'a str,
    /// Of each metric count, mean and sd.
    metrics: Map<String, Value>,
}

fn summaries(runs: &[Run]) -> Vec<Summaries<'_>> {
    let of = |run: &Run| {
        let metrics = run.metrics().into_iter();
        metrics.map(|metric| (metric.to_owned(), json!(run.summary(metric)))).collect()
    };
    let runs = runs.iter().map(|run| (run, of(run)));
    runs.map(|(run, metrics)| Summaries { run: &run.name, dataset: &run.dataset, metrics })
        .collect()
}

/// A line a metric.
fn list(run: &Run) -> String {
    let mut lines = vec![["metric", "mean", "sd", "items"].map(str::to_owned)];
    lines.extend(run.metrics().into_iter().map(|metric| {
        let summary = run.summary(metric);
        let [mean, sd] = [summary.mean, summary.sd].map(|value| format_value(metric, value));
        [metric.to_owned(), mean, sd, summary.count.to_string()]
    }));
    format!("{} on {}\n{}", run.name, run.dataset, aligned(&lines))
}

/// A line a run, with the means of all metrics, and how far chunks are from their mean size.
fn table(runs: &[Run]) -> String {
    let mut metrics: Vec<&str> = Vec::new();
    for metric in runs.iter().flat_map(Run::metrics) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    let cell = |run: &Run, metric: &str| {
        let summary = run.summary(metric);
        match (summary.count, metric) {
            (0, _) => "-".to_owned(),
            (_, CHUNK_TOKENS) => mean_and_sd(metric, &summary),
            _ => format_value(metric, summary.mean),
        }
    };
    let head = std::iter::once("run").chain(metrics.iter().copied()).map(str::to_owned);
    let mut lines: Vec<Vec<String>> = vec![head.collect()];
    for run in runs {
        let cells = metrics.iter().map(|metric| cell(run, metric));
        lines.push(std::iter::once(run.name.clone()).chain(cells).collect());
    }
    aligned(&lines)
}

/// A metric of several items in one cell.
pub(super) fn mean_and_sd(metric: &str, summary: &Summary) -> String {
    let [mean, sd] = [summary.mean, summary.sd].map(|value| format_value(metric, value));
    format!("{mean} ± {sd}")
}

/// Lines in columns: the first to the left, the others to the right.
pub(super) fn aligned<L: AsRef<[String]>>(lines: &[L]) -> String {
    let columns = lines.iter().map(|line| line.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.as_ref().iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What a data set is called: the last name of its path.
pub(super) fn dataset_name(path: &Path) -> String {
    let name = path.canonicalize().ok().and_then(|path| Some(path.file_stem()?.to_owned()));
    name.unwrap_or_else(|| path.as_os_str().to_owned()).to_string_lossy().into_owned()
}
