//! Where bytes go: standard output, or a file that appears under its name only when complete.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::error::Error;

/// An output that is being written. Dropped before [`commit`](Self::commit), it leaves nothing.
pub struct Destination {
    writer: BufWriter<Target>,
    path: PathBuf,
    replace: bool,
}

enum Target {
    Stdout(io::Stdout),
    /// Under a temporary name in the folder of the final one, so that renaming is atomic.
    File(File, TempPath),
}

impl Destination {
    /// Writes to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let writer = BufWriter::with_capacity(1 << 16, Target::Stdout(io::stdout()));
        Self { writer, path: PathBuf::from("standard output"), replace: false }
    }

    /// Writes to what becomes `path`. An existing file is kept unless `replace`.
    ///
    /// # Errors
    /// When it exists or its folder cannot be written.
    pub fn file(path: &Path, replace: bool) -> Result<Self, Error> {
        if !replace && path.exists() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        // A device or pipe cannot be replaced by a complete file: that is what `>` is for.
        let special = path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
        let create = |source| Error::Create { path: path.to_owned(), source };
        if special || path.is_dir() {
            return Err(create(io::Error::other("it is not a regular file")));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = tempfile::Builder::new()
            .prefix(&format!(".{name}.tmp-"))
            .permissions(readable())
            .tempfile_in(folder)
            .map_err(create)?;
        let (file, temporary) = NamedTempFile::into_parts(file);
        let writer = BufWriter::with_capacity(1 << 16, Target::File(file, temporary));
        Ok(Self { writer, path: path.to_owned(), replace })
    }

    /// Whether [`seek_to_start`](Self::seek_to_start) works.
    pub(super) fn is_seekable(&self) -> bool {
        matches!(self.writer.get_ref(), Target::File(..))
    }

    /// Back to the first byte, to complete a header.
    pub(super) fn seek_to_start(&mut self) -> Result<(), Error> {
        let flushed = self.writer.flush();
        let sought = flushed.and_then(|()| match self.writer.get_mut() {
            Target::File(file, _) => file.rewind(),
            Target::Stdout(_) => Err(io::ErrorKind::NotSeekable.into()),
        });
        sought.map_err(|source| self.write_error(source))
    }

    /// Completes the output and gives it its name.
    ///
    /// # Errors
    /// When the last bytes cannot be written or another file has taken the name meanwhile.
    pub fn commit(self) -> Result<(), Error> {
        let Self { writer, path, replace } = self;
        let fail = |source| Error::Write { path: path.clone(), source };
        match writer.into_inner().map_err(|error| fail(error.into_error()))? {
            Target::Stdout(mut stdout) => stdout.flush().map_err(fail),
            Target::File(file, temporary) => {
                file.sync_all().map_err(fail)?;
                if replace {
                    return temporary.persist(&path).map_err(|error| fail(error.error));
                }
                temporary.persist_noclobber(&path).map_err(|error| {
                    if error.error.kind() == io::ErrorKind::AlreadyExists {
                        return Error::Exists { path: path.clone() };
                    }
                    fail(error.error)
                })
            }
        }
    }

    /// What it is called in errors.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What a failure to write to it is.
    #[must_use]
    pub fn write_error(&self, source: io::Error) -> Error {
        Error::Write { path: self.path().to_owned(), source }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}

/// Permissions of an ordinary new file; temporary files are private by default.
fn readable() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o644)
}
