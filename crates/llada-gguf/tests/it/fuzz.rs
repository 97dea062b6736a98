//! Damaged files: an error or a file, in bounded time and memory, never a panic.

use llada_gguf::{GgmlType, Value};

use crate::{mutation::survives, open, writer::Writer};

#[test]
fn a_damaged_file_is_an_error_or_a_file() {
    let mut file = Writer::default();
    file.key("general.architecture", Value::Text("llama".to_owned()));
    file.key("general.alignment", Value::Unsigned(32));
    file.key("tokenizer.ggml.tokens", Value::List(["a", "b"].map(|text| Value::Text(text.to_owned())).to_vec()));
    file.key("tokenizer.ggml.token_type", Value::List(vec![Value::Signed(1), Value::Signed(3)]));
    for dtype in GgmlType::ALL {
        let bytes = vec![1; 2 * dtype.block_bytes()];
        file.tensor(&dtype.to_string(), &[2, dtype.block_length()], dtype, bytes);
    }
    survives(512, &file.bytes(), |bytes| match open(bytes) {
        Ok(file) => {
            let names: Vec<String> = file.tensors().map(|(name, _)| name.to_owned()).collect();
            for name in names {
                drop(file.read(&name));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    });
}
