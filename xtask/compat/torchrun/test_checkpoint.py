"""PyTorch's distributed checkpoints (DCP) read what the processes of a run have written, and llada what DCP writes."""

import hashlib
import json
import os
import shutil
import subprocess

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import load_file
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint._consolidate_hf_safetensors import consolidate_safetensors_files
from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

LLADA = os.environ["LLADA"]
PARTS = ["exp_avg", "exp_avg_sq"]
RUN = """
data = "data"
tokenizer = "tokenizer"
steps = 4
batch_size = 6
model = { d_model = 40, n_layers = 2, n_heads = 2, mlp_hidden_size = 56, max_sequence_length = 32 }
schedule = { lr = 3e-3, warmup_steps = 2 }
"""


def llada(folder, words):
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([LLADA, *words.split()], cwd=folder, env=env, check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `whole` and `sliced`, checkpoints of one run by three processes, and `merged`, made of the latter."""
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "book.txt").write_text("".join(f"The {i}th cat sat on mat number {i * i}.\n\n" for i in range(200)))
    (folder / "run.toml").write_text(RUN)
    llada(folder, "tokenizer train --input book.txt --vocab-size 300 --out tokenizer")
    llada(folder, "data prepare --input book.txt --tokenizer tokenizer --out data")
    for name, shard in [("whole", "none"), ("sliced", "optimizer")]:
        llada(folder, f"launch --nproc 3 -- pretrain --config run.toml --out runs/{name} --shard {shard}")
        (folder / "runs" / name / "checkpoints/step-00000004").rename(folder / name)
    llada(folder, "checkpoint merge sliced --out merged")
    return folder


def tensors(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("part", PARTS)
def test_slices_are_merged_into_the_file_of_one_process(folder, part):
    assert len(list((folder / "sliced" / part).glob("shard-*.safetensors"))) == 3
    merged = (folder / "merged" / part / "model.safetensors").read_bytes()
    assert merged == (folder / "whole" / part / "model.safetensors").read_bytes()


@pytest.mark.parametrize("part", PARTS)
def test_dcp_loads_slices(folder, part):
    expected = tensors(folder / "merged" / part)
    state = {name: torch.full_like(tensor, float("nan")) for name, tensor in expected.items()}
    dcp.load(state, storage_reader=HuggingFaceStorageReader(path=str(folder / "sliced" / part)))
    assert same(state, expected)


@pytest.mark.parametrize("part", PARTS)
def test_dcp_consolidates_slices(folder, part, tmp_path):
    expected = tensors(folder / "merged" / part)
    names = dict.fromkeys(expected, 1)
    consolidate_safetensors_files(str(folder / "sliced" / part), str(tmp_path), fqn_to_index_mapping=names)
    assert same(load_file(tmp_path / "model-00001-of-00001.safetensors"), expected)


def save_as_dcp(rank, world_size, port, whole, path):
    """One of the processes that save `whole`, each its rows of every tensor."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    mesh = init_device_mesh("cpu", (world_size,))
    state = {name: distribute_tensor(tensor, mesh, [Shard(0)]) for name, tensor in load_file(whole).items()}
    dcp.save(state, storage_writer=HuggingFaceStorageWriter(path=path, save_distributed=True))
    dist.destroy_process_group()


def test_llada_reads_the_slices_of_dcp(folder):
    foreign = folder / "foreign"
    shutil.copytree(folder / "sliced", foreign)
    manifest = json.loads((foreign / "state.json").read_text())
    for part, port in zip(PARTS, [29631, 29632]):
        for file in (foreign / part).iterdir():
            file.unlink()
            del manifest["digests"][f"{part}/{file.name}"]
        whole = folder / "merged" / part / "model.safetensors"
        mp.spawn(save_as_dcp, (2, port, str(whole), str(foreign / part)), nprocs=2)
        for file in (foreign / part).iterdir():
            manifest["digests"][f"{part}/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (foreign / "state.json").write_text(json.dumps(manifest))
    assert len(list(foreign.glob("exp_avg*/shard-*.safetensors"))) == 4
    llada(folder, "checkpoint merge foreign --out of-foreign")
    for part in PARTS:
        assert same(tensors(folder / "of-foreign" / part), tensors(folder / "merged" / part))
