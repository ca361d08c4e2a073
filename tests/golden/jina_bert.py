"""JinaBERT v2 (Günther et al. 2023, arXiv 2310.19923) in float64, written from the paper and from candle-transformers' model.

transformers has no such model. BERT with three changes: no position table; ALiBi in its symmetric form, `-slope * |i - j|` on
every score; and a gated feed-forward layer whose norm follows the residual sum. Names are those of the published checkpoints.
"""

import torch
from torch.nn.functional import gelu, layer_norm, linear


def shapes(config):
    """The tensors of a checkpoint, by name."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def dense(name, outputs, inputs, bias=True):
        return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})

    def norm(name):
        return {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}

    tensors = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], hidden),
    } | norm("embeddings.LayerNorm")
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        for name in ("query", "key", "value"):
            tensors |= dense(f"{layer}.attention.self.{name}", hidden, hidden)
        tensors |= dense(f"{layer}.attention.output.dense", hidden, hidden) | norm(f"{layer}.attention.output.LayerNorm")
        tensors |= dense(f"{layer}.mlp.gated_layers", 2 * inner, hidden, bias=False) | dense(f"{layer}.mlp.wo", hidden, inner)
        tensors |= norm(f"{layer}.mlp.layernorm")
    return tensors


def states(config, tensors, ids):
    """[len, H]: the last hidden states of one sequence."""

    def dense(name, x):
        return linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    def norm(name, x):
        return layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], config["layer_norm_eps"])

    heads = config["num_attention_heads"]
    x = tensors["embeddings.word_embeddings.weight"][ids] + tensors["embeddings.token_type_embeddings.weight"][0]
    x = norm("embeddings.LayerNorm", x)
    positions = torch.arange(len(ids), dtype=x.dtype)
    distances = (positions[:, None] - positions[None, :]).abs()
    bias = -torch.tensor(slopes(heads), dtype=x.dtype)[:, None, None] * distances
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        query, key, value = (
            dense(f"{layer}.attention.self.{name}", x).unflatten(1, (heads, -1)).transpose(0, 1)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(1, 2) / key.shape[-1] ** 0.5 + bias
        context = (scores.softmax(-1) @ value).transpose(0, 1).flatten(1)
        x = norm(f"{layer}.attention.output.LayerNorm", dense(f"{layer}.attention.output.dense", context) + x)
        gated, other = dense(f"{layer}.mlp.gated_layers", x).chunk(2, -1)
        x = norm(f"{layer}.mlp.layernorm", dense(f"{layer}.mlp.wo", gelu(gated) * other) + x)
    return x


def slopes(heads):
    """Press et al. 2022 (arXiv 2108.12409): powers of one ratio; the rest from twice the power of two below."""
    power = 2 ** (heads.bit_length() - 1)
    first = [2 ** (-8 * (index + 1) / power) for index in range(power)]
    second = [2 ** (-8 * (index + 1) / (2 * power)) for index in range(0, 2 * power, 2)]
    return first + second[: heads - power]
