//! What follows the transformer: `modules.json` and its Pooling, Dense and Normalize parts, read
//! as sentence-transformers reads them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Error;
use super::folder::Folder;
use super::weights::in_directory;
use crate::compute::{Epilogue, Pooling};

/// The modules after the transformer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Modules {
    pub(super) pooling: Pooling,
    /// Whether the prompt's tokens are pooled too.
    pub(super) include_prompt: bool,
    pub(super) dense: Vec<Dense>,
    pub(super) normalize: bool,
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

#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct PoolingConfig {
    /// One name, or several joined in a list; newer files have it instead of the flags.
    #[serde(default)]
    pooling_mode: Option<Modes>,
    #[serde(default = "yes")]
    include_prompt: bool,
    /// The flags `pooling_mode_*` and what we do not read.
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Modes {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "tanh")]
    activation_function: String,
    #[serde(default)]
    use_residual: bool,
}

fn tanh() -> String {
    "torch.nn.modules.activation.Tanh".to_owned()
}

fn yes() -> bool {
    true
}

/// Reads `modules.json`; a folder without one is a plain transformer with mean pooling, which is
/// what sentence-transformers makes of it.
pub(super) fn read_modules(folder: &Folder, hidden: usize) -> Result<Modules, Error> {
    const FILE: &str = "modules.json";
    const SUPPORTED: &str = "Transformer, Pooling, any number of Dense, Normalize, in this order";
    let mut modules = Modules {
        pooling: Pooling::Mean,
        include_prompt: true,
        dense: Vec::new(),
        normalize: false,
    };
    let Some(entries) = folder.optional_json::<Vec<Entry>>(FILE)? else { return Ok(modules) };
    // How far the order above has come.
    let mut stage = 0;
    for entry in &entries {
        let kind = entry.kind.rsplit('.').next().unwrap_or_default();
        let allowed = match (stage, kind) {
            (0, "Transformer") => entry.path.is_empty(),
            (1, "Pooling") => {
                (modules.pooling, modules.include_prompt) = read_pooling(folder, &entry.path)?;
                true
            }
            (2, "Dense") => {
                let columns = modules.dense.last().map_or(hidden, |dense| dense.out_features);
                modules.dense.push(read_dense(folder, &entry.path, columns)?);
                stage -= 1;
                true
            }
            (2, "Normalize") => {
                modules.normalize = true;
                true
            }
            _ => false,
        };
        stage += 1;
        if !allowed {
            return Err(Error::Unsupported {
                path: folder.path(FILE),
                field: "type",
                value: format!("`{}` at path `{}`", entry.kind, entry.path),
                supported: SUPPORTED,
            });
        }
    }
    if stage < 2 {
        return Err(Error::Unsupported {
            path: folder.path(FILE),
            field: "modules",
            value: format!("{} long", entries.len()),
            supported: SUPPORTED,
        });
    }
    Ok(modules)
}

fn read_pooling(folder: &Folder, directory: &str) -> Result<(Pooling, bool), Error> {
    let file = in_directory(directory, "config.json");
    let config: PoolingConfig = folder.json(&file)?;
    let modes = match config.pooling_mode {
        Some(Modes::One(mode)) => vec![mode],
        Some(Modes::Several(modes)) => modes,
        None => flags(&config.rest),
    };
    let pooling = match modes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["mean"] => Pooling::Mean,
        ["cls"] => Pooling::Cls,
        ["lasttoken"] => Pooling::LastToken,
        _ => {
            return Err(Error::Unsupported {
                path: folder.path(&file),
                field: "pooling_mode",
                value: format!("`{}`", modes.join(", ")),
                supported: "one of mean, cls, lasttoken",
            });
        }
    };
    Ok((pooling, config.include_prompt))
}

/// The names of the flags that are set; mean where none is, as in sentence-transformers.
fn flags(rest: &BTreeMap<String, serde_json::Value>) -> Vec<String> {
    let set = rest.iter().filter(|(_, value)| value.as_bool() == Some(true));
    let names = set.filter_map(|(key, _)| key.strip_prefix("pooling_mode_"));
    let names = names.map(|name| name.trim_end_matches("_tokens").trim_end_matches("_token"));
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.is_empty() { vec!["mean".to_owned()] } else { names }
}

/// Reads a Dense module behind one of `columns` outputs.
fn read_dense(folder: &Folder, directory: &str, columns: usize) -> Result<Dense, Error> {
    let file = in_directory(directory, "config.json");
    let config: DenseConfig = folder.json(&file)?;
    let activation = match config.activation_function.rsplit('.').next() {
        Some("Identity") => Epilogue::None,
        Some("Tanh") => Epilogue::Tanh,
        Some("GELU") => Epilogue::Gelu,
        _ => {
            return Err(Error::Unsupported {
                path: folder.path(&file),
                field: "activation_function",
                value: config.activation_function,
                supported: "Identity, Tanh, GELU",
            });
        }
    };
    if config.use_residual {
        return Err(Error::Unsupported {
            path: folder.path(&file),
            field: "use_residual",
            value: "true".to_owned(),
            supported: "false",
        });
    }
    let DenseConfig { in_features, out_features, .. } = config;
    if in_features != columns || out_features == 0 {
        let problem = format!(
            "in_features is {in_features}, out_features {out_features}, the module before it gives \
             {columns}"
        );
        return Err(Error::Malformed { path: folder.path(&file), problem });
    }
    Ok(Dense {
        directory: directory.to_owned(),
        in_features: config.in_features,
        out_features: config.out_features,
        bias: config.bias,
        activation,
    })
}
