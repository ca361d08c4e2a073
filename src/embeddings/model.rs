//! A loaded model: its tokenizer, its network on a device, and jobs run on them in batches.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Error;
use super::config_file::ConfigFile;
use super::device::DeviceChoice;
use super::encoder::{EncoderSpec, read_family};
use super::form::{Files, Form};
use super::job::Output;
use super::modules::{HeadKind, Modules, read_modules};
use super::prompts::Prompts;
use super::tokenize::{Limits, Prompt, Tokenizer};
use crate::compute::{Dtype, DtypeChoice, Finish, Isa, Numerics};
use crate::models::layout::{CONFIG, MODULES};
use crate::models::{self, Places, Store, Task};

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
    /// Where its files are looked for.
    pub places: Places,
    /// Branch, tag or commit, in place of the registry's or of `main`.
    pub revision: Option<String>,
    /// Where the model runs.
    pub device: DeviceChoice,
    /// Which form of the operations runs.
    pub engine: Engine,
    /// What dense layers run in; the registry's, or else f32, where `None`. Candle's form is f32.
    pub dtype: Option<DtypeChoice>,
    /// Instruction set of the fast form.
    pub isa: Isa,
    /// Whether a vector's bits may depend on its batch, on CUDA.
    pub numerics: Numerics,
    /// Tokens that run together, on a processor in forward passes of at most 512; a longer sequence
    /// runs alone. As many as suit the device where `None`.
    pub max_batch_tokens: Option<usize>,
    /// What the model is to give, where its files leave that open: a checkpoint with a masked-LM
    /// head is an embedding model unless it is asked to be sparse.
    pub kind: Option<Task>,
}

impl Default for ModelOptions {
    /// Models below `models`, in the fast form of the processor.
    fn default() -> Self {
        Self {
            places: Places::default(),
            revision: None,
            device: DeviceChoice::Cpu,
            engine: Engine::Native,
            dtype: None,
            isa: Isa::detect(),
            numerics: Numerics::default(),
            max_batch_tokens: None,
            kind: None,
        }
    }
}

/// A model that is ready to embed.
pub struct Model {
    name: String,
    tokenizer: Tokenizer,
    pub(super) network: Form,
    pub(super) modules: Modules,
    dimensions: usize,
    prompts: Prompts,
    max_batch_tokens: usize,
    dtype: Dtype,
    load_time: Duration,
}

impl Model {
    /// Loads a known model by name, any model of the hub that is on this machine by `owner/name`,
    /// or one by its folder. Never touches the network.
    ///
    /// # Errors
    /// When the model is unknown or not on this machine, a file is missing, malformed, corrupted,
    /// pickled or asks for something that is not supported, or a weight is not finite.
    pub fn load(model: &str, options: &ModelOptions) -> Result<Self, Error> {
        let start = Instant::now();
        let located = Store::open(&options.places)?.find(model, options.revision.as_deref())?;
        if located.stands_in {
            let (model, path) = (&located.name, located.path().display());
            tracing::warn!(model, %path, "not the registry's revision, what is here serves");
        }
        let folder = located.folder()?;
        let known = located.spec.as_ref();
        let config = ConfigFile::read(&folder, CONFIG)?;
        let mut family = read_family(&config)?;
        let kind = options.kind.or(known.map(|spec| spec.kind));
        let mut modules = read_modules(&folder, &config, family.spec.hidden, kind)?;
        family.heads.check(&config, modules.head)?;
        modules.fill(&folder, known)?;
        let limits = Limits::read(&folder, &family.spec, known)?;
        // Tables of positions need not reach beyond the longest sequence.
        family.spec.max_tokens = limits.max_tokens;
        let prompts = Prompts::read(&folder, known)?;
        let hidden = family.spec.hidden;
        let dimensions = modules.dense.last().map_or(hidden, |dense| dense.out_features);
        if let Some(said) = known.and_then(|spec| spec.dimensions)
            && modules.head == HeadKind::Dense
            && said != dimensions
        {
            let problem = format!("gives vectors of {dimensions}, the registry says {said}");
            return Err(models::Error::Malformed { path: folder.path(MODULES), problem }.into());
        }
        let dtype = options.dtype.or(known.and_then(|spec| spec.dtype));
        let files = Files { folder: &folder, family: &family, modules: &modules };
        let (network, dtype) = Form::load(options, dtype, files)?;
        // After the weights, which vouch for the size of the vocabulary.
        let tokenizer = Tokenizer::load(&folder, family.spec.vocabulary, &limits)?;
        // Every file has been read and found to be what it was.
        located.remember(folder.seen());
        let budget = network.batch_budget();
        let max_batch_tokens = options.max_batch_tokens.unwrap_or(budget);
        let load_time = start.elapsed();
        let model = Self {
            name: located.name,
            tokenizer,
            network,
            modules,
            dimensions,
            prompts,
            max_batch_tokens,
            dtype,
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

    /// Batches that its devices run at a time, each on a lane of its own; a processor spreads one
    /// over its threads.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.network.lanes()
    }

    /// Whether it runs in the CUDA form.
    #[must_use]
    pub fn runs_on_cuda(&self) -> bool {
        matches!(self.network, Form::Cuda(_))
    }

    pub(super) fn set_max_batch_tokens(&mut self, tokens: usize) {
        self.max_batch_tokens = tokens;
    }

    /// Tokens that run together.
    #[must_use]
    pub fn max_batch_tokens(&self) -> usize {
        self.max_batch_tokens
    }

    /// What its dense layers run in.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How long loading took.
    #[must_use]
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// Geometry of its transformer.
    #[must_use]
    pub fn spec(&self) -> &EncoderSpec {
        self.network.spec()
    }

    /// Device and kernels in words.
    #[must_use]
    pub fn device(&self) -> String {
        self.network.describe()
    }

    /// What it gives for a text.
    #[must_use]
    pub fn kind(&self) -> Task {
        self.modules.kind()
    }

    /// The prompt of this name; the model's default where `None`, which may be empty.
    ///
    /// # Errors
    /// When the model has no such prompt or it leaves no room for text.
    pub fn prompt(&self, name: Option<&str>) -> Result<Prompt, Error> {
        self.prompts.text(name)?.map_or(Ok(Prompt::default()), |text| self.prompt_text(text))
    }

    /// `text` as a prompt.
    ///
    /// # Errors
    /// When it leaves no room for text.
    pub fn prompt_text(&self, text: &str) -> Result<Prompt, Error> {
        self.tokenizer.prompt(text, self.modules.include_prompt)
    }

    /// How the model's head makes its output.
    pub(super) fn head(&self) -> HeadKind {
        self.modules.head
    }

    /// Refuses an output that the model does not have.
    pub(super) fn check_output(&self, output: Output) -> Result<(), Error> {
        let (asked, needed) = match output {
            Output::States => return Ok(()),
            Output::Embeddings { .. } => ("vectors", Task::Embedding),
            Output::Scores => ("scores of pairs", Task::Reranker),
            Output::MaxLogits => ("sparse vectors", Task::Sparse),
        };
        let (kind, given) = match self.kind() {
            kind if kind == needed => return Ok(()),
            Task::Embedding => ("an embedding model", "vectors"),
            Task::Reranker => ("a reranker", "scores of pairs"),
            Task::Sparse => ("a sparse model", "sparse vectors"),
        };
        Err(Error::WrongKind { kind, given, asked })
    }

    /// The dimensions asked for, all where `None`.
    ///
    /// # Errors
    /// When the model does not have that many, they are 0, or it gives no vectors.
    pub fn check_dimensions(&self, asked: Option<usize>) -> Result<usize, Error> {
        self.check_output(Output::Embeddings { dimensions: self.dimensions })?;
        let (asked, limit) = (asked.unwrap_or(self.dimensions), self.dimensions);
        if (1..=limit).contains(&asked) {
            Ok(asked)
        } else {
            Err(Error::Dimensions { asked, limit })
        }
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
        self.network.project(states, finish)
    }

    /// The banded Gram matrix of `[n, cols]` rows: `[n, width]`, see [`Exec::gram`](crate::compute::Exec::gram).
    ///
    /// # Errors
    /// Those of the device.
    pub fn gram(&self, rows: &[f32], cols: usize, width: usize) -> Result<Vec<f32>, Error> {
        self.network.gram(rows, cols, width)
    }

    /// How pooled rows become vectors of `dims`.
    pub(super) fn finish(&self, dims: usize) -> Finish {
        Finish { dims, normalize: self.modules.normalize }
    }
}
