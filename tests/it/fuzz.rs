//! The bodies of the fuzz targets over seeded inputs, so that they run wherever the tests do.

#[path = "../../fuzz/checks/batches.rs"]
mod batches;
#[path = "../../fuzz/checks/units.rs"]
mod units;

use rayon::prelude::*;

use crate::support::random_model::SplitMix64;

const TEXTS: u64 = 10_000;
const BATCHES: u64 = 2_000;

/// What rules of text turn on, and a few letters for them to stand between.
const FRAGMENTS: [&str; 96] = [
    "a",
    "B",
    "word ",
    "Word ",
    "The ",
    "It ",
    "one two three ",
    "x",
    "1",
    "12",
    "1984",
    "2.0",
    " ",
    "  ",
    "\t",
    "\u{a0}",
    "\u{3000}",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{c}",
    ".",
    ". ",
    "! ",
    "?",
    "...",
    "…",
    "?! ",
    ".\" ",
    ".) ",
    ".[1] ",
    " » ",
    "« ",
    "„",
    "“",
    "”",
    "'",
    "(",
    ")",
    "[",
    "]",
    "*",
    "**",
    "_",
    "`",
    "~",
    "Mr. ",
    "e.g. ",
    "z. B. ",
    "J. R. ",
    "U.S. ",
    "Nov. ",
    "am 3. ",
    "et al. ",
    "https://a.b/c?d=e",
    "- ",
    "* ",
    "1. ",
    "b) ",
    "(iv) ",
    "# ",
    "## ",
    "#",
    "===",
    "---",
    "```",
    "````",
    "~~~",
    "| a | b |",
    "|---|---|",
    "> ",
    ">",
    "。",
    "！",
    "」",
    "你好",
    "今天",
    "สวัสดี",
    "ครับ ",
    "ខ្មែរ",
    "؟ ",
    "مرحبا ",
    "। ",
    "नमस्ते",
    "안녕 ",
    "\u{301}",
    "\u{200d}",
    "\u{fe0f}",
    "\u{203c}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{1f1e9}",
];

/// Three inputs of four are made of fragments, the rest of whatever bytes there are.
fn input(random: &mut SplitMix64) -> Vec<u8> {
    let mut input = vec![random.below(256) as u8, random.below(256) as u8];
    let count = random.choose(&[4, 20, 60, 200]);
    let fragments = random.below(4) > 0;
    for _ in 0..random.below(count) {
        if fragments {
            input.extend_from_slice(random.choose(&FRAGMENTS).as_bytes());
        } else {
            input.push(random.below(256) as u8);
        }
    }
    input
}

#[test]
fn units_hold_on_whatever_text() {
    (0..TEXTS).into_par_iter().for_each(|seed| units::units(&input(&mut SplitMix64::new(seed))));
}

#[test]
fn batches_hold_on_whatever_lengths() {
    (0..BATCHES).into_par_iter().for_each(|seed| {
        batches::batches(&input(&mut SplitMix64::new(seed)));
    });
}

/// Inputs on which an algorithm that looks at text twice would not end: at 200 KB, the square is
/// 4e10.
#[test]
fn units_of_hostile_texts_take_linear_time() {
    const BYTES: usize = 200_000;
    let repeated = [
        "a",
        "`",
        ".",
        ". ",
        ". \"",
        "a. ",
        "(",
        "\"",
        "[",
        ".[",
        ".[a",
        "1. ",
        ".\u{2029}",
        "\u{301}",
        "e\u{301}",
        "\u{200d}",
        "\u{1f469}\u{200d}",
        "\u{1f1e9}",
        ".\u{1f1e9}",
        "\u{915}\u{94d}",
        "…",
        "? » A",
        "- ",
        "> ",
        ">",
        "\n",
        "\r",
        "a\n",
        "- a\n",
        "# a\n",
        "|a|\n",
        "a|b\n-|-\n\n",
        "```\n",
        "~~~\n```\n",
        "a\n===\n",
        " . > ",
        "今天",
        "สวัสดี",
        "the quick brown fox jumps over the lazy \
         dogs, and\n",
    ];
    let mut texts: Vec<String> =
        repeated.iter().map(|part| part.repeat(BYTES / part.len())).collect();
    let deep = |part: &str| (0..600).map(|depth| part.repeat(depth) + "- a\n").collect::<String>();
    texts.extend([deep(" "), deep(">"), deep("`"), deep("#")]);
    texts.extend([")", " ", "\u{301}", ";"].map(|part| format!("a.{}", part.repeat(BYTES))));
    texts.push("(".repeat(BYTES / 2) + &"a. ".repeat(BYTES / 6));
    texts.par_iter().for_each(|text| {
        let chars = text.char_indices().filter(|(_, c)| !c.is_whitespace());
        let chars: Vec<_> = chars.map(|(start, c)| start..start + c.len_utf8()).collect();
        units::check_units(text, &chars, 64);
        units::check_units(text, std::slice::from_ref(&(0..text.len())), 64);
    });
}
