//! The keys that each query attends to, which depend on the attention pattern of the model and on the shadows of a
//! batch.

use tch::{Kind, Tensor};

use super::packing::Span;
use crate::{AttentionPattern, ModelError};

/// The keys that the queries of a row attend to.
#[derive(Debug)]
pub(crate) enum Visibility {
    /// Every query attends to all keys.
    All,
    /// Every query attends to the keys up to its own position, and the queries are all tokens of the row. libtorch has
    /// a kernel for this case.
    Causal,
    /// Every query attends to the keys at which the mask (1, 1, queries, keys) is true.
    Masked(Tensor),
    /// The queries of each of several rows attend to the keys of their row at which the mask (rows, 1, 1, keys) is 0; at those
    /// past its end it is −∞.
    Ends(Tensor),
}

impl Visibility {
    /// Returns the intersection with the keys at which `mask` is true.
    pub(crate) fn and(self, mask: Tensor) -> Result<Self, ModelError> {
        match self {
            Self::All => Ok(Self::Masked(mask)),
            Self::Masked(other) => Ok(Self::Masked(other.f_logical_and(&mask)?)),
            // The only masks are those of shadows. Causal models refuse these, and rows with some are computed one by one.
            other @ (Self::Causal | Self::Ends(_)) => Ok(other),
        }
    }
}

/// Returns the keys that the queries of `span` attend to under `pattern`. The last `shadows` keys are shadows.
///
/// # Shapes
/// queries_at (queries) i64, keys_at (keys) i64: the positions of queries and keys.
pub(crate) fn of_pattern(
    pattern: AttentionPattern,
    span: &Span,
    queries_at: &Tensor,
    keys_at: &Tensor,
    shadows: i64,
) -> Result<Visibility, ModelError> {
    let (queries, keys) = (queries_at.size1()?, keys_at.size1()?);
    match pattern {
        AttentionPattern::Full => Ok(Visibility::All),
        AttentionPattern::Causal if queries == keys => Ok(Visibility::Causal),
        AttentionPattern::Causal => Ok(Visibility::Masked(is_at_least(queries_at, keys_at)?)),
        AttentionPattern::BlockCausal { block_length } => {
            let block_length = span.block_length.unwrap_or(block_length as i64);
            let row_length = keys - shadows;
            // Queries in the last block attend to the whole row. Without a mask, libtorch uses its fastest kernel.
            if (row_length - 1) / block_length <= span.lowest / block_length {
                return Ok(Visibility::All);
            }
            let query_blocks = queries_at.f_floor_divide_scalar(block_length)?;
            let key_blocks = keys_at.f_floor_divide_scalar(block_length)?;
            Ok(Visibility::Masked(is_at_least(&query_blocks, &key_blocks)?))
        }
    }
}

/// # Shapes
/// queries (queries) i64, keys (keys) i64 -> (1, 1, queries, keys) bool.
fn is_at_least(queries: &Tensor, keys: &Tensor) -> Result<Tensor, ModelError> {
    Ok(queries.f_view([1, 1, -1, 1])?.f_ge_tensor(&keys.f_view([1, 1, 1, -1])?)?)
}

/// Returns the keys that tokens and shadows attend to. The last `shadows` of the `keys` are shadows.
///
/// A token attends to all tokens. A shadow attends to everything but the token it replaces.
///
/// # Shapes
/// shadow_of (queries) -> (1, 1, queries, keys) bool.
pub(crate) fn of_shadows(shadow_of: &Tensor, keys: i64, shadows: i64) -> Result<Tensor, ModelError> {
    let keys_at = Tensor::f_arange(keys, (Kind::Int64, shadow_of.device()))?.f_view([1, 1, 1, keys])?;
    let shadow_of = shadow_of.f_view([1, 1, -1, 1])?;
    let is_shadow = shadow_of.f_ge(0)?;
    Ok(keys_at.f_ne_tensor(&shadow_of)?.f_logical_and(&is_shadow.f_logical_or(&keys_at.f_lt(keys - shadows)?)?)?)
}
