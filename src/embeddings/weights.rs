//! Checkpoints: safetensors, memory-mapped, checked and widened to f32 while they are packed.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::Error;
use super::spellings::Spellings;
use crate::models::layout::Weights;
use crate::models::{self, Folder, Map};

/// Far above what any checkpoint needs, far below what hurts.
const MAX_HEADER_BYTES: u64 = 16 << 20;
const MAX_TENSORS: usize = 32_768;

/// Opens the weights in `directory` of the model and hands their tensors to `load`; the mapping
/// ends with the call. Digests are verified meanwhile, and nothing is returned before they are.
/// `spellings` says what else its names may be.
pub(super) fn with_checkpoint<T>(
    folder: &Folder,
    directory: &str,
    spellings: &Spellings,
    load: impl FnOnce(&Checkpoint<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let files = files(folder, directory)?;
    let maps: Result<Vec<_>, models::Error> =
        files.into_iter().map(|file| Ok((folder.map(&file)?, file))).collect();
    let maps = maps?;
    thread::scope(|scope| {
        let verified =
            scope.spawn(|| maps.iter().try_for_each(|(map, file)| folder.verify_map(file, map)));
        let parts = maps.iter().map(|(map, file)| Part::read(folder.path(file), map));
        let parts: Result<Vec<_>, models::Error> = parts.collect();
        let loaded = parts
            .map_err(Error::from)
            .and_then(|parts| load(&Checkpoint { parts, spellings: *spellings }));
        // A file that is not the published one explains whatever else is wrong with it.
        verified.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        loaded
    })
}

/// The files of the checkpoint in `directory`.
fn files(folder: &Folder, directory: &str) -> Result<Vec<String>, models::Error> {
    match Weights::read(folder, directory)? {
        // An absent one is to be reported as the file that cannot be read.
        Weights::Whole(file) | Weights::Absent(file) => Ok(vec![file]),
        Weights::Parts { parts, .. } => Ok(parts),
        Weights::Pickled(file) => Err(models::Error::Pickle { path: folder.path(&file) }),
    }
}

/// One file of tensors.
struct Part<'a> {
    path: PathBuf,
    map: &'a Map,
    tensors: SafeTensors<'a>,
}

impl<'a> Part<'a> {
    fn read(path: PathBuf, map: &'a Map) -> Result<Self, models::Error> {
        let bytes: &'a [u8] = map;
        let malformed = |problem| models::Error::Malformed { path: path.clone(), problem };
        // Read before the parser, which would hold a header of up to 100 MB.
        if let Some(header) = bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
            && header > MAX_HEADER_BYTES
        {
            return Err(malformed(format!(
                "not a safetensors file: header of {header} bytes, limit {MAX_HEADER_BYTES}"
            )));
        }
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| malformed(format!("not a safetensors file: {error}")))?;
        if tensors.len() > MAX_TENSORS {
            let found = tensors.len();
            return Err(malformed(format!("has {found} tensors, limit {MAX_TENSORS}")));
        }
        Ok(Self { path, map, tensors })
    }
}

/// The tensors of a checkpoint.
pub(super) struct Checkpoint<'a> {
    /// At least one.
    parts: Vec<Part<'a>>,
    spellings: Spellings,
}

impl<'a> Checkpoint<'a> {
    /// The tensor `name` as f32 row-major, the file's own bytes where they are that; it must have
    /// `shape` and hold finite values only.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Cow<'a, [f32]>, Error> {
        let Some((part, view)) = self.find(name) else {
            if let Some(whole) = self.assembled(name, shape)? {
                return Ok(whole);
            }
            let path = self.parts.first().map(|part| part.path.clone()).unwrap_or_default();
            let problem = format!("tensor `{name}` is missing");
            return Err(models::Error::Malformed { path, problem }.into());
        };
        if view.shape() != shape {
            let actual = view.shape();
            return Err(part.malformed(format!(
                "tensor `{name}` has shape {actual:?}, the config needs {shape:?}"
            )));
        }
        let values = part.widen(name, &view)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(Error::NotFinite {
                path: part.path.clone(),
                tensor: name.to_owned(),
                index,
                value: values[index],
            }),
        }
    }

    /// A tensor that stands in several, one above the other; `None` where it does not.
    fn assembled(&self, name: &str, shape: &[usize]) -> Result<Option<Cow<'a, [f32]>>, Error> {
        let Some(pieces) = self.spellings.pieces(name) else { return Ok(None) };
        if !pieces.iter().all(|piece| self.has(piece)) || !shape[0].is_multiple_of(pieces.len()) {
            return Ok(None);
        }
        let mut piece_shape = shape.to_vec();
        piece_shape[0] /= pieces.len();
        let mut whole = Vec::with_capacity(shape.iter().product());
        for piece in pieces {
            whole.extend_from_slice(&self.tensor(&piece, &piece_shape)?);
        }
        Ok(Some(Cow::Owned(whole)))
    }

    /// Gives back the memory of what has been read so far.
    pub(super) fn release(&self) {
        for part in &self.parts {
            part.map.release(0..part.map.len());
        }
    }

    /// Whether there is a tensor `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<(&Part<'a>, TensorView<'a>)> {
        let names = self.spellings.of(name);
        self.parts.iter().find_map(|part| {
            let view = names.iter().find_map(|name| part.tensors.tensor(name).ok());
            view.map(|view| (part, view))
        })
    }
}

impl<'a> Part<'a> {
    fn widen(&self, name: &str, view: &TensorView<'a>) -> Result<Cow<'a, [f32]>, Error> {
        let data = view.data();
        if view.dtype() == Dtype::F32
            && cfg!(target_endian = "little")
            && let Ok(values) = bytemuck::try_cast_slice(data)
        {
            return Ok(Cow::Borrowed(values));
        }
        let (pairs, quads) = (data.as_chunks::<2>().0.iter(), data.as_chunks::<4>().0.iter());
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => quads.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => pairs.map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Dtype::BF16 => pairs.map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            other => {
                let problem =
                    format!("tensor `{name}` has dtype {other:?}, supported: F32, F16, BF16");
                return Err(self.malformed(problem));
            }
        };
        Ok(Cow::Owned(values))
    }

    fn malformed(&self, problem: String) -> Error {
        models::Error::Malformed { path: self.path.clone(), problem }.into()
    }
}
