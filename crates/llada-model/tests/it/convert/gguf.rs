//! GGUF files: the same models under llama.cpp's names, in its order of rows, and in blocks.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use llada_gguf::{GgmlType, Gguf, Value};
use tempfile::TempDir;

use super::{
    check, in_f32, run,
    sample::{HEADS, HIDDEN, KV_HEADS, LAYERS, SAMPLES, Sample, Tensor, VOCABULARY, WIDTH, values},
};
use crate::{mutation::survives, writer::Writer};

/// llama.cpp's name of a tensor.
fn name(name: &str) -> String {
    let mut name = name.replace("model.layers.", "blk.").replace("model.embed_tokens", "token_embd");
    for (own, other) in [
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
    ] {
        name = name.replace(own, other);
    }
    name
}

/// The values of a tensor as llama.cpp's converter writes them: in Llama's queries and keys, row h·d + 2j + half is
/// row h·d + half·d/2 + j.
fn rows(sample: &Sample, tensor: &Tensor) -> Vec<f32> {
    let heads = match &tensor.name {
        name if sample.name != "llama" || !name.contains("_proj.") => return tensor.values.clone(),
        name if name.contains("q_proj") => HEADS,
        name if name.contains("k_proj") => KV_HEADS,
        _ => return tensor.values.clone(),
    };
    let d = tensor.shape[0] / heads;
    let mut values = tensor.values.clone();
    for head in 0..heads {
        for half in 0..2 {
            for j in 0..d / 2 {
                let (to, from) = (head * d + 2 * j + half, head * d + half * d / 2 + j);
                values[to * WIDTH..(to + 1) * WIDTH].copy_from_slice(&tensor.values[from * WIDTH..(from + 1) * WIDTH]);
            }
        }
    }
    values
}

/// Adds a sample's keys to a file.
fn shape(file: &mut Writer, sample: &Sample) {
    file.key("general.architecture", Value::Text(sample.name.to_owned()));
    for (key, value) in [
        ("block_count", LAYERS),
        ("context_length", 64),
        ("embedding_length", WIDTH),
        ("feed_forward_length", HIDDEN),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", sample.head_dim),
        ("attention.value_length", sample.head_dim),
    ] {
        file.key(&format!("{}.{key}", sample.name), Value::Unsigned(value as u64));
    }
    file.key(&format!("{}.attention.layer_norm_rms_epsilon", sample.name), Value::Float(1e-6));
    file.key(&format!("{}.rope.freq_base", sample.name), Value::Float(sample.theta));
}

/// Writes a sample to `folder` as a file of F32, behind the keys that `file` has.
fn write(folder: &Path, mut file: Writer, sample: &Sample, tensors: &[Tensor]) -> PathBuf {
    shape(&mut file, sample);
    for tensor in tensors {
        file.tensor(&name(&tensor.name), &tensor.shape, GgmlType::F32, bytes(&rows(sample, tensor)));
    }
    let path = folder.join("model.gguf");
    fs::write(&path, file.bytes()).unwrap();
    path
}

/// Writes the first sample with the tokenizer that is in `file`, of `vocabulary` tokens.
pub(super) fn with_vocabulary(folder: &Path, file: Writer, vocabulary: usize) -> PathBuf {
    let mut tensors = SAMPLES[0].tensors();
    let embedding = tensors.iter_mut().find(|tensor| tensor.name == "model.embed_tokens.weight").unwrap();
    embedding.shape[0] = vocabulary;
    embedding.values = values(&embedding.name, vocabulary * WIDTH);
    write(folder, file, &SAMPLES[0], &tensors)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Writes a sample as a file of F32.
pub(super) fn written(sample: &Sample) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Writer::default();
    super::tokens::keys(&mut file);
    write(folder.path(), file, sample, &sample.tensors());
    folder
}

/// The tensors of a checkpoint, by name.
fn tensors(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut weights = llada_model::Weights::open(folder).unwrap();
    let list: Vec<_> = weights.list().map(|(name, _, shape)| (name.to_owned(), shape)).collect();
    list.into_iter()
        .map(|(name, shape)| (name.clone(), weights.take(&name, &shape).unwrap().bytes().to_vec()))
        .collect()
}

#[test]
fn a_converted_file_is_the_converted_folder() {
    for sample in SAMPLES {
        let (file, folder) = (written(&sample), super::written(&sample));
        let (from_file, from_folder) = (file.path().join("out"), folder.path().join("out"));
        let converted = run(&file.path().join("model.gguf"), &from_file, &in_f32()).unwrap();
        assert_eq!(run(folder.path(), &from_folder, &in_f32()).unwrap().config, converted.config);
        assert!(converted.has_tokenizer);
        assert_eq!(tensors(&from_file), tensors(&from_folder), "{}", sample.name);
        check(&sample, &from_file);
    }
}

#[test]
fn a_model_in_several_files_is_converted_from_any_of_them() {
    let sample = &SAMPLES[0];
    let whole = written(sample);
    run(&whole.path().join("model.gguf"), &whole.path().join("out"), &in_f32()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(format!("model-{number:05}-of-00002.gguf"));
    let list = sample.tensors();
    let (first, second) = list.split_at(3);
    let mut parts = [Writer::default(), Writer::default()];
    super::tokens::keys(&mut parts[0]);
    shape(&mut parts[0], sample);
    for (number, (part, tensors)) in parts.iter_mut().zip([first, second]).enumerate() {
        part.key("split.no", Value::Unsigned(number as u64));
        part.key("split.count", Value::Unsigned(2));
        part.key("split.tensors.count", Value::Unsigned(list.len() as u64));
        for tensor in tensors {
            part.tensor(&name(&tensor.name), &tensor.shape, GgmlType::F32, bytes(&rows(sample, tensor)));
        }
        fs::write(path(number + 1), part.bytes()).unwrap();
    }
    for number in [1, 2] {
        let out = folder.path().join(format!("out-{number}"));
        assert!(run(&path(number), &out, &in_f32()).unwrap().has_tokenizer);
        assert_eq!(tensors(&out), tensors(&whole.path().join("out")));
    }
    fs::remove_file(path(1)).unwrap();
    let error = run(&path(2), &folder.path().join("out"), &in_f32()).unwrap_err().to_string();
    assert!(error.ends_with("missing: model-00001-of-00002.gguf"), "{error}");
}

/// Bytes of blocks whose scales are small numbers.
fn blocks(dtype: GgmlType, count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes: Vec<u8> = (0..count * dtype.block_bytes())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let scales: &[usize] = match dtype {
        GgmlType::Q4_1 => &[0, 2],
        GgmlType::Q6K => &[208],
        _ => &[0],
    };
    for block in bytes.chunks_mut(dtype.block_bytes()) {
        scales.iter().for_each(|&at| block[at + 1] = 0x24);
    }
    bytes
}

#[test]
fn blocks_are_the_values_that_they_stand_for() {
    let sample = &SAMPLES[2];
    let folder = tempfile::tempdir().unwrap();
    let mut file = Writer::default();
    shape(&mut file, sample);
    super::tokens::keys(&mut file);
    let mut kinds = [GgmlType::Q8_0, GgmlType::Q4_0, GgmlType::Q4_1].into_iter().cycle();
    for tensor in sample.tensors() {
        let dtype = match tensor.shape.as_slice() {
            [_] => GgmlType::F32,
            [_, HIDDEN] => GgmlType::Q6K,
            _ => kinds.next().unwrap(),
        };
        let encoded = match dtype {
            GgmlType::F32 => bytes(&tensor.values),
            _ => blocks(dtype, tensor.values.len() / dtype.block_length()),
        };
        file.tensor(&name(&tensor.name), &tensor.shape, dtype, encoded);
    }
    let path = folder.path().join("model.gguf");
    fs::write(&path, file.bytes()).unwrap();
    let out = folder.path().join("out");
    run(&path, &out, &in_f32()).unwrap();
    let (stored, file) = (tensors(&out), Gguf::open(&path).unwrap());
    for tensor in sample.tensors() {
        let values = file.read(&name(&tensor.name)).unwrap();
        assert!(values.iter().all(|value| value.is_finite()));
        // The mask has a row of its own at the end of the embedding.
        assert_eq!(stored[&tensor.name][..values.len() * 4], bytes(&values), "{}", tensor.name);
    }
    assert_eq!(stored["model.embed_tokens.weight"].len(), (VOCABULARY + 1) * WIDTH * 4);
}

#[test]
fn a_damaged_file_is_an_error_or_a_checkpoint() {
    let folder = written(&SAMPLES[0]);
    let path = folder.path().join("model.gguf");
    let whole = fs::read(&path).unwrap();
    // Its beginning, so that most edits meet the header, the keys and the tokenizer.
    let (head, rest) = whole.split_at(4096);
    survives(48, head, |bytes| {
        fs::write(&path, [bytes, rest].concat()).unwrap();
        let out = folder.path().join("out");
        match run(&path, &out, &in_f32()) {
            Ok(_) => fs::remove_dir_all(&out).unwrap(),
            Err(error) => assert!(!error.to_string().is_empty() && !out.exists()),
        }
    });
}
