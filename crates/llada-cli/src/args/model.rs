//! Which model, where and in which dtype it runs.

use std::path::PathBuf;

use llada_model::{Device, Dtype, ModelConfig, Precision};

/// Weights that take less than this in f32 are computed in it: exactness costs little there.
const SMALL: usize = 1 << 26;

/// The same where bf16 is no faster, and only saves memory.
const SMALL_WITHOUT_BF16: usize = 1 << 30;

#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Folder with config.json, safetensors weights and tokenizer.json, as the Hugging Face hub has it; or the name of
    /// a model that `cargo xtask fetch-weights` or Python has fetched: llada-8b-instruct, OWNER/NAME
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: PathBuf,

    /// Where to run: cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: Device,

    /// Compute in f32, bf16, or int8: linear layers of eight-bit weights, the rest in bf16. auto: f32 for small models
    /// (under 64 MiB in f32; under 1 GiB where the processor has no bf16), bf16 for others, int8 for those of
    /// `llada quantize`
    #[arg(long, value_name = "DTYPE", default_value = "auto")]
    pub(crate) dtype: DtypeChoice,

    /// Processor threads [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

impl ModelArgs {
    /// The folder of the model, which may have been asked for by its name.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        Ok(llada_hub::checkpoint(&self.model)?)
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum DtypeChoice {
    F32,
    Bf16,
    Int8,
    Auto,
}

impl DtypeChoice {
    pub(crate) fn resolve(self, config: &ModelConfig, device: Device) -> Precision {
        let small = if device.has_bf16() { SMALL } else { SMALL_WITHOUT_BF16 };
        match self {
            Self::F32 => Dtype::F32.into(),
            Self::Bf16 => Dtype::Bf16.into(),
            Self::Int8 => Precision::Int8,
            Self::Auto if config.is_quantized => Precision::Int8,
            Self::Auto if config.parameters().saturating_mul(Dtype::F32.bytes()) < small => Dtype::F32.into(),
            Self::Auto => Dtype::Bf16.into(),
        }
    }
}
