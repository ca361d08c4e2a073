//! Embeds a JSON-lines file with candle-transformers' `BertModel` and reports how fast that went.
//!
//! The model runs as in candle's own `bert` example: each batch padded to its longest text,
//! attention mask, mean pooling over the mask, L2 normalisation. Batches are taken in input order.
//! Threads are set from outside: `RAYON_NUM_THREADS=1 taskset -c 0 compare-candle …`.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Error, Result, ensure};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, DTYPE};
use clap::Parser;
use serde_json::{Value, json};
use tokenizers::{Encoding, PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};

/// Enough to page the weights in and let the allocator settle, without costing a whole pass.
const WARM_UP_BATCHES: usize = 4;

/// Times all-MiniLM-L6-v2 on candle's CPU backend
#[derive(Parser)]
struct Args {
    /// Folder with config.json, tokenizer.json, sentence_bert_config.json and model.safetensors
    #[arg(long)]
    model: PathBuf,
    /// JSON-lines file with the texts
    #[arg(long)]
    input: PathBuf,
    /// Field of each line that holds the text
    #[arg(long, default_value = "text")]
    field: String,
    /// Texts in a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Measured passes over the whole file
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Print the report on one line, for programs
    #[arg(long)]
    json: bool,
    /// Write the vectors here, as raw little-endian f32 in input order
    #[arg(long)]
    vectors: Option<PathBuf>,
}

struct Embedder {
    model: BertModel,
    tokenizer: Tokenizer,
}

/// What one pass over the file made: `vectors: [texts, dim]` f32 row-major.
struct Pass {
    vectors: Vec<f32>,
    tokens: usize,
    padded_tokens: usize,
    seconds: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let texts = read_texts(&args.input, &args.field)?;
    let batch = usize::from(args.batch);

    let started = Instant::now();
    let embedder = Embedder::load(&args.model)?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;

    embedder.pass(&texts[..texts.len().min(WARM_UP_BATCHES * batch)], batch)?;
    let passes =
        (0..args.repeat).map(|_| embedder.pass(&texts, batch)).collect::<Result<Vec<_>>>()?;

    let report = report(texts.len(), &passes, load_ms)?;
    println!("{}", if args.json { format!("{report}") } else { format!("{report:#}") });
    match &args.vectors {
        Some(path) => write_vectors(path, &passes[0].vectors),
        None => Ok(()),
    }
}

impl Embedder {
    fn load(folder: &Path) -> Result<Self> {
        let config: Config = serde_json::from_value(read_json(&folder.join("config.json"))?)?;
        let weights = [folder.join("model.safetensors")];
        // SAFETY: nothing writes to the model file while this program runs.
        let vb = unsafe { VarBuilder::from_mmaped_safetensors(&weights, DTYPE, &Device::Cpu)? };
        Ok(Self { model: BertModel::load(vb, &config)?, tokenizer: load_tokenizer(folder)? })
    }

    fn pass(&self, texts: &[String], batch: usize) -> Result<Pass> {
        let started = Instant::now();
        let mut pass = Pass { vectors: Vec::new(), tokens: 0, padded_tokens: 0, seconds: 0.0 };
        for texts in texts.chunks(batch) {
            let texts = texts.iter().map(String::as_str).collect();
            let encodings = self.tokenizer.encode_batch(texts, true).map_err(Error::msg)?;
            pass.padded_tokens += encodings.iter().map(Encoding::len).sum::<usize>();
            pass.tokens += encodings.iter().map(real_tokens).sum::<usize>();
            pass.vectors.extend(self.forward(&encodings)?);
        }
        pass.seconds = started.elapsed().as_secs_f64();
        Ok(pass)
    }

    /// One padded batch to its pooled, normalised vectors.
    fn forward(&self, encodings: &[Encoding]) -> Result<Vec<f32>> {
        let token_ids = stack(encodings, Encoding::get_ids)?;
        let mask = stack(encodings, Encoding::get_attention_mask)?;
        let hidden = self.model.forward(&token_ids, &token_ids.zeros_like()?, Some(&mask))?;

        let weights = mask.to_dtype(DTYPE)?.unsqueeze(2)?;
        let sums = hidden.broadcast_mul(&weights)?.sum(1)?;
        let means = sums.broadcast_div(&weights.sum(1)?)?;
        let norms = means.sqr()?.sum_keepdim(1)?.sqrt()?;
        Ok(means.broadcast_div(&norms)?.flatten_all()?.to_vec1()?)
    }
}

/// The published tokenizer.json pads to and truncates at 128 tokens; sentence-transformers
/// overrides both, and so must this: every token of the load counts on both sides.
fn load_tokenizer(folder: &Path) -> Result<Tokenizer> {
    let mut limits = read_json(&folder.join("sentence_bert_config.json"))?;
    let max_length =
        serde_json::from_value(limits["max_seq_length"].take()).context("max_seq_length")?;
    let truncation = TruncationParams { max_length, ..Default::default() };
    let mut tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).map_err(Error::msg)?;
    let padding = PaddingParams {
        strategy: PaddingStrategy::BatchLongest,
        ..tokenizer.get_padding().cloned().unwrap_or_default()
    };
    tokenizer.with_padding(Some(padding));
    tokenizer.with_truncation(Some(truncation)).map_err(Error::msg)?;
    Ok(tokenizer)
}

fn stack(encodings: &[Encoding], row: fn(&Encoding) -> &[u32]) -> Result<Tensor> {
    let rows = encodings.iter().map(|encoding| Tensor::new(row(encoding), &Device::Cpu));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::stack(&rows, 0)?)
}

fn real_tokens(encoding: &Encoding) -> usize {
    encoding.get_attention_mask().iter().filter(|&&m| m == 1).count()
}

fn report(texts: usize, passes: &[Pass], load_ms: f64) -> Result<Value> {
    let mut seconds: Vec<f64> = passes.iter().map(|pass| pass.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    // Of an even number of passes the faster of the middle two, as `chunkflow bench` has it.
    let (best, median) = (seconds[0], seconds[(seconds.len() - 1) / 2]);
    Ok(json!({
        "texts": texts,
        "tokens": passes[0].tokens,
        "padded_tokens": passes[0].padded_tokens,
        "passes": passes.len(),
        "texts_per_second": texts as f64 / median,
        "texts_per_second_best": texts as f64 / best,
        "tokens_per_second": passes[0].tokens as f64 / median,
        "peak_rss_mib": peak_rss_mib()?,
        "load_ms": load_ms,
    }))
}

fn peak_rss_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
        .context("/proc/self/status lacks VmHWM")?;
    Ok(kib.trim().parse::<f64>()? / 1024.0)
}

fn read_texts(path: &Path, field: &str) -> Result<Vec<String>> {
    let lines = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let texts = lines
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let text = serde_json::from_str::<Value>(line)?[field].take();
            serde_json::from_value(text).with_context(|| format!("line {}: {field}", index + 1))
        })
        .collect::<Result<Vec<String>>>()?;
    ensure!(!texts.is_empty(), "{} holds no texts", path.display());
    Ok(texts)
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))
}

fn write_vectors(path: &Path, vectors: &[f32]) -> Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    for value in vectors {
        file.write_all(&value.to_le_bytes())?;
    }
    Ok(file.flush()?)
}
