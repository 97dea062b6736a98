//! The device on which a model runs: the CPU or one CUDA device.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ModelError;

/// A device. Its text form is libtorch's name: `cpu`, `cuda:1`; `cuda` is read as `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// The CUDA device of this index.
    Cuda(usize),
}

impl Device {
    /// Returns true if matrix products are faster in bf16 than in f32: on a GPU, and on a processor with instructions
    /// for bf16.
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

    /// Returns true if steps are recorded as CUDA graphs on the device: on a GPU, if CUDA's headers were there when this was
    /// built.
    pub fn has_graphs(self) -> bool {
        cfg!(cuda_graphs) && self != Self::Cpu
    }

    /// Checks that the device exists.
    ///
    /// # Errors
    /// libtorch was built without CUDA, finds no driver or no device, or finds too few devices.
    pub fn check(self) -> Result<(), ModelError> {
        self.open().map(drop)
    }

    /// Returns libtorch's form of the device, after checking that it exists.
    ///
    /// # Errors
    /// libtorch was built without CUDA, finds no driver or no device, or finds too few devices.
    pub(crate) fn open(self) -> Result<tch::Device, ModelError> {
        let Self::Cuda(index) = self else { return Ok(tch::Device::Cpu) };
        match tch::Cuda::device_count() {
            count if (index as i64) < count => Ok(tch::Device::Cuda(index)),
            0 if tch::utils::has_cudart() => Err(ModelError::NoCudaDevice { device: self, reason: why_no_device() }),
            0 => Err(ModelError::CpuBuild { device: self }),
            count => Err(ModelError::TooFewDevices { device: self, count }),
        }
    }
}

/// Returns the reason why a CUDA build of libtorch finds no device, in its own words: there is no driver, the driver is
/// too old, or there is no device.
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
    /// Returns the device of this name, or `None` if there is none.
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
        Self::by_name(name).ok_or_else(|| ModelError::UnknownDevice { name: name.to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (name, device) in [("cpu", Device::Cpu), ("cuda:0", Device::Cuda(0)), ("cuda:3", Device::Cuda(3))] {
            assert_eq!(name.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string(), name);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
    }

    #[test]
    fn unknown_names_are_refused_with_known_ones() {
        let device = "tpu".parse::<Device>().unwrap_err();
        assert_eq!(device.to_string(), "device tpu: not a device's name");
        assert_eq!(device.hint().unwrap().to_string(), "device cpu or device cuda:0");
        let dtype = "f16".parse::<Dtype>().unwrap_err();
        assert_eq!(dtype.to_string(), "unknown dtype \"f16\"");
        assert_eq!(dtype.hint().unwrap().to_string(), "dtype f32 or dtype bf16");
    }
}
