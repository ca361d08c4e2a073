//! What follows the transformer, read as sentence-transformers reads it: `modules.json` with its
//! Pooling and what follows that, or the head that `config.json` names.

use super::config_file::ConfigFile;
use super::known_keys::{self, Unknown};
use super::steps::{Step, read_step};
use crate::compute::Pooling;
use crate::models::layout::{
    CHAT_TEMPLATE, CONFIG, MODULES, Module, TOKENIZER_CONFIG, classifies, in_directory,
};
use crate::models::{Error, Folder, ModelSpec, POOLINGS, Task, parse_pooling};

/// The modules after the transformer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Modules {
    /// One, or several whose rows stand side by side.
    pub(super) pooling: Vec<Pooling>,
    /// Whether the prompt's tokens are pooled too.
    pub(super) include_prompt: bool,
    /// From pooled rows to vectors.
    pub(super) steps: Vec<Step>,
    /// Whether vectors are brought to length one at the end.
    pub(super) normalize: bool,
    /// Leading columns that are kept after all that, where the settings say.
    pub(super) truncate: Option<usize>,
    pub(super) head: HeadKind,
    /// Of a classifier: the names of its labels.
    pub(super) labels: Vec<String>,
}

/// What a model's modules are read from.
#[derive(Clone, Copy)]
pub(super) struct ModuleFiles<'a> {
    pub(super) folder: &'a Folder,
    /// `modules.json`, where there is one.
    pub(super) entries: Option<&'a [Module]>,
    pub(super) config: &'a ConfigFile,
    /// `config_sentence_transformers.json`, where there is one.
    pub(super) settings: Option<&'a ConfigFile>,
    pub(super) unknown: Unknown,
}

/// What turns states into the model's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadKind {
    /// Pooling and the Dense modules.
    Dense,
    /// Pooling and a classifier.
    Classifier {
        /// Scores of a pair.
        labels: usize,
        /// Whether the logistic function is applied to them.
        sigmoid: bool,
    },
    /// A masked-LM head, and the largest logit over the text.
    MaskedLm {
        /// Whether `ln(1 + x)` is taken once more.
        twice: bool,
        /// How many entries of a vector are kept, the largest; all where `None`.
        max_entries: Option<usize>,
    },
}

impl Modules {
    fn new(pooling: Pooling, head: HeadKind) -> Self {
        Self {
            pooling: vec![pooling],
            include_prompt: true,
            steps: Vec::new(),
            normalize: false,
            truncate: None,
            head,
            labels: Vec::new(),
        }
    }

    /// Columns of a vector before it is cut, where hidden states have `hidden`.
    pub(super) fn columns(&self, hidden: usize) -> usize {
        let pooled = self.pooling.len() * hidden;
        self.steps.iter().fold(pooled, |columns, step| step.columns(columns))
    }

    /// Whether vectors of so many leading dimensions are brought to length one: what is kept of a
    /// vector that has its length is not.
    pub(super) fn normalizes(&self, dimensions: usize) -> bool {
        self.normalize && self.truncate != Some(dimensions)
    }

    /// Takes pooling and normalisation from the registry where the folder has no `modules.json`
    /// to say them; a repository of plain `transformers` has none.
    pub(super) fn fill(&mut self, folder: &Folder, known: Option<&ModelSpec>) -> Result<(), Error> {
        if self.head != HeadKind::Dense || folder.exists(MODULES) {
            return Ok(());
        }
        let Some(spec) = known else {
            let path = folder.path(MODULES);
            tracing::warn!(path = %path.display(), pooling = ?self.pooling, "absent");
            return Ok(());
        };
        if let Some(name) = &spec.pooling {
            let pooling = parse_pooling(name).ok_or_else(|| Error::Unsupported {
                path: "models.toml".into(),
                field: "pooling",
                value: format!("`{name}`"),
                supported: POOLINGS.to_owned(),
            })?;
            self.pooling = vec![pooling];
        }
        self.normalize = spec.normalize.unwrap_or(false);
        Ok(())
    }

    /// What the model gives.
    pub(super) fn kind(&self) -> Task {
        match self.head {
            HeadKind::Dense => Task::Embedding,
            HeadKind::Classifier { .. } => Task::Reranker,
            HeadKind::MaskedLm { .. } => Task::Sparse,
        }
    }
}

/// Reads `modules.json`. A folder without one is a classifier where its `config.json` says so, and
/// otherwise a plain transformer with mean pooling, which is what sentence-transformers makes of
/// it; `wanted` can ask for its masked-LM head instead.
pub(super) fn read_modules(
    files: ModuleFiles<'_>,
    hidden: usize,
    wanted: Option<Task>,
) -> Result<Modules, Error> {
    let ModuleFiles { entries, config, settings, .. } = files;
    let classifies = classifies(config.list("architectures").into_iter());
    match entries {
        Some([_]) if classifies => read_classifier(config, settings),
        Some(entries) => read_entries(files, entries, hidden),
        None if classifies => read_classifier(config, None),
        None if wanted == Some(Task::Sparse) => {
            let head = HeadKind::MaskedLm { twice: false, max_entries: None };
            Ok(Modules::new(Pooling::Mean, head))
        }
        None => read_plain(files),
    }
}

/// What sentence-transformers makes of a plain transformer: language models have the last token
/// pooled, others the mean. It puts texts into a chat's template where there is one.
fn read_plain(files: ModuleFiles<'_>) -> Result<Modules, Error> {
    let ModuleFiles { folder, config, .. } = files;
    let tokenizer = ConfigFile::optional(folder, TOKENIZER_CONFIG)?;
    let is_set = tokenizer.is_some_and(|tokenizer| tokenizer.has("chat_template"));
    if is_set || folder.exists(CHAT_TEMPLATE) {
        let file = if is_set { TOKENIZER_CONFIG } else { CHAT_TEMPLATE };
        return Err(Error::Unsupported {
            path: folder.path(file),
            field: "chat_template",
            value: "set".to_owned(),
            supported: format!("none, or {MODULES} to say that texts are not put into it"),
        });
    }
    let architecture = config.list("architectures").first().copied().unwrap_or_default();
    let is_causal = architecture.ends_with("ForCausalLM") && config.flag_or("is_causal", true)?;
    let pooling = if is_causal { Pooling::LastToken } else { Pooling::Mean };
    Ok(Modules::new(pooling, HeadKind::Dense))
}

fn shown(entry: &Module) -> String {
    format!("`{}` at path `{}`", entry.class, entry.path)
}

fn read_entries(
    files: ModuleFiles<'_>,
    entries: &[Module],
    hidden: usize,
) -> Result<Modules, Error> {
    const SUPPORTED: &str = "Transformer, Pooling, then any of Dense, LayerNorm, Dropout and \
                             Normalize; or MLMTransformer, SpladePooling";
    let unsupported = |field, value| Error::Unsupported {
        path: files.folder.path(MODULES),
        field,
        value,
        supported: SUPPORTED.to_owned(),
    };
    let mut modules = Modules::new(Pooling::Mean, HeadKind::Dense);
    let mut is_pooled = false;
    let mut early = None;
    for (index, entry) in entries.iter().enumerate() {
        let path = files.folder.path(MODULES);
        known_keys::MODULE.check_fields(&path, entry.others.iter(), files.unknown)?;
        match (index, entry.kind()) {
            (0, "Transformer" | "MLMTransformer") => {}
            (1.., "Pooling") if !is_pooled => {
                (modules.pooling, modules.include_prompt) = read_pooling(files, &entry.path)?;
                is_pooled = true;
            }
            (1.., "SpladePooling") if !is_pooled => {
                modules.head = read_splade_pooling(files, &entry.path)?;
                is_pooled = true;
            }
            // Vectors are not there yet: it finds nothing to bring to length one.
            (1.., "Normalize") if !is_pooled => {
                early = Some(entry);
                read_step(files.folder, entry, 0, files.unknown)?;
            }
            (1.., "Dense" | "LayerNorm" | "Dropout" | "Normalize")
                if is_pooled && modules.head == HeadKind::Dense =>
            {
                let columns = modules.columns(hidden);
                let step = read_step(files.folder, entry, columns, files.unknown)?;
                modules.steps.extend(step);
            }
            _ => return Err(unsupported("type", shown(entry))),
        }
    }
    if let Some(entry) = early.filter(|_| !is_pooled) {
        return Err(unsupported("type", shown(entry)));
    }
    if !is_pooled {
        return Err(unsupported("modules", format!("{} long", entries.len())));
    }
    while modules.steps.pop_if(|step| *step == Step::Normalize).is_some() {
        modules.normalize = true;
    }
    if let Some(settings) = files.settings.filter(|settings| settings.has("truncate_dim")) {
        let kept = settings.size("truncate_dim")?;
        modules.truncate = Some(kept).filter(|kept| *kept < modules.columns(hidden));
    }
    Ok(modules)
}

/// A sequence classification head, by the keys that sentence-transformers' `CrossEncoder` reads:
/// its activation stands in `own`, its settings, or in `config`, in a newer or an older place.
fn read_classifier(config: &ConfigFile, own: Option<&ConfigFile>) -> Result<Modules, Error> {
    let labels = match config.len("id2label") {
        0 => config.size_or("num_labels", 2)?,
        labels => labels,
    };
    let newer = config.object("sentence_transformers")?;
    let places = own.into_iter().chain(newer.as_ref());
    let places = places.map(|place| (place, "activation_fn"));
    let older = (config, "sbert_ce_default_activation_function");
    let named = places.chain([older]).find_map(|(place, key)| Some((place.text(key)?, place, key)));
    let sigmoid = match named.map(|(name, ..)| name.rsplit('.').next().unwrap_or_default()) {
        Some("Identity") => false,
        Some("Sigmoid") => true,
        _ => match named {
            None => labels == 1,
            Some((_, place, key)) => return Err(place.unsupported(key, "Identity, Sigmoid")),
        },
    };
    let pooling = match config.text("classifier_pooling") {
        None | Some("cls") => Pooling::Cls,
        Some("mean") => Pooling::Mean,
        Some(_) => return Err(config.unsupported("classifier_pooling", "cls, mean")),
    };
    let modules = Modules::new(pooling, HeadKind::Classifier { labels, sigmoid });
    Ok(Modules { labels: label_names(config, labels), ..modules })
}

/// The labels' names by number; `LABEL_N` where the model has none.
fn label_names(config: &ConfigFile, labels: usize) -> Vec<String> {
    let named = config.value("id2label");
    let name = |id: usize| named?.get(id.to_string())?.as_str().map(str::to_owned);
    (0..labels).map(|id| name(id).unwrap_or_else(|| format!("LABEL_{id}"))).collect()
}

fn read_splade_pooling(files: ModuleFiles<'_>, directory: &str) -> Result<HeadKind, Error> {
    let config = ConfigFile::read(files.folder, &in_directory(directory, CONFIG))?;
    known_keys::SPLADE_POOLING.check(&config, files.unknown)?;
    if config.text("pooling_strategy").is_some_and(|strategy| strategy != "max") {
        return Err(config.unsupported("pooling_strategy", "max"));
    }
    let max_entries = match files.settings.filter(|own| own.has("max_active_dims")) {
        Some(own) => Some(own.size("max_active_dims")?),
        None => None,
    };
    match config.text("activation_function") {
        None | Some("relu") => Ok(HeadKind::MaskedLm { twice: false, max_entries }),
        Some("log1p_relu") => Ok(HeadKind::MaskedLm { twice: true, max_entries }),
        Some(_) => Err(config.unsupported("activation_function", "relu, log1p_relu")),
    }
}

/// The older flags of Pooling, in the order in which what they ask for is joined.
const POOLING_FLAGS: [(&str, Pooling); 6] = [
    ("pooling_mode_cls_token", Pooling::Cls),
    ("pooling_mode_max_tokens", Pooling::Max),
    ("pooling_mode_mean_tokens", Pooling::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", Pooling::MeanSqrtLength),
    ("pooling_mode_weightedmean_tokens", Pooling::WeightedMean),
    ("pooling_mode_lasttoken", Pooling::LastToken),
];

fn read_pooling(files: ModuleFiles<'_>, directory: &str) -> Result<(Vec<Pooling>, bool), Error> {
    let config = ConfigFile::read(files.folder, &in_directory(directory, CONFIG))?;
    known_keys::POOLING.check(&config, files.unknown)?;
    let include_prompt = config.flag_or("include_prompt", true)?;
    // One name, or several whose rows are joined; older files have a flag for each.
    let mut pooling = Vec::new();
    if config.has("pooling_mode") {
        let mut names = config.list("pooling_mode");
        names.extend(config.text("pooling_mode"));
        let modes: Option<Vec<_>> = names.into_iter().map(parse_pooling).collect();
        pooling = modes.filter(|modes| !modes.is_empty()).ok_or_else(|| {
            config.unsupported("pooling_mode", &format!("{POOLINGS}, or several in a list"))
        })?;
    } else {
        for (flag, mode) in POOLING_FLAGS {
            pooling.extend(config.flag_or(flag, false)?.then_some(mode));
        }
    }
    if pooling.is_empty() {
        pooling.push(Pooling::Mean);
    }
    Ok((pooling, include_prompt))
}
