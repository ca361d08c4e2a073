//! A small model, documents from ordinary prose to what no one writes, and specifications.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use chunkflow::chunking::{Chunk, ChunkOptions, ChunkSpec};
use chunkflow::embeddings::{Backend, EmbedOptions, LoadedModel};
use chunkflow::pipeline;
use tempfile::TempDir;

use crate::support::random_model::{Sizes, SplitMix64, write_random_model};
use crate::support::{self, ONE_BATCH};

const SIZES: Sizes = Sizes { hidden: 32, layers: 1, heads: 2, intermediate: 64, max_positions: 64 };

/// A small model with the real tokenizer: cuts depend on real tokens, and weights cost little.
pub(crate) fn small_folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = support::real_folder().join("tokenizer.json");
        write_random_model(folder.path(), &tokenizer, &SIZES, 1).unwrap();
        folder
    });
    folder.path()
}

pub(crate) fn small() -> &'static LoadedModel {
    static SMALL: OnceLock<LoadedModel> = OnceLock::new();
    SMALL.get_or_init(|| support::load(small_folder(), Backend::Native, ONE_BATCH))
}

/// Limits of size alone, beside cohesion.
pub(crate) fn sized(max_tokens: usize, target_tokens: usize) -> ChunkOptions {
    ChunkOptions {
        max_tokens: Some(max_tokens),
        target_tokens: Some(target_tokens),
        size_weight: Some(1.0),
        break_bonus: Some(0.0),
        ..ChunkOptions::default()
    }
}

pub(crate) fn spec(max_tokens: usize, target_tokens: usize) -> ChunkSpec {
    sized(max_tokens, target_tokens).resolve().unwrap()
}

pub(crate) fn chunk(model: &LoadedModel, text: &str, spec: &ChunkSpec) -> Vec<Chunk> {
    pipeline::chunk(model, text, spec, &EmbedOptions::default()).unwrap().chunks
}

pub(crate) fn keep(dimensions: usize) -> EmbedOptions {
    EmbedOptions { dimensions: Some(dimensions), ..EmbedOptions::default() }
}

pub(crate) const WORDS: [&str; 20] = [
    "the",
    "Cat",
    "sleeps",
    "RUN",
    "e.g.",
    "Dr.",
    "U.S.A.",
    "naïve",
    "Straße",
    "don't",
    "well-known",
    "antidisestablishmentarianism",
    "I",
    "a",
    "[SEP]",
    "[CLS]",
    "[MASK]",
    "##ing",
    "C++",
    "x_1",
];
const ENDS: [&str; 12] =
    [". ", "! ", "? ", "... ", "?! ", ".\n", "。", "！", ".\u{201d} ", "; ", ": ", "\u{203c}"];
const BREAKS: [&str; 12] = [
    "\n", "\r\n", "\r", "\n\n", "\u{85}", "\u{2028}", "\u{2029}", "\t", "\u{a0}", "\u{3000}", " ",
    "     ",
];
const CONTROLS: [&str; 10] = [
    "\0",
    "\u{1}",
    "\u{1b}[0m",
    "\u{7f}",
    "\u{200b}",
    "\u{feff}",
    "\u{ad}",
    "\u{202e}",
    "\u{fffd}",
    "\u{e000}",
];
const EMOJI: [&str; 13] = [
    // Emoji whose parts rules of sentences may tear apart.
    "\u{203c}\u{200d}\u{1f525}",
    "! \u{1f3fd}",
    "\u{1f3fd}",
    "\u{1f600}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
    "\u{1f44d}\u{1f3fd}",
    "\u{1f469}\u{1f3ff}\u{200d}\u{1f680}",
    "\u{1f1e9}\u{1f1ea}",
    "1\u{fe0f}\u{20e3}",
    "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{200d}",
    "\u{fe0f}",
];
const SCRIPTS: [&str; 10] = [
    "שלום עולם. ",
    "مرحبا بالعالم؟ ",
    "\u{600}\u{661}\u{662}",
    "नमस्ते क्षत्रिय। ",
    "สวัสดีครับ",
    "こんにちは。",
    "안녕하세요 ",
    "\u{1112}\u{1161}\u{11ab}",
    "Привет, мир! ",
    "Ω≈ç√∫",
];

/// A text of a few to a few hundred pieces, from ordinary prose to what no one writes.
pub(crate) fn random_text(random: &mut SplitMix64) -> String {
    let limit = random.choose(&[4, 20, 60, 200]);
    // Half of the texts are mostly words, so that sentences and sizes are common ones.
    let kinds = random.choose(&[8, 24]);
    let mut text = String::new();
    for _ in 0..random.below(limit) {
        match random.below(kinds) {
            0..=3 => text.extend([random.choose(&WORDS), " "]),
            4 => text.push_str("Then we walked home, slowly, in the rain. "),
            5 | 6 => text.push_str(random.choose(&ENDS)),
            7 | 8 => text.push_str(random.choose(&BREAKS)),
            9 | 10 => text.push_str(random.choose(&EMOJI)),
            11 | 12 => text.push_str(random.choose(&SCRIPTS)),
            13 => text.push_str(random.choose(&CONTROLS)),
            14 => repeat(&mut text, random, 12, cjk),
            15 => {
                text.push('e');
                repeat(&mut text, random, 40, |random| scalar(0x300 + random.below(0x70)));
            }
            16 => repeat(&mut text, random, 400, |random| scalar(0x61 + random.below(26))),
            17 => repeat(&mut text, random, 60, |random| scalar(0x30 + random.below(10))),
            18 => repeat(&mut text, random, 60, |random| scalar(0x21 + random.below(15))),
            19 => write!(text, "{}-{:x}", random.next_u64(), random.next_u64()).unwrap(),
            20 => repeat(&mut text, random, 9, |random| scalar(random.below(0x11_0000))),
            21 => repeat(&mut text, random, 30, |random| random.choose(&['.', '!', '?', ' '])),
            22 => text.push_str("https://example.org/a/b?c=d&e=%20f#g "),
            _ => repeat(&mut text, random, 90, |random| random.choose(&['a', '\u{1f600}', '字'])),
        }
    }
    text
}

fn repeat(
    text: &mut String,
    random: &mut SplitMix64,
    limit: usize,
    mut next: impl FnMut(&mut SplitMix64) -> char,
) {
    for _ in 0..=random.below(limit) {
        text.push(next(random));
    }
}

fn cjk(random: &mut SplitMix64) -> char {
    scalar(0x4e00 + random.below(0x5200))
}

/// The character at a code point; a replacement for surrogates.
fn scalar(code: usize) -> char {
    char::from_u32(code as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A text of about 20,000 tokens: hundreds of windows, in more than one job.
pub(crate) fn long_text() -> String {
    let mut random = SplitMix64::new(3);
    let mut text = String::new();
    while text.len() < 80_000 {
        for _ in 0..3 + random.below(20) {
            text.extend([random.choose(&WORDS[..11]), " "]);
        }
        text.push_str(random.choose(&ENDS[..5]));
    }
    text
}
