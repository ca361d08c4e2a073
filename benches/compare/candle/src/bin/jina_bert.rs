//! Runs candle-transformers' `JinaBERT` over the tokens of chunkflow's golden model of that family
//! and prints how far its states are from the golden ones: transformers has no such model, so this
//! is the second opinion on the script that made them.
//!
//! `jina_bert tests/golden/families/jina-bert`

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Module, Tensor, safetensors};
use candle_nn::VarBuilder;
use candle_transformers::models::jina_bert::{BertModel, Config};

/// The golden models' own limit, relative to the largest value.
const TOLERANCE: f32 = 5e-6;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map(PathBuf::from).context("usage: jina_bert FOLDER")?;
    let device = Device::Cpu;
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json"))?)?;
    for (key, value) in [("initializer_range", 0.02.into()), ("pad_token_id", 0.into())] {
        config.as_object_mut().context("config.json is no object")?.entry(key).or_insert(value);
    }
    let config: Config = serde_json::from_value(config)?;
    let tensors = safetensors::load(folder.join("model.safetensors"), &device)?;
    let model = BertModel::new(VarBuilder::from_tensors(tensors, DType::F32, &device), &config)?;
    let expected = safetensors::load(folder.join("expected.safetensors"), &device)?;
    let integers = |name: &str| -> Result<Vec<u32>> {
        Ok(expected[name].to_dtype(DType::U32)?.to_vec1()?)
    };
    let (ids, ends) = (integers("ids")?, integers("cu_seqlens")?);
    let (mut largest, mut difference) = (1_f32, 0_f32);
    for pair in ends.windows(2) {
        let (start, end) = (pair[0] as usize, pair[1] as usize);
        let input = Tensor::new(&ids[start..end], &device)?.unsqueeze(0)?;
        let states = model.forward(&input)?.squeeze(0)?;
        let golden = expected["states"].narrow(0, start, end - start)?;
        let scalar = |tensor: Tensor| tensor.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
        difference = difference.max(scalar((states - &golden)?)?);
        largest = largest.max(scalar(golden)?);
    }
    let relative = difference / largest;
    println!("{} sequences, largest relative difference {relative:.1e}", ends.len() - 1);
    ensure!(relative <= TOLERANCE, "more than {TOLERANCE:.0e}");
    Ok(())
}
