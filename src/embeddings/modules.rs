//! What follows the transformer, read as sentence-transformers reads it: `modules.json` with its
//! Pooling, Dense and Normalize parts, or the head that `config.json` names.

use super::config_file::ConfigFile;
use crate::compute::{Activation, Epilogue, Pooling};
use crate::models::layout::{self, CONFIG, MODULES, Module, SETTINGS, classifies, in_directory};
use crate::models::{Error, Folder, ModelSpec, POOLINGS, Task, parse_pooling};

/// The modules after the transformer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Modules {
    pub(super) pooling: Pooling,
    /// Whether the prompt's tokens are pooled too.
    pub(super) include_prompt: bool,
    pub(super) dense: Vec<Dense>,
    pub(super) normalize: bool,
    pub(super) head: HeadKind,
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

/// A Dense module and where its weights stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense {
    pub(super) directory: String,
    pub(super) in_features: usize,
    pub(super) out_features: usize,
    pub(super) bias: bool,
    pub(super) activation: Epilogue,
}

impl Modules {
    fn new(pooling: Pooling, head: HeadKind) -> Self {
        Self { pooling, include_prompt: true, dense: Vec::new(), normalize: false, head }
    }

    /// Takes pooling and normalisation from the registry where the folder has no `modules.json`
    /// to say them; a repository of plain `transformers` has none.
    pub(super) fn fill(&mut self, folder: &Folder, known: Option<&ModelSpec>) -> Result<(), Error> {
        if self.head != HeadKind::Dense || folder.exists(MODULES) {
            return Ok(());
        }
        let Some(spec) = known else {
            tracing::warn!(path = %folder.path(MODULES).display(), "absent: tokens are pooled by mean");
            return Ok(());
        };
        if let Some(name) = &spec.pooling {
            self.pooling = parse_pooling(name).ok_or_else(|| Error::Unsupported {
                path: "models.toml".into(),
                field: "pooling",
                value: format!("`{name}`"),
                supported: POOLINGS.to_owned(),
            })?;
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
    folder: &Folder,
    config: &ConfigFile,
    hidden: usize,
    wanted: Option<Task>,
) -> Result<Modules, Error> {
    let classifies = classifies(config.list("architectures").into_iter());
    match layout::read_modules(folder)? {
        Some(entries) if entries.len() == 1 && classifies => {
            read_classifier(config, read_settings(folder)?.as_ref())
        }
        Some(entries) => read_entries(folder, &entries, hidden),
        None if classifies => read_classifier(config, None),
        None if wanted == Some(Task::Sparse) => {
            let head = HeadKind::MaskedLm { twice: false, max_entries: None };
            Ok(Modules::new(Pooling::Mean, head))
        }
        None => Ok(Modules::new(Pooling::Mean, HeadKind::Dense)),
    }
}

fn read_entries(folder: &Folder, entries: &[Module], hidden: usize) -> Result<Modules, Error> {
    const SUPPORTED: &str = "Transformer, Pooling, any number of Dense, Normalize, in this order; \
                             or MLMTransformer, SpladePooling";
    let mut modules = Modules::new(Pooling::Mean, HeadKind::Dense);
    let unsupported = |field, value| Error::Unsupported {
        path: folder.path(MODULES),
        field,
        value,
        supported: SUPPORTED.to_owned(),
    };
    // How far the order above has come.
    let mut stage = 0;
    for entry in entries {
        let allowed = match (stage, entry.kind()) {
            (0, "Transformer" | "MLMTransformer") => entry.path.is_empty(),
            (1, "Pooling") => {
                (modules.pooling, modules.include_prompt) = read_pooling(folder, &entry.path)?;
                true
            }
            (1, "SpladePooling") => {
                modules.head = read_splade_pooling(folder, &entry.path)?;
                true
            }
            (2, "Dense") if modules.head == HeadKind::Dense => {
                let columns = modules.dense.last().map_or(hidden, |dense| dense.out_features);
                modules.dense.push(read_dense(folder, &entry.path, columns)?);
                stage -= 1;
                true
            }
            (2, "Normalize") if modules.head == HeadKind::Dense => {
                modules.normalize = true;
                true
            }
            _ => false,
        };
        stage += 1;
        if !allowed {
            let value = format!("`{}` at path `{}`", entry.class, entry.path);
            return Err(unsupported("type", value));
        }
    }
    if stage < 2 {
        return Err(unsupported("modules", format!("{} long", entries.len())));
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
    Ok(Modules::new(pooling, HeadKind::Classifier { labels, sigmoid }))
}

/// The settings that sentence-transformers keeps for the model as a whole.
fn read_settings(folder: &Folder) -> Result<Option<ConfigFile>, Error> {
    let exists = folder.exists(SETTINGS);
    exists.then(|| ConfigFile::read(folder, SETTINGS)).transpose()
}

fn read_splade_pooling(folder: &Folder, directory: &str) -> Result<HeadKind, Error> {
    let config = ConfigFile::read(folder, &in_directory(directory, CONFIG))?;
    if config.text("pooling_strategy").is_some_and(|strategy| strategy != "max") {
        return Err(config.unsupported("pooling_strategy", "max"));
    }
    let own = read_settings(folder)?;
    let max_entries = match own.filter(|own| own.has("max_active_dims")) {
        Some(own) => Some(own.size("max_active_dims")?),
        None => None,
    };
    match config.text("activation_function") {
        None | Some("relu") => Ok(HeadKind::MaskedLm { twice: false, max_entries }),
        Some("log1p_relu") => Ok(HeadKind::MaskedLm { twice: true, max_entries }),
        Some(_) => Err(config.unsupported("activation_function", "relu, log1p_relu")),
    }
}

fn read_pooling(folder: &Folder, directory: &str) -> Result<(Pooling, bool), Error> {
    let config = ConfigFile::read(folder, &in_directory(directory, CONFIG))?;
    // One name, or several joined in a list; older files have a flag for each.
    let mut modes = config.list("pooling_mode");
    modes.extend(config.text("pooling_mode"));
    if modes.is_empty() {
        modes = config.flags("pooling_mode_");
    }
    let pooling = match modes[..] {
        [] => Some(Pooling::Mean),
        [mode] => parse_pooling(mode),
        _ => None,
    };
    let pooling = pooling.ok_or_else(|| Error::Unsupported {
        path: config.path().to_owned(),
        field: "pooling_mode",
        value: format!("`{}`", modes.join(", ")),
        supported: POOLINGS.to_owned(),
    })?;
    Ok((pooling, config.flag_or("include_prompt", true)?))
}

/// Reads a Dense module behind one of `columns` outputs.
fn read_dense(folder: &Folder, directory: &str, columns: usize) -> Result<Dense, Error> {
    let config = ConfigFile::read(folder, &in_directory(directory, CONFIG))?;
    let activation = config.text("activation_function").unwrap_or("Tanh");
    let activation = match activation.rsplit('.').next() {
        Some("Identity") => Epilogue::None,
        Some("Tanh") => Epilogue::Activate(Activation::Tanh),
        Some("GELU") => Epilogue::Activate(Activation::Gelu),
        Some("ReLU") => Epilogue::Activate(Activation::Relu),
        _ => return Err(config.unsupported("activation_function", "Identity, Tanh, GELU, ReLU")),
    };
    if config.flag_or("use_residual", false)? {
        return Err(config.unsupported("use_residual", "false"));
    }
    let (in_features, out_features) = (config.size("in_features")?, config.size("out_features")?);
    if in_features != columns {
        return Err(config.unsupported("in_features", &format!("{columns}, as the module before")));
    }
    Ok(Dense {
        directory: directory.to_owned(),
        in_features,
        out_features,
        bias: config.flag_or("bias", true)?,
        activation,
    })
}
