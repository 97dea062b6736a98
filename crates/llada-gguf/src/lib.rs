//! A bounded reader of GGUF files, the format of llama.cpp: metadata, and tensors dequantised to f32.
//!
//! [`Gguf::open`] maps a file and reads what is in front of the tensors: the keys with their [`Value`]s, and the name,
//! shape and [`GgmlType`] of each tensor. [`Gguf::read`] then gives the values of one.
//!
//! Source: `docs/gguf.md` of ggml for the container, `ggml-common.h` and `ggml-quants.c` for the blocks.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod cursor;
mod dequantize;
mod dtype;
mod error;
mod file;
mod metadata;
mod split;

pub use dtype::GgmlType;
pub use error::GgufError;
pub use file::{Gguf, TensorInfo};
pub use metadata::Value;
