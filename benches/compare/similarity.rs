//! Our side of `similarity.py`: maps a `.npy` file of rows and runs each operation that a line of
//! standard input names, `NAME NUMBER`, answering with seconds as a line of JSON.
#![expect(clippy::print_stdout, reason = "the answer")]

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::time::Instant;

use chunkflow::files::MappedRows;
use chunkflow::similarity::{Device, pairwise, scan, top_k};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: compare_similarity ROWS.npy")?;
    let (mapped, device) = (MappedRows::open(Path::new(&path))?, Device::default());
    let rows = mapped.rows()?;
    let mut matrix = Vec::new();
    for line in stdin().lock().lines() {
        let line = line?;
        let (name, number) = line.split_once(' ').ok_or("a line is NAME NUMBER")?;
        let number: usize = number.parse()?;
        if name == "pairwise" {
            // Written to before time is taken, as numpy's output is.
            matrix.resize(rows.len() * rows.len(), 1.0);
        }
        let start = Instant::now();
        match name {
            "pairwise" => pairwise(&device, rows, rows, &mut matrix)?,
            "top_k" => drop(black_box(top_k(&device, rows, rows, number, false)?)),
            "scan" => drop(black_box(scan(&device, rows.slice(0..1), rows, number)?)),
            other => return Err(format!("no operation {other}").into()),
        }
        println!("{{\"seconds\": {}}}", start.elapsed().as_secs_f64());
    }
    Ok(())
}
