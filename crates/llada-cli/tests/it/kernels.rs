//! No product falls to a reference implementation of oneDNN: those are scalar loops, a hundred to a thousand times
//! slower than the kernels that they stand in for, and nothing but the time tells.

use std::{fs, path::Path};

use crate::{command, fixture, stdout};

/// The implementations of products that oneDNN ran, as it tells under `ONEDNN_VERBOSE`, in the order of the calls.
fn products(folder: &Path, isa: &str, args: &[&str]) -> Vec<String> {
    let mut command = command();
    command.current_dir(folder).args(args).env("ONEDNN_VERBOSE", "profile_exec");
    if !isa.is_empty() {
        command.env("ONEDNN_MAX_CPU_ISA", isa);
    }
    let told = stdout(&command.output().unwrap());
    // onednn_verbose,v1,primitive,exec,cpu,matmul,brg_matmul:avx512_core_bf16,...
    let mut found = Vec::new();
    for line in told.lines().filter(|line| line.starts_with("onednn_verbose")) {
        let fields: Vec<&str> = line.split(',').collect();
        if let Some(at) = fields.iter().position(|field| ["matmul", "inner_product", "convolution"].contains(field)) {
            found.push(format!("{} {}", fields[at], fields[at + 1]));
        }
    }
    found
}

fn check(folder: &Path, isa: &str, args: &[&str]) {
    let found = products(folder, isa, args);
    let slow: Vec<&String> = found.iter().filter(|product| product.contains(" ref")).collect();
    assert!(slow.is_empty(), "{args:?} {isa}: reference implementations: {slow:?}");
}

/// The precisions that `--dtype auto` takes on this processor, and those that it is faster in.
fn dtypes() -> Vec<&'static str> {
    let mut dtypes = vec!["f32", "int8"];
    if llada_model::Device::Cpu.has_bf16() {
        dtypes.push("bf16");
    }
    dtypes
}

#[test]
fn inference_runs_no_reference_product() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for model in [fixture("tiny-llada"), fixture("tiny-llada-gqa-bf16"), root.join("models/llada-tiny")] {
        let model = model.display().to_string();
        for dtype in dtypes() {
            for cache in ["none", "dual", "dllm"] {
                let prompt = ["generate", "--model", &model, "--prompt-ids", "1,2,3,4,5", "--gen-length", "32"];
                let method = ["--steps", "8", "--block-length", "16", "--dtype", dtype, "--cache", cache];
                check(&root, "", &[&prompt[..], &method[..]].concat());
            }
        }
    }
}

/// An older processor, as far as oneDNN is concerned.
#[test]
fn inference_in_f32_runs_no_reference_product_without_avx512() {
    let model = fixture("tiny-llada").display().to_string();
    let args = ["generate", "--model", &model, "--prompt-ids", "1,2,3", "--gen-length", "8", "--dtype", "f32"];
    check(Path::new("."), "AVX2", &args);
    // These are oneDNN's: the test would see nothing if it did not tell.
    assert!(!products(Path::new("."), "", &args).is_empty());
}

#[test]
fn training_runs_no_reference_product() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("book.txt"), "A cat sat on a mat, and looked at the moon.\n\n".repeat(100)).unwrap();
    let prepare = [
        "tokenizer train --input book.txt --vocab-size 270 --out tokenizer",
        "data prepare --input book.txt --tokenizer tokenizer --out data",
    ];
    for args in prepare {
        stdout(&command().current_dir(at).args(args.split(' ')).output().unwrap());
    }
    let model = fixture("tiny-llada").display().to_string();
    let run = "data = \"data\"\ntokenizer = \"tokenizer\"\nsteps = 2\nbatch_size = 4\n\
        model = { d_model = 64, n_layers = 2, n_heads = 2, mlp_hidden_size = 128, max_sequence_length = 64 }\n";
    for dtype in dtypes().into_iter().filter(|&dtype| dtype != "int8") {
        fs::write(at.join("run.toml"), format!("{run}dtype = \"{dtype}\"\n")).unwrap();
        check(at, "", &["pretrain", "--config", "run.toml", "--out", dtype]);
        // Frozen matrices are multiplied as they are stored, and their gradients are of the input alone.
        for base in [dtype, "int8", "nf4"] {
            let out = format!("{dtype}-{base}");
            let run = ["pretrain", "--data", "data", "--init", &model, "--out", &out, "--steps", "2"];
            let keys = ["--batch-size", "2", "--row-length", "32", "--dtype", dtype, "--base-dtype", base, "--r", "2"];
            check(at, "", &[&run[..], &keys[..]].concat());
            let adapter = format!("{out}/adapter");
            let ask = ["generate", "--model", &model, "--adapter", &adapter, "--prompt-ids", "1,2,3"];
            check(at, "", &[&ask[..], &["--gen-length", "8", "--dtype", base]].concat());
        }
    }
}
