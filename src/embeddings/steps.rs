//! What stands between pooled rows and vectors: sentence-transformers' Dense, `LayerNorm`, Dropout
//! and Normalize modules.

use serde_json::json;

use super::config_file::ConfigFile;
use super::known_keys::{self, Unknown};
use crate::compute::{Activation, Epilogue};
use crate::models::layout::{CONFIG, Module, in_directory};
use crate::models::{Error, Folder};

/// What modules read and write: the pooled row.
const PLACES: [&str; 2] = ["module_input_name", "module_output_name"];

/// A module that changes rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Dense(Dense),
    /// Its weights stand in a directory.
    Norm {
        directory: String,
        columns: usize,
    },
    /// Divides by the L2 norm.
    Normalize,
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

impl Step {
    /// Columns of what it gives for rows of `columns`.
    pub(super) fn columns(&self, columns: usize) -> usize {
        match self {
            Self::Dense(dense) => dense.out_features,
            Self::Norm { .. } | Self::Normalize => columns,
        }
    }
}

/// Reads a module behind one of `columns` outputs; `None` where it changes nothing.
pub(super) fn read_step(
    folder: &Folder,
    module: &Module,
    columns: usize,
    unknown: Unknown,
) -> Result<Option<Step>, Error> {
    let file = in_directory(&module.path, CONFIG);
    match module.kind() {
        "Dense" => {
            let config = ConfigFile::read(folder, &file)?;
            known_keys::DENSE.check(&config, unknown)?;
            require_vectors(&config)?;
            read_dense(&config, &module.path, columns).map(|dense| Some(Step::Dense(dense)))
        }
        "LayerNorm" => {
            let config = ConfigFile::read(folder, &file)?;
            known_keys::LAYER_NORM.check(&config, unknown)?;
            if config.size("dimension")? != columns {
                let supported = format!("{columns}, as the module before");
                return Err(config.unsupported("dimension", &supported));
            }
            Ok(Some(Step::Norm { directory: module.path.clone(), columns }))
        }
        "Normalize" => {
            if let Some(config) = ConfigFile::optional(folder, &file)? {
                known_keys::NORMALIZE.check(&config, unknown)?;
                require_vectors(&config)?;
            }
            Ok(Some(Step::Normalize))
        }
        _ => {
            if let Some(config) = ConfigFile::optional(folder, &file)? {
                known_keys::DROPOUT.check(&config, unknown)?;
            }
            Ok(None)
        }
    }
}

/// Refuses a module that reads or writes something else than the vector.
fn require_vectors(config: &ConfigFile) -> Result<(), Error> {
    PLACES.iter().try_for_each(|place| config.require(place, &[json!("sentence_embedding")]))
}

fn read_dense(config: &ConfigFile, directory: &str, columns: usize) -> Result<Dense, Error> {
    let field = "activation_function";
    // Other paths than torch's are not trusted: the reference takes the default then.
    let name = config.text(field).filter(|name| name.starts_with("torch.")).unwrap_or("Tanh");
    let activation = match name.rsplit('.').next() {
        Some("Identity") => Epilogue::None,
        Some("Tanh") => Epilogue::Activate(Activation::Tanh),
        Some("GELU") => Epilogue::Activate(Activation::Gelu),
        Some("ReLU") => Epilogue::Activate(Activation::Relu),
        Some("SiLU") => Epilogue::Activate(Activation::Silu),
        _ => return Err(config.unsupported(field, "Identity, Tanh, GELU, ReLU, SiLU")),
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
