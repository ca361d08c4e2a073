//! A model's facts: its tokenizer, prompts, geometry and outputs. It plans jobs and has no device.

use super::Error;
use super::config_file::ConfigFile;
use super::encoder::{EncoderSpec, Family, read_family};
use super::job::Output;
use super::known_keys::{self, Unknown};
use super::modules::{HeadKind, ModuleFiles, Modules, read_modules};
use super::prompts::Prompts;
use super::sentence_config::SentenceConfig;
use super::tokenize::{Limits, Prompt, Tokenizer};
use super::tokenizer_settings::TokenizerSettings;
use crate::models::layout::{
    CONFIG, MODULES, SETTINGS, in_directory, read_modules as read_entries, transformer_directory,
};
use crate::models::{self, Folder, Located, Task, name_pooling};

/// What a model is, without its weights.
pub struct Model {
    name: String,
    tokenizer: Tokenizer,
    spec: EncoderSpec,
    modules: Modules,
    dimensions: usize,
    prompts: Prompts,
}

/// What the files beside the weights say of a model, before the weights have vouched for them.
pub(super) struct Outline {
    pub(super) folder: Folder,
    pub(super) family: Family,
    pub(super) modules: Modules,
    /// Where the transformer's files stand, empty for the model's own directory.
    pub(super) directory: String,
    limits: Limits,
    prompts: Prompts,
    dimensions: usize,
}

impl Outline {
    /// Reads all files but the weights and the tokenizer.
    pub(super) fn read(
        located: &Located,
        kind: Option<Task>,
        unknown: Unknown,
    ) -> Result<Self, Error> {
        let folder = located.folder()?;
        let known = located.spec.as_ref();
        let entries = read_entries(&folder)?;
        let directory = transformer_directory(entries.as_deref().unwrap_or_default()).to_owned();
        // Without modules sentence-transformers reads none of its own files.
        let is_its = entries.is_some();
        let sentence = if is_its {
            SentenceConfig::read(&folder, &directory, unknown)?
        } else {
            SentenceConfig::default()
        };
        let mut config = ConfigFile::read(&folder, &in_directory(&directory, CONFIG))?;
        config.overlay(&sentence.config);
        let settings = if is_its { ConfigFile::optional(&folder, SETTINGS)? } else { None };
        if let Some(settings) = &settings {
            known_keys::SETTINGS.check(settings, unknown)?;
        }
        let mut family = read_family(&config)?;
        let kind = kind.or(known.map(|spec| spec.kind));
        let hidden = family.spec.hidden;
        let files = ModuleFiles {
            folder: &folder,
            entries: entries.as_deref(),
            config: &config,
            settings: settings.as_ref(),
            unknown,
        };
        let mut modules = read_modules(files, hidden, kind)?;
        family.heads.check(&config, modules.head)?;
        modules.fill(&folder, known)?;
        let tokenizer =
            TokenizerSettings::read(&folder, &directory, &config, &sentence.processor, unknown)?;
        let limits = Limits::new(tokenizer, &sentence, &family.spec, known)?;
        // Tables of positions need not reach beyond the longest sequence.
        family.spec.max_tokens = limits.max_tokens;
        let prompts = Prompts::read(settings, known)?;
        let whole = modules.columns(hidden);
        if let Some(said) = known.and_then(|spec| spec.dimensions)
            && modules.head == HeadKind::Dense
            && said != whole
        {
            let problem = format!("gives vectors of {whole}, the registry says {said}");
            return Err(models::Error::Malformed { path: folder.path(MODULES), problem }.into());
        }
        let dimensions = modules.truncate.unwrap_or(whole);
        Ok(Self { folder, family, modules, directory, limits, prompts, dimensions })
    }

    /// Reads the tokenizer: after the weights, which vouch for the size of the vocabulary. The
    /// folder has then seen every file.
    pub(super) fn model(self, name: String) -> Result<(Model, Folder), Error> {
        let Self { folder, family, modules, directory, limits, prompts, dimensions } = self;
        let tokenizer = Tokenizer::load(&folder, &directory, family.spec.vocabulary, &limits)?;
        let model = Model { name, tokenizer, spec: family.spec, modules, dimensions, prompts };
        Ok((model, folder))
    }
}

impl Model {
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

    /// Geometry of its transformer.
    #[must_use]
    pub fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    /// What it gives for a text.
    #[must_use]
    pub fn kind(&self) -> Task {
        self.modules.kind()
    }

    /// Whether vectors of so many leading dimensions are brought to length one.
    #[must_use]
    pub fn normalizes(&self, dimensions: usize) -> bool {
        self.modules.normalizes(dimensions)
    }

    /// The names of a classifier's labels, in the order of its scores.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.modules.labels
    }

    /// How tokens are pooled, as sentence-transformers names it; several with `+` between.
    #[must_use]
    pub fn pooling_name(&self) -> String {
        let names: Vec<&str> =
            self.modules.pooling.iter().map(|&pooling| name_pooling(pooling)).collect();
        names.join("+")
    }

    /// The prompt of this name; the model's default where `None`, which may be empty.
    ///
    /// # Errors
    /// When the model has no such prompt or it leaves no room for text.
    pub fn prompt(&self, name: Option<&str>) -> Result<Prompt, Error> {
        self.prompts.text(name)?.map_or(Ok(Prompt::default()), |text| self.prompt_text(text))
    }

    /// Whether the model has a prompt of this name.
    #[must_use]
    pub fn has_prompt(&self, name: &str) -> bool {
        self.prompts.has(name)
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
    /// When the model does not have that many, they are 0, or it gives no vectors.
    pub fn check_dimensions(&self, asked: Option<usize>) -> Result<usize, Error> {
        self.check_output(Output::Embeddings { dimensions: self.dimensions, normalize: None })?;
        let (asked, limit) = (asked.unwrap_or(self.dimensions), self.dimensions);
        if (1..=limit).contains(&asked) {
            Ok(asked)
        } else {
            Err(Error::Dimensions { asked, limit })
        }
    }

    /// How the model's head makes its output.
    pub(super) fn head(&self) -> HeadKind {
        self.modules.head
    }

    /// Refuses an output that the model does not have.
    pub(super) fn check_output(&self, output: Output) -> Result<(), Error> {
        let is_there = match output {
            Output::MeanStates => true,
            Output::Embeddings { .. } => self.kind() == Task::Embedding,
            Output::Scores => self.kind() == Task::Reranker,
            Output::MaxLogits => self.kind() == Task::Sparse,
        };
        if is_there { Ok(()) } else { Err(self.wrong_kind(output)) }
    }

    /// What is said where the model does not have `output`.
    pub(super) fn wrong_kind(&self, output: Output) -> Error {
        let asked = match output {
            Output::MeanStates => "mean hidden states",
            Output::Embeddings { .. } => "vectors",
            Output::Scores => "scores of pairs",
            Output::MaxLogits => "sparse vectors",
        };
        let (kind, given) = match self.kind() {
            Task::Embedding => ("an embedding model", "vectors"),
            Task::Reranker => ("a reranker", "scores of pairs"),
            Task::Sparse => ("a sparse model", "sparse vectors"),
        };
        Error::WrongKind { kind, given, asked }
    }

    /// Columns of a row of `output`, which the model has.
    #[must_use]
    pub fn columns(&self, output: Output) -> usize {
        match (output, self.modules.head) {
            (Output::Embeddings { dimensions, .. }, _) => dimensions,
            (Output::MeanStates, _) => self.spec.hidden,
            (Output::Scores, HeadKind::Classifier { labels, .. }) => labels,
            // A model without the head refuses the output.
            (Output::Scores, HeadKind::Dense | HeadKind::MaskedLm { .. }) => 0,
            (Output::MaxLogits, _) => self.spec.vocabulary,
        }
    }
}
