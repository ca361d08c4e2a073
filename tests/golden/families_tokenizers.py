"""Tiny tokenizers of the kinds that the families have: WordPiece, byte-level BPE, Unigram, BPE with byte fallback.

All are built from the word list of `tiny_model.py`, by construction or by training, and come out the same every time.
"""

import json
import os

os.environ["RAYON_NUM_THREADS"] = "1"  # Read by tokenizers: ties in training are then always broken alike.

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tiny_model import WORDS, _vocabulary

SAMPLE = " ".join(WORDS) + " " + " ".join(word.capitalize() for word in WORDS)


def word_piece():
    """As in BERT."""
    tokenizer = _word_piece("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
    return _with_template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"])


def mpnet():
    """BERT's pieces with RoBERTa's special tokens: `<s> A </s></s> B </s>`."""
    tokenizer = _word_piece("<s>", "</s>", "<pad>", "<unk>", "<mask>")
    return _with_template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B:1 </s>:1", ["<s>", "</s>"])


def byte_level(special=("<s>", "<pad>", "</s>", "<unk>", "<mask>"), prefix_space=False):
    """As in RoBERTa and CamemBERT's kin: `<s> A </s></s> B </s>`."""
    tokenizer = _trained_byte_level(special, prefix_space)
    bos, eos = (special[0], tokenizer.token_to_id(special[0])), (special[2], tokenizer.token_to_id(special[2]))
    tokenizer.post_processor = processors.RobertaProcessing(eos, bos, trim_offsets=True, add_prefix_space=prefix_space)
    return tokenizer


def byte_level_modernbert():
    """As in ModernBERT: byte-level with BERT's special tokens."""
    tokenizer = _trained_byte_level(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), False)
    return _with_template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ["[CLS]", "[SEP]"])


def byte_level_qwen():
    """As in Qwen3-Embedding: nothing before, the end token after."""
    tokenizer = _trained_byte_level(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), False)
    tokenizer.normalizer = normalizers.NFC()
    return _with_template(tokenizer, "$A <|endoftext|>", "$A $B:1 <|endoftext|>:1", ["<|endoftext|>"])


def unigram():
    """As in XLM-RoBERTa: pieces with scores, spaces as `▁`."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted(set(SAMPLE + "0123456789.,;:!?'\"()[]$%-_éïçñ") - {" "})
    words = [f"▁{word}" for word in WORDS] + ["ing", "ed", "er", "ly", "tion", "s"]
    pieces = [(piece, 0.0) for piece in special] + [("▁", -4.0)]
    pieces += [(letter, -6.0 - index / 64) for index, letter in enumerate(letters)]
    pieces += [(word, -5.0 - index / 64) for index, word in enumerate(words)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\n", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*special, AddedToken("<mask>", lstrip=True, special=True)])
    return _with_template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", ["<s>", "</s>"])


def gemma():
    """As in Gemma: BPE over `▁` for spaces, unknown characters as bytes."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator([SAMPLE], trainers.BpeTrainer(vocab_size=160, show_progress=False))
    state = json.loads(trained.to_str())["model"]
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(state["vocab"], key=state["vocab"].get)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    merges = [tuple(merge) for merge in state["merges"]]
    model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(special)
    return _with_template(tokenizer, "<bos> $A <eos>", "<bos> $A <eos> <bos>:1 $B:1 <eos>:1", ["<bos>", "<eos>"])


def _word_piece(cls, sep, pad, unk, mask):
    renamed = {"[CLS]": cls, "[SEP]": sep, "[PAD]": pad, "[UNK]": unk, "[MASK]": mask}
    vocabulary = {renamed.get(piece, piece): index for piece, index in _vocabulary().items()}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unk, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([pad, unk, cls, sep, mask])
    return tokenizer


def _trained_byte_level(special, prefix_space):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SAMPLE], trainer)
    return tokenizer


def _with_template(tokenizer, single, pair, special):
    ids = [(token, tokenizer.token_to_id(token)) for token in special]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    return tokenizer
