"""LLaDA's Transformer for the checks: linear layers under the names of a checkpoint, for peft to find."""

import json
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotated(x, theta):
    """Rotates each head, (heads, tokens, width), by the positions of its tokens."""
    half = x.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(x.shape[-2], dtype=torch.float32), frequencies)
    low, high = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, hidden = config.d_model, config.mlp_hidden_size
        self.heads, self.theta = config.n_heads, config.rope_theta
        self.attn_norm, self.ff_norm = Norm(d, config.rms_norm_eps), Norm(d, config.rms_norm_eps)
        for name in ["q_proj", "k_proj", "v_proj", "attn_out"]:
            setattr(self, name, nn.Linear(d, d, bias=False))
        self.ff_proj, self.up_proj = nn.Linear(d, hidden, bias=False), nn.Linear(d, hidden, bias=False)
        self.ff_out = nn.Linear(hidden, d, bias=False)

    def forward(self, x):
        h = self.attn_norm(x)
        q, k, v = (
            layer(h).view(len(h), self.heads, -1).transpose(0, 1) for layer in [self.q_proj, self.k_proj, self.v_proj]
        )
        q, k = rotated(q, self.theta), rotated(k, self.theta)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(len(h), -1)
        x = x + self.attn_out(mixed)
        h = self.ff_norm(x)
        return x + self.ff_out(functional.silu(self.ff_proj(h)) * self.up_proj(h))


class Llada(nn.Module):
    """A checkpoint in f32, whose heads all have keys and values of their own, and whose head is not tied."""

    def __init__(self, folder):
        super().__init__()
        config = SimpleNamespace(**json.loads((Path(folder) / "config.json").read_text()))
        transformer = nn.ModuleDict()
        transformer["wte"] = nn.Embedding(config.embedding_size, config.d_model)
        transformer["blocks"] = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        transformer["ln_f"] = Norm(config.d_model, config.rms_norm_eps)
        transformer["ff_out"] = nn.Linear(config.d_model, config.embedding_size, bias=False)
        self.model = nn.ModuleDict({"transformer": transformer})
        weights = {}
        for file in Path(folder).glob("model*.safetensors"):
            weights |= load_file(file)
        self.load_state_dict(weights)

    def forward(self, ids):
        transformer = self.model["transformer"]
        x = transformer["wte"](ids)
        for block in transformer["blocks"]:
            x = block(x)
        return transformer["ff_out"](transformer["ln_f"](x))
