//! What a step recomputes: the other positions keep the keys and values of an earlier step.
//!
//! Every block starts with a full forward, and every `refresh_interval` steps there is another; in between a cache says
//! which stretch around the block is computed anew. All of them are approximate for a bidirectional model; with a
//! refresh interval of 1 all of them are exact.

mod dual;
mod prefix;
mod vicinity;

use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::InferError;

/// Chooses what is recomputed between two full forwards.
pub trait Cache: Send + Sync {
    /// The positions to recompute while `block` of a sequence of `length` tokens is decoded; they include the block.
    fn span(&self, block: Range<usize>, length: usize) -> Range<usize>;
}

/// The caches by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheKind {
    /// Every step recomputes everything.
    #[default]
    None,
    /// Fast-dLLM's prefix cache: what lies before the block is reused.
    Prefix,
    /// Fast-dLLM's dual cache: what lies on either side of the block is reused.
    Dual,
    /// dInfer's vicinity refresh: as dual, but the block's neighbours are recomputed too.
    Vicinity,
}

impl CacheKind {
    /// Every cache.
    pub const ALL: [Self; 4] = [Self::None, Self::Prefix, Self::Dual, Self::Vicinity];

    pub(crate) fn build(self) -> Option<Box<dyn Cache>> {
        match self {
            Self::None => None,
            Self::Prefix => Some(Box::new(prefix::Prefix)),
            Self::Dual => Some(Box::new(dual::Dual)),
            Self::Vicinity => Some(Box::new(vicinity::Vicinity::default())),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Prefix => "prefix",
            Self::Dual => "dual",
            Self::Vicinity => "vicinity",
        }
    }
}

impl fmt::Display for CacheKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CacheKind {
    type Err = InferError;

    fn from_str(name: &str) -> Result<Self, InferError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| InferError::unknown("cache", name, &Self::ALL.map(Self::name)))
    }
}
