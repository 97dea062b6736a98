"""peft reads what llada has trained, and llada reads what peft has made."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from llada import Llada
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

MODEL = Path(os.environ["LLADA_FIXTURES"]) / "tiny-llada"
IDS = [510, 3, 77, 510, 12, 400, 510, 9]
REGEX = r".*\.blocks\.\d+\.(q_proj|k_proj|v_proj|attn_out|ff_proj|up_proj|ff_out)"


def llada(*words):
    subprocess.run([os.environ["LLADA"], *map(str, words)], check=True, capture_output=True, text=True)


def logits(folder, *words):
    out = folder / "logits.safetensors"
    ids = ",".join(map(str, IDS))
    llada("logits", "--ids", ids, "--dtype", "f32", "--out", out, *words)
    return load_file(out)["logits"]


def ours(model):
    with torch.no_grad():
        return model(torch.tensor(IDS))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two and three"}]
    (folder / "chats.jsonl").write_text((json.dumps({"messages": messages}) + "\n") * 8)
    words = ["--format", "chat", "--tokenizer", MODEL, "--answer-length", 8, "--max-length", 64]
    llada("data", "prepare", "--input", folder / "chats.jsonl", "--out", folder / "records", *words)
    return folder / "records"


@pytest.mark.parametrize(
    "keys",
    [
        ["--r", 4],
        ["--r", 3, "--lora-alpha", 5, "--use-rslora", "true", "--target-modules", "q_proj,ff_out"],
        ["--r", 4, "--rank-pattern", "q_proj=2", "--alpha-pattern", r"blocks\.0\.up_proj=3", "--modules-to-save", "ln_f"],
        ["--target-modules", "q_proj,v_proj", "--layers-to-transform", "0,2", "--exclude-modules", "2.v_proj"],
    ],
)
def test_peft_computes_what_llada_has_trained(tmp_path, data, keys):
    words = ["--data", data, "--init", MODEL, "--out", tmp_path / "run", "--steps", 4, "--batch-size", 4]
    llada("sft", *words, "--dtype", "f32", "--lr", 0.05, "--warmup-steps", 1, *keys)
    folder = tmp_path / "run/adapter"
    model = PeftModel.from_pretrained(Llada(MODEL), folder)
    expected = logits(tmp_path, "--model", MODEL, "--adapter", folder)
    close(ours(model), expected)
    assert (ours(Llada(MODEL)) - expected).abs().max() > 0.01
    # And every tensor that peft has is one of the file's.
    assert sum(p.numel() for n, p in model.named_parameters() if "lora_" in n or "modules_to_save" in n) == sum(
        tensor.numel() for tensor in load_file(folder / "adapter_model.safetensors").values()
    )


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, lora_alpha=8, target_modules=REGEX),
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"),
        LoraConfig(r=3, lora_alpha=6, target_modules=["ff_out"], modules_to_save=["ln_f"]),
        LoraConfig(r=4, lora_alpha=2, use_rslora=True, target_modules=["q_proj", "up_proj"], rank_pattern={"up_proj": 7}),
        LoraConfig(target_modules=["q_proj", "k_proj"], layers_to_transform=[1], layers_pattern="blocks"),
        LoraConfig(target_modules=["q_proj", "k_proj"], exclude_modules=r".*\.1\.k_proj", alpha_pattern={r"0\.q_proj": 3}),
        LoraConfig(target_modules=["v_proj"], modules_to_save=["ff_out"]),
        LoraConfig(target_modules=["v_proj"], init_lora_weights="gaussian", lora_dropout=0.3),
    ],
    ids=lambda config: f"{config.target_modules}"[:40],
)
def test_llada_computes_what_peft_has_made(tmp_path, config):
    torch.manual_seed(0)
    model = get_peft_model(Llada(MODEL), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.eval()
    model.save_pretrained(tmp_path / "adapter")
    expected = ours(model)
    close(logits(tmp_path, "--model", MODEL, "--adapter", tmp_path / "adapter"), expected)
    llada("adapter", "merge", "--model", MODEL, "--adapter", tmp_path / "adapter", "--out", tmp_path / "merged")
    close(logits(tmp_path, "--model", tmp_path / "merged"), expected)
    close(ours(Llada(tmp_path / "merged")), expected)
    close(ours(model.merge_and_unload()), expected)


def test_what_llada_does_not_compute_is_refused(tmp_path):
    for name, config in {
        "use_dora": LoraConfig(target_modules=["q_proj"], use_dora=True),
        "lora_bias": LoraConfig(target_modules=["q_proj"], lora_bias=True),
        "init_lora_weights": LoraConfig(target_modules=["q_proj"], init_lora_weights="pissa"),
        "wte": LoraConfig(target_modules=["wte"]),
    }.items():
        get_peft_model(Llada(MODEL), config).save_pretrained(tmp_path / name)
        with pytest.raises(subprocess.CalledProcessError) as refusal:
            logits(tmp_path, "--model", MODEL, "--adapter", tmp_path / name)
        assert name in refusal.value.stderr
