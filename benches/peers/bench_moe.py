"""Shapes, configs and random weights of the mixtures of experts that make_bench_model.py writes.

Widths, heads and experts are the published ones of LLaDA-MoE-7B-A1B and LLaDA2.0-mini; layers are fewer, so that all
contenders fit the memory of a small machine.
"""
import math

SIZES = {
    "moe": dict(architecture="LLaDAMoEModelLM", width=2048, layers=4, dense=0, heads=16, kv_heads=16, head_dim=128,
                experts=64, per_token=8, expert=1024, shared=None, mlp=8192, vocab=32000, max_len=8192),
    "llada2": dict(architecture="LLaDA2MoeModelLM", width=2048, layers=3, dense=1, heads=16, kv_heads=4, head_dim=128,
                   experts=256, per_token=8, expert=512, shared=512, mlp=5120, vocab=157184, max_len=32768),
}
LOGIT_SCALE = 4.0


def config_json(s, ids, dtype):
    common = dict(
        architectures=[s["architecture"]], torch_dtype=dtype, hidden_size=s["width"], num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"], num_key_value_heads=s["kv_heads"], num_experts=s["experts"],
        num_experts_per_tok=s["per_token"], vocab_size=s["vocab"], max_position_embeddings=s["max_len"],
        mask_token_id=ids["mask"], eos_token_id=ids["eos"], pad_token_id=ids["eos"], hidden_act="silu",
        rope_scaling=None, tie_word_embeddings=False)
    if s["architecture"] == "LLaDAMoEModelLM":
        return dict(common, model_type="llada", expert_intermediate_size=s["expert"],
                    dense_intermediate_size=s["mlp"], shared_expert_intermediate_size=None,
                    moe_layer_freq=[1] * s["layers"], moe_router_enable_expert_bias=False, norm_topk_prob=None,
                    qk_layernorm=True, attention_bias=False, clip_qkv=None, partial_rotary_factor=1,
                    rope_theta=50000, rms_norm_eps=1e-5)
    return dict(common, model_type="llada2_moe", moe_intermediate_size=s["expert"], intermediate_size=s["mlp"],
                num_shared_experts=1, first_k_dense_replace=s["dense"], n_group=8, topk_group=4,
                moe_router_enable_expert_bias=True, norm_topk_prob=True, score_function="sigmoid",
                routed_scaling_factor=2.5, head_dim=s["head_dim"], partial_rotary_factor=0.5, use_qk_norm=True,
                use_bias=False, use_qkv_bias=False, rope_theta=600000, rms_norm_eps=1e-6)


def mlp(s, w, prefix, width, gain):
    """The three matrices of one MLP whose output has `gain` times the scale of a dense layer's."""
    d, deep = s["width"], math.sqrt(2 * s["layers"])
    unit = 1 / math.sqrt(d)
    return {
        prefix + "gate_proj.weight": w.matrix(width, d, 1.3 * unit),
        prefix + "up_proj.weight": w.matrix(width, d, 1.3 * unit),
        prefix + "down_proj.weight": w.matrix(d, width, gain * 4.0 / math.sqrt(width) / deep),
    }


def attention(s, w, prefix):
    d, deep = s["width"], math.sqrt(2 * s["layers"])
    q, kv, unit = s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"], 1 / math.sqrt(s["width"])
    if s["architecture"] == "LLaDAMoEModelLM":
        prefix, fused = prefix + "self_attn.", {}
        names = ["q_norm", "k_norm", "o_proj"]
        fused = {prefix + f"{name}_proj.weight": w.matrix(rows, d, 1.3 * unit)
                 for name, rows in (("q", q), ("k", kv), ("v", kv))}
    else:
        prefix = prefix + "attention."
        names = ["query_layernorm", "key_layernorm", "dense"]
        fused = {prefix + "query_key_value.weight": w.matrix(q + 2 * kv, d, 1.3 * unit)}
    return {
        **fused,
        prefix + names[0] + ".weight": w.gains(s["head_dim"]),
        prefix + names[1] + ".weight": w.gains(s["head_dim"]),
        prefix + names[2] + ".weight": w.matrix(d, q, 4.0 / math.sqrt(q) / deep),
    }


def shards(s, ids, w):
    """Yield one dict of tensors per shard."""
    d, v = s["width"], s["vocab"]
    is_llada2 = s["architecture"] == "LLaDA2MoeModelLM"
    yield {f"model.{'word_embeddings' if is_llada2 else 'embed_tokens'}.weight": w.matrix(v, d, 1.0)}
    for i in range(s["layers"]):
        p = f"model.layers.{i}."
        part = {p + "input_layernorm.weight": w.gains(d), p + "post_attention_layernorm.weight": w.gains(d)}
        part |= attention(s, w, p)
        if i < s["dense"]:
            part |= mlp(s, w, p + "mlp.", s["mlp"], 1.0)
        else:
            part[p + "mlp.gate.weight"] = w.matrix(s["experts"], d, 1 / math.sqrt(d))
            for e in range(s["experts"]):
                part |= mlp(s, w, p + f"mlp.experts.{e}.", s["expert"], 1.0)
            if is_llada2:
                part[p + "mlp.gate.expert_bias"] = 0.01 * w.gains(s["experts"]).float()
                part |= mlp(s, w, p + "mlp.shared_experts.", s["shared"], 1.0)
        yield part
    head = w.matrix(v, d, LOGIT_SCALE / math.sqrt(d))
    head[ids["mask"]] *= 1e-3
    yield {"model.norm.weight": w.gains(d), "lm_head.weight": head}
