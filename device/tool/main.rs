//! What the device pack needs besides the program, its tests and its bench: models that travel small
//! or are made where they run, questions to cuBLASLt, and tables of what the steps found.
#![expect(clippy::print_stdout, reason = "its product is a table")]

/// A product of cuBLASLt, as the library itself asks for it.
#[expect(unsafe_code, reason = "calls of the driver and of cuBLASLt")]
mod cublaslt;
/// A model's folder in half of its bytes.
mod model;
/// What cuBLASLt answers for every layer.
mod products;
/// Results of the steps as JSON and as a table.
mod report;
/// Seeded models and texts.
mod shapes;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: device pack MODEL FOLDER | unpack FOLDER MODEL | shapes MODEL FOLDER | \
                     products bits|times MOST_ROWS LAYERS|all JSON | report MODE FOLDER";

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let is_right = match args[..] {
        ["pack", from, to] => model::pack(Path::new(from), Path::new(to)).map(|()| true),
        ["unpack", from, to] => model::unpack(Path::new(from), Path::new(to)).map(|()| true),
        ["shapes", model, to] => shapes::make(Path::new(model), Path::new(to)).map(|()| true),
        ["products", what @ ("bits" | "times"), most, layers, json] => {
            products::ask(what == "times", most.parse()?, layers, Path::new(json))
        }
        ["report", mode, folder] => report::write(mode, Path::new(folder)).map(|()| true),
        _ => Err(USAGE.into()),
    }?;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
