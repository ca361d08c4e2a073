//! A model's folder in the hub's layout: reads its files and checks their digests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Error;
use super::hub::{blob_digest, check_file};

/// The largest configuration or tokenizer file that is read into memory, in bytes.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// A folder with the digests that its files must have.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    sha256: BTreeMap<String, String>,
    /// What every file must stand in, links followed.
    boundary: Option<PathBuf>,
    /// Digests of the files that were read and had none to match, where they are wanted.
    seen: Option<Mutex<BTreeMap<String, String>>>,
}

impl Folder {
    pub(super) fn new(root: PathBuf, sha256: BTreeMap<String, String>) -> Self {
        Self { root, sha256, boundary: None, seen: None }
    }

    /// Keeps the digests of files that have none to match.
    pub(super) fn recording(mut self) -> Self {
        self.seen = Some(Mutex::default());
        self
    }

    /// Refuses files that links lead out of `boundary` to.
    pub(super) fn within(mut self, boundary: &Path) -> Result<Self, Error> {
        let boundary = boundary.canonicalize().map_err(|source| read_error(boundary, source))?;
        self.boundary = Some(boundary);
        Ok(self)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    pub(super) fn exists(&self, file: &str) -> bool {
        self.path(file).is_file()
    }

    /// The digests of files that were read and had none to match.
    pub(super) fn seen(&self) -> BTreeMap<String, String> {
        let seen =
            self.seen.as_ref().map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.map(|seen| seen.clone()).unwrap_or_default()
    }

    /// Reads a small file whole, verified.
    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, Error> {
        let path = self.open(file)?;
        let size = fs::metadata(&path).map_err(|source| read_error(&path, source))?.len();
        if size > MAX_JSON_BYTES {
            let problem = format!("file has {size} bytes, limit {MAX_JSON_BYTES}");
            return Err(Error::Malformed { path, problem });
        }
        let bytes = fs::read(&path).map_err(|source| read_error(&path, source))?;
        self.verify(file, &bytes)?;
        Ok(bytes)
    }

    /// Reads and parses a JSON file, verified.
    pub(super) fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.read(file)?)
            .map_err(|error| Error::Malformed { path: self.path(file), problem: error.to_string() })
    }

    /// The same, `None` where there is no such file.
    pub(super) fn optional_json<T: DeserializeOwned>(
        &self,
        file: &str,
    ) -> Result<Option<T>, Error> {
        if self.exists(file) { self.json(file).map(Some) } else { Ok(None) }
    }

    /// Maps a large file into memory; [`verify`](Self::verify) is still to be called.
    #[expect(unsafe_code, reason = "memory-mapping the weights")]
    pub(super) fn map(&self, file: &str) -> Result<memmap2::Mmap, Error> {
        let path = self.open(file)?;
        let handle = File::open(&path).map_err(|source| read_error(&path, source))?;
        // SAFETY: the map is read only here, while the weights are packed, and dropped at the end
        // of loading. A file that another process cuts short meanwhile would end this one; model
        // files are replaced by rename, never rewritten in place.
        let map = unsafe { memmap2::Mmap::map(&handle) };
        map.map_err(|source| read_error(&path, source))
    }

    /// Checks that `bytes` are the contents that `file` must have, by the digest that was
    /// published, recorded, or given by the hub as the name of the blob behind a link.
    pub(super) fn verify(&self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(file);
        let expected = self.sha256.get(file).cloned().or_else(|| blob_digest(&path));
        if expected.is_none() && self.seen.is_none() {
            return Ok(());
        }
        let actual = hexadecimal(&Sha256::digest(bytes));
        match (expected, &self.seen) {
            (Some(expected), _) if expected != actual => {
                return Err(Error::Digest { path, expected, actual });
            }
            (None, Some(seen)) => {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.insert(file.to_owned(), actual);
            }
            _ => {}
        }
        Ok(())
    }

    /// The path of `file`, which must stand plainly below the folder.
    fn open(&self, file: &str) -> Result<PathBuf, Error> {
        check_file(file)?;
        let path = self.path(file);
        if let Some(boundary) = &self.boundary {
            let real = path.canonicalize().map_err(|source| read_error(&path, source))?;
            if !real.starts_with(boundary) {
                let problem = format!("leads to {}, out of {}", real.display(), boundary.display());
                return Err(Error::Malformed { path, problem });
            }
        }
        Ok(path)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_error(path: &Path, source: io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}
