//! A writer of GGUF files for tests. Those of `llada-model` and `llada-cli` include it by its path.

use llada_gguf::{GgmlType, Value};

/// A file in the making.
#[derive(Default)]
pub(crate) struct Writer {
    keys: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

struct Tensor {
    name: String,
    /// The slowest dimension first.
    shape: Vec<usize>,
    dtype: GgmlType,
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn key(&mut self, key: &str, value: Value) {
        self.keys.push((key.to_owned(), value));
    }

    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize], dtype: GgmlType, bytes: Vec<u8>) {
        assert_eq!(bytes.len(), shape.iter().product::<usize>() / dtype.block_length() * dtype.block_bytes(), "{name}");
        self.tensors.push(Tensor { name: name.to_owned(), shape: shape.to_vec(), dtype, bytes });
    }

    /// The bytes of the file, in version 3.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3_u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            text(key, &mut out);
            out.extend(kind(value).to_le_bytes());
            if let Value::List(values) = value {
                out.extend(values.first().map_or(4, kind).to_le_bytes());
                out.extend((values.len() as u64).to_le_bytes());
            }
            write(value, &mut out);
        }
        let mut data = Vec::new();
        for Tensor { name, shape, dtype, bytes } in &self.tensors {
            text(name, &mut out);
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|&size| out.extend((size as u64).to_le_bytes()));
            out.extend(dtype.number().to_le_bytes());
            out.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(data);
        out
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The number of a value's type: the narrow ones, as llama.cpp's own converter writes them.
fn kind(value: &Value) -> u32 {
    match value {
        Value::Unsigned(_) => 4,
        Value::Signed(_) => 5,
        Value::Float(_) => 6,
        Value::Bool(_) => 7,
        Value::Text(_) => 8,
        Value::List(_) => 9,
        other => panic!("{other:?} cannot be written"),
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Unsigned(value) => out.extend((*value as u32).to_le_bytes()),
        Value::Signed(value) => out.extend((*value as i32).to_le_bytes()),
        Value::Float(value) => out.extend((*value as f32).to_le_bytes()),
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::Text(value) => text(value, out),
        Value::List(values) => values.iter().for_each(|value| write(value, out)),
        other => panic!("{other:?} cannot be written"),
    }
}
