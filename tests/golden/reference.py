"""sentence-transformers in float64: the reference that every golden vector comes from.

One text a batch, so that padding plays no role, and the plain ("eager") attention, which spells out the formula.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # Read by the libraries when they are imported.

import torch
from sentence_transformers import SentenceTransformer


def load_reference(folder, model_class=SentenceTransformer):
    """The model of a sentence-transformers folder, on the CPU, whose every operation is checked to be float64."""
    model = model_class(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
    model.double()
    for module in model.modules():
        module.register_forward_hook(lambda module, _inputs, output: _require_float64(type(module).__name__, output))
    return model


def token_ids(model, texts, prompt=None):
    """The ids, special tokens included, that the model is fed: after the prompt, after truncation."""
    return [model.preprocess([text], prompt=prompt)["input_ids"][0].tolist() for text in texts]


def encode(model, texts, **options):
    """[texts, dim] float64, by `SentenceTransformer.encode`."""
    vectors = model.encode(texts, batch_size=1, show_progress_bar=False, convert_to_tensor=True, **options)
    _require_float64("encode", vectors)
    return vectors.numpy()


def _require_float64(name, output):
    if isinstance(output, torch.Tensor) and output.dtype != torch.float64:
        raise TypeError(f"{name} computed in {output.dtype}, not in float64")
