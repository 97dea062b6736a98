//! `llada quantize`: what it writes is a model like any other, and computes what `--dtype int8` does.

use tempfile::tempdir;

use crate::{command, fixture, llada, report, stderr, stdout};

#[test]
fn a_quantised_model_generates_as_int8_does() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("int8");
    let quantize =
        || command().arg("quantize").arg("--model").arg(fixture("tiny-llada")).arg("--out").arg(&out).output();
    let sizes = stdout(&quantize().unwrap());
    assert!(sizes.contains(" -> ") && sizes.contains("MB"), "{sizes}");

    let asked = ["--prompt-ids", "1,2,3", "--gen-length", "8", "--json"];
    let on_the_fly = report(&llada("generate", "tiny-llada", &[&asked[..], &["--dtype", "int8"]].concat()));
    let stored = command().args(["generate", "--model"]).arg(&out).args(asked).output().unwrap();
    assert_eq!(report(&stored)["output_ids"], on_the_fly["output_ids"]);
    stdout(&command().arg("inspect").arg(&out).output().unwrap());

    let again = quantize().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is there already\nhint: "), "{}", stderr(&again));
    let as_f32 = command().args(["generate", "--dtype", "f32", "--model"]).arg(&out).args(asked).output().unwrap();
    assert_eq!(report(&as_f32)["output_ids"].as_array().map(Vec::len), Some(8));
}
