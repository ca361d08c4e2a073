//! Names of transformers' classes of tokenizers, and of the special tokens that each has where the
//! settings name no others, by its `tokenization_*.py`.

/// Classes that transformers builds anew and this program does not.
pub(super) const OTHERS: &[&str] = &[
    "Albert",
    "Barthez",
    "BertJapanese",
    "Bertweet",
    "BigBird",
    "BioGpt",
    "Blenderbot",
    "BlenderbotSmall",
    "ByT5",
    "CLIP",
    "Canine",
    "CodeGen",
    "CodeLlama",
    "Cohere",
    "Deberta",
    "DebertaV2",
    "Esm",
    "Esmc",
    "FNet",
    "Flaubert",
    "Funnel",
    "GPT2",
    "GPTNeoX",
    "GPTNeoXJapanese",
    "Herbert",
    "LayoutLMv2",
    "LayoutLMv3",
    "LayoutXLM",
    "Llama",
    "Luke",
    "MBart",
    "MBart50",
    "MLuke",
    "MarkupLM",
    "Nllb",
    "OpenAIGPT",
    "Pegasus",
    "Perceiver",
    "Phobert",
    "ProphetNet",
    "Qwen3_5",
    "Reformer",
    "RemBert",
    "RoCBert",
    "RoFormer",
    "SeamlessM4T",
    "Splinter",
    "T5",
    "Udop",
    "Whisper",
    "XGLM",
    "XLM",
    "XLNet",
];

/// The name of a special token and its content.
pub(super) type Named = (&'static str, &'static str);

pub(super) const BERT: &[Named] = &[
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];
pub(super) const ROBERTA: &[Named] = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];
pub(super) const MPNET: &[Named] = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "[UNK]"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];
pub(super) const QWEN2: &[Named] = &[
    ("eos_token", "<|endoftext|>"),
    ("unk_token", "<|endoftext|>"),
    ("pad_token", "<|endoftext|>"),
];
pub(super) const GEMMA: &[Named] = &[
    ("bos_token", "<bos>"),
    ("eos_token", "<eos>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<pad>"),
    ("mask_token", "<mask>"),
];
