"""Reads and writes safetensors files with torch alone, so that the peers need no other package."""
import ctypes
import json
import pathlib

import torch

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
          "I32": torch.int32, "U8": torch.uint8, "I8": torch.int8}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LENGTH = 8  # bytes that hold the length of the header


def read(path):
    """Tensors by name. They are views of the mapped file where its alignment allows."""
    data = torch.from_file(str(path), size=pathlib.Path(path).stat().st_size, dtype=torch.uint8, device="cpu")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        dtype, (start, end) = DTYPES[entry["dtype"]], entry["data_offsets"]
        first = LENGTH + length + start
        piece = data[first:LENGTH + length + end]
        piece = piece if first % dtype.itemsize == 0 else piece.clone()
        found[name] = piece.view(dtype).view(entry["shape"])
    return found


def write(path, tensors):
    """Writes tensors by name."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = dict(dtype=NAMES[tensor.dtype], shape=list(tensor.shape), data_offsets=[start, end])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % LENGTH)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(LENGTH, "little") + text)
        for tensor in tensors.values():
            kept = tensor.cpu().contiguous()
            # Without numpy a tensor's bytes are reached by their address alone.
            file.write((ctypes.c_char * (kept.numel() * kept.element_size())).from_address(kept.data_ptr()))
