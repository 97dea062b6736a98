//! The arguments that select a model, its device and its precision.

use std::path::{Path, PathBuf};

use llada::{Algorithm, Device, Dtype, Precision};

use crate::exit::usage;

#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Folder with config.json, safetensors weights and tokenizer.json, as the Hugging Face hub has it; or the name of
    /// a model that `cargo xtask fetch-weights` or Python has fetched: llada-8b-instruct, OWNER/NAME
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: PathBuf,

    /// Folder of a LoRA adapter of the model, as peft and `llada sft` write it, or the name of one in the Hugging Face cache
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,

    /// Where to run: cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = super::device)]
    pub(crate) device: Device,

    /// Compute in f32, bf16, or int8: linear layers of eight-bit weights, the rest in bf16. nf4, nf4-double: four-bit
    /// weights, the smallest, multiplied in bf16; double: their scales in eight bits. auto: f32 for small models
    /// (under 64 MiB in f32; under 1 GiB where the processor has no bf16), bf16 for others, int8 for those of
    /// `llada quantize`
    #[arg(long, value_name = "DTYPE", default_value = "auto")]
    pub(crate) dtype: DtypeChoice,

    /// Processor threads [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

/// For commands whose answers may have a KV cache.
#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct GraphArgs {
    /// On a GPU, launch the kernels of every step one by one, instead of those of a block step with the dual cache together as
    /// a CUDA graph
    #[arg(long)]
    no_cuda_graphs: bool,
}

impl GraphArgs {
    /// Returns true if there are to be no graphs on `device`, where there would be some.
    pub(crate) fn are_refused(&self, device: Device) -> anyhow::Result<bool> {
        if self.no_cuda_graphs && !device.has_graphs() {
            let [place, other] = match device {
                Device::Cpu => ["on cpu", "--device cuda:0"],
                _ => ["in this build", "build it after `cargo xtask setup --cuda`"],
            };
            return Err(usage(format!("--no-cuda-graphs: {place} there are none\nhint: leave it out, or {other}")));
        }
        Ok(self.no_cuda_graphs)
    }
}

impl ModelArgs {
    /// Returns the folder of the model, which may have been given by its name.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        Ok(llada_hub::checkpoint(&self.model)?)
    }

    /// The published sampler of the model's family.
    pub(crate) fn algorithm(&self) -> anyhow::Result<Algorithm> {
        Ok(llada::default_algorithm(&self.folder()?)?)
    }

    /// Returns the requested precision for the model in `folder`.
    pub(crate) fn precision(&self, folder: &Path) -> anyhow::Result<Precision> {
        Ok(match self.dtype {
            DtypeChoice::F32 => Dtype::F32.into(),
            DtypeChoice::Bf16 => Dtype::Bf16.into(),
            DtypeChoice::Int8 => Precision::Int8,
            DtypeChoice::Nf4 => Precision::Nf4 { double_quant: false },
            DtypeChoice::Nf4Double => Precision::Nf4 { double_quant: true },
            DtypeChoice::Auto => llada::default_precision(folder, self.device)?,
        })
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum DtypeChoice {
    F32,
    Bf16,
    Int8,
    Nf4,
    Nf4Double,
    Auto,
}
