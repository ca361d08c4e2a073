//! Refusals of arguments that do not go together.

use std::path::PathBuf;

use clap::Command;
use clap::error::ErrorKind;

/// Ends the program as clap does when arguments do not go together.
pub(super) fn refuse_arguments(message: &str) -> ! {
    Command::new("chunkflow").error(ErrorKind::ArgumentConflict, message).exit()
}

/// Refuses one file for two outputs, of which only the later would remain.
pub(super) fn refuse_one_file(
    a: Option<&PathBuf>,
    a_flag: &str,
    b: Option<&PathBuf>,
    b_flag: &str,
) {
    if let (Some(a), Some(b)) = (a, b)
        && std::path::absolute(a).ok() == std::path::absolute(b).ok()
    {
        refuse_arguments(&format!("{a_flag} and {b_flag} are one file, {}", b.display()));
    }
}
