//! A network in the form that the options ask for.

use super::Error;
use super::device::DeviceChoice;
use super::encoder::{EncoderSpec, Family};
use super::model::{Engine, ModelOptions};
use super::modules::Modules;
use super::network::Network;
use crate::compute::{
    self, CandleExec, CpuExec, CudaDevice, CudaExec, Dtype, DtypeChoice, Exec, Finish,
};
use crate::models::Folder;

/// A network on its device or devices.
pub(super) enum Form {
    Cpu(Box<Network<CpuExec>>),
    /// One a device, all with the same weights; at least one.
    Cuda(Vec<Network<CudaExec>>),
    Candle(Box<Network<CandleExec>>),
}

/// Evaluates `$body` with the network, or the first of several.
macro_rules! with_network {
    ($form:expr, $network:ident => $body:expr) => {
        match $form {
            Form::Cpu($network) => $body,
            Form::Cuda(networks) => {
                let $network = &networks[0];
                $body
            }
            Form::Candle($network) => $body,
        }
    };
}

impl Form {
    /// Loads the weights, with what dense layers run in. Where the choice of a device is `auto`,
    /// those that cannot be used are passed over, and the processor serves where none is left.
    pub(super) fn load(
        options: &ModelOptions,
        dtype: Option<DtypeChoice>,
        files: Files<'_>,
    ) -> Result<(Self, Dtype), Error> {
        let dtype = dtype.unwrap_or(DtypeChoice::F32);
        let devices = options.device.cuda_devices()?;
        if !devices.is_empty() {
            match Self::on_cuda(options, dtype, &devices, files) {
                Err(Error::Compute(error)) if options.device == DeviceChoice::Auto => {
                    tracing::warn!(%error, "no CUDA device is used, the processor serves");
                }
                loaded => return loaded,
            }
        }
        if options.engine == Engine::Candle {
            let exec = CandleExec::new(candle_core::Device::Cpu);
            return Ok((Self::Candle(Box::new(files.network(exec)?)), Dtype::F32));
        }
        let dtype = dtype.resolve(options.isa)?;
        let exec = CpuExec::with(options.isa, dtype);
        Ok((Self::Cpu(Box::new(files.network(exec)?)), dtype))
    }

    fn on_cuda(
        options: &ModelOptions,
        dtype: DtypeChoice,
        devices: &[usize],
        files: Files<'_>,
    ) -> Result<(Self, Dtype), Error> {
        if options.engine == Engine::Candle {
            let exec = CandleExec::new(candle_device(devices[0])?);
            return Ok((Self::Candle(Box::new(files.network(exec)?)), Dtype::F32));
        }
        let (mut usable, mut all_have_bf16) = (Vec::new(), true);
        for &ordinal in devices {
            match CudaDevice::open(ordinal) {
                Ok(device) => {
                    all_have_bf16 &= device.has_bf16();
                    usable.push(device);
                }
                Err(error) if options.device == DeviceChoice::Auto && devices.len() > 1 => {
                    tracing::warn!(%error, ordinal, "a CUDA device is passed over");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if usable.is_empty() {
            return Err(compute::Error::NoDevice("none of them can be used".to_owned()).into());
        }
        // One for all, so that a text's vector does not depend on which device is free.
        let best = if all_have_bf16 { Dtype::Bf16 } else { Dtype::F16 };
        let dtype = dtype.given().unwrap_or(best);
        let network = |device: &CudaDevice| files.network(device.exec(dtype, options.numerics)?);
        let networks = usable.iter().map(network).collect::<Result<Vec<_>, Error>>()?;
        Ok((Self::Cuda(networks), dtype))
    }

    /// Lanes of all devices.
    pub(super) fn lanes(&self) -> usize {
        match self {
            Self::Cuda(networks) => networks.iter().map(|network| network.lanes().len()).sum(),
            Self::Cpu(_) | Self::Candle(_) => 1,
        }
    }

    pub(super) fn spec(&self) -> &EncoderSpec {
        with_network!(self, network => network.spec())
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Cuda(networks) => {
                let devices: Vec<String> = networks.iter().map(Network::describe).collect();
                devices.join("; ")
            }
            Self::Cpu(network) => network.describe(),
            Self::Candle(network) => network.describe(),
        }
    }

    /// Tokens that run together unless the user says otherwise.
    pub(super) fn batch_budget(&self) -> usize {
        with_network!(self, network => network.lane(0).batching().budget)
    }

    /// See [`Network::project`].
    pub(super) fn project(&self, states: &[f32], finish: Finish) -> Result<Vec<f32>, Error> {
        match self {
            Self::Cuda(networks) => on_any(networks, |network| network.project(states, finish)),
            Self::Cpu(network) => network.project(states, finish),
            Self::Candle(network) => network.project(states, finish),
        }
    }

    /// See [`Exec::gram`].
    pub(super) fn gram(&self, rows: &[f32], cols: usize, width: usize) -> Result<Vec<f32>, Error> {
        match self {
            Self::Cuda(networks) => on_any(networks, |network| network.gram(rows, cols, width)),
            Self::Cpu(network) => network.gram(rows, cols, width),
            Self::Candle(network) => network.gram(rows, cols, width),
        }
    }
}

/// What a network is loaded from.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) folder: &'a Folder,
    pub(super) family: &'a Family,
    pub(super) modules: &'a Modules,
}

impl Files<'_> {
    fn network<E: Exec>(&self, exec: E) -> Result<Network<E>, Error> {
        Network::load(exec, self.folder, self.family, self.modules)
    }
}

/// Runs on the first device that is not lost.
fn on_any<T>(
    networks: &[Network<CudaExec>],
    run: impl Fn(&Network<CudaExec>) -> Result<T, Error>,
) -> Result<T, Error> {
    let is_lost = |done: &Result<T, Error>| {
        matches!(done, Err(Error::Compute(compute::Error::DeviceLost { .. })))
    };
    let mut done = networks.iter().map(&run);
    done.find(|done| !is_lost(done)).unwrap_or_else(|| run(&networks[0]))
}

fn candle_device(ordinal: usize) -> Result<candle_core::Device, Error> {
    candle_core::Device::new_cuda(ordinal).map_err(|error| {
        // A backtrace may follow.
        let line = error.to_string().lines().next().unwrap_or_default().to_owned();
        compute::Error::NoDevice(line).into()
    })
}
