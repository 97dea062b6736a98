//! The choice of a cache with its options, as in a request: `"cache": "dual", "refresh_interval": 8`.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use strum::{IntoEnumIterator, VariantArray};

use super::{Block, Cache, Dllm, Dual, Prefix, Vicinity};
use crate::{InferError, method::Method};

/// A built-in cache with its options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, strum::EnumDiscriminants, strum::EnumIter)]
#[serde(tag = "cache", rename_all = "snake_case")]
#[strum_discriminants(
    name(CacheKind),
    doc = "The name of a built-in cache.",
    derive(Hash, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantNames, strum::VariantArray),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)
)]
#[non_exhaustive]
pub enum CacheConfig {
    /// No cache: every step computes everything.
    #[default]
    None,
    /// Finished blocks are reused for good: exact for models whose attention is causal from block to block.
    Block,
    /// Fast-dLLM's prefix cache: positions before the block are reused.
    Prefix(Prefix),
    /// Fast-dLLM's dual cache: positions before and after the block are reused.
    Dual(Dual),
    /// dInfer's vicinity refresh: like the dual cache, but the neighbours of the block are recomputed too.
    Vicinity(Vicinity),
    /// dLLM-Cache: the positions of the answer that have changed the most are recomputed.
    Dllm(Dllm),
}

impl CacheConfig {
    pub(crate) fn build(self) -> Option<Arc<dyn Cache>> {
        match self {
            Self::None => None,
            Self::Block => Some(Arc::new(Block)),
            Self::Prefix(cache) => Some(Arc::new(cache)),
            Self::Dual(cache) => Some(Arc::new(cache)),
            Self::Vicinity(cache) => Some(Arc::new(cache)),
            Self::Dllm(cache) => Some(Arc::new(cache)),
        }
    }
}

impl CacheKind {
    /// All built-in caches.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;
}

/// The cache with the defaults of its options.
impl From<CacheKind> for CacheConfig {
    fn from(kind: CacheKind) -> Self {
        CacheConfig::iter().find(|config| CacheKind::from(config) == kind).unwrap_or_default()
    }
}

/// The name of the cache.
impl fmt::Display for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CacheKind::from(self).fmt(f)
    }
}

impl Method for CacheConfig {
    const KEY: &'static str = "cache";

    fn from_name(name: &str) -> Result<Self, InferError> {
        Ok(name.parse::<CacheKind>()?.into())
    }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<CacheKind>("cache", name)
}
