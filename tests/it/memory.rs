//! Memory does not follow the size of the input.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use chunkflow::embeddings::EmbedOptions;
use serde_json::Value;

use crate::process::{Place, Ran, binary, tiny, wait_at_most};
use crate::support;
use crate::support::random_model::SplitMix64;
use crate::support::run_now::RunNow;

const MB: usize = 1_000_000;
/// How much more the larger run may hold, in KiB.
const ROOM_KIB: u64 = 64 << 10;
/// Far more than the larger run takes: tokenising its text is a minute of one core.
const DEADLINE: Duration = Duration::from_mins(15);

/// Words of the tiny model's vocabulary.
const WORDS: [&str; 12] = [
    "the", "cat", "people", "without", "water", "good", "book", "night", "sleep", "under", "green",
    "school",
];

/// Writes JSON lines with texts of about 1 kB until the file has `size` bytes; returns their
/// number.
fn write_corpus(path: &Path, size: usize) -> usize {
    let mut random = SplitMix64::new(7);
    let mut file = BufWriter::new(File::create(path).unwrap());
    let (mut written, mut lines) = (0, 0);
    while written < size {
        let words: Vec<&str> = (0..180).map(|_| random.choose(&WORDS)).collect();
        let line = format!("{{\"id\": {lines}, \"text\": \"{}.\"}}\n", words.join(" "));
        file.write_all(line.as_bytes()).unwrap();
        written += line.len();
        lines += 1;
    }
    file.into_inner().unwrap();
    lines
}

/// What a child's status says under `key`, in KiB; `None` once it has ended.
pub(crate) fn status_kib(child: &Child, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Runs a command to its end; returns the peak of its memory in KiB.
fn run(place: &Place, args: &[&str]) -> (u64, Ran) {
    let mut command = place.program(binary(), args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    wait_at_most(DEADLINE, "the run to end", || {
        peak = status_kib(&child, "VmHWM:").unwrap_or(peak);
        child.try_wait().unwrap()
    });
    (peak, Ran::of(child.wait_with_output().unwrap()))
}

/// Embeds a corpus of `size` bytes into Parquet, which fills row groups in memory; returns the peak
/// of the memory in KiB.
fn embed(size: usize) -> u64 {
    let place = Place::new();
    let lines = write_corpus(&place.path("corpus.jsonl"), size);
    let model = tiny();
    let args = ["embed", "corpus.jsonl", "-q", "--model", &model, "-o", "vectors.parquet"];
    let (peak, ran) = run(&place, &args);
    assert_eq!(ran.text(), "");
    let bytes = fs::metadata(place.path("vectors.parquet")).unwrap().len();
    assert!(bytes >= 24 * 4 * lines as u64, "{bytes} bytes for {lines} lines");
    peak
}

#[test]
fn a_hundred_megabytes_take_no_more_memory_than_ten() {
    let (small, large) = (embed(10 * MB), embed(100 * MB));
    println!("peak memory: {small} KiB for 10 MB, {large} KiB for 100 MB");
    assert!(large <= small + ROOM_KIB, "{small} KiB grew to {large} KiB");
}

/// Embeds one text of about `size` bytes; returns the peak of the memory in KiB.
fn embed_one(part: &str, size: usize) -> u64 {
    let place = Place::new();
    place.write("text.txt", part.repeat(size / part.len()));
    let args = ["embed", "text.txt", "-q", "--model", &tiny(), "-o", "out.jsonl"];
    let (peak, ran) = run(&place, &args);
    assert_eq!(ran.text(), "");
    let line: Value = serde_json::from_slice(&place.read("out.jsonl")).unwrap();
    assert_eq!(line["truncated"], line["tokens"] != 3, "{part:?}: {line}");
    peak
}

#[test]
fn what_is_cut_off_takes_no_memory() {
    // The last is one word that the vocabulary cannot have.
    for part in ["the cat sleeps under water. ", ".", "今天", "a"] {
        let (small, large) = (embed_one(part, MB / 10), embed_one(part, 12 * MB));
        println!("{part:?}: {small} KiB for 100 kB, {large} KiB for 12 MB");
        assert!(large <= small + ROOM_KIB, "{part:?}: {small} KiB grew to {large} KiB");
    }
}

/// A family's model that takes texts of up to `limit` tokens.
fn long(family: &str, folder: &Path, limit: usize) {
    support::copy_folder(&support::golden("families").join(family), folder);
    for (file, keys) in [
        ("config.json", ["max_position_embeddings", "n_positions"].as_slice()),
        ("sentence_bert_config.json", &["max_seq_length"]),
    ] {
        support::edit_json(&folder.join(file), |json| {
            for key in keys {
                if json.get(key).is_some() {
                    json[key] = limit.into();
                }
            }
        });
    }
}

/// The longest text of the models below, in tokens.
const LONG: usize = 8_192;
/// One head's scores of all pairs of tokens would need four times as much.
const LONG_ROOM_KIB: u64 = 64 << 10;

#[test]
fn long_texts_take_memory_by_their_length_not_its_square() {
    for family in ["nomic-bert", "jina-bert", "gte", "modernbert", "qwen3", "embeddinggemma"] {
        let place = Place::new();
        let model = place.path("model");
        long(family, &model, LONG);
        let model = model.to_str().unwrap();
        let embed = |words: usize| {
            place.write("text.txt", "the ".repeat(words));
            let args = ["embed", "text.txt", "-q", "--model", model, "-o", "out.jsonl", "--force"];
            let (peak, ran) = run(&place, &args);
            assert_eq!(ran.text(), "");
            let line: Value = serde_json::from_slice(&place.read("out.jsonl")).unwrap();
            (peak, line["tokens"].as_u64().unwrap() as usize)
        };
        let ((small, few), (large, many)) = (embed(500), embed(2 * LONG));
        println!("{family}: {small} KiB for {few} tokens, {large} KiB for {many}");
        assert_eq!(many, LONG, "{family}");
        assert!(large <= small + LONG_ROOM_KIB, "{family}: {small} KiB grew to {large} KiB");
    }
}

#[test]
fn long_texts_are_the_same_on_both_forms() {
    // Several of the blocks of queries that candle's form works in.
    let limit = 2_048;
    for family in ["nomic-bert", "jina-bert", "gte", "modernbert", "qwen3", "embeddinggemma"] {
        let folder = tempfile::tempdir().unwrap();
        long(family, folder.path(), limit);
        let words = ["the cat ", "read a good book ", "sleep under water; ", "low sun "];
        let mut random = SplitMix64::new(11);
        let text: String = (0..limit).map(|_| random.choose(&words)).collect();
        let vectors = support::ENGINES.map(|engine| {
            let model = support::load(folder.path(), engine, support::ONE_BATCH);
            let embeddings = model.embed(&[&text], &EmbedOptions::default()).unwrap();
            assert_eq!(embeddings.tokens, [limit], "{family}");
            embeddings.data
        });
        let difference = support::max_difference(&vectors[0], &support::widen(&vectors[1]));
        assert!(difference <= 5e-6, "{family}: {difference:e}");
    }
}

/// Searches so many equal rows for duplicates; returns the peak of the memory in KiB.
fn find_duplicates(rows: usize) -> u64 {
    let place = Place::new();
    let shape = format!("'shape': ({rows}, 2), }}");
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, {shape}");
    file.extend(format!("{header:<117}\n").bytes());
    file.extend([0.6_f32, 0.8].repeat(rows).iter().flat_map(|x| x.to_le_bytes()));
    place.write("rows.npy", file);
    let args = ["similar", "rows.npy", "--duplicates", "0.9999", "-o", "clusters.jsonl"];
    let (peak, ran) = run(&place, &args);
    assert_eq!(ran.text(), "");
    let cluster: Value = serde_json::from_slice(&place.read("clusters.jsonl")).unwrap();
    assert_eq!(cluster["size"], rows);
    peak
}

#[test]
fn links_of_a_large_cluster_are_not_held() {
    // The 32 million pairs of the larger would take 384 MB.
    let (small, large) = (find_duplicates(80), find_duplicates(8_000));
    assert!(large < small + ROOM_KIB, "{small} KiB, then {large} KiB");
}
