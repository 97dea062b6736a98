//! The arguments of `cargo xtask fetch-weights`. They are parsed here first, so that help and usage errors do not need a
//! build of the downloader, and then by the downloader.

use std::path::PathBuf;

use clap::Args;

/// Shown below the options.
const EXAMPLES: &str = "\
Examples:
  cargo xtask fetch-weights llada-8b-instruct --dry-run      how much it is, and where it would go
  cargo xtask fetch-weights llada-8b-instruct                into the cache that Python uses too
  cargo xtask fetch-weights llada-8b-base --dest weights     plain files in a folder
  cargo xtask fetch-weights OWNER/NAME --only '*.json' --revision v1
  cargo xtask fetch-weights llada-8b-instruct --verify       reads all of it again

What was downloaded before an interrupt is kept; the same command goes on from there.

Environment:
  HF_HOME, HF_HUB_CACHE   where the cache is [default: ~/.cache/huggingface, its folder hub]
  HF_TOKEN                who asks, for gated and private models [default: what HF_TOKEN_PATH holds, HF_HOME/token]
  HF_ENDPOINT             a mirror of the hub [default: https://huggingface.co]
  HF_HUB_OFFLINE=1        ask nobody: find, or verify, what the cache has
  HTTPS_PROXY, NO_PROXY   a proxy
  SSL_CERT_FILE           certificates to trust, instead of the system's";

/// Download a checkpoint into the Hugging Face cache, resumed and checked
///
/// The size and the free disk are said before the first byte. Files take their names when their content has been
/// checked against the digests that the hub gives. What Python has fetched is found, and the other way round.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct FetchArgs {
    /// llada-8b-base, llada-8b-instruct, llada-1.5, illada-8b-instruct, llada2-mini or another short name, or any
    /// OWNER/NAME of the Hugging Face hub
    #[arg(value_name = "MODEL")]
    pub model: String,

    /// Branch, tag or commit
    #[arg(long, value_name = "R", default_value = "main")]
    pub revision: String,

    /// Write plain files into this folder instead of the cache
    #[arg(long, value_name = "DIR")]
    pub dest: Option<PathBuf>,

    /// Only files whose path matches: `*` is anything, `?` one character, `[ab]` one of these
    #[arg(long, value_name = "GLOB")]
    pub only: Option<String>,

    /// Say what would be downloaded, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Download nothing; read all files again and compare them with their digests
    #[arg(long, conflicts_with = "dry_run")]
    pub verify: bool,
}
