//! The `chunkflow` command.

use std::panic::catch_unwind;
use std::process::ExitCode;

use chunkflow::cli::{self, Cli};
use clap::Parser;

/// `EX_SOFTWARE` of BSD's `sysexits.h`: a fault of this program.
const PANICKED: u8 = 70;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match catch_unwind(|| cli::run(cli)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => cli::report(&error),
        // The panic hook has printed where and why.
        Err(_) => ExitCode::from(PANICKED),
    }
}
