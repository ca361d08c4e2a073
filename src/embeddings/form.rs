//! A network in the form that the options ask for.

use super::Error;
use super::encoder::{EncoderSpec, Family};
use super::folder::Folder;
use super::model::{DtypeChoice, Engine, ModelOptions};
use super::modules::Modules;
use super::network::Network;
use crate::compute::{self, CandleExec, CpuExec, CudaExec, Dtype, Exec, Finish};

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
    /// Loads the weights, with what dense layers run in.
    pub(super) fn load(
        options: &ModelOptions,
        dtype: Option<DtypeChoice>,
        (folder, family, modules): (&Folder, &Family, &Modules),
    ) -> Result<(Self, Dtype), Error> {
        let devices = options.device.cuda_devices()?;
        let dtype = dtype.unwrap_or(DtypeChoice::F32);
        if options.engine == Engine::Candle {
            let exec = CandleExec::new(candle_device(devices.first().copied())?);
            let network = Network::load(exec, folder, family, modules)?;
            return Ok((Self::Candle(Box::new(network)), Dtype::F32));
        }
        if devices.is_empty() {
            let dtype = dtype.resolve(options.isa)?;
            let exec = CpuExec::with(options.isa, dtype);
            let network = Network::load(exec, folder, family, modules)?;
            return Ok((Self::Cpu(Box::new(network)), dtype));
        }
        let mut networks = Vec::with_capacity(devices.len());
        let mut chosen = Dtype::F32;
        for ordinal in devices {
            let exec = CudaExec::open(ordinal, dtype.given(), options.numerics)?;
            chosen = exec.dtype();
            networks.push(Network::load(exec, folder, family, modules)?);
        }
        Ok((Self::Cuda(networks), chosen))
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
        with_network!(self, network => network.project(states, finish))
    }

    /// See [`Exec::gram`].
    pub(super) fn gram(&self, rows: &[f32], cols: usize, width: usize) -> Result<Vec<f32>, Error> {
        with_network!(self, network => network.gram(rows, cols, width))
    }
}

fn candle_device(ordinal: Option<usize>) -> Result<candle_core::Device, Error> {
    let Some(ordinal) = ordinal else { return Ok(candle_core::Device::Cpu) };
    candle_core::Device::new_cuda(ordinal).map_err(|error| {
        // A backtrace may follow.
        let line = error.to_string().lines().next().unwrap_or_default().to_owned();
        compute::Error::NoDevice(line).into()
    })
}
