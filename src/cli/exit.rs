//! Exit codes, after BSD's `sysexits.h`: decided here and nowhere else.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::{Error, ErrorKind};

/// Prints `error` with its causes on standard error and chooses the exit code.
///
/// A reader that closed our standard output has what it wanted: that is success, silently.
#[must_use]
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let mut message = format!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Transparent wrappers repeat what stands below them.
        if cause != last {
            message.push_str(": ");
            message.push_str(cause.lines().next().unwrap_or_default());
            last = cause;
        }
    }
    // With standard error gone too, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<Error>()).map(Error::kind);
    let io = || error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    match kind.or_else(|| io().map(|_| ErrorKind::Io)) {
        Some(ErrorKind::Input | ErrorKind::Model) => 65,
        Some(ErrorKind::NotFound) => 66,
        Some(ErrorKind::Device | ErrorKind::Unavailable) => 69,
        Some(ErrorKind::Internal) => 70,
        Some(ErrorKind::CannotCreate) => 73,
        Some(ErrorKind::Io) => 74,
        Some(ErrorKind::Overloaded) => 75,
        Some(ErrorKind::Permission) => 77,
        Some(ErrorKind::Config) => 78,
        None => 1,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
