//! Which keys a query sees: by the model's attention pattern, and where a batch has shadows.

use tch::{Kind, Tensor};

use super::packing::Span;
use crate::{AttentionPattern, ModelError};

/// The keys that the queries of a row see.
#[derive(Debug)]
pub(crate) enum Visibility {
    /// All of them.
    All,
    /// As many as come before each query and itself, where the queries are all of the row's tokens: libtorch has a kernel
    /// for it.
    Causal,
    /// Those at which a mask is true; it is (1, 1, queries, keys).
    Masked(Tensor),
}

impl Visibility {
    /// The keys that both allow.
    pub(crate) fn and(self, mask: Tensor) -> Result<Self, ModelError> {
        match self {
            Self::All => Ok(Self::Masked(mask)),
            Self::Masked(other) => Ok(Self::Masked(other.f_logical_and(&mask)?)),
            // The model refuses shadows of causal rows.
            Self::Causal => Ok(Self::Causal),
        }
    }
}

/// The keys that `pattern` lets the queries of `span` see. The last `shadows` of the keys are shadows.
///
/// # Shapes
/// queries_at (queries) i64, keys_at (keys) i64: the positions of both.
pub(crate) fn of_pattern(
    pattern: AttentionPattern,
    span: &Span,
    queries_at: &Tensor,
    keys_at: &Tensor,
    shadows: i64,
) -> Result<Visibility, ModelError> {
    let (queries, keys) = (queries_at.size1()?, keys_at.size1()?);
    let compare =
        |queries: &Tensor, keys: &Tensor| queries.f_view([1, 1, -1, 1])?.f_ge_tensor(&keys.f_view([1, 1, 1, -1])?);
    match pattern {
        AttentionPattern::Full => Ok(Visibility::All),
        AttentionPattern::Causal if queries == keys => Ok(Visibility::Causal),
        AttentionPattern::Causal => Ok(Visibility::Masked(compare(queries_at, keys_at)?)),
        AttentionPattern::BlockCausal { block_length } => {
            let block_length = span.block_length.unwrap_or(block_length as i64);
            let row_length = keys - shadows;
            // The queries of a row's last block see all of it: no mask, and libtorch's fastest kernel.
            if (row_length - 1) / block_length <= span.lowest / block_length {
                return Ok(Visibility::All);
            }
            let block_of = |positions: &Tensor| positions.f_floor_divide_scalar(block_length);
            Ok(Visibility::Masked(compare(&block_of(queries_at)?, &block_of(keys_at)?)?))
        }
    }
}

/// The keys that tokens and shadows see, the last `shadows` of the `keys` being shadows: a token sees the tokens, a shadow
/// everything but the token in whose place it stands.
///
/// # Shapes
/// shadow_of (queries) -> (1, 1, queries, keys) bool.
pub(crate) fn of_shadows(shadow_of: &Tensor, keys: i64, shadows: i64) -> Result<Tensor, ModelError> {
    let keys_at = Tensor::f_arange(keys, (Kind::Int64, shadow_of.device()))?.f_view([1, 1, 1, keys])?;
    let shadow_of = shadow_of.f_view([1, 1, -1, 1])?;
    let is_shadow = shadow_of.f_ge(0)?;
    Ok(keys_at.f_ne_tensor(&shadow_of)?.f_logical_and(&is_shadow.f_logical_or(&keys_at.f_lt(keys - shadows)?)?)?)
}
