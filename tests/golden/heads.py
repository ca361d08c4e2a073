"""Makes tiny seeded models with heads, as they stand on the hub, and their results in float64.

    python -B tests/golden/heads.py --out tests/golden/heads

The packages are those of `requirements.txt`. Rerankers are `...ForSequenceClassification` checkpoints, and their folder holds:

* `pairs.json`: pairs of texts, with either side empty, too long, in many scripts;
* `expected.safetensors`: `ids`, `type_ids` and `cu_seqlens`, the tokens after truncation (type ids are 0 where the model is fed
  none); `scores` [pairs, labels] float64, what `CrossEncoder.predict` returns with the activation that the folder asks for.

Sparse encoders are `...ForMaskedLM` checkpoints with tied weights, and their folder holds:

* `texts.json`: those of `families.py`;
* `expected.safetensors`: `ids` and `cu_seqlens`; `sparse` [texts, vocabulary] float64, what `SparseEncoder.encode` returns.

The oracle is sentence-transformers in float64, one pair or text a batch. Even then transformers turns rotary angles in float32,
and ModernBERT's plain attention takes its softmax in float32: that is what users get. `predict` rounds to float32 whatever it
returns as numpy, but not as a tensor, which is what is kept here. GTE's published config transformers does not read: its
oracle is `CrossEncoder` over transformers' own form of the same model. A second run writes the same bytes.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from sentence_transformers import CrossEncoder, SparseEncoder

import families
from json_files import write_json, write_json_lines
from reference import encode, load_reference, token_ids

LIMIT = 64
# Above the limit, so that it is the tokenizer's limit that cuts.
POSITIONS = 72
PAIRS = [
    ("", ""),
    ("", "The cat sat on the mat."),
    ("search for: the first bird", ""),
    ("a", "a"),
    ("Where did the cat sit?", "The cat sat on the mat."),
    ("The cat sat on the mat.", "Where did the cat sit?"),
    ("which people could not sleep", "the woman would read a good book by the fire and sleep " * 9),
    ("the old city and the new world of water and air " * 9, "one bird"),
    ("the sun was low over the old city " * 4, "people would walk home from work and read " * 12),
    ("read and write " * 50, "walk and sit " * 50),
    ("the dog has a small house and the bird has no " * 3, "the fish"),
    (
        "CAF\u00c9 na\u00efve \u4e2d\u6587 \U0001f600?",
        "e\u0301nd \u00e9nd \u4e2d\u6587, \u043c\u0438\u0440 \U0001f469\u200d\U0001f680 $3.14",
    ),
    ("[CLS] literal [SEP] <s>", "tokens </s> <pad> within [PAD] a text <mask>"),
]
IDENTITY = "torch.nn.modules.linear.Identity"
# {name: (family, labels, keys of config.json)}.
RERANKERS = {
    "rerank-bert": ("bert", ["LABEL_0"], {}),
    "rerank-bert-labels": ("bert", ["contradiction", "entailment", "neutral"], {}),
    "rerank-bert-identity": (
        "bert",
        ["LABEL_0"],
        {"sentence_transformers": {"activation_fn": IDENTITY, "version": "4.0.1"}},
    ),
    # As sentence-transformers saves one now: the activation stands in config_sentence_transformers.json.
    "rerank-bert-modules": ("bert", ["LABEL_0"], {}),
    "rerank-xlm-roberta": ("xlm-roberta", ["LABEL_0"], {}),
    # As sentence-transformers saved one before its version 4.
    "rerank-roberta": ("roberta", ["LABEL_0"], {"sbert_ce_default_activation_function": IDENTITY}),
    "rerank-distilbert": ("distilbert", ["LABEL_0"], {}),
    "rerank-mpnet": ("mpnet", ["LABEL_0"], {}),
    "rerank-modernbert": ("modernbert", ["LABEL_0"], {"classifier_pooling": "mean"}),
    "rerank-modernbert-cls": ("modernbert", ["LABEL_0"], {"classifier_pooling": "cls"}),
    "rerank-gte": ("gte", ["LABEL_0"], {}),
}
# {name: (family, activation)}.
SPARSE = {
    "sparse-bert": ("bert", "relu"),
    "sparse-distilbert": ("distilbert", "log1p_relu"),
    "sparse-roberta": ("roberta", "relu"),
    "sparse-modernbert": ("modernbert", "relu"),
    # No modules.json: sentence-transformers goes by the architecture.
    "sparse-plain": ("bert", None),
}
ARCHITECTURES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "distilbert": "DistilBert",
    "mpnet": "MPNet",
    "modernbert": "ModernBert",
    "gte": "New",
}
# Of the published checkpoints, and the larger folders.
DTYPES = {
    "rerank-roberta": torch.float16,
    "rerank-modernbert-cls": torch.float16,
    "rerank-gte": torch.float16,
    "sparse-roberta": torch.float16,
    "sparse-modernbert": torch.bfloat16,
    "sparse-plain": torch.float16,
}
DECODER_BIASES = ("cls.predictions.bias", "vocab_projector.bias", "lm_head.bias", "decoder.bias")


def main():
    parser = argparse.ArgumentParser(description="Makes tiny models with heads and their results.")
    parser.add_argument("--out", type=Path, required=True, help="folder that receives one folder a model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in RERANKERS:
        write_reranker(name, arguments.out / name)
    for name in SPARSE:
        write_sparse(name, arguments.out / name)


def write_reranker(name, folder):
    """Writes a cross-encoder's folder and the scores of all pairs."""
    family, labels, own = RERANKERS[name]
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    config = write_base(family, folder, "ForSequenceClassification", names | own)
    if name == "rerank-bert-modules":
        write_cross_encoder_modules(folder)
    shapes = classifier_shapes(family, folder, config)
    tensors = families.seeded(shapes, DTYPES.get(name, torch.float32))
    if name == "rerank-bert-identity":
        # Older checkpoints of BERT's kin carry this buffer.
        tensors["bert.embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    families.save_torch(tensors, folder / "model.safetensors")
    write_json_lines(folder / "pairs.json", PAIRS)
    model = load_gte(folder, config, tensors) if family == "gte" else load_reference(folder, CrossEncoder)
    save_file(expected_scores(name, model, len(labels)), folder / "expected.safetensors")


def write_sparse(name, folder):
    """Writes a sparse encoder's folder and the weights of all texts."""
    family, activation = SPARSE[name]
    config = write_base(family, folder, "ForMaskedLM", {})
    if activation is not None:
        write_sparse_modules(name, folder, activation)
    shapes = families.saved_shapes(
        transformers.AutoModelForMaskedLM, families.native_config(family, folder, config), folder
    )
    tensors = families.seeded(shapes, DTYPES.get(name, torch.float32))
    shift_decoder_bias(tensors)
    if name == "sparse-plain":
        # Converted from a pickle, a checkpoint has both names of a shared tensor.
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    families.save_torch(tensors, folder / "model.safetensors")
    write_json_lines(folder / "texts.json", families.TEXTS)
    save_file(expected_sparse(name, folder), folder / "expected.safetensors")


def write_base(family, folder, head, own):
    """An empty folder's tokenizer and config, which is returned: the family's with a head."""
    kind, config, _, _ = families.FAMILIES[family]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Published GTE rerankers are multilingual.
    kind = "unigram" if family == "gte" else kind
    config = config | {
        "architectures": [ARCHITECTURES[family] + head],
        "max_position_embeddings": POSITIONS + 2 if config.get("pad_token_id") == 1 else POSITIONS,
        "vocab_size": families.write_tokenizer(folder, kind, LIMIT, **tokenizer_settings(family)),
    }
    if family == "modernbert":
        config["num_hidden_layers"] = 2
    if family == "gte":
        config["pad_token_id"] = 1
    config |= own
    write_json(folder / "config.json", config)
    return config


def tokenizer_settings(family):
    """What decides whether the model is fed type ids: the class, as published for BERT, or the names of the inputs."""
    if family == "bert":
        return {"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"}
    return {"model_input_names": ["input_ids", "attention_mask"]}


def write_cross_encoder_modules(folder):
    """The files that sentence-transformers 6.2 puts beside the checkpoint of a cross-encoder."""
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
    write_json(folder / "modules.json", modules)
    method = {"text": {"method": "forward", "method_output_name": "logits"}}
    write_json(
        folder / "sentence_bert_config.json",
        {"transformer_task": "sequence-classification", "modality_config": method, "module_output_name": "scores"},
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": {"sentence_transformers": "6.2.0"},
            "activation_fn": IDENTITY,
            "default_prompt_name": None,
            "model_type": "CrossEncoder",
            "prompts": {},
        },
    )


def write_sparse_modules(name, folder, activation):
    """Transformer and SpladePooling: one model as sentence-transformers 6.2 saves them, the others as 5.0 did."""
    is_new = name == "sparse-modernbert"
    kinds = ["base.modules.transformer.Transformer", "sparse_encoder.modules.splade_pooling.SpladePooling"]
    kinds = kinds if is_new else ["sparse_encoder.models.MLMTransformer", "sparse_encoder.models.SpladePooling"]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
        for index, (path, kind) in enumerate(zip(["", "1_SpladePooling"], kinds))
    ]
    write_json(folder / "modules.json", modules)
    settings = {"max_seq_length": LIMIT, "do_lower_case": False}
    if is_new:
        method = {"text": {"method": "forward", "method_output_name": "logits"}}
        settings = {
            "transformer_task": "fill-mask",
            "modality_config": method,
            "module_output_name": "token_embeddings",
        }
    write_json(folder / "sentence_bert_config.json", settings)
    (folder / "1_SpladePooling").mkdir()
    dimension = "embedding_dimension" if is_new else "word_embedding_dimension"
    write_json(
        folder / "1_SpladePooling" / "config.json",
        {"pooling_strategy": "max", "activation_function": activation, dimension: None},
    )
    # Without the type sentence-transformers takes the folder for a dense model and puts a random layer on top.
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "SparseEncoder",
            "prompts": {"query": "", "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "dot",
        },
    )


def classifier_shapes(family, folder, config):
    """Name and shape of every tensor, as published checkpoints have them."""
    native = gte_config(folder, config) if family == "gte" else families.native_config(family, folder, config)
    shapes = families.saved_shapes(transformers.AutoModelForSequenceClassification, native, folder)
    if family == "gte":
        return {name.replace("gte.", "new.", 1): shape for name, shape in shapes.items()}
    return shapes


def gte_config(folder, config):
    """What transformers calls the same reranker."""
    native = families.native_config("gte", folder, config)
    native.id2label = config["id2label"]
    native.architectures = ["GteForSequenceClassification"]
    return native


def load_gte(folder, config, tensors):
    """CrossEncoder over transformers' own form of GTE, with the published angles."""
    native = folder / "native"
    gte_config(folder, config).save_pretrained(native)
    families.save_torch(tensors, native / "model.safetensors")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / file, native / file)
    _, report = transformers.AutoModelForSequenceClassification.from_pretrained(native, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    model = load_reference(native, CrossEncoder)
    shutil.rmtree(native)
    model.model.gte.rotary_emb.inv_freq = families.gte_frequencies(config)
    return model


def shift_decoder_bias(tensors):
    """Moves the decoder's bias down and apart, so that texts leave a good part of the vocabulary at zero."""
    (name,) = [name for name in DECODER_BIASES if name in tensors]
    dtype = tensors[name].dtype
    tensors[name] = (10 * tensors[name].float() - 2.0).to(dtype)


def expected_scores(name, model, labels):
    """Tokens and scores."""
    features = [model.preprocess([pair]) for pair in PAIRS]
    ids = [feature["input_ids"][0].tolist() for feature in features]
    type_ids = [feature.get("token_type_ids", torch.zeros_like(feature["input_ids"]))[0].tolist() for feature in features]
    scores = predict(model, 1)
    assert scores.dtype == np.float64 and scores.shape == (len(PAIRS), labels)
    # In float64, padding that no token of a local window reaches becomes NaN, which a mean over masked states keeps.
    assert np.nanmax(np.abs(predict(model, len(PAIRS)) - scores)) < 1e-6, f"{name}: padding changes scores"
    return pack(ids) | {"type_ids": np.concatenate([np.asarray(row, np.int64) for row in type_ids]), "scores": scores}


def predict(model, batch_size):
    """[pairs, labels]; `predict` leaves out the dimension of a single label."""
    scores = model.predict(PAIRS, batch_size=batch_size, show_progress_bar=False, convert_to_tensor=True)
    return scores.reshape(len(PAIRS), -1).numpy()


def expected_sparse(name, folder):
    """Tokens and weights of the vocabulary."""
    model = load_reference(folder, SparseEncoder)
    weights = encode(model, families.TEXTS, convert_to_sparse_tensor=False)
    shares = (weights > 0).mean(1)
    assert 0.05 < shares.min() and shares.max() < 0.95, f"{name}: {shares} of the vocabulary above zero"
    return pack(token_ids(model, families.TEXTS)) | {"sparse": weights}


def pack(ids):
    """Sequences end to end and where each begins."""
    lengths = [len(sequence) for sequence in ids]
    assert max(lengths) == LIMIT
    return {
        "ids": np.concatenate([np.asarray(sequence, np.int64) for sequence in ids]),
        "cu_seqlens": np.cumsum([0, *lengths]).astype(np.int64),
    }


if __name__ == "__main__":
    main()
