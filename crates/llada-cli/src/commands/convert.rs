//! `llada convert`: an autoregressive checkpoint as the start of a mask predictor.

use std::path::PathBuf;

use llada_model::{Conversion, Dtype};

use crate::shards::with_progress;

/// Make a mask predictor of an autoregressive checkpoint, to train it further
///
/// The weights stay; the causal mask goes, and a mask token comes. Text of any worth takes training: `llada pretrain --init
/// DIR` goes on from the folder.
///
/// Llama becomes iLLaDA's layout, and so does Qwen2; Qwen3, whose queries and keys have norms, LLaDA-MoE's without experts.
/// With `--shift` Llama and Qwen2 become Dream's layout, with `--block-causal` all three become LLaDA2's.
#[derive(clap::Args)]
#[command(after_help = "Example:
  llada convert SmolLM2-135M-Instruct.Q4_1.gguf --out smollm2
  llada logits --model smollm2 --causal --ids 504,3575,282,4649,314 --out logits.safetensors
  llada pretrain --init smollm2 --data data --out run --steps 1000")]
pub(crate) struct Args {
    /// Folder with config.json and safetensors weights, or a GGUF file with tensors of F32, F16, BF16, Q8_0, Q4_0, Q4_1 or
    /// Q6_K; or the name of a model in the Hugging Face cache
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// Folder to write; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Text of the mask token. A special token of the vocabulary, such as one that is reserved, keeps its id and its row;
    /// any other text becomes a new token, whose row is the mean of all
    #[arg(long, value_name = "TOKEN", default_value = "<|mask|>")]
    mask_token: String,

    /// Go on predicting the token after each position, as the autoregressive model does and Dream
    #[arg(long)]
    shift: bool,

    /// Let positions see their block and those before it, as in LLaDA2: 32 tokens a block, unless the sampler says
    /// otherwise
    #[arg(long)]
    block_causal: bool,

    /// What the new weights are stored in
    #[arg(long, value_name = "DTYPE", default_value = "bf16")]
    dtype: DtypeChoice,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum DtypeChoice {
    Bf16,
    F32,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    // A file is none of the cache's models.
    let input = if args.input.is_file() { args.input } else { llada_hub::checkpoint(&args.input)? };
    let dtype = match args.dtype {
        DtypeChoice::Bf16 => Dtype::Bf16,
        DtypeChoice::F32 => Dtype::F32,
    };
    let Args { out, mask_token, shift, block_causal, .. } = args;
    let conversion = Conversion { dtype, logit_shift: shift, block_causal, mask_token };
    let converted = with_progress(|progress| llada_model::convert(&input, &out, &conversion, progress))?;
    let config = &converted.config;
    println!("{} -> {}", input.display(), out.display());
    println!("{} of {:.1} million parameters in {dtype}", config.family, config.parameters() as f64 / 1e6);
    let kind = if converted.mask_is_new { "a new token" } else { "a token of the vocabulary" };
    println!("mask {} with id {}, {kind}", conversion.mask_token, config.mask_token_id);
    if !converted.has_tokenizer {
        eprintln!("warning: there is no tokenizer.json: the model works on ids alone");
    }
    Ok(())
}
