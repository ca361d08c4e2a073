//! Checkpoints: safetensors, memory-mapped, checked and widened to f32 while they are packed.

use std::path::PathBuf;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::Error;
use super::folder::Folder;

/// File names that carry pickled weights in hub repositories.
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// Opens `file` in `directory` of the model and hands its tensors to `load`; the mapping ends with
/// the call. `prefix` may stand before every name: checkpoints of a model with a head carry the
/// encoder under it.
pub(super) fn with_checkpoint<T>(
    folder: &Folder,
    directory: &str,
    prefix: &'static str,
    load: impl FnOnce(&Checkpoint<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let file = in_directory(directory, "model.safetensors");
    if !folder.exists(&file) {
        let mut pickles = PICKLES.iter().map(|name| in_directory(directory, name));
        if let Some(pickle) = pickles.find(|pickle| folder.exists(pickle)) {
            return Err(Error::Pickle { path: folder.path(&pickle) });
        }
    }
    let map = folder.map(&file)?;
    let path = folder.path(&file);
    let tensors = SafeTensors::deserialize(&map).map_err(|error| Error::Malformed {
        path: path.clone(),
        problem: format!("not a safetensors file: {error}"),
    })?;
    load(&Checkpoint { path, tensors, prefix })
}

/// `name` below a module's directory; the root's is empty.
pub(super) fn in_directory(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The tensors of one file.
pub(super) struct Checkpoint<'a> {
    path: PathBuf,
    tensors: SafeTensors<'a>,
    prefix: &'static str,
}

impl Checkpoint<'_> {
    /// The tensor `name` as f32 row-major; it must have `shape` and hold finite values only.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let prefixed = format!("{}{name}", self.prefix);
        let view = self.tensors.tensor(name).or_else(|_| self.tensors.tensor(&prefixed));
        let view = view.map_err(|_| self.malformed(format!("tensor `{name}` is missing")))?;
        if view.shape() != shape {
            let actual = view.shape();
            return Err(self.malformed(format!(
                "tensor `{name}` has shape {actual:?}, the config needs {shape:?}"
            )));
        }
        let values = self.widen(name, &view)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(Error::NotFinite {
                path: self.path.clone(),
                tensor: name.to_owned(),
                index,
                value: values[index],
            }),
        }
    }

    /// Whether there is a tensor `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        let prefixed = format!("{}{name}", self.prefix);
        self.tensors.tensor(name).or_else(|_| self.tensors.tensor(&prefixed)).is_ok()
    }

    fn widen(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, Error> {
        let data = view.data();
        let (pairs, quads) = (data.as_chunks::<2>().0.iter(), data.as_chunks::<4>().0.iter());
        match view.dtype() {
            Dtype::F32 => Ok(quads.map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            Dtype::F16 => Ok(pairs.map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()),
            Dtype::BF16 => Ok(pairs.map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()),
            other => Err(self.malformed(format!(
                "tensor `{name}` has dtype {other:?}, supported: F32, F16, BF16"
            ))),
        }
    }

    fn malformed(&self, problem: String) -> Error {
        Error::Malformed { path: self.path.clone(), problem }
    }
}
