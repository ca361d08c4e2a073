"""A BERT small enough to commit, as a complete sentence-transformers folder with seeded random weights.

Transformer (hidden 32, 2 layers, 4 heads) -> Pooling (mean) -> Dense (32 -> 24, Tanh) -> Normalize; lower-casing WordPiece
of about 300 entries; at most 48 tokens. The files have the form in which sentence-transformers 6.2 saves them.
"""

import string

import numpy as np
from safetensors.numpy import save
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from json_files import write_json

SEED = 20260719
HIDDEN = 32
DENSE = 24
MAX_SEQ_LENGTH = 48
PROMPTS = {"query": "search for: ", "passage": ""}

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ENDINGS = (
    "ing ed er est ly ion ions tion ation ment ness less ful able ible al ial ic ical ous ive ity ty en es ies "
    "th nd st rd ll ve re an on in at or ar le"
).split()
WORDS = (
    "the a an and or but not no yes of to in on at for from with without by as is are was were be been has have had do "
    "does did will would can could may must i you he she it we they me him her us them my your his its our their this "
    "that these those what which who where when why how one two three four five ten first last new old good bad big small "
    "long short high low cat dog bird fish mat house home water fire air earth sun moon star day night year time man woman "
    "child people city world work school book word text search find query passage line tab read write run walk sit sat eat "
    "sleep see look price off over under red green blue black white token literal"
).split()

BERT_CONFIG = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "dtype": "float32",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": HIDDEN,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 64,
    "model_type": "bert",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
}

MODULES = [
    ("", "sentence_transformers.base.modules.transformer.Transformer"),
    ("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
    ("2_Dense", "sentence_transformers.base.modules.dense.Dense"),
    ("3_Normalize", "sentence_transformers.base.modules.normalize.Normalize"),
]


def write_tiny_model(folder):
    """Writes the whole folder; the same bytes every time."""
    for path, _ in MODULES:
        (folder / path).mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary()
    _write_configs(folder, len(vocabulary))
    _write_tokenizer(folder, vocabulary)
    _write_weights(folder, len(vocabulary))


def _vocabulary():
    characters = string.ascii_lowercase + string.digits
    pieces = [
        *SPECIAL_TOKENS,
        *characters,
        *string.punctuation,
        *(f"##{piece}" for piece in [*characters, *ENDINGS]),
        *(word for word in WORDS if len(word) > 1),
    ]
    return {piece: index for index, piece in enumerate(pieces)}


def _write_configs(folder, vocab_size):
    write_json(folder / "config.json", BERT_CONFIG | {"vocab_size": vocab_size})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_SEQ_LENGTH, "do_lower_case": False})
    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": class_path} for idx, (path, class_path) in enumerate(MODULES)
    ]
    write_json(folder / "modules.json", modules)
    model_config = {"model_type": "SentenceTransformer", "prompts": PROMPTS, "default_prompt_name": None}
    write_json(folder / "config_sentence_transformers.json", model_config)
    pooling = {"embedding_dimension": HIDDEN, "pooling_mode": "mean", "include_prompt": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    dense = {
        "in_features": HIDDEN,
        "out_features": DENSE,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
        "module_input_name": "sentence_embedding",
        "module_output_name": "sentence_embedding",
    }
    write_json(folder / "2_Dense" / "config.json", dense)
    normalize = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
    write_json(folder / "3_Normalize" / "config.json", normalize)


def _write_tokenizer(folder, vocabulary):
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS}
    tokenizer_config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64, **special}
    write_json(folder / "tokenizer_config.json", tokenizer_config)


def _write_weights(folder, vocab_size):
    rng = np.random.default_rng(SEED)
    shapes = BertModel(BertConfig(**BERT_CONFIG, vocab_size=vocab_size)).state_dict()
    encoder = {name: _random_tensor(rng, name, shapes[name].shape) for name in sorted(shapes)}
    dense_shapes = {"linear.bias": (DENSE,), "linear.weight": (DENSE, HIDDEN)}
    dense = {name: _random_tensor(rng, name, shape) for name, shape in dense_shapes.items()}
    (folder / "model.safetensors").write_bytes(save(encoder, metadata={"format": "pt"}))
    (folder / "2_Dense" / "model.safetensors").write_bytes(save(dense, metadata={"format": "pt"}))


def _random_tensor(rng, name, shape):
    noise = rng.standard_normal(tuple(shape))
    if name.endswith("LayerNorm.weight"):
        return (1 + 0.1 * noise).astype(np.float32)
    scale = 0.1 if name.endswith("bias") else 0.3
    return (scale * noise).astype(np.float32)
