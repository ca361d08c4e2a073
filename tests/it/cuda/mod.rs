//! The CUDA form on device 0 of the driver that is found: the emulated one (`make test-cuda`), or a
//! real one. `CHUNKFLOW_TEST_DEVICE=cuda:N` picks another device. Without a device these tests fail.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use chunkflow::compute::{CudaDevice, CudaExec, Dtype, DtypeChoice, Error, Numerics};
use chunkflow::embeddings::{DeviceChoice, ModelOptions};
use half::{bf16, f16};

use crate::support;

/// What the emulated driver counts and can be told.
#[expect(unsafe_code, reason = "functions looked up in a library")]
mod emulation;
/// Memory that runs out, devices that are lost, work that overlaps.
mod limits;
/// Vectors of whole models.
pub(crate) mod models;
/// Operations in f16 and bf16.
mod narrow;
/// Algorithms of matrix products that the library refuses.
mod products;
/// The program and its service.
mod program;
/// Similarities of rows on the host.
mod similarity_rows;

/// The number of the device under test.
#[expect(clippy::disallowed_methods, reason = "says where tests run, no setting")]
pub(crate) fn ordinal() -> usize {
    let Ok(name) = std::env::var("CHUNKFLOW_TEST_DEVICE") else { return 0 };
    match name.parse() {
        Ok(DeviceChoice::Cuda(ordinal)) => ordinal.unwrap_or(0),
        other => panic!("CHUNKFLOW_TEST_DEVICE is {other:?}, not cuda:N"),
    }
}

/// Whether a real device is to be used.
#[expect(clippy::disallowed_methods, reason = "says where tests run, no setting")]
fn is_device_named() -> bool {
    std::env::var_os("CHUNKFLOW_TEST_DEVICE").is_some()
}

/// Keeps tests that count or limit what the whole process does out of the way of the others.
static TURN: RwLock<()> = RwLock::new(());

/// A turn beside others, held for the length of a test.
pub(crate) fn turn() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the device under test computes in `dtype`; where it does not, it says so.
pub(crate) fn has(dtype: Dtype) -> bool {
    let device = CudaDevice::open(ordinal()).expect("run these by `make test-cuda`");
    let refused = match device.execs(dtype, Numerics::Exact) {
        Ok(_) => false,
        Err(Error::Dtype { dtype: refused, .. }) => refused == dtype,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(refused, dtype == Dtype::Bf16 && !device.has_bf16());
    !refused
}

/// The device under test.
pub(crate) fn exec(dtype: Dtype) -> CudaExec {
    let device = CudaDevice::open(ordinal()).expect("run these by `make test-cuda`");
    device.execs(dtype, Numerics::Exact).unwrap().remove(0)
}

/// `values` as the device holds them.
pub(crate) fn rounded(dtype: Dtype, values: &[f32]) -> Vec<f32> {
    let round = |&value: &f32| match dtype {
        Dtype::F16 => f16::from_f32(value).to_f32(),
        Dtype::Bf16 => bf16::from_f32(value).to_f32(),
        Dtype::F32 | Dtype::Int8 => value,
    };
    values.iter().map(round).collect()
}

/// Options that load a model on the device under test.
pub(crate) fn options(dtype: DtypeChoice) -> ModelOptions {
    ModelOptions {
        places: support::places(),
        device: DeviceChoice::Cuda(Some(ordinal())),
        dtype: Some(dtype),
        max_batch_tokens: Some(support::ONE_BATCH),
        ..ModelOptions::default()
    }
}
