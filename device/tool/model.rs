//! A model's folder in half of its bytes: of every f32 weight the upper 16 bits, those of a tensor as
//! two planes of bytes, which compress better. What is unpacked is a model of f32 again, whose
//! weights bf16 holds exactly.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Result;

/// Bytes of the length before a safetensors file's header.
const LENGTH_BYTES: usize = 8;

/// Writes the files of the model in `from` into `to`, weights in half.
pub(super) fn pack(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, halves)
}

/// Writes the files that [`pack`] wrote into `from` into `to`, as a model.
pub(super) fn unpack(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, wholes)
}

/// Copies what a model is loaded from: settings, tokenizers and, by `weights`, weights. A lock file
/// stays behind, since the weights are others.
fn copy(from: &Path, to: &Path, weights: fn(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().ok_or("a file without a name")?);
        if path.is_dir() {
            copy(&path, &target, weights)?;
            continue;
        }
        match path.extension().and_then(|suffix| suffix.to_str()) {
            Some("safetensors") => fs::write(target, weights(&fs::read(path)?)?)?,
            Some("json" | "txt") => drop(fs::copy(path, target)?),
            _ => {}
        }
    }
    Ok(())
}

/// Bytes of a file's header with its length, and then of each tensor in the order of the file, with
/// whether it is f32.
fn layout(file: &[u8]) -> Result<(usize, Vec<(usize, bool)>)> {
    let length = file.first_chunk().ok_or("a file without a header")?;
    let end = LENGTH_BYTES + usize::try_from(u64::from_le_bytes(*length))?;
    let header = file.get(LENGTH_BYTES..end).ok_or("a header beyond the file")?;
    let header: Value = serde_json::from_slice(header)?;
    let tensors = header.as_object().ok_or("a header that is no object")?;
    let mut found = Vec::new();
    for (_, tensor) in tensors.iter().filter(|(name, _)| *name != "__metadata__") {
        let offset = |index: usize| tensor["data_offsets"][index].as_u64().ok_or("no offset");
        let (start, stop) = (offset(0)?, offset(1)?);
        let bytes = stop.checked_sub(start).ok_or("offsets that go backwards")?;
        found.push((start, usize::try_from(bytes)?, tensor["dtype"] == "F32"));
    }
    found.sort_unstable();
    Ok((end, found.into_iter().map(|(_, bytes, is_f32)| (bytes, is_f32)).collect()))
}

fn halves(file: &[u8]) -> Result<Vec<u8>> {
    let (header, tensors) = layout(file)?;
    let (head, mut rest) = file.split_at(header);
    let mut packed = head.to_vec();
    for (bytes, is_f32) in tensors {
        let (tensor, after) = rest.split_at_checked(bytes).ok_or("a file cut short")?;
        rest = after;
        if is_f32 {
            let plane = |byte: usize| tensor.iter().skip(byte).step_by(4);
            packed.extend(plane(2).chain(plane(3)));
        } else {
            packed.extend(tensor);
        }
    }
    Ok(packed)
}

fn wholes(packed: &[u8]) -> Result<Vec<u8>> {
    let (header, tensors) = layout(packed)?;
    let (head, mut rest) = packed.split_at(header);
    let mut file = head.to_vec();
    for (bytes, is_f32) in tensors {
        let stored = if is_f32 { bytes / 2 } else { bytes };
        let (tensor, after) = rest.split_at_checked(stored).ok_or("a file cut short")?;
        rest = after;
        if is_f32 {
            let (low, high) = tensor.split_at(stored / 2);
            file.extend(low.iter().zip(high).flat_map(|(&low, &high)| [0, 0, low, high]));
        } else {
            file.extend(tensor);
        }
    }
    Ok(file)
}
