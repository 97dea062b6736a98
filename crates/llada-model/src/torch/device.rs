//! Where the model runs: the CPU or one CUDA device.

use std::{fmt, str::FromStr};

use crate::ModelError;

/// A device by its usual name: `cpu`, `cuda`, `cuda:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl Device {
    /// Whether products in bf16 are faster than in f32 there: the processor has instructions for them, or it is a GPU.
    pub fn has_bf16(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Cpu => std::arch::is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "aarch64")]
            Self::Cpu => std::arch::is_aarch64_feature_detected!("bf16"),
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            Self::Cpu => false,
            Self::Cuda(_) => true,
        }
    }

    /// Checks that the device is there.
    ///
    /// # Errors
    /// libtorch was built without CUDA, or the machine has fewer devices.
    pub(crate) fn open(self) -> Result<tch::Device, ModelError> {
        let refuse = |message: String| Err(ModelError::Device { device: self.to_string(), message });
        match self {
            Self::Cpu => Ok(tch::Device::Cpu),
            Self::Cuda(index) if tch::Cuda::is_available() => match tch::Cuda::device_count() {
                count if (index as i64) < count => Ok(tch::Device::Cuda(index)),
                count => refuse(format!("this machine has {count} CUDA device(s)\nhint: --device cuda:0")),
            },
            Self::Cuda(_) => {
                refuse("libtorch finds no CUDA here\nhint: cargo xtask setup --cuda, or --device cpu".to_owned())
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        let index = match name {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => name.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
        };
        index.map(Self::Cuda).ok_or_else(|| ModelError::Device {
            device: name.to_owned(),
            message: "not a device's name\nhint: --device cpu or --device cuda:0".to_owned(),
        })
    }
}
