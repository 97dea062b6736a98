//! `gpu-check` where there is no GPU, and the report of a check that was made elsewhere.

use std::process::Command;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

#[test]
fn a_machine_without_a_gpu_is_told_how_to_carry_the_check() {
    let sandbox = Sandbox::new();
    sandbox.program("nvidia-smi", "#!/bin/sh\necho 'No devices were found'\nexit 6\n");
    for args in [&["gpu-check"][..], &["gpu-check", "--run", "pack"]] {
        let report = sandbox.run(args);
        assert_eq!(report.code, Some(3));
        assert!(report.stderr.contains("cargo xtask gpu-check --pack DIR"), "{}", report.stderr);
    }
}

#[test]
fn a_folder_without_the_check_is_no_pack() {
    let sandbox = Sandbox::new();
    sandbox.program("nvidia-smi", "#!/bin/sh\necho 'GPU 0: H100'\n");
    let report = sandbox.run(&["gpu-check", "--run", "nothing"]);
    assert_eq!(report.code, Some(1));
    assert!(report.stderr.contains("nothing is no pack"), "{}", report.stderr);
}

/// What `xtask/gpu` answers to an expression of Python over `data`.
fn answer(expression: &str, data: &Value) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/gpu");
    let program = format!("import json, sys; data = json.loads(sys.argv[1])\n{expression}");
    let mut python = Command::new("python3");
    python.args(["-B", "-c", &program, &data.to_string()]).env("PYTHONPATH", folder);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn family(golden: u32, holds: bool) -> Value {
    json!({"family": "tiny-llada", "cases": 96, "golden": golden, "together": 96, "logits": 2.1e-5,
           "bf16_error": 0.0154, "bf16_same": 106, "positions": 111, "holds": holds})
}

fn checked(rows: &Value, failure: &Value) -> Value {
    let timed = |contender, tokens| {
        json!({"case": "plain", "prompt": 256, "answer": 256, "rows": 1, "contender": contender,
               "tokens_a_second": tokens, "seconds_a_forward": 0.0125})
    };
    let speed = [timed("bf16", 80.0), timed("PyTorch", 40.0)];
    json!({"machine": {"name": "H100", "driver": "580.65.06", "torch": "2.11.0"}, "parts": {
        "agreement": {"kind": "agreement", "rows": rows, "failure": failure, "left_out": null},
        "speed of 1b": {"kind": "speed", "rows": speed, "failure": null, "left_out": null}}})
}

#[test]
fn the_report_has_the_machine_and_every_number() {
    let page = answer("import report; print(report.page(data))", &checked(&json!([family(96, true)]), &Value::Null));
    for line in [
        "# `llada` on H100",
        "| driver | 580.65.06 |",
        "| tiny-llada | 96 of 96 | 96 of 96 | 2.1e-05 | 0.015 | 106 of 111 | yes |",
        "| plain | 256 + 256 | 1 | bf16 | 80.0 | 12.50 | 2.00 |",
        "| plain | 256 + 256 | 1 | PyTorch | 40.0 | 12.50 | 1.00 |",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[test]
fn one_difference_or_failure_makes_the_check_fail() {
    let good = |data: &Value| answer("import report; print(report.is_good(data))", data).trim() == "True";
    assert!(good(&checked(&json!([family(96, true)]), &Value::Null)));
    assert!(!good(&checked(&json!([family(95, false)]), &Value::Null)));
    let failed = checked(&json!([]), &json!("llada ended with 1"));
    assert!(!good(&failed));
    assert!(answer("import report; print(report.page(data))", &failed).contains("Failed: llada ended with 1"));
    let mut lost = checked(&json!([family(96, true)]), &Value::Null);
    lost["parts"]["speed of 1b"]["rows"][1] = json!({"case": "plain", "prompt": 256, "answer": 256, "rows": 1,
        "contender": "PyTorch", "error": "CUDA out of memory"});
    assert!(!good(&lost));
    let page = answer("import report; print(report.page(data))", &lost);
    assert!(page.contains("failed: CUDA out of memory"), "{page}");
    let broken = json!([{"family": "tiny-smdm", "error": "llada ended\nwith 1 | 2"}, family(96, true)]);
    let broken = checked(&broken, &Value::Null);
    assert!(!good(&broken));
    let page = answer("import report; print(report.page(data))", &broken);
    assert!(page.contains("| tiny-smdm | failed: llada ended with 1 / 2 |"), "{page}");
    let mut without = checked(&json!([family(96, true)]), &Value::Null);
    without["parts"]["launches of 1b"] =
        json!({"kind": "launches", "rows": [], "failure": null, "left_out": "nsys is not on PATH"});
    assert!(good(&without));
    assert!(answer("import report; print(report.page(data))", &without).contains("Left out: nsys is not on PATH"));
}

#[test]
fn tokens_that_differ_without_graphs_make_the_check_fail() {
    let compared = |same: u32| {
        let row = json!({"model": "tiny-dream", "dtype": "f32", "rows": 8, "same": same, "tokens": 256, "holds": same == 256});
        let waits = json!({"step": "of a block, by a CUDA graph", "launches": 3.0, "waits": 1.0});
        let mut data = checked(&json!([family(96, true)]), &Value::Null);
        data["parts"]["CUDA graphs"] = json!({"kind": "graphs", "rows": [row], "failure": null, "left_out": null});
        data["parts"]["launches of 1b"] =
            json!({"kind": "launches", "rows": [waits], "failure": null, "left_out": null});
        data
    };
    for (same, line) in [(256, "| tiny-dream | f32 | 8 | 256 of 256 |"), (255, "| tiny-dream | f32 | 8 | 255 of 256 |")]
    {
        let data = compared(same);
        let page = answer("import report; print(report.page(data))", &data);
        assert!(page.lines().any(|found| found == line), "{page}");
        assert!(page.lines().any(|found| found == "| of a block, by a CUDA graph | 3.0 | 1.0 |"), "{page}");
        let good = answer("import report; print(report.is_good(data))", &data);
        assert_eq!(good.trim() == "True", same == 256);
    }
}

#[test]
fn a_program_that_could_not_record_a_graph_fails() {
    let note = "note: no CUDA graph could be recorded, kernels were launched one by one: libtorch: out of memory";
    let program = "import os, program\ntry:\n print(program.run(['sh', '-c', data], os.environ, 9))\n\
                   except program.Failed as failure:\n print('failed:', failure)";
    assert_eq!(answer(program, &json!("echo fine; echo note >&2")).trim(), "fine");
    let failed = answer(program, &json!(format!("echo fine; echo '{note}' >&2")));
    assert!(failed.starts_with("failed:") && failed.contains("out of memory"), "{failed}");
}

#[test]
fn calls_are_counted_in_the_table_of_nsys() {
    let table = json!(
        "Processing...\n\nTime (%),Total Time (ns),Num Calls,Avg (ns),Name\n\
         60.0,9,\"1,200\",1,cudaLaunchKernel\n20.0,3,30,1,cudaLaunchKernelExC_v11060\n10.0,3,7,1,cudaStreamSynchronize\n\
         10.0,1,5,1,cudaMalloc\n"
    );
    let counted = answer("import launches; print(json.dumps(launches.counts(data)))", &table);
    assert_eq!(serde_json::from_str::<Value>(&counted).unwrap(), json!({"launches": 1230, "waits": 7}));
}
