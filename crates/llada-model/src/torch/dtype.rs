//! In which floating-point format the model computes.

use std::{fmt, str::FromStr};

use safetensors::Dtype as StoredDtype;
use serde::{Deserialize, Serialize};

use super::{Device, Int8Kernel};

/// The format of weights and activations in memory. Norms, rotation and softmax run in f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit IEEE 754: what the golden outputs of the reference were computed in.
    F32,
    /// bfloat16: half the memory; several times faster where the processor has it.
    Bf16,
}

impl Dtype {
    pub(crate) fn kind(self) -> tch::Kind {
        match self {
            Self::F32 => tch::Kind::Float,
            Self::Bf16 => tch::Kind::BFloat16,
        }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        self.kind().elt_size_in_bytes()
    }
}

/// The kind of a tensor in a file; `Weights::take` lets no other through.
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
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(format!("unknown dtype {name:?}\nhint: --dtype f32 or --dtype bf16")),
        }
    }
}

/// What a model infers in: a dtype throughout, or eight bits where most of the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// Weights and activations alike.
    Float(Dtype),
    /// Linear layers multiply eight-bit weights, a scale for each output, by activations quantised token by token; all
    /// else is bf16. A quarter of the memory of f32, faster than bf16, a little off. On processors with an
    /// [`Int8Kernel`] only.
    Int8,
}

impl Precision {
    /// The precision that a model which is asked for this one computes in on `device`: the same, but for int8 where no
    /// kernel multiplies eight-bit integers. There weights are dequantised to bf16, or to f32 where bf16 is slow.
    pub fn on(self, device: Device) -> Self {
        match self {
            Self::Int8 if device != Device::Cpu || Int8Kernel::best().is_none() => {
                Self::Float(if device.has_bf16() { Dtype::Bf16 } else { Dtype::F32 })
            }
            _ => self,
        }
    }

    /// Of activations, and of the weights that are not in linear layers.
    pub(crate) fn kind(self) -> tch::Kind {
        match self {
            Self::Float(dtype) => dtype.kind(),
            Self::Int8 => Dtype::Bf16.kind(),
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
        }
    }
}
