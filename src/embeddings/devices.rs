//! Devices that models are loaded onto. Models on the same devices share their lanes.

use std::sync::Arc;

use super::Error;
use super::device::DeviceChoice;
use super::network::Network;
use super::on_device::{Files, OnDevice, OnDevices};
use super::options::{Backend, ModelOptions};
use crate::compute::{
    self, CandleExec, ChosenDtype, CpuDevice, CudaDevice, Dtype, DtypeChoice, Exec,
};
use crate::similarity;

/// Devices that are open, for as long as this or a model on them lives.
#[derive(Clone)]
pub struct Devices {
    opened: Arc<Opened>,
}

enum Opened {
    Host(CpuDevice),
    /// At least one.
    Cuda(Vec<CudaDevice>),
    Candle(candle_core::Device),
}

impl Devices {
    /// Opens the devices that `options` choose. Where the choice is `auto`, those that cannot be
    /// used are passed over, and the processor serves where none is left.
    ///
    /// # Errors
    /// When a CUDA device is asked for and cannot be used.
    pub fn open(options: &ModelOptions) -> Result<Self, Error> {
        let ordinals = options.device.cuda_devices()?;
        if ordinals.is_empty() {
            return Ok(Self::of_host(options));
        }
        match Self::on_cuda(options, &ordinals) {
            Err(Error::Compute(error)) if options.device == DeviceChoice::Auto => {
                tracing::warn!(%error, "no CUDA device is used, the processor serves");
                Ok(Self::of_host(options))
            }
            opened => opened,
        }
    }

    /// The processor, whatever device `options` choose.
    pub(super) fn of_host(options: &ModelOptions) -> Self {
        Self::new(match options.backend {
            Backend::Native => Opened::Host(CpuDevice::new(options.isa)),
            Backend::Candle => Opened::Candle(candle_core::Device::Cpu),
        })
    }

    fn new(opened: Opened) -> Self {
        Self { opened: Arc::new(opened) }
    }

    fn on_cuda(options: &ModelOptions, ordinals: &[usize]) -> Result<Self, Error> {
        if options.backend == Backend::Candle {
            return Ok(Self::new(Opened::Candle(candle_device(ordinals[0])?)));
        }
        let mut usable = Vec::new();
        for &ordinal in ordinals {
            match CudaDevice::open(ordinal) {
                Ok(device) => usable.push(device),
                Err(error) if options.device == DeviceChoice::Auto && ordinals.len() > 1 => {
                    tracing::warn!(%error, ordinal, "a CUDA device is passed over");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if usable.is_empty() {
            return Err(compute::Error::NoDevice("none of them can be used".to_owned()).into());
        }
        Ok(Self::new(Opened::Cuda(usable)))
    }

    /// Whether the processor may run what these devices cannot.
    pub(super) fn may_be_replaced(&self, options: &ModelOptions) -> bool {
        let is_host = match &*self.opened {
            Opened::Host(_) => true,
            Opened::Cuda(_) => false,
            Opened::Candle(device) => device.is_cpu(),
        };
        options.device == DeviceChoice::Auto && !is_host
    }

    /// Whether these are CUDA devices in the fast form.
    #[must_use]
    pub fn are_cuda(&self) -> bool {
        matches!(*self.opened, Opened::Cuda(_))
    }

    /// Batches that all devices run at a time, each on a lane of its own.
    #[must_use]
    pub fn lanes(&self) -> usize {
        match &*self.opened {
            Opened::Host(_) | Opened::Candle(_) => rayon::current_num_threads(),
            Opened::Cuda(devices) => devices.iter().map(CudaDevice::lanes).sum(),
        }
    }

    /// What compares rows, on the first of the devices.
    ///
    /// # Errors
    /// Those of the device.
    pub fn similarity(&self) -> Result<similarity::Device, Error> {
        Ok(match &*self.opened {
            Opened::Host(device) => similarity::Device::Cpu(device.exec(Dtype::F32)),
            Opened::Cuda(devices) => similarity::Device::Cuda(devices[0].similarity()?),
            // Candle is an oracle of the encoder alone.
            Opened::Candle(_) => similarity::Device::default(),
        })
    }

    /// Loads a network onto every device, with what its dense layers run in.
    pub(super) fn load(
        &self,
        options: &ModelOptions,
        dtype: Option<DtypeChoice>,
        files: Files<'_>,
    ) -> Result<(Box<dyn Network>, ChosenDtype), Error> {
        match &*self.opened {
            Opened::Host(device) => {
                let chosen = DtypeChoice::on_cpu(dtype, device.isa())?;
                Ok((files.networks(vec![vec![device.exec(chosen.dtype)]])?, chosen))
            }
            Opened::Candle(device) => {
                let exec = CandleExec::new(device.clone());
                let chosen =
                    ChosenDtype { dtype: Dtype::F32, reason: "candle's form has no other" };
                Ok((files.networks(vec![vec![exec]])?, chosen))
            }
            Opened::Cuda(devices) => {
                // One for all, so that a text's vector does not depend on which device is free.
                let all_have_bf16 = devices.iter().all(CudaDevice::has_bf16);
                let chosen = DtypeChoice::on_cuda(dtype, all_have_bf16);
                let numerics = options.numerics;
                let execs = devices.iter().map(|device| device.execs(chosen.dtype, numerics));
                Ok((files.networks(execs.collect::<Result<Vec<_>, _>>()?)?, chosen))
            }
        }
    }
}

impl Files<'_> {
    /// A network on every device, of which `execs` has the executors.
    fn networks<E: Exec>(&self, execs: Vec<Vec<E>>) -> Result<Box<dyn Network>, Error> {
        let load = |execs| OnDevice::load(execs, *self);
        let devices = execs.into_iter().map(load).collect::<Result<_, Error>>()?;
        Ok(Box::new(OnDevices::new(devices)))
    }
}

fn candle_device(ordinal: usize) -> Result<candle_core::Device, Error> {
    candle_core::Device::new_cuda(ordinal).map_err(|error| {
        // A backtrace may follow.
        let line = error.to_string().lines().next().unwrap_or_default().to_owned();
        compute::Error::NoDevice(line).into()
    })
}
