//! Where the model runs: the CPU or one CUDA device.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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
    /// libtorch is a CPU build, it finds no driver or no device, or the machine has fewer devices.
    pub(crate) fn open(self) -> Result<tch::Device, ModelError> {
        let Self::Cuda(index) = self else { return Ok(tch::Device::Cpu) };
        let message = match tch::Cuda::device_count() {
            count if (index as i64) < count => return Ok(tch::Device::Cuda(index)),
            0 if tch::utils::has_cudart() => {
                format!("{}\nhint: cargo xtask doctor, or --device cpu", why_no_device())
            }
            0 => "libtorch is a CPU build\nhint: cargo xtask setup --cuda, or --device cpu".to_owned(),
            count => format!("this machine has {count} CUDA device(s)\nhint: --device cuda:0"),
        };
        Err(ModelError::Device { device: self.to_string(), message })
    }
}

/// Why a CUDA build of libtorch finds no device, in its own words: no driver, one that is too old, or no device.
fn why_no_device() -> String {
    let said = match tch::Tensor::f_zeros([1], (tch::Kind::Float, tch::Device::Cuda(0))) {
        Err(tch::TchError::Torch(said)) => said,
        Err(error) => error.to_string(),
        Ok(_) => "libtorch counts no devices".to_owned(),
    };
    let sentence = said.split(['\n', '.']).next().unwrap_or_default().trim();
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(visible) => format!("{sentence}; CUDA_VISIBLE_DEVICES is {visible:?}"),
        Err(_) => sentence.to_owned(),
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

impl Device {
    /// The device of this name, if it is one.
    fn by_name(name: &str) -> Option<Self> {
        let index = match name {
            "cpu" => return Some(Self::Cpu),
            "cuda" => 0,
            _ => name.strip_prefix("cuda:")?.parse().ok()?,
        };
        Some(Self::Cuda(index))
    }
}

impl FromStr for Device {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        Self::by_name(name).ok_or_else(|| ModelError::Device {
            device: name.to_owned(),
            message: "not a device's name\nhint: --device cpu or --device cuda:0".to_owned(),
        })
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let expected = "cpu, cuda, or cuda:1 and so on";
        Self::by_name(&name).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&name), &expected))
    }
}
