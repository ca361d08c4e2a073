"""Makes a tiny seeded model of every family, as it stands on the hub, and its results in float64.

    python -B tests/golden/families.py --out tests/golden/families

The packages are those of `requirements.txt`. Each folder is a sentence-transformers model with the tensor names and config keys
that published checkpoints of the family have, and beside its files:

* `texts.json`: texts that are short, long, at the limit, beyond it, in many scripts;
* `expected.safetensors`: `ids` and `cu_seqlens`, the tokens after truncation; `states` [T, H], the transformer's output for
  every token, rounded once to float32; `embeddings` [n, D] float64, what sentence-transformers returns.

The oracle is transformers in float64 where it has the family (it turns rotary angles, and some softmaxes and norms, in float32
even then: that is what users get). JinaBERT is `jina_bert.py`. A second run writes the same bytes.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

import families_tokenizers
import jina_bert
from json_files import write_json, write_json_lines
from reference import encode, load_reference, token_ids

SEED = 20261123
LIMIT = 128
TEXTS = [
    "",
    "a",
    "The cat sat on the mat.",
    "search for: the first bird",
    "PRICE: $3.14 (30% off!) for A1-b2_c3, Café naïve",
    "line one\nline two\ttab 中文 \U0001f600 e\u0301nd",
    "[CLS] literal [SEP] <s> tokens </s> <pad> within [PAD] a text <mask>",
    "the cat " * 25,
    "When the sun was low over the old city, people would walk home from work, read a good book by the fire, and sleep "
    "without a word until the first bird of the new day; but one woman could not sleep.",
    "read and write " * 90,
]
BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": LIMIT,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "type_vocab_size": 2,
    "position_embedding_type": "absolute",
}
ROBERTA = BERT | {"type_vocab_size": 1, "max_position_embeddings": LIMIT + 2, "layer_norm_eps": 1e-5, "pad_token_id": 1}
DECODER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-6,
}
# In the keys of the published configs, which transformers still reads; {family: (tokenizer, config, prefix, pooling)}.
FAMILIES = {
    "bert": ("word_piece", BERT | {"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "bert.", "mean"),
    "roberta": ("byte_level", ROBERTA | {"model_type": "roberta"}, "roberta.", "mean"),
    "xlm-roberta": ("unigram", ROBERTA | {"model_type": "xlm-roberta"}, "", "cls"),
    "camembert": ("unigram", ROBERTA | {"model_type": "camembert"}, "", "mean"),
    "distilbert": (
        "word_piece",
        {
            "model_type": "distilbert",
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 48,
            "max_position_embeddings": LIMIT,
            "activation": "gelu",
        },
        "distilbert.",
        "mean",
    ),
    "mpnet": ("mpnet", ROBERTA | {"model_type": "mpnet", "relative_attention_num_buckets": 32}, "", "mean"),
    "nomic-bert": (
        "word_piece",
        {
            "model_type": "nomic_bert",
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 2,
            "n_inner": 48,
            "n_positions": 256,
            "activation_function": "swiglu",
            "layer_norm_epsilon": 1e-12,
            "type_vocab_size": 2,
            "rotary_emb_base": 1000,
            "rotary_emb_fraction": 1.0,
            "rotary_emb_interleaved": False,
            "rotary_emb_scale_base": None,
            "rotary_scaling_factor": None,
            "qkv_proj_bias": False,
            "mlp_fc1_bias": False,
            "mlp_fc2_bias": False,
            "prenorm": False,
            "use_rms_norm": False,
            "causal": False,
            "parallel_block": False,
        },
        "",
        "mean",
    ),
    "jina-bert": (
        "word_piece",
        BERT
        | {
            "model_type": "bert",
            "architectures": ["JinaBertForMaskedLM"],
            "num_attention_heads": 6,
            "hidden_size": 48,
            "max_position_embeddings": 256,
            "position_embedding_type": "alibi",
            "feed_forward_type": "geglu",
        },
        "",
        "mean",
    ),
    "gte": (
        "word_piece",
        BERT
        | {
            "model_type": "new",
            "architectures": ["NewModel"],
            "max_position_embeddings": 256,
            "type_vocab_size": 1,
            "position_embedding_type": "rope",
            "layer_norm_type": "layer_norm",
            "logn_attention_scale": False,
            "pack_qkv": True,
            "rope_theta": 500000,
            "rope_scaling": {"factor": 2.0, "type": "ntk"},
        },
        "new.",
        "cls",
    ),
    "modernbert": (
        "byte_level_modernbert",
        {
            "model_type": "modernbert",
            "hidden_size": 32,
            "num_hidden_layers": 7,
            "num_attention_heads": 2,
            "intermediate_size": 40,
            "max_position_embeddings": 256,
            "norm_eps": 1e-5,
            "norm_bias": False,
            "attention_bias": False,
            "mlp_bias": False,
            "hidden_activation": "gelu",
            "local_attention": 16,
            "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0,
            "local_rope_theta": 10000.0,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "cls_token_id": 2,
            "eos_token_id": 3,
            "sep_token_id": 3,
        },
        "",
        "mean",
    ),
    "qwen3": (
        "byte_level_qwen",
        DECODER
        | {
            "model_type": "qwen3",
            "num_hidden_layers": 3,
            "hidden_act": "silu",
            "rope_theta": 1000000,
            "rope_scaling": None,
            "attention_bias": False,
            "use_sliding_window": False,
            "sliding_window": None,
        },
        "",
        "lasttoken",
    ),
    "embeddinggemma": (
        "gemma",
        DECODER
        | {
            "model_type": "gemma3_text",
            "num_hidden_layers": 4,
            "num_key_value_heads": 1,
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": 24,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
            "use_bidirectional_attention": True,
            "attn_logit_softcapping": None,
        },
        "",
        "mean",
    ),
}
PROMPTS = {
    "qwen3": {"query": "Instruct: Given a search query, read\nQuery:", "document": ""},
    "embeddinggemma": {"query": "task: search result | query: ", "document": "title: none | text: "},
    "nomic-bert": {"query": "search_query: ", "passage": "search_document: "},
}
DTYPES = {"roberta": torch.float16, "qwen3": torch.bfloat16}
# Standard deviations of weights. Seven layers at 0.3 amplify float32's rounding beyond what a test can tell from an error.
SPREAD = {"modernbert": 0.2}


def main():
    parser = argparse.ArgumentParser(description="Makes a tiny model of every family and its results.")
    parser.add_argument("--out", type=Path, required=True, help="folder that receives one folder a family")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for family in FAMILIES:
        write_family(family, arguments.out / family)


def write_family(family, folder):
    """Writes the model's folder and what the oracle makes of it."""
    kind, config, prefix, pooling = FAMILIES[family]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = config | {"vocab_size": write_tokenizer(folder, kind, LIMIT)}
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": LIMIT, "do_lower_case": False})
    write_modules(family, folder, config, pooling)
    write_json(folder / "config.json", config)
    shapes = checkpoint_shapes(family, folder, config)
    tensors = seeded(shapes, DTYPES.get(family, torch.float32), SPREAD.get(family, 0.3))
    save_torch({prefix + name: tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    write_json_lines(folder / "texts.json", TEXTS)
    write_expected(family, folder, config, tensors, pooling)


def write_tokenizer(folder, kind, limit, **settings):
    """The tokenizer's files; returns how many entries its vocabulary has."""
    tokenizer = getattr(families_tokenizers, kind)()
    tokenizer.save(str(folder / "tokenizer.json"))
    own = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": limit, "pad_token": tokenizer.id_to_token(1)}
    write_json(folder / "tokenizer_config.json", own | settings)
    return tokenizer.get_vocab_size()


def write_modules(family, folder, config, pooling):
    """Transformer, Pooling, for EmbeddingGemma two Dense, Normalize."""
    parts = [("", "models.Transformer"), ("1_Pooling", "models.Pooling")]
    hidden = config.get("hidden_size") or config.get("dim") or config["n_embd"]
    if family == "embeddinggemma":
        parts += [("2_Dense", "models.Dense"), ("3_Dense", "models.Dense")]
        sizes = [hidden, 64, hidden]
        for index, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
            path = folder / f"{index + 2}_Dense"
            path.mkdir()
            identity = "torch.nn.modules.linear.Identity"
            write_json(
                path / "config.json",
                {"in_features": inputs, "out_features": outputs, "bias": False, "activation_function": identity},
            )
            weight = np.random.default_rng(SEED + index).standard_normal((outputs, inputs)) / inputs**0.5
            save_file({"linear.weight": weight.astype(np.float32)}, path / "model.safetensors")
    parts.append((f"{len(parts)}_Normalize", "models.Normalize"))
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
        for index, (path, kind) in enumerate(parts)
    ]
    write_json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    modes = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "lasttoken": "pooling_mode_lasttoken"}
    flags = {flag: mode == pooling for mode, flag in modes.items()}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": hidden} | flags)
    if prompts := PROMPTS.get(family):
        write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})


def checkpoint_shapes(family, folder, config):
    """Name and shape of every tensor, as published checkpoints of the family have them."""
    if family == "jina-bert":
        return jina_bert.shapes(config)
    # A pooler is part of some published checkpoints and of no vector.
    saved = saved_shapes(transformers.AutoModel, native_config(family, folder, config), folder)
    return {name.removeprefix("new."): shape for name, shape in saved.items()}


def saved_shapes(model_class, config, folder):
    """Name and shape of every tensor as transformers saves them, which is under the names of published checkpoints."""
    model_class.from_config(config).save_pretrained(folder / "native")
    saved = load_file(folder / "native" / "model.safetensors")
    shutil.rmtree(folder / "native")
    return {name: tensor.shape for name, tensor in saved.items()}


def native_config(family, folder, config):
    """What transformers calls the same architecture."""
    if family == "gte":
        keys = ("vocab_size", "type_vocab_size", *(key for key in BERT if key != "position_embedding_type"))
        return transformers.GteConfig(**{key: config[key] for key in keys})
    if family == "nomic-bert":
        return transformers.NomicBertConfig(
            vocab_size=config["vocab_size"],
            hidden_size=config["n_embd"],
            num_hidden_layers=config["n_layer"],
            num_attention_heads=config["n_head"],
            intermediate_size=config["n_inner"],
            max_position_embeddings=config["n_positions"],
            rope_parameters={"rope_type": "default", "rope_theta": float(config["rotary_emb_base"])},
        )
    return transformers.AutoConfig.from_pretrained(folder)


def seeded(shapes, dtype, spread=0.3):
    """Random tensors of these shapes, lively enough that every part of a layer matters."""
    rng = np.random.default_rng(SEED)
    tensors = {}
    for name in sorted(shapes):
        noise = rng.standard_normal(tuple(shapes[name]))
        is_norm = any(part in name.lower() for part in ("norm", "_ln", "emb_ln"))
        if is_norm and name.endswith("weight"):
            values = 1 + 0.1 * noise
        elif name.endswith("bias") and noise.ndim == 1:
            values = 0.1 * noise
        else:
            values = spread * noise
        tensors[name] = torch.from_numpy(values).to(torch.float32).to(dtype)
    return tensors


def save_torch(tensors, path):
    """A checkpoint; numpy has no bfloat16."""
    from safetensors.torch import save_file as save

    save(tensors, str(path), metadata={"format": "pt"})


def write_expected(family, folder, config, tensors, pooling):
    """Tokens, states and vectors."""
    if family in ("jina-bert", "gte", "nomic-bert"):
        ids, states, vectors = by_hand(family, folder, config, tensors, pooling)
    else:
        model = load_reference(folder)
        ids = token_ids(model, TEXTS)
        states = [model.encode(text, output_value="token_embeddings", show_progress_bar=False) for text in TEXTS]
        vectors = encode(model, TEXTS)
        padded = model.encode(TEXTS, batch_size=len(TEXTS), show_progress_bar=False, convert_to_tensor=True).numpy()
        # Softmax in float32 sums another number of zeros; and padding that no token of a local window reaches becomes NaN.
        assert np.nanmax(np.abs(padded - vectors)) < 1e-6, f"{family}: padding changes vectors"
    lengths = [len(sequence) for sequence in ids]
    assert max(lengths) == LIMIT and lengths == [len(rows) for rows in states]
    expected = {
        "ids": np.concatenate([np.asarray(sequence, np.int64) for sequence in ids]),
        "cu_seqlens": np.cumsum([0, *lengths]).astype(np.int64),
        "states": torch.cat([torch.as_tensor(rows) for rows in states]).float().numpy(),
        "embeddings": np.asarray(vectors, np.float64),
    }
    save_file(expected, folder / "expected.safetensors")


def by_hand(family, folder, config, tensors, pooling):
    """The module chain for models whose published config transformers does not read."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LIMIT)
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    doubles = {name: tensor.double() for name, tensor in tensors.items()}
    if family == "jina-bert":
        states = [jina_bert.states(config, doubles, sequence) for sequence in ids]
    else:
        model = native_model(family, folder, config, tensors).double().eval()
        with torch.no_grad():
            states = [model(torch.tensor([sequence])).last_hidden_state[0] for sequence in ids]
    pooled = torch.stack([rows.mean(0) if pooling == "mean" else rows[0] for rows in states])
    return ids, states, torch.nn.functional.normalize(pooled).numpy()


def native_model(family, folder, config, tensors):
    """transformers' model with these tensors, which it renames as it loads them."""
    native = folder / "native"
    native_config(family, folder, config).save_pretrained(native)
    save_torch(tensors, native / "model.safetensors")
    model, report = transformers.AutoModel.from_pretrained(native, output_loading_info=True, attn_implementation="eager")
    shutil.rmtree(native)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    if family == "gte":
        model.rotary_emb.inv_freq = gte_frequencies(config)
    return model


def gte_frequencies(config):
    """The fixed NTK form of GTE's own code, which transformers does not have.

    Base times factor, angles divided by factor^(2/d): NTKScalingRotaryEmbedding of https://huggingface.co/Alibaba-NLP/new-impl.
    """
    factor, dim = config["rope_scaling"]["factor"], config["hidden_size"] // config["num_attention_heads"]
    base = config["rope_theta"] * factor
    return 1.0 / (base ** (torch.arange(0, dim, 2).float() / dim)) / factor ** (2 / dim)


if __name__ == "__main__":
    main()
