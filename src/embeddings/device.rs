//! Where a model runs: the choice, and what it comes to on this machine.

use std::fmt;
use std::str::FromStr;
use std::sync::Once;

use serde::{Deserialize, Serialize};

use crate::compute::{CudaDevice, Error};

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceChoice {
    /// Every CUDA device that there is, or else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number, or every one.
    Cuda(Option<usize>),
}

impl DeviceChoice {
    /// The CUDA devices chosen; none for the processor.
    ///
    /// # Errors
    /// When a CUDA device is asked for and there is none.
    pub fn cuda_devices(self) -> Result<Vec<usize>, Error> {
        match self {
            Self::Cpu => Ok(Vec::new()),
            Self::Cuda(Some(ordinal)) => CudaDevice::count().map(|_| vec![ordinal]),
            Self::Cuda(None) => match CudaDevice::count()? {
                0 => Err(Error::NoDevice("the driver shows none".to_owned())),
                count => Ok((0..count).collect()),
            },
            Self::Auto => Ok(match Self::Cuda(None).cuda_devices() {
                Ok(devices) => devices,
                Err(error) => {
                    say_once(&error);
                    Vec::new()
                }
            }),
        }
    }
}

/// A build for CUDA says why it runs without.
fn say_once(error: &Error) {
    static SAID: Once = Once::new();
    if cfg!(feature = "cuda") {
        SAID.call_once(|| tracing::info!(%error, "the processor serves instead"));
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(ordinal)) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let ordinal = |name: &str| name.strip_prefix("cuda:")?.parse().ok();
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            other => ordinal(other)
                .map(|ordinal| Self::Cuda(Some(ordinal)))
                .ok_or_else(|| format!("`{other}` is no device: auto, cpu, cuda, cuda:N")),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}
