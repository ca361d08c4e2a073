//! Memory does not follow the size of the input.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::process::{Place, Ran, binary, tiny, wait_at_most};
use crate::support::random_model::SplitMix64;

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

/// The most memory that a child has held so far, in KiB; `None` once it has ended.
fn peak_kib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Embeds a corpus of `size` bytes into Parquet, which fills row groups in memory; returns the peak
/// of the memory in KiB.
fn embed(size: usize) -> u64 {
    let place = Place::new();
    let lines = write_corpus(&place.path("corpus.jsonl"), size);
    let model = tiny();
    let args = ["embed", "corpus.jsonl", "-q", "--model", &model, "-o", "vectors.parquet"];
    let mut command = place.program(binary(), &args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    wait_at_most(DEADLINE, "the run to end", || {
        peak = peak_kib(&child).unwrap_or(peak);
        child.try_wait().unwrap()
    });
    assert_eq!(Ran::of(child.wait_with_output().unwrap()).text(), "");
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
