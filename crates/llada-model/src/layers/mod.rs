//! The layers of the Transformer.
//!
//! Activations are packed: the rows of a ragged batch follow one another in one matrix (tokens, width), without
//! padding.

pub(crate) mod attention;
pub(crate) mod block;
pub(crate) mod drift;
pub(crate) mod dropout;
pub(crate) mod feature_cache;
pub(crate) mod feed_forward;
pub(crate) mod kv_cache;
pub(crate) mod linear;
pub(crate) mod lora;
pub(crate) mod mlp;
pub(crate) mod moe;
pub(crate) mod norm;
pub(crate) mod packing;
pub(crate) mod rope;
pub(crate) mod visibility;
