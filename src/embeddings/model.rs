//! A loaded model: its tokenizer, its network on a device, and jobs run on them in batches.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Error;
use super::batch::plan_batches;
use super::encoder::{EncoderSpec, read_spec};
use super::folder::Folder;
use super::job::{Forward, Job, Output, Read, Work};
use super::network::Network;
use super::pooling::{Modules, read_modules};
use super::registry::Registry;
use super::tokenize::{Prompt, Tokenizer, Truncate};
use crate::compute::{CandleExec, CpuExec, Exec, Finish, Span};

/// Which form of the operations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The fast form of the device.
    #[default]
    Native,
    /// Plain candle tensors: the oracle.
    Candle,
}

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Known models stand below this folder as `owner/name`.
    pub models_dir: PathBuf,
    /// Which form of the operations runs.
    pub engine: Engine,
    /// Tokens of one forward pass; a longer sequence runs alone.
    pub max_batch_tokens: usize,
}

/// How texts are embedded.
#[derive(Debug, Clone, Default)]
pub struct EmbedOptions {
    /// Leading dimensions to keep, before normalisation; all where `None`.
    pub dimensions: Option<usize>,
    /// Put before every text.
    pub prompt: Prompt,
    /// Which end of a too long text is dropped.
    pub truncate: Truncate,
}

/// Vectors of texts, one row a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embeddings {
    /// Columns.
    pub dim: usize,
    /// `[texts, dim]` f32 row-major.
    pub data: Vec<f32>,
    /// `[texts]` tokens that were embedded, special tokens included.
    pub tokens: Vec<usize>,
    /// `[texts]` the whole length in tokens of each text that was cut.
    pub truncated: Vec<Option<usize>>,
}

impl Embeddings {
    /// The vectors in order.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.dim.max(1))
    }
}

/// A model that is ready to embed.
pub struct Model {
    name: String,
    tokenizer: Tokenizer,
    network: Form,
    modules: Modules,
    dimensions: usize,
    prompts: Prompts,
    max_batch_tokens: usize,
    load_time: Duration,
}

enum Form {
    Cpu(Network<CpuExec>),
    Candle(Network<CandleExec>),
}

/// `config_sentence_transformers.json`.
#[derive(Debug, Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

/// `sentence_bert_config.json`.
#[derive(Debug, Default, Deserialize)]
struct SentenceConfig {
    #[serde(default)]
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// `tokenizer_config.json`. The length is a float in files that mean "none" by 1e30.
#[derive(Debug, Default, Deserialize)]
struct TokenizerConfig {
    #[serde(default)]
    model_max_length: Option<f64>,
}

impl Model {
    /// Loads a known model by name, or any model by its folder.
    ///
    /// # Errors
    /// When the model is unknown, a file is missing, malformed, corrupted, pickled or asks for
    /// something that is not supported, or a weight is not finite.
    pub fn load(model: &str, options: &ModelOptions) -> Result<Self, Error> {
        let start = Instant::now();
        let (name, folder) = Registry::embedded()?.resolve(model, &options.models_dir)?;
        let spec = read_spec(&folder)?;
        let modules = read_modules(&folder, spec.hidden)?;
        let tokenizer = load_tokenizer(&folder, &spec)?;
        let prompts: Prompts =
            folder.optional_json("config_sentence_transformers.json")?.unwrap_or_default();
        let dimensions = modules.dense.last().map_or(spec.hidden, |dense| dense.out_features);
        let network = match options.engine {
            Engine::Native => Form::Cpu(Network::load(CpuExec::new(), &folder, spec, &modules)?),
            Engine::Candle => {
                let exec = CandleExec::new(candle_core::Device::Cpu);
                Form::Candle(Network::load(exec, &folder, spec, &modules)?)
            }
        };
        let max_batch_tokens = options.max_batch_tokens;
        let load_time = start.elapsed();
        let model = Self {
            name,
            tokenizer,
            network,
            modules,
            dimensions,
            prompts,
            max_batch_tokens,
            load_time,
        };
        tracing::info!(
            model = model.name,
            device = model.device(),
            dimensions,
            max_tokens = model.tokenizer.max_tokens(),
            load_ms = load_time.as_millis() as u64,
            "model loaded"
        );
        Ok(model)
    }

    /// The name it is served under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The dimensions of its vectors.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Tokens of one forward pass.
    #[must_use]
    pub fn max_batch_tokens(&self) -> usize {
        self.max_batch_tokens
    }

    /// How long loading took.
    #[must_use]
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// Geometry of its transformer.
    #[must_use]
    pub fn spec(&self) -> &EncoderSpec {
        match &self.network {
            Form::Cpu(network) => network.spec(),
            Form::Candle(network) => network.spec(),
        }
    }

    /// Device and kernels in words.
    #[must_use]
    pub fn device(&self) -> String {
        match &self.network {
            Form::Cpu(network) => network.describe(),
            Form::Candle(network) => network.describe(),
        }
    }

    /// The prompt of this name; the model's default where `None`, which may be empty.
    ///
    /// # Errors
    /// When the model has no such prompt or it leaves no room for text.
    pub fn prompt(&self, name: Option<&str>) -> Result<Prompt, Error> {
        let Some(name) = name.or(self.prompts.default_prompt_name.as_deref()) else {
            return Ok(Prompt::default());
        };
        if let Some(text) = self.prompts.prompts.get(name) {
            return self.prompt_text(text);
        }
        let known: Vec<&str> = self.prompts.prompts.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::UnknownPrompt { name: name.to_owned(), known })
    }

    /// `text` as a prompt.
    ///
    /// # Errors
    /// When it leaves no room for text.
    pub fn prompt_text(&self, text: &str) -> Result<Prompt, Error> {
        self.tokenizer.prompt(text, self.modules.include_prompt)
    }

    /// The dimensions asked for, all where `None`.
    ///
    /// # Errors
    /// When the model does not have that many, or they are 0.
    pub fn check_dimensions(&self, asked: Option<usize>) -> Result<usize, Error> {
        let (asked, limit) = (asked.unwrap_or(self.dimensions), self.dimensions);
        if (1..=limit).contains(&asked) {
            Ok(asked)
        } else {
            Err(Error::Dimensions { asked, limit })
        }
    }

    /// Tokenises `texts` into a job; nothing runs yet. The vectors of the result are empty.
    ///
    /// # Errors
    /// When the dimensions are not the model's or a text cannot be tokenised.
    pub fn plan(&self, texts: &[&str], options: &EmbedOptions) -> Result<(Job, Embeddings), Error> {
        let dimensions = self.check_dimensions(options.dimensions)?;
        let texts = self.tokenizer.pack(texts, &options.prompt, options.truncate)?;
        let tokens = texts.packed.lengths().collect();
        let embeddings =
            Embeddings { dim: dimensions, data: Vec::new(), tokens, truncated: texts.truncated };
        let output = Output::Embeddings { dimensions };
        Ok((Job { packed: texts.packed, spans: texts.spans, output }, embeddings))
    }

    /// Embeds `texts`, one row each, in their order.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), and those of the device.
    pub fn embed(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, Error> {
        let (job, mut embeddings) = self.plan(texts, options)?;
        embeddings.data = self.forward(job)?;
        Ok(embeddings)
    }

    /// Mean hidden states `[n, H]` as finished vectors `[n, dimensions]`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn project(&self, states: &[f32], dimensions: usize) -> Result<Vec<f32>, Error> {
        self.project_with(states, self.finish(dimensions))
    }

    /// Mean hidden states `[n, H]` as vectors `[n, dimensions]` of length one, whether or not the
    /// model normalises.
    ///
    /// # Errors
    /// Those of the device.
    pub fn unit_vectors(&self, states: &[f32]) -> Result<Vec<f32>, Error> {
        self.project_with(states, Finish { dims: self.dimensions, normalize: true })
    }

    fn project_with(&self, states: &[f32], finish: Finish) -> Result<Vec<f32>, Error> {
        match &self.network {
            Form::Cpu(network) => network.project(states, finish),
            Form::Candle(network) => network.project(states, finish),
        }
    }

    /// The banded Gram matrix of `[n, cols]` rows: `[n, width]`, see [`Exec::gram`].
    ///
    /// # Errors
    /// Those of the device.
    pub fn gram(&self, rows: &[f32], cols: usize, width: usize) -> Result<Vec<f32>, Error> {
        match &self.network {
            Form::Cpu(network) => network.gram(rows, cols, width),
            Form::Candle(network) => network.gram(rows, cols, width),
        }
    }

    /// Runs `jobs` together, in as few batches as the token budget allows: one result a job.
    ///
    /// # Errors
    /// Those of the device, for all jobs at once. A job whose own rows are not finite fails alone.
    pub fn run(&self, jobs: &[&Job]) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        match &self.network {
            Form::Cpu(network) => self.run_on(network, jobs),
            Form::Candle(network) => self.run_on(network, jobs),
        }
    }

    fn run_on<E: Exec>(
        &self,
        network: &Network<E>,
        jobs: &[&Job],
    ) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        let work = Work::new(jobs)?;
        let mut results: Vec<Vec<f32>> =
            jobs.iter().map(|job| vec![0.0; job.spans.len() * self.columns(job.output)]).collect();
        for batch in plan_batches(&work.lengths, self.max_batch_tokens) {
            let (packed, mut reads) = work.gather(jobs, &batch);
            let hidden = network.hidden(&packed)?;
            while let Some(first) = reads.first() {
                let output = jobs[first.job].output;
                let (now, later) =
                    reads.into_iter().partition(|read| jobs[read.job].output == output);
                reads = later;
                let now: Vec<Read> = now;
                let spans: Vec<Span> = now.iter().map(|read| read.span).collect();
                let rows = match output {
                    Output::Embeddings { dimensions } => {
                        let finish = self.finish(dimensions);
                        network.embeddings(&hidden, &packed.cu_seqlens, &spans, finish)?
                    }
                    Output::States => network.states(&hidden, &packed.cu_seqlens, &spans)?,
                };
                let columns = self.columns(output);
                for (read, row) in now.iter().zip(rows.chunks_exact(columns)) {
                    results[read.job][read.row * columns..][..columns].copy_from_slice(row);
                }
            }
        }
        let finite = |rows: Vec<f32>| {
            if rows.iter().all(|x| x.is_finite()) { Ok(rows) } else { Err(Error::OutputNotFinite) }
        };
        Ok(results.into_iter().map(finite).collect())
    }

    fn columns(&self, output: Output) -> usize {
        match output {
            Output::Embeddings { dimensions } => dimensions,
            Output::States => self.spec().hidden,
        }
    }

    fn finish(&self, dims: usize) -> Finish {
        Finish { dims, normalize: self.modules.normalize }
    }
}

impl Forward for Model {
    fn model(&self) -> &Model {
        self
    }

    fn forward(&self, job: Job) -> Result<Vec<f32>, Error> {
        // One job in, one result out.
        self.run(&[&job])?.pop().unwrap_or(Ok(Vec::new()))
    }
}

fn load_tokenizer(folder: &Folder, spec: &EncoderSpec) -> Result<Tokenizer, Error> {
    let sentence: SentenceConfig =
        folder.optional_json("sentence_bert_config.json")?.unwrap_or_default();
    let config: TokenizerConfig =
        folder.optional_json("tokenizer_config.json")?.unwrap_or_default();
    let longest = config.model_max_length.map_or(usize::MAX, |length| length as usize);
    let max_tokens = sentence.max_seq_length.unwrap_or(longest).min(spec.max_positions);
    let tokenizer = Tokenizer::load(folder, max_tokens, sentence.do_lower_case)?;
    let vocabulary = tokenizer.vocabulary();
    if vocabulary > spec.vocabulary {
        return Err(Error::Malformed {
            path: folder.path("tokenizer.json"),
            problem: format!(
                "has token ids up to {}, config.json's vocab_size is {}",
                vocabulary - 1,
                spec.vocabulary
            ),
        });
    }
    Ok(tokenizer)
}
