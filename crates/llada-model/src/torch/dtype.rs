//! The number formats in which a model computes.

use std::{fmt, str::FromStr};

use safetensors::Dtype as StoredDtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Device, Int8Kernel};
use crate::ModelError;

/// The format of weights and activations in memory. Norms, rotations and softmax are computed in f32 in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit IEEE 754, the format of the reference's golden outputs.
    F32,
    /// bfloat16, which takes half the memory and is several times faster on processors that support it.
    Bf16,
}

impl Dtype {
    pub(crate) fn kind(self) -> tch::Kind {
        match self {
            Self::F32 => tch::Kind::Float,
            Self::Bf16 => tch::Kind::BFloat16,
        }
    }

    /// Returns its name in `config.json`.
    pub(crate) fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Returns its name in safetensors.
    pub(crate) fn stored(self) -> safetensors::Dtype {
        match self {
            Self::F32 => safetensors::Dtype::F32,
            Self::Bf16 => safetensors::Dtype::BF16,
        }
    }

    /// Returns the size of one element in bytes.
    pub fn bytes(self) -> usize {
        self.kind().elt_size_in_bytes()
    }
}

/// Returns the kind of a tensor in a file. [`Weights`](crate::Weights) has refused all dtypes other than F32, BF16 and
/// I8.
pub(crate) fn stored_kind(dtype: StoredDtype) -> tch::Kind {
    match dtype {
        StoredDtype::BF16 => tch::Kind::BFloat16,
        StoredDtype::I8 => tch::Kind::Int8,
        _ => tch::Kind::Float,
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Dtype {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(ModelError::UnknownDtype { name: name.to_owned() }),
        }
    }
}

/// The precision of inference: one dtype throughout, or eight bits in the linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// Weights and activations have this dtype.
    Float(Dtype),
    /// Linear layers multiply eight-bit weights, which have one scale per output, by activations that are quantised
    /// token by token. Everything else is bf16. This takes a quarter of the memory of f32, is faster than bf16 and
    /// slightly less accurate. It needs a processor with an [`Int8Kernel`].
    Int8,
    /// The weights of the linear layers of blocks are in four bits (NF4, QLoRA, arXiv 2305.14314): a scale for 64 of them,
    /// which is in eight bits itself if `double_quant` is set. They are dequantised to bf16 for each product, and
    /// everything else is bf16. This takes half the memory of int8, and the time of bf16 and of dequantising.
    Nf4 {
        /// Whether the scales are in eight bits.
        double_quant: bool,
    },
}

impl Precision {
    /// Returns the precision in which a model computes on `device` if this one is requested.
    ///
    /// The result differs only for int8 on a device without an eight-bit kernel: there the weights are dequantised to
    /// bf16, or to f32 if bf16 is slow on the device.
    pub fn on(self, device: Device) -> Self {
        match self {
            Self::Int8 if device != Device::Cpu || Int8Kernel::best().is_none() => {
                Self::Float(if device.has_bf16() { Dtype::Bf16 } else { Dtype::F32 })
            }
            _ => self,
        }
    }

    /// Returns the kind of the activations and of the weights outside of linear layers.
    pub(crate) fn kind(self) -> tch::Kind {
        match self {
            Self::Float(dtype) => dtype.kind(),
            Self::Int8 | Self::Nf4 { .. } => Dtype::Bf16.kind(),
        }
    }
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        Self::Float(dtype)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(dtype) => dtype.fmt(f),
            Self::Int8 => f.write_str("int8"),
            Self::Nf4 { double_quant: false } => f.write_str("nf4"),
            Self::Nf4 { double_quant: true } => f.write_str("nf4-double"),
        }
    }
}

impl FromStr for Precision {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        match name {
            "int8" => Ok(Self::Int8),
            "nf4" => Ok(Self::Nf4 { double_quant: false }),
            "nf4-double" => Ok(Self::Nf4 { double_quant: true }),
            _ => Ok(Self::Float(name.parse()?)),
        }
    }
}

impl Serialize for Precision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Precision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
