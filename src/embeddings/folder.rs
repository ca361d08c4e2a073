//! A model's folder in the hub's layout: reads its files and checks their digests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Error;

/// The largest configuration or tokenizer file that is read into memory, in bytes.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// A folder with the digests that its files must have.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
    sha256: BTreeMap<String, String>,
}

impl Folder {
    pub(super) fn new(root: PathBuf, sha256: BTreeMap<String, String>) -> Self {
        Self { root, sha256 }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    pub(super) fn exists(&self, file: &str) -> bool {
        self.path(file).is_file()
    }

    /// Reads a small file whole, verified.
    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, Error> {
        let path = self.path(file);
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

    /// Maps a large file into memory, verified.
    #[expect(unsafe_code, reason = "memory-mapping the weights")]
    pub(super) fn map(&self, file: &str) -> Result<memmap2::Mmap, Error> {
        let path = self.path(file);
        let handle = File::open(&path).map_err(|source| read_error(&path, source))?;
        // SAFETY: the map is read only here, while the weights are packed, and dropped at the end
        // of loading. A file that another process cuts short meanwhile would end this one; model
        // files are replaced by rename, never rewritten in place.
        let map = unsafe { memmap2::Mmap::map(&handle) };
        let map = map.map_err(|source| read_error(&path, source))?;
        self.verify(file, &map)?;
        Ok(map)
    }

    fn verify(&self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let Some(expected) = self.sha256.get(file) else { return Ok(()) };
        let actual: String =
            Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if &actual == expected {
            return Ok(());
        }
        Err(Error::Digest { path: self.path(file), expected: expected.clone(), actual })
    }
}

fn read_error(path: &Path, source: io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}
