//! `chunkflow bench`: speed in process and warm, over the user's own texts or a built-in sample.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::arguments::{GlobalArgs, ModelArgs, load_model, set_up};
use super::input::InputArgs;
use crate::Error;
use crate::embeddings::{self, EmbedOptions, LoadedModel};
use crate::files::Plain;

/// A document on five topics, also used by `demo` and `doctor --verify`.
pub(super) const SAMPLE: &str = include_str!("sample.txt");
/// Texts made from the sample.
const SAMPLE_TEXTS: usize = 256;
/// Texts embedded one by one for the latencies.
const LATENCY_TEXTS: usize = 200;
/// Texts embedded before anything is measured.
const WARM_UP_TEXTS: usize = 64;

/// Measure texts per second and latency.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Texts to embed: a text per line, JSON lines or Parquet [default: a built-in sample].
    #[arg(long, value_name = "FILE")]
    input: Option<std::path::PathBuf>,
    /// Field with the text: reads JSON lines [default for .jsonl: text].
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// Column with the text in a Parquet file.
    #[arg(long, value_name = "NAME", default_value = "text")]
    column: String,
    /// Passes over the input; the median counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Serialize)]
struct Report {
    model: String,
    device: String,
    texts: usize,
    tokens: usize,
    texts_per_second: f64,
    tokens_per_second: f64,
    /// Of the model's matrix products over real tokens.
    gflops: f64,
    /// Latency of one text at a time.
    p50_ms: f64,
    p99_ms: f64,
    peak_rss_mib: Option<f64>,
    load_ms: f64,
}

pub(super) fn run(global: &GlobalArgs, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let config = set_up(global, args.model.flags()?, "warn")?;
    let texts = texts(args)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    anyhow::ensure!(!texts.is_empty(), "the input has no text to measure");
    let loaded = load_model(global, &config)?;
    let report = measure(&loaded, &texts, args.repeat).map_err(Error::from)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        print_report(&mut out, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn texts(args: &BenchArgs) -> anyhow::Result<Vec<String>> {
    let Some(path) = &args.input else { return Ok(sample_texts()) };
    let input = InputArgs::of_file(path.clone(), args.field.clone(), args.column.clone());
    let documents = input.documents(Plain::Lines)?;
    documents.map(|document| Ok(document?.text)).collect()
}

/// Runs of one to ten sentences of the sample: lengths spread as in a corpus of paragraphs.
pub(super) fn sample_texts() -> Vec<String> {
    let sentences: Vec<&str> = SAMPLE.split_inclusive(". ").collect();
    let text = |index: usize| {
        let first = index * 7 % sentences.len();
        let sentences = sentences.iter().cycle().skip(first).take(1 + index * 3 % 10);
        sentences.copied().collect::<String>()
    };
    (0..SAMPLE_TEXTS).map(text).collect()
}

fn measure(loaded: &LoadedModel, texts: &[&str], repeat: u32) -> Result<Report, embeddings::Error> {
    let model = loaded.model();
    let embed = |texts: &[&str], options: &EmbedOptions| model.embed(texts, options)?.run(loaded);
    let options = EmbedOptions { prompt: model.prompt(None)?, ..EmbedOptions::default() };
    embed(&texts[..texts.len().min(WARM_UP_TEXTS)], &options)?;
    let mut seconds = Vec::new();
    let mut lengths = Vec::new();
    for _ in 0..repeat {
        let start = Instant::now();
        lengths = embed(texts, &options)?.tokens;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let mut latencies = Vec::new();
    for text in texts.iter().take(LATENCY_TEXTS) {
        let start = Instant::now();
        embed(&[text], &options)?;
        latencies.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let seconds = quantile(&mut seconds, 0.5);
    let tokens: usize = lengths.iter().sum();
    let flops: f64 = lengths.iter().map(|&length| model.spec().flops(length)).sum();
    Ok(Report {
        model: model.name().to_owned(),
        device: loaded.device(),
        texts: texts.len(),
        tokens,
        texts_per_second: texts.len() as f64 / seconds,
        tokens_per_second: tokens as f64 / seconds,
        gflops: flops / seconds / 1e9,
        p50_ms: quantile(&mut latencies, 0.5),
        p99_ms: quantile(&mut latencies, 0.99),
        peak_rss_mib: peak_rss_mib(),
        load_ms: loaded.load_time().as_secs_f64() * 1e3,
    })
}

/// The nearest-rank quantile of values, which are not empty.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * q).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// The most memory that this process held, where the system tells (Linux).
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

fn print_report(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    writeln!(out, "{} on {}", report.model, report.device)?;
    writeln!(
        out,
        "{} texts, {} tokens: {:.1} texts/s, {:.0} tokens/s, {:.1} GFLOP/s",
        report.texts,
        report.tokens,
        report.texts_per_second,
        report.tokens_per_second,
        report.gflops
    )?;
    writeln!(out, "one text at a time: p50 {:.2} ms, p99 {:.2} ms", report.p50_ms, report.p99_ms)?;
    let rss = report.peak_rss_mib.map_or("unknown".to_owned(), |mib| format!("{mib:.0} MiB"));
    writeln!(out, "model loaded in {:.0} ms, peak memory {rss}", report.load_ms)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&mut values, 0.5).to_bits(), 2.0_f64.to_bits());
        assert_eq!(quantile(&mut values, 0.99).to_bits(), 4.0_f64.to_bits());
        assert_eq!(quantile(&mut [7.0], 0.5).to_bits(), 7.0_f64.to_bits());
    }
}
