//! The container: what is written is read, and what cannot be is named.

use llada_gguf::{GgmlType, Value};

use crate::{open, refusal, writer::Writer};

fn file() -> Writer {
    let mut file = Writer::default();
    file.key("general.architecture", Value::Text("llama".to_owned()));
    file.key("llama.block_count", Value::Unsigned(2));
    file.key("a.signed", Value::Signed(-3));
    file.key("a.float", Value::Float(0.5));
    file.key("a.flag", Value::Bool(true));
    file.key("a.list", Value::List(["a", "Ġb"].map(|text| Value::Text(text.to_owned())).to_vec()));
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    file.tensor("norm", &[3], GgmlType::F32, bytes(&[1.0, 2.0, 3.0]));
    file.tensor("matrix", &[3, 2], GgmlType::F32, bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    file
}

#[test]
fn what_is_written_is_read() {
    let file = open(&file().bytes()).unwrap();
    assert_eq!(file.keys().count(), 6);
    assert_eq!(file.text("general.architecture").unwrap(), Some("llama"));
    assert_eq!(file.unsigned("llama.block_count").unwrap(), Some(2));
    assert_eq!(file.get("a.signed"), Some(&Value::Signed(-3)));
    assert_eq!((file.float("a.float").unwrap(), file.bool("a.flag").unwrap()), (Some(0.5), Some(true)));
    assert_eq!(file.list("a.list", "texts", Value::text).unwrap(), Some(vec!["a", "Ġb"]));
    assert_eq!(file.unsigned("absent").unwrap(), None);
    let tensors: Vec<_> = file.tensors().map(|(name, info)| (name, info.dtype.as_str(), info.shape.clone())).collect();
    assert_eq!(tensors, [("matrix", "F32", vec![3, 2]), ("norm", "F32", vec![3])]);
    assert_eq!(file.read("matrix").unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(file.read("norm").unwrap(), [1.0, 2.0, 3.0]);
}

#[test]
fn a_key_or_tensor_that_is_something_else_is_named() {
    let file = open(&file().bytes()).unwrap();
    let message = file.unsigned("a.signed").unwrap_err().to_string();
    assert!(message.ends_with("model.gguf: a.signed: its value is not a whole number"), "{message}");
    let message = file.list("a.list", "a list of numbers", Value::unsigned).unwrap_err().to_string();
    assert!(message.ends_with("a.list: its value is not a list of numbers"), "{message}");
    let message = file.read("absent").unwrap_err().to_string();
    assert!(message.ends_with("tensor absent: the file does not have it"), "{message}");
}

#[test]
fn every_truncated_file_is_an_error() {
    let whole = file().bytes();
    // The last tensor is padded, and its padding need not be there.
    for length in 0..whole.len() - 8 {
        let error = open(&whole[..length]).unwrap_err();
        assert!(length == 0 || error.to_string().contains("model.gguf: "), "{error}");
    }
}

#[test]
fn other_files_and_versions_are_refused() {
    assert_eq!(refusal(b"PK\x03\x04............"), "not a GGUF file");
    let mut old = file().bytes();
    old[4] = 1;
    assert_eq!(refusal(&old), "version 1 of GGUF, which is not read");
    old[4..8].copy_from_slice(&3_u32.to_be_bytes());
    assert_eq!(refusal(&old), "version 3 of GGUF, in big-endian byte order, which is not read");
}

#[test]
fn counts_beyond_the_file_allocate_nothing() {
    let mut many = file().bytes();
    many[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&many).starts_with(&format!("the number of tensors is {}, and the file has room for ", u64::MAX)));
    let mut long = file().bytes();
    long[24..32].copy_from_slice(&(u64::MAX - 8).to_le_bytes());
    assert!(refusal(&long).starts_with(&format!("a key at byte 32 takes {} bytes", u64::MAX - 8)));
    let mut wide = Writer::default();
    wide.tensor("w", &[2, 32], GgmlType::Q8_0, vec![0; 68]);
    let mut wide = wide.bytes();
    let first = wide.iter().rposition(|&byte| byte == 32).unwrap();
    wide[first..first + 8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    assert!(refusal(&wide).starts_with("tensor w: its "), "{}", refusal(&wide));
}

#[test]
fn an_unknown_type_matters_to_its_tensor_alone() {
    let mut file = file();
    file.tensor("odd", &[32], GgmlType::Q4_0, vec![0; 18]);
    let mut bytes = file.bytes();
    let name = bytes.windows(3).position(|text| text == b"odd").unwrap();
    // Its number of dimensions and its only dimension are between.
    bytes[name + 3 + 4 + 8..][..4].copy_from_slice(&12_u32.to_le_bytes());
    let file = open(&bytes).unwrap();
    assert_eq!(file.read("norm").unwrap(), [1.0, 2.0, 3.0]);
    let error = file.read("odd").unwrap_err();
    assert!(error.to_string().ends_with("tensor odd is stored as type 12 of ggml, which is not read"), "{error}");
    let hint = error.hint().unwrap().to_string();
    assert!(hint.starts_with("types that are read: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q6_K"), "{hint}");
}

#[test]
fn names_that_are_there_twice_are_refused() {
    let mut keys = file();
    keys.key("a.flag", Value::Bool(false));
    assert_eq!(refusal(&keys.bytes()), "a.flag: the key is there twice");
    let mut tensors = file();
    tensors.tensor("norm", &[1], GgmlType::F32, vec![0; 4]);
    assert_eq!(refusal(&tensors.bytes()), "tensor norm: the name is there twice");
}

#[test]
fn rows_have_whole_blocks() {
    let mut file = Writer::default();
    file.tensor("w", &[16, 2], GgmlType::Q8_0, vec![0; 34]);
    assert_eq!(refusal(&file.bytes()), "tensor w: rows of 2 are not whole blocks of 32, as Q8_0 has them");
}
