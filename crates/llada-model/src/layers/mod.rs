//! The Transformer's parts, one file each. Activations are packed: the rows of a ragged batch one after the other in one
//! (tokens, width) matrix, without padding.

pub(crate) mod attention;
pub(crate) mod block;
pub(crate) mod feature_cache;
pub(crate) mod feed_forward;
pub(crate) mod kv_cache;
pub(crate) mod linear;
pub(crate) mod mlp;
pub(crate) mod moe;
pub(crate) mod norm;
pub(crate) mod packing;
pub(crate) mod rope;
pub(crate) mod visibility;
