//! Our side of `similarity.py`: loads the rows of a `.npy` file and runs each operation that a line
//! of standard input names, `NAME ARGUMENT..`, answering with seconds as a line of JSON.
#![expect(clippy::print_stdout, reason = "the answer")]

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::time::Instant;

use chunkflow::similarity::{self, Device, MappedRows};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: similarity ROWS.npy")?;
    let (mapped, device) = (MappedRows::open(Path::new(&path))?, Device::default());
    let rows = mapped.rows()?;
    let mut matrix = Vec::new();
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).map_or(Ok(0), |word| word.parse::<usize>());
        let (first, second) = (number(1)?, number(2)?);
        if words[0] == "pairwise" {
            // Allocated and touched before time is taken, as numpy's output is.
            matrix.resize(rows.len() * rows.len(), 1.0);
        }
        let start = Instant::now();
        match words[0] {
            "band" => drop(black_box(similarity::band(&device, rows, first)?)),
            "pairwise" => similarity::pairwise(&device, rows, rows, &mut matrix)?,
            "top_k" => drop(black_box(similarity::top_k(&device, rows, rows, first, false)?)),
            "cross_top_k" => {
                // The same work where the operands are not known to be the same rows.
                let half = rows.len() / 2;
                let (a, b) = (rows.slice(0..half), rows.slice(half..rows.len()));
                drop(black_box(similarity::top_k(&device, a, b, first, false)?));
            }
            "scan" => {
                let queries = rows.slice(0..second.max(1));
                drop(black_box(similarity::scan(&device, queries, rows, first)?));
            }
            other => return Err(format!("no operation {other}").into()),
        }
        println!("{{\"seconds\": {}}}", start.elapsed().as_secs_f64());
    }
    Ok(())
}
