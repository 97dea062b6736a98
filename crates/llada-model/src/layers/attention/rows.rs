//! Attention over packed rows, each with its own keys and values.

use tch::{Kind, Tensor};

use super::{Attention, CacheView};
use crate::{
    AttentionPattern, ModelError,
    layers::{
        packing::{Packing, Span},
        visibility::{Visibility, of_pattern, of_shadows},
    },
};

impl Attention {
    /// Computes attention over the keys and values of this forward and those in the KV caches: one call for each group of rows
    /// whose keys lie side by side, and for each other row.
    ///
    /// # Shapes
    /// q (q, d), computed (k, kv) each -> (q, d).
    pub(super) fn attend_in_groups(
        &self,
        q: &Tensor,
        computed: &[Tensor; 2],
        queries: &Packing,
        keys: &Packing,
        CacheView { mut caches, ends, layer }: CacheView<'_>,
    ) -> Result<Tensor, ModelError> {
        let groups = match &caches {
            Some(caches) if self.pattern == AttentionPattern::Full => caches.groups(queries, keys),
            _ => (0..keys.spans.len()).map(|row| row..row + 1).collect(),
        };
        let mut mixed = Vec::with_capacity(groups.len());
        for group in groups {
            let (row, rows) = (group.start, group.len() as i64);
            let cached = match &mut caches {
                Some(caches) => caches.update(layer, group.clone(), keys, computed)?,
                None => None,
            };
            let seen = match &caches {
                Some(caches) if rows > 1 => caches.seen(group.clone(), ends)?,
                _ => {
                    let cache = caches.as_ref().and_then(|caches| caches.of_row(row));
                    self.seen_by_row(row, queries, keys, cache.map(|cache| cache.length))?
                }
            };
            let [k, v] = match cached {
                Some(cached) => cached,
                None => [keys.of_rows(group.clone(), &computed[0])?, keys.of_rows(group.clone(), &computed[1])?],
            };
            mixed.push(self.attend([&queries.of_rows(group, q)?, &k, &v], &seen, rows)?);
        }
        match mixed.as_slice() {
            [group] => Ok(group.shallow_clone()),
            groups => Ok(Tensor::f_cat(groups, 0)?),
        }
    }

    /// Returns the keys that the queries of one row attend to, which are those of `cached` tokens if it has a cache, and of its
    /// shadows.
    pub(super) fn seen_by_row(
        &self,
        row: usize,
        queries: &Packing,
        keys: &Packing,
        cached: Option<usize>,
    ) -> Result<Visibility, ModelError> {
        let (query_span, key_span) = (&queries.spans[row], &keys.spans[row]);
        if self.pattern == AttentionPattern::Full && key_span.shadows == 0 {
            return Ok(Visibility::All);
        }
        let mut keys_at = key_span.of(&keys.positions)?;
        if let Some(length) = cached {
            keys_at = positions_with_cache(length, key_span, &keys_at)?;
        }
        let queries_at = query_span.of(&queries.positions)?;
        let seen = of_pattern(self.pattern, query_span, &queries_at, &keys_at, key_span.shadows)?;
        match &queries.shadow_of {
            Some(shadow_of) if key_span.shadows > 0 => {
                seen.and(of_shadows(&query_span.of(shadow_of)?, keys_at.size1()?, key_span.shadows)?)
            }
            _ => Ok(seen),
        }
    }
}

/// Returns the positions of all keys of a row with a KV cache: first its tokens, then its shadows.
///
/// # Shapes
/// computed (span.length) i64 -> (length + shadows) i64.
fn positions_with_cache(length: usize, span: &Span, computed: &Tensor) -> Result<Tensor, ModelError> {
    let tokens = Tensor::f_arange(length as i64, (Kind::Int64, computed.device()))?;
    if span.shadows == 0 {
        return Ok(tokens);
    }
    Ok(Tensor::f_cat(&[tokens, computed.f_narrow(0, span.length - span.shadows, span.shadows)?], 0)?)
}
