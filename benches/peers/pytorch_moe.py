"""LLaDA-MoE and LLaDA2 in PyTorch, for pytorch_peer.py.

The layers are those of the published modelling code: an RMSNorm of each head's query and key, a rotation of a part of
the head, a router in f32 (LLaDA2), and a mixture that sorts the choices by expert, calls each chosen expert once with its
tokens, and adds up by weight. LLaDA2's sampler keeps the keys and values of finished blocks, which block-causal
attention makes exact: the first forward of a block computes the block before it too, as final tokens, every other one
the block alone.
"""
import torch
import torch.nn.functional as F
from torch import nn

import tensors


class Config:
    """The fields of a `config.json` of the two families that shape the computation."""

    def __init__(self, raw):
        self.is_llada2 = raw["architectures"][0] == "LLaDA2MoeModelLM"
        self.width = raw["hidden_size"]
        self.layers = raw["num_hidden_layers"]
        self.heads = raw["num_attention_heads"]
        self.kv_heads = raw.get("num_key_value_heads") or self.heads
        self.head_dim = raw.get("head_dim") or self.width // self.heads
        self.rotary_dim = int(self.head_dim * (raw.get("partial_rotary_factor") or 1))
        self.qk_norm = raw.get("use_qk_norm" if self.is_llada2 else "qk_layernorm", False)
        self.mlp = raw.get("intermediate_size") or raw.get("dense_intermediate_size")
        self.expert = raw.get("moe_intermediate_size") or raw.get("expert_intermediate_size")
        self.shared = self.expert * raw.get("num_shared_experts", 0)
        self.experts = raw["num_experts"]
        self.per_token = raw["num_experts_per_tok"]
        self.dense_layers = raw.get("first_k_dense_replace", 0)
        self.groups, self.kept_groups = raw.get("n_group"), raw.get("topk_group")
        self.scaling = raw.get("routed_scaling_factor", 1.0) if self.is_llada2 else 1.0
        self.normalized = self.is_llada2 or bool(raw.get("norm_topk_prob"))
        self.rows = raw["vocab_size"]
        self.eps = raw["rms_norm_eps"]
        self.theta = raw["rope_theta"]
        self.mask_id = raw.get("mask_token_id")
        self.eos_id = raw.get("eos_token_id")


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Router(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.weight = nn.Parameter(torch.empty(cfg.experts, cfg.width))
        if cfg.is_llada2:
            self.register_buffer("expert_bias", torch.zeros(cfg.experts))

    def forward(self, x):
        """The experts of each token and their weights, (tokens, per_token)."""
        cfg = self.cfg
        if not cfg.is_llada2:
            weights, chosen = F.linear(x, self.weight).float().softmax(-1).topk(cfg.per_token, dim=-1)
        else:
            scores = F.linear(x.float(), self.weight.float()).sigmoid()
            biased = (scores + self.expert_bias).view(-1, cfg.groups, cfg.experts // cfg.groups)
            best = biased.topk(2, dim=-1).values.sum(-1).topk(cfg.kept_groups, dim=-1, sorted=False).indices
            kept = torch.zeros(biased.shape[:2]).scatter_(1, best, 1).bool()
            chosen = biased.masked_fill(~kept[..., None], float("-inf")).flatten(1).topk(cfg.per_token, dim=-1).indices
            weights = scores.gather(1, chosen)
        if cfg.normalized:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return chosen, weights * cfg.scaling


class Mixture(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.gate = Router(cfg)
        self.experts = nn.ModuleList(Mlp(cfg.width, cfg.expert) for _ in range(cfg.experts))
        if cfg.shared:
            self.shared_experts = Mlp(cfg.width, cfg.shared)

    def forward(self, x):
        tokens = x.flatten(0, -2)
        chosen, weights = self.gate(tokens)
        counts = torch.bincount(chosen.flatten(), minlength=len(self.experts)).tolist()
        order = chosen.flatten().argsort(stable=True)
        pieces = tokens[order // chosen.shape[1]].split(counts)
        made = torch.cat([expert(piece) for expert, piece in zip(self.experts, pieces) if len(piece)])
        by_choice = torch.empty_like(made)
        by_choice[order] = made
        y = (by_choice.view(*chosen.shape, -1).float() * weights[..., None]).sum(1).to(x.dtype).view_as(x)
        return y + self.shared_experts(x) if hasattr(self, "shared_experts") else y


class Attention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        q, kv = cfg.heads * cfg.head_dim, cfg.kv_heads * cfg.head_dim
        self.qkv = nn.Linear(cfg.width, q + 2 * kv, bias=False)
        self.out = nn.Linear(q, cfg.width, bias=False)
        if cfg.qk_norm:
            self.q_norm, self.k_norm = Norm(cfg.head_dim, cfg.eps), Norm(cfg.head_dim, cfg.eps)

    def forward(self, x, turn, past, visible):
        cfg = self.cfg
        sizes = [cfg.heads, cfg.kv_heads, cfg.kv_heads]
        q, k, v = self.qkv(x).unflatten(-1, (-1, cfg.head_dim)).transpose(1, 2).split(sizes, dim=1)
        if cfg.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = turn(q), turn(k)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=-2), torch.cat([past[1], v], dim=-2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=cfg.heads != cfg.kv_heads)
        return self.out(mixed.transpose(1, 2).flatten(-2)), (k, v)


class Layer(nn.Module):
    def __init__(self, cfg, i):
        super().__init__()
        self.norm_attn, self.norm_mlp = Norm(cfg.width, cfg.eps), Norm(cfg.width, cfg.eps)
        self.attention = Attention(cfg)
        self.mlp = Mlp(cfg.width, cfg.mlp) if i < cfg.dense_layers else Mixture(cfg)

    def forward(self, x, turn, past, visible):
        mixed, kept = self.attention(self.norm_attn(x), turn, past, visible)
        x = x + mixed
        return x + self.mlp(self.norm_mlp(x)), kept


class Model(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.rows, cfg.width)
        self.layers = nn.ModuleList(Layer(cfg, i) for i in range(cfg.layers))
        self.norm = Norm(cfg.width, cfg.eps)
        self.head = nn.Linear(cfg.width, cfg.rows, bias=False)

    def turn(self, first, n):
        """Rotates the first `rotary_dim` values of each head, for positions first..first+n."""
        dim = self.cfg.rotary_dim
        freq = 1.0 / (self.cfg.theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
        angle = torch.arange(first, first + n, dtype=torch.float32)[:, None] * freq
        cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)

        def rotate(t):
            part = t[..., :dim].float()
            low, high = part.chunk(2, dim=-1)
            part = (part * cos + torch.cat([-high, low], dim=-1) * sin).to(t.dtype)
            return part if dim == t.shape[-1] else torch.cat([part, t[..., dim:]], dim=-1)
        return rotate

    def forward(self, ids, past=None, block=None, wanted=None, keep=False):
        """Logits of the last `wanted` positions of ids (all if None); with keep also the keys and values of all. `ids`
        follow `past`; with `block` attention is block-causal."""
        first = 0 if past is None else past[0][0].shape[-2]
        n = ids.shape[1]
        visible = None
        if block is not None and n > block:
            queries, keys = torch.arange(first, first + n), torch.arange(first + n)
            visible = keys[None] // block <= queries[:, None] // block
        x, turn, kept = self.embed(ids), self.turn(first, n), []
        for i, layer in enumerate(self.layers):
            x, kv = layer(x, turn, None if past is None else past[i], visible)
            kept.append(kv)
        logits = self.head(self.norm(x if wanted is None else x[:, -wanted:]))
        return (logits, kept) if keep else logits


# checkpoint name -> name here, within a layer
NAMES = {"input_layernorm": "norm_attn", "post_attention_layernorm": "norm_mlp", "attention.query_key_value": "attention.qkv",
         "attention.query_layernorm": "attention.q_norm", "attention.key_layernorm": "attention.k_norm",
         "attention.dense": "attention.out", "self_attn.q_norm": "attention.q_norm", "self_attn.k_norm": "attention.k_norm",
         "self_attn.o_proj": "attention.out"}


def load(folder, raw, dtype):
    cfg, stored, state = Config(raw), {}, {}
    for path in sorted(folder.glob("model*.safetensors")):
        for name, tensor in tensors.read(path).items():
            kind = torch.float32 if name.endswith("expert_bias") else dtype
            stored[name.removeprefix("model.")] = tensor.to(torch.get_default_device(), kind)
    for name in list(stored):
        base, kind = name.rsplit(".", 1)
        if base.endswith(("self_attn.k_proj", "self_attn.v_proj")):
            continue
        tensor = stored.pop(name)
        if base in ("embed_tokens", "word_embeddings", "norm", "lm_head"):
            state[dict(norm="norm", lm_head="head").get(base, "embed") + ".weight"] = tensor
            continue
        _, i, part = base.split(".", 2)
        if part == "self_attn.q_proj":
            rest = [stored.pop(f"layers.{i}.self_attn.{p}_proj.weight") for p in "kv"]
            part, tensor = "attention.query_key_value", torch.cat([tensor, *rest])
        state[f"layers.{i}.{NAMES.get(part, part)}.{kind}"] = tensor
    with torch.device("meta"):
        model = Model(cfg)
    model.load_state_dict(state, assign=True)
    return model.eval()


@torch.no_grad()
def sample_blocks(model, prompt, steps, gen_length, block_length, mask_id, threshold=0.95, keep=True):
    """LLaDA2.0's sampler at temperature 0; without `keep` everything up to the block is computed in every step."""
    size, start = block_length, len(prompt)
    blocks = -(-(start + gen_length) // size)
    x = torch.tensor([prompt + [mask_id] * (blocks * size - start)])
    nfe, past = 0, None
    for block in range(start // size, blocks):
        lo, hi = block * size, (block + 1) * size
        for step in range(steps):
            open_ = x[0, lo:hi] == mask_id
            if not bool(open_.any()):
                break
            kept = past[0][0].shape[-2] if past else 0
            logits, all_past = model(x[:, kept:hi], past=past, block=size, wanted=size, keep=True)
            nfe += 1
            if keep and kept < lo:      # everything before the block is final
                past = [(k[:, :, :lo], v[:, :, :lo]) for k, v in all_past]
            sure, guess = logits[0].float().softmax(-1).max(-1)
            sure = torch.where(open_, sure, float("-inf"))
            take = max(int((sure > threshold).sum()), size // steps + (step < size % steps))
            chosen = sure.topk(min(take, int(open_.sum()))).indices
            x[0, lo + chosen] = guess[chosen]
        eos = model.cfg.eos_id
        if bool((x[0, start:hi] == eos).any()):
            break
    answer = x[0, start:start + gen_length].tolist()
    return (answer[:answer.index(eos) + 1] if eos in answer else answer), nfe
