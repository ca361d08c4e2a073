"""Makes cases of what the files beside a model's weights may say, with the results of the reference that obeys them.

    python -B tests/golden/settings.py --golden tests/golden --out tests/golden

The packages are those of `requirements.txt`. A case is a change of a tiny model of `families.py`: `files` maps a file to keys that
are set in it (null sets null), `absent` names files that are deleted before, so that keys of such a file are all that it has.

* `tokenizers.json`: `ids`, those of each of `TEXTS`, by transformers' own tokenizer classes as `AutoTokenizer` chooses them and
  sentence-transformers calls them; `vectors` float64 of the texts at `VECTORS`, where transformers reads the family's config.
* `pairs.json`: the same of the rerankers of `heads.py`: `ids`, `type_ids`, zeros where the model is fed none, and `scores` of each of
  `PAIRS`;
* `modules.json`: what follows the transformer; `weights` maps a directory to the tensors of its module; `vectors` of all of
  `SHORT`, or with the case's `prompt` before each of all but the first, which is empty: nothing would be left to pool.

A second run writes the same bytes.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer

import families
from json_files import write_compact_lines, write_json
from reference import encode, load_reference, token_ids

TEXTS = [
    "",
    "The Cat Sat on the MAT.",
    "  two leading spaces and a trailing one ",
    "Caf\u00e9 na\u00efve \u00dcber \u00e9nd e\u0301nd \u0130stanbul",
    "\u4e2d\u6587 and \u65e5\u672c\u8a9ethe cat",
    "[CLS] a [SEP] b [PAD] c [MASK] [UNK]",
    "<s> a </s> b <pad> c <mask> <unk>",
    "<|endoftext|> a <|im_start|> b <bos> c <eos> <|im_end|>",
    "the category of a dog; birds, BIRD bird",
    "read  and\twrite\nline two\u00a0\ufb01sh \uff21 \U0001f600",
    "don't you'll WE'RE it's 12345 3.14",
    "one two three four five ten first last new old good bad big small long short high low cat dog bird fish",
    "a\u200bb \u0007c \ufffd",
]
# Of these the vectors are kept too.
VECTORS = (1, 3)
SHORT = ["", "the cat", "When the sun was low over the old city, people would walk home.", "read and write a good book"]
# sentencepiece 0.2.1 made it of five rules: e\u0301 -> e, \uff21 -> A, \ufb01 -> fi, a no-break space -> a space, \U0001f600 -> :).
CHARSMAP = (
    "AAQAAAAAAwCgFQAAwowCAMO8AgAAAACAqQ0AAAcAAICsOAIAgQUAAAkAAIAFAACAoQUAAJ9kAgCYDAIAgAUAAAIAAIARAAAAEAAAABMAAAASAAAAFQAAAB"
    "QAAAAXAAAAvPQCABkAAAAYAAAAGwAAABoAAAAdAAAAHAAAAB8AAAAeAAAAIQAAACAAAAAjAAAAIgAAACUAAAAkAAAAJwAAACYAAAApAAAAKAAAACsAAAAq"
    "AAAALQAAACwAAAAvAAAA7xACAPCMAgAwAAAAMwAAADIAAAA1AAAANAAAADcAAAA2AAAAOQAAADgAAAA7AAAAOgAAAD0AAAA8AAAAPwAAAD4AAABBAAAAQA"
    "AAAEMAAABCAAAARQAAAEQAAABHAAAARgAAAEkAAABIAAAASwAAAEoAAABNAAAATAAAAE8AAABOAAAAUQAAAFAAAABTAAAAUgAAAFUAAABUAAAAVwAAAFYA"
    "AABZAAAAWAAAAFsAAABaAAAAXQAAAFwAAABfAAAAXgAAAGEAAABgAAAAYwAAAGIAAABlAAAAZAAAAGcAAABmAAAAaQAAAGgAAABrAAAAagAAAG0AAABsAA"
    "AAbwAAAG4AAABxAAAAcAAAAHMAAAByAAAAdQAAAHQAAAB3AAAAdgAAAHkAAAB4AAAAewAAAHoAAAB9AAAAfAAAAH8AAAB+AAAAgQAAAIAAAACDAAAAggAA"
    "AIUAAACEAAAAhwAAAIYAAACJAAAAiAAAAIsAAACKAAAAjQAAAIwAAACPAAAAjgAAAJEAAACQAAAAkwAAAJIAAACVAAAAlAAAAJcAAACWAAAAmQAAAJgAAA"
    "CbAAAAmgAAAJ0AAACcAAAAnwAAAJ4AAAChAAAAoAAAAKMAAACiAAAApQAAAKQAAACnAAAApgAAAKkAAACoAAAAqwAAAKoAAACtAAAArAAAAK8AAACuAAAA"
    "sQAAALAAAACzAAAAsgAAALUAAAC0AAAAtwAAALYAAAC5AAAAuAAAALsAAAC6AAAAvQAAALwAAAC/AAAAvgAAAMEAAADAAAAAwwAAAMIAAADFAAAAxAAAAM"
    "cAAADGAAAAyQAAAMgAAADLAAAAygAAAM0AAADMAAAAzwAAAM4AAADRAAAA0AAAANMAAADSAAAA1QAAANQAAADXAAAA1gAAANkAAADYAAAA2wAAANoAAADd"
    "AAAA3AAAAN8AAADeAAAA4QAAAOAAAADjAAAA4gAAAOUAAADkAAAA5wAAAOYAAADpAAAA6AAAAOsAAADqAAAA7QAAAOwAAADvAAAA7gAAAPEAAADwAAAA8w"
    "AAAPIAAAD1AAAA9AAAAPcAAAD2AAAA+QAAAPgAAAD7AAAA+gAAAP0AAAD8AAAA/wAAAP4AAAAgADopAEEAZQBmaQA="
)
PRECOMPILED = {"type": "Precompiled", "precompiled_charsmap": CHARSMAP}

CONFIG, TOKENIZER, BERT_CONFIG = "tokenizer_config.json", "tokenizer.json", "sentence_bert_config.json"
MAP, ADDED, SETTINGS = "special_tokens_map.json", "added_tokens.json", "config_sentence_transformers.json"


def token(content, **properties):
    """An added token as `added_tokens_decoder` has it."""
    plain = {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return plain | properties


def configured(**keys):
    """A case of `tokenizer_config.json`."""
    return {"files": {CONFIG: keys}}


def left(base):
    """A case whose texts lose their beginning."""
    return {"files": {CONFIG: base | {"truncation_side": "left", "model_max_length": 12}, BERT_CONFIG: {"max_seq_length": None}}}


def pieces_cases(name, special):
    """WordPiece classes: `special` are the tokens that their tiny vocabularies have."""
    base = {"tokenizer_class": name} | special
    cls, sep, pad, unk = (special.get(key) for key in ("cls_token", "sep_token", "pad_token", "unk_token"))
    few = {"0": token(pad), "1": token(unk), "2": token(cls), "3": token(sep)}
    yield "plain", configured(**base)
    yield "fast", configured(**base | {"tokenizer_class": name + "Fast"})
    for lower in (False, True):
        yield f"lower {lower:d}", configured(**base, do_lower_case=lower)
        for accents in (None, False, True):
            yield f"accents {lower:d} {accents}", configured(**base, do_lower_case=lower, strip_accents=accents)
    yield "chinese", configured(**base, tokenize_chinese_chars=False)
    yield "chinese cased", configured(**base, tokenize_chinese_chars=False, do_lower_case=False, strip_accents=True)
    yield "json is not asked", {
        "files": {
            CONFIG: base,
            TOKENIZER: {
                "normalizer": {"type": "NFC"},
                "pre_tokenizer": {"type": "WhitespaceSplit"},
                "post_processor": None,
                "truncation": None,
            },
        }
    }
    yield "left", left(base)
    truncation = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    short = {TOKENIZER: {"truncation": truncation}, CONFIG: base | {"model_max_length": 11}, BERT_CONFIG: {"max_seq_length": None}}
    yield "left by json", {"files": short}
    right = short | {CONFIG: base | {"model_max_length": 11, "truncation_side": "right"}}
    yield "left by json, right by config", {"files": right}
    old = {CONFIG: base | {"max_len": 8}, BERT_CONFIG: {"max_seq_length": None}}
    yield "max_len", {"absent": [CONFIG], "files": old}
    yield "max_len unread", {"files": old | {CONFIG: base | {"max_len": 8, "model_max_length": None}}}
    yield "additional", configured(**base, additional_special_tokens=["cat", "bird"])
    yield "additional tokens", configured(
        **base, additional_special_tokens=[token("cat", __type="AddedToken", single_word=True, special=False), "dog"]
    )
    yield "extra", configured(**base, extra_special_tokens=["cat"], additional_special_tokens=["dog"])
    yield "extra empty", configured(**base, extra_special_tokens=[], additional_special_tokens=["dog"])
    yield "extra named", configured(**base, extra_special_tokens={"image_token": "cat"})
    yield "own name", configured(**base, image_token="cat", audio_token=token("dog", __type="AddedToken", lstrip=True))
    yield "decoder", configured(**base, added_tokens_decoder=few)
    yield "decoder cat", configured(
        **base, added_tokens_decoder=few | {"200": token("cat", special=False, normalized=True, single_word=True)}
    )
    yield "decoder Cat", configured(
        **base, do_lower_case=False, added_tokens_decoder=few | {"9": token("bird", special=False, normalized=True, rstrip=True)}
    )
    yield "map", {"files": {CONFIG: base, MAP: {"additional_special_tokens": ["cat"], "mask_token": token("dog")}}}
    yield "map unread", {"files": {CONFIG: base | {"added_tokens_decoder": few}, MAP: {"additional_special_tokens": ["cat"]}}}
    yield "added", {"files": {CONFIG: base, ADDED: {"bird": 150, "cat": 151}}}
    yield "added unread", {"files": {CONFIG: base | {"added_tokens_decoder": few}, ADDED: {"bird": 150}}}
    yield "split special", configured(**base, split_special_tokens=True)
    yield "bos and eos", configured(**base, add_bos_token=False, add_eos_token=False)
    yield "swapped", configured(**base | {"cls_token": sep, "sep_token": cls})
    yield "other unknown", configured(**base | {"unk_token": pad})
    yield "object", configured(**base | {"cls_token": token(cls, __type="AddedToken", lstrip=True)})
    yield "unknown class", configured(**base | {"tokenizer_class": "SomeTokenizer", "do_lower_case": False})
    yield "whole", configured(**base | {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False})
    yield "whole additional", left(base | {"tokenizer_class": "TokenizersBackend", "additional_special_tokens": ["cat"]})
    yield "whole decoder", configured(
        **base | {"tokenizer_class": "PreTrainedTokenizerFast"},
        added_tokens_decoder=few | {"9": token("cat", special=False, normalized=True, lstrip=True)},
    )
    yield "no config", {"absent": [CONFIG], "files": {}}
    yield "no class", {"absent": [CONFIG], "files": {CONFIG: special | {"do_lower_case": False}}}
    yield "class of the model", {
        "absent": [CONFIG],
        "files": {CONFIG: special | {"do_lower_case": False}, "config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}},
    }


def sentence_cases(name, special):
    """The transformer module's settings, over a WordPiece class."""
    base = {"tokenizer_class": name} | special

    def case(**keys):
        return {"files": {CONFIG: base, BERT_CONFIG: keys}}

    yield "max_seq_length", case(max_seq_length=7)
    yield "do_lower_case", {"files": {CONFIG: base | {"do_lower_case": False, "strip_accents": False}, BERT_CONFIG: {"do_lower_case": True}}}
    for key in ("tokenizer_args", "processor_kwargs"):
        yield f"{key} length", case(**{key: {"model_max_length": 9}})
        yield f"{key} case", case(**{key: {"do_lower_case": False, "tokenize_chinese_chars": False}})
        yield f"{key} left", case(**{key: {"truncation_side": "left"}}, max_seq_length=9)
        yield f"{key} tokens", case(**{key: {"additional_special_tokens": ["cat"], "mask_token": "dog"}})
    yield "both args", case(tokenizer_args={"do_lower_case": False}, processor_kwargs={"strip_accents": False})
    yield "bos and eos args", case(processor_kwargs={"add_bos_token": True, "add_eos_token": True, "bos_token": special["cls_token"]})
    yield "call", case(processing_kwargs={"text": {"max_length": 6}})
    yield "call common", case(processing_kwargs={"text": {"max_length": 6}, "common": {"max_length": 8}}, max_seq_length=5)
    yield "config_args", case(config_args={"layer_norm_eps": 0.01})
    yield "config_kwargs", case(config_kwargs={"layer_norm_eps": 0.01, "hidden_act": "relu", "local_files_only": True})
    yield "model_args", case(model_args={"torch_dtype": "float32", "attn_implementation": "eager"})
    yield "modality", case(
        transformer_task="feature-extraction",
        modality_config={"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        module_output_name="token_embeddings",
        unpad_inputs=None,
    )


def byte_cases(name):
    """RoBERTa's class."""
    base = {"tokenizer_class": name}
    yield "plain", configured(**base)
    yield "no class", {"absent": [CONFIG], "files": {}}
    for prefix in (False, True):
        yield f"prefix {prefix:d}", configured(**base, add_prefix_space=prefix)
        yield f"trim {prefix:d}", configured(**base, trim_offsets=False, add_prefix_space=prefix)
    json_prefix = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    yield "prefix of json", {"files": {CONFIG: base, TOKENIZER: {"pre_tokenizer": json_prefix, "normalizer": {"type": "Lowercase"}}}}
    yield "prefix of json, whole", {
        "files": {CONFIG: {"tokenizer_class": "PreTrainedTokenizerFast"}, TOKENIZER: {"pre_tokenizer": json_prefix}}
    }
    yield "Longformer", configured(tokenizer_class="LongformerTokenizerFast", add_prefix_space=True)
    yield "lower", configured(**base, do_lower_case=True)
    yield "additional", configured(**base, additional_special_tokens=["ire"])
    yield "mask", configured(**base, mask_token=token("<mask>", __type="AddedToken", lstrip=True))
    yield "decoder", configured(**base, added_tokens_decoder={"4": token("<mask>", lstrip=True), "0": token("<s>")})
    yield "swapped", configured(**base, cls_token="</s>", sep_token="<s>")
    yield "left", left(base)
    yield "args", {"files": {CONFIG: base, BERT_CONFIG: {"tokenizer_args": {"add_prefix_space": True}}}}
    yield "lower args", {"files": {CONFIG: base, BERT_CONFIG: {"do_lower_case": True, "max_seq_length": 9}}}


def unigram_cases(name):
    """XLM-RoBERTa's class and CamemBERT's."""
    base = {"tokenizer_class": name}
    yield "plain", configured(**base)
    yield "no class", {"absent": [CONFIG], "files": {}}
    for prefix in (False, True):
        yield f"prefix {prefix:d}", configured(**base, add_prefix_space=prefix)
    yield "map of characters", {"files": {CONFIG: base, TOKENIZER: {"normalizer": PRECOMPILED}}}
    sequence = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, PRECOMPILED, {"type": "NFKC"}]}
    yield "map within a sequence", {"files": {CONFIG: base, TOKENIZER: {"normalizer": sequence}}}
    yield "map, whole", {"files": {TOKENIZER: {"normalizer": PRECOMPILED}}}
    yield "additional", configured(**base, additional_special_tokens=["\u2581cat", "ing"])
    yield "swapped", configured(**base, bos_token="</s>", eos_token="<s>")
    yield "other separators", configured(**base, cls_token="</s>", sep_token="<s>")
    yield "left", left(base)
    yield "lower args", {"files": {CONFIG: base, BERT_CONFIG: {"do_lower_case": True}}}
    yield "no extra", configured(**base, extra_special_tokens={})
    yield "null", configured(**base, mask_token=None)
    yield "map file", {"files": {CONFIG: base, MAP: {"mask_token": token("<mask>", lstrip=False), "additional_special_tokens": ["ing"]}}}


def qwen_cases():
    """Qwen2's class."""
    base = {"tokenizer_class": "Qwen2Tokenizer"}
    yield "plain", configured(**base)
    yield "no class", {"absent": [CONFIG], "files": {}}
    yield "prefix", configured(**base, add_prefix_space=True)
    yield "bos and eos", configured(**base, add_bos_token=True, add_eos_token=True)
    yield "other end", configured(**base, eos_token="<|im_end|>", pad_token="<|im_start|>", bos_token=None)
    yield "decoder", configured(**base, added_tokens_decoder={"0": token("<|endoftext|>", lstrip=True), "2": token("<|im_end|>", rstrip=True)})
    yield "json is not asked", {
        "files": {CONFIG: base, TOKENIZER: {"normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "WhitespaceSplit"}}}
    }
    yield "no post-processor", {"files": {CONFIG: base, TOKENIZER: {"post_processor": None}}}
    yield "args", {
        "files": {
            CONFIG: base,
            BERT_CONFIG: {"tokenizer_args": {"add_bos_token": True, "add_eos_token": True, "bos_token": "<|im_start|>"}},
        }
    }
    yield "additional", configured(**base, additional_special_tokens=["ice"])
    yield "left", left(base)
    published = {"unk_token": None, "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "errors": "replace"}
    yield "as published", configured(**base | published, split_special_tokens=False, add_prefix_space=False, chat_template="x")


def gemma_cases():
    """Gemma's class."""
    base = {"tokenizer_class": "GemmaTokenizer"}
    yield "plain", configured(**base)
    yield "fast", configured(tokenizer_class="GemmaTokenizerFast")
    yield "no class", {"absent": [CONFIG], "files": {}}
    yield "bos and eos", configured(**base, add_bos_token=False, add_eos_token=False)
    yield "args", {"files": {CONFIG: base, BERT_CONFIG: {"processor_kwargs": {"add_bos_token": True, "add_eos_token": False}}}}
    yield "json is not asked", {
        "files": {CONFIG: base, TOKENIZER: {"normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"}}}
    }
    yield "additional", configured(**base, additional_special_tokens=["ice"], mask_token="<unk>")


SPECIAL = {
    "bert": {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"},
    "mpnet": {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": "<mask>",
    },
}


def tokenizer_cases():
    """(family, name, case) of every tokenizer."""
    lists = [
        ("bert", pieces_cases("BertTokenizer", SPECIAL["bert"])),
        ("bert", sentence_cases("BertTokenizer", SPECIAL["bert"])),
        ("mpnet", (case for case in pieces_cases("MPNetTokenizer", SPECIAL["mpnet"]) if case[0] != "no config")),
        ("distilbert", (case for case in pieces_cases("DistilBertTokenizer", SPECIAL["bert"]) if case[0] in FEW)),
        ("nomic-bert", (case for case in pieces_cases("BertTokenizer", SPECIAL["bert"]) if case[0] in FEW)),
        ("gte", (case for case in pieces_cases("BertTokenizer", SPECIAL["bert"]) if case[0] in FEW)),
        ("jina-bert", (case for case in pieces_cases("BertTokenizer", SPECIAL["bert"]) if case[0] in FEW)),
        ("roberta", byte_cases("RobertaTokenizer")),
        ("xlm-roberta", unigram_cases("XLMRobertaTokenizer")),
        ("camembert", unigram_cases("CamembertTokenizer")),
        ("qwen3", qwen_cases()),
        ("embeddinggemma", gemma_cases()),
        ("modernbert", modernbert_cases()),
    ]
    for family, cases in lists:
        for name, case in cases:
            yield family, name, case
    for family, keys in CONFIGS:
        yield family, json.dumps(keys), {"files": {"config.json": keys}}


# What one would think that config.json says.
CONFIGS = [
    ("distilbert", {"layer_norm_eps": 0.5}),
    ("mpnet", {"pad_token_id": 5}),
    ("roberta", {"pad_token_id": 2}),
    ("roberta", {"layer_norm_eps": 0.1}),
    ("bert", {"tie_word_embeddings": False, "gradient_checkpointing": True, "hidden_dropout_prob": 0.9}),
    ("embeddinggemma", {"layer_types": None, "_sliding_window_pattern": 2}),
    ("embeddinggemma", {"layer_types": None, "sliding_window_pattern": 2}),
    ("qwen3", {"max_window_layers": 0, "sliding_window": 4}),
    ("modernbert", {"layer_types": None, "global_attn_every_n_layers": 2}),
]


FEW = ("plain", "lower 0", "accents 0 True", "chinese", "additional", "no config", "no class", "left", "whole", "swapped")


def modernbert_cases():
    """transformers takes tokenizer.json as it is, whatever class is named."""
    yield "no class", {"absent": [CONFIG], "files": {CONFIG: {"pad_token": "[PAD]"}}}
    for name in ("BertTokenizer", "PreTrainedTokenizerFast", "GPT2Tokenizer"):
        yield name, configured(tokenizer_class=name, do_lower_case=True, add_prefix_space=True)
    yield "additional", configured(tokenizer_class="PreTrainedTokenizerFast", additional_special_tokens=["ire"])


def pooling(mode, **keys):
    return {"files": {"1_Pooling/config.json": {"embedding_dimension": 32, "pooling_mode": mode} | keys}, "absent": ["1_Pooling/config.json"]}


def flags(*names):
    keys = {f"pooling_mode_{name}": True for name in names}
    return {"files": {"1_Pooling/config.json": {"word_embedding_dimension": 32} | keys}, "absent": ["1_Pooling/config.json"]}


def chain(*modules, mode="mean"):
    """Modules behind the pooling: (kind, config, weights)."""
    case = pooling(mode) | {"weights": {}}
    package = "sentence_transformers.models"
    entries = [("", f"{package}.Transformer"), ("1_Pooling", f"{package}.Pooling")]
    for kind, config, weights in modules:
        directory = f"{len(entries)}_{kind}"
        entries.append((directory, f"{package}.{kind}"))
        if config is not None:
            case["files"][f"{directory}/config.json"] = config
        if weights:
            case["weights"][directory] = weights
    return case | {"modules": [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(entries)]}


def dense(inputs, outputs, activation="Tanh", bias=True, **keys):
    rng = np.random.default_rng(families.SEED + inputs)
    activation = activation if "." in activation else f"torch.nn.modules.activation.{activation}"
    config = {"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": activation} | keys
    weights = {"linear.weight": numbers(rng, outputs, inputs)}
    return "Dense", config, weights | ({"linear.bias": numbers(rng, outputs)} if bias else {})


def layer_norm(columns):
    rng = np.random.default_rng(families.SEED)
    return "LayerNorm", {"dimension": columns}, {"norm.weight": numbers(rng, columns), "norm.bias": numbers(rng, columns)}


def numbers(rng, *shape):
    return np.round(rng.standard_normal(shape) / 4, 4).tolist()


NORMALIZE = ("Normalize", None, None)
PLACES = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def module_cases():
    """(name, case) of what follows the transformer."""
    for mode in MODES:
        yield f"pooling {mode}", pooling(mode)
        case = pooling(mode, include_prompt=False) | {"prompt": "search for: "}
        # The end token belongs to the prompt's length unless it is known to be special.
        yield f"pooling {mode} without the prompt and its end", case
        named = {CONFIG: {"tokenizer_class": "BertTokenizer"}}
        yield f"pooling {mode} without the prompt", case | {"files": case["files"] | named}
    yield "joined", pooling(["mean", "max"])
    yield "joined in order", pooling(["lasttoken", "weightedmean", "cls"])
    yield "one in a list", pooling(["max"])
    yield "joined without the prompt", pooling(["max", "weightedmean"], include_prompt=False) | {"prompt": "search for: "}
    yield "no flag", flags()
    yield "flags", flags("mean_tokens", "max_tokens", "cls_token")
    yield "all flags", flags("weightedmean_tokens", "lasttoken", "mean_sqrt_len_tokens", "mean_tokens", "max_tokens", "cls_token")
    mixed = flags("max_tokens")
    mixed["files"]["1_Pooling/config.json"]["pooling_mode"] = "cls"
    yield "mode before flags", mixed
    yield "nothing behind", chain()
    yield "dropout", chain(("Dropout", {"dropout": 0.5}, None), NORMALIZE)
    yield "layer norm", chain(layer_norm(32))
    yield "layer norm and normalize", chain(layer_norm(32), NORMALIZE)
    yield "normalize before dense", chain(NORMALIZE, dense(32, 8))
    yield "normalize on either side", chain(NORMALIZE, dense(32, 8), ("Normalize", PLACES, None))
    yield "two of normalize", chain(NORMALIZE, NORMALIZE)
    yield "dense, norm, dense", chain(dense(32, 16, "GELU"), layer_norm(16), dense(16, 8, "ReLU", bias=False), NORMALIZE)
    yield "dense of joined", chain(dense(64, 8, "torch.nn.modules.linear.Identity", **PLACES), mode=["max", "mean"])
    yield "dense SiLU", chain(dense(32, 8, "SiLU"))
    yield "activation that is not torch's", chain(dense(32, 8, "some.package.ReLU"))
    early = chain(NORMALIZE, dense(32, 8))
    first, second, third, fourth = early["modules"]
    yield "normalize before the pooling", early | {"modules": [first, third, second, fourth]}
    cut = {SETTINGS: {"truncate_dim": 5}}
    for name, case in [("normalized", chain(NORMALIZE)), ("bare", chain()), ("dense", chain(dense(32, 8), NORMALIZE))]:
        yield f"truncate_dim {name}", case | {"files": case["files"] | cut}
    yield "truncate_dim beyond", pooling("mean") | {"files": pooling("mean")["files"] | {SETTINGS: {"truncate_dim": 500}}}
    # Plain transformers: nothing of sentence-transformers' files is read.
    unread = {BERT_CONFIG: {"max_seq_length": 4}, SETTINGS: {"truncate_dim": 3, "prompts": {"a": "x"}, "default_prompt_name": "a"}}
    for family, architecture in [("bert", "BertModel"), ("qwen3", "Qwen3ForCausalLM"), ("qwen3", "Qwen3Model")]:
        files = unread | {"config.json": {"architectures": [architecture]}}
        yield f"no modules {architecture}", {"family": family, "absent": ["modules.json"], "files": files}
    moved = chain(NORMALIZE)
    moved["modules"][0]["path"] = "0_Transformer"
    yield "transformer in its own folder", moved
    settings = {"prompts": {"query": "search for: "}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    yield "default prompt", pooling("mean") | {"files": pooling("mean")["files"] | {SETTINGS: settings}}


PAIRS = [
    ("", "The Cat"),
    ("the cat", ""),
    ("Where did the CAT sit?", "  Caf\u00e9 on the mat, \u4e2d\u6587."),
    ("the sun was low over the old city " * 3, "people would walk home from work and read " * 4),
    ("one two three", "read and write " * 20),
    ("[SEP] </s> <mask>", "[CLS] <s> [MASK]"),
]


def pair_cases():
    """(model, name, case) of pairs of texts."""
    short = {"model_max_length": 20}
    for model, name in [
        ("rerank-bert", "BertTokenizer"),
        ("rerank-distilbert", "DistilBertTokenizer"),
        ("rerank-mpnet", "MPNetTokenizer"),
        ("rerank-roberta", "RobertaTokenizer"),
        ("rerank-xlm-roberta", "XLMRobertaTokenizer"),
    ]:
        special = SPECIAL["mpnet"] if model == "rerank-mpnet" else {}
        base = {"tokenizer_class": name} | special
        yield model, "plain", configured(**base)
        yield model, "short", configured(**base | short)
        yield model, "left", configured(**base | short, truncation_side="left")
        yield model, "cased", configured(**base, do_lower_case=False, strip_accents=False)
        yield model, "prefix", configured(**base, add_prefix_space=True)
        yield model, "no prefix", configured(**base, add_prefix_space=False)
        yield model, "segments", configured(**base, model_input_names=["input_ids", "token_type_ids", "attention_mask"])
        yield model, "no segments", configured(**base, model_input_names=["input_ids", "attention_mask"])
        yield model, "whole", configured(**base | {"tokenizer_class": "PreTrainedTokenizerFast"}, truncation_side="left")


def main():
    parser = argparse.ArgumentParser(description="Makes cases of settings and their results.")
    parser.add_argument("--golden", type=Path, required=True, help="folder of what families.py and heads.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder that receives tokenizers.json, pairs.json and modules.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    models = arguments.golden / "families"
    results = [tokenized(models / family, family, name, case) for family, name, case in tokenizer_cases()]
    head = {"texts": TEXTS, "vectors_of": list(VECTORS)}
    write_compact_lines(arguments.out / "tokenizers.json", [head, *results])
    results = [encoded(models / "bert", name, case) for name, case in module_cases()]
    write_compact_lines(arguments.out / "modules.json", [{"texts": SHORT}, *results])
    results = [scored(arguments.golden / "heads" / model, model, name, case) for model, name, case in pair_cases()]
    write_compact_lines(arguments.out / "pairs.json", [{"pairs": PAIRS}, *results])


def tokenized(model, family, name, case):
    """The case with ids and vectors."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        apply(case, model, folder)
        result = {"family": family, "name": name} | case
        if family in ("nomic-bert", "gte", "jina-bert"):
            tokenizer = AutoTokenizer.from_pretrained(folder)
            length = json.loads((folder / BERT_CONFIG).read_text())["max_seq_length"] or tokenizer.model_max_length
            ids = [tokenizer(text, truncation=True, max_length=length)["input_ids"] for text in TEXTS]
            return result | {"ids": ids, "vectors": []}
        reference = load_reference(folder)
        vectors = encode(reference, [TEXTS[index] for index in VECTORS])
        return result | {"ids": token_ids(reference, TEXTS), "vectors": rounded(vectors)}


def scored(folder, model, name, case):
    """The case of a reranker with ids, segments and scores."""
    with tempfile.TemporaryDirectory() as copy:
        copy = Path(copy)
        apply(case, folder, copy)
        reference = load_reference(copy, CrossEncoder)
        features = [reference.preprocess([pair]) for pair in PAIRS]
        ids = [feature["input_ids"][0].tolist() for feature in features]
        zeros = [torch.zeros_like(feature["input_ids"]) for feature in features]
        types = [feature.get("token_type_ids", zero)[0].tolist() for feature, zero in zip(features, zeros)]
        scores = reference.predict(PAIRS, batch_size=1, show_progress_bar=False, convert_to_tensor=True)
        result = {"model": model, "name": name} | case
        return result | {"ids": ids, "type_ids": types, "scores": rounded(scores.reshape(len(PAIRS), -1).numpy())}


def encoded(model, name, case):
    """The case with vectors."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        apply(case, model.parent / case.get("family", model.name), folder)
        reference = load_reference(folder)
        texts = SHORT[1:] if "prompt" in case else SHORT
        return {"name": name} | case | {"vectors": rounded(encode(reference, texts, prompt=case.get("prompt")))}


def apply(case, model, folder):
    """Makes the case's model of a copy."""
    shutil.copytree(model, folder, dirs_exist_ok=True)
    for file in case.get("absent", []):
        (folder / file).unlink()
    for file, keys in case["files"].items():
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        old = json.loads(path.read_text()) if path.exists() else {}
        write_json(path, old | keys)
    for directory, tensors in case.get("weights", {}).items():
        tensors = {name: torch.tensor(values, dtype=torch.float32) for name, values in tensors.items()}
        save_file(tensors, folder / directory / "model.safetensors")
    modules = case.get("modules")
    if modules is None:
        return
    write_json(folder / "modules.json", modules)
    for module in modules:
        (folder / module["path"]).mkdir(exist_ok=True)
    own = modules[0]["path"]
    if own:
        for file in ("config.json", "model.safetensors", TOKENIZER, CONFIG, BERT_CONFIG):
            (folder / file).rename(folder / own / file)


def rounded(vectors):
    return [[float(f"{value:.9g}") for value in row] for row in vectors.tolist()]


if __name__ == "__main__":
    main()
