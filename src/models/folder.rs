//! A model's folder in the hub's layout: reads its files and checks their digests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::cache::blob_digest;
use super::error::Error;
use super::layout::{Files, Layout, files_needed};
use super::repository::check_file;

/// The largest configuration or tokenizer file that is read into memory, in bytes.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// A folder with the digests that its files must have.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    sha256: BTreeMap<String, String>,
    /// Of which every file must stand in one, links followed; none where it may stand anywhere.
    boundaries: Vec<PathBuf>,
    /// Digests of the files that were read and had none to match, where they are wanted.
    seen: Option<Mutex<BTreeMap<String, String>>>,
}

impl Folder {
    pub(super) fn new(root: PathBuf, sha256: BTreeMap<String, String>) -> Self {
        Self { root, sha256, boundaries: Vec::new(), seen: None }
    }

    /// Keeps the digests of files that have none to match.
    pub(super) fn recording(mut self) -> Self {
        self.seen = Some(Mutex::default());
        self
    }

    /// Refuses files that links lead out of all of `boundaries` to; those that are not there count
    /// for nothing.
    pub(super) fn within(mut self, boundaries: &[PathBuf]) -> Self {
        let real = boundaries.iter().filter_map(|boundary| boundary.canonicalize().ok());
        self.boundaries = real.collect();
        self
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// Whether there is such a file, be it one that will be refused.
    pub(crate) fn exists(&self, file: &str) -> bool {
        is_there(&self.path(file))
    }

    /// Whether `file` may be read, as far as its first bytes tell.
    pub(super) fn is_readable(&self, file: &str) -> bool {
        self.open(file).is_ok_and(|path| {
            let mut head = Vec::new();
            let read = File::open(&path).and_then(|file| file.take(64).read_to_end(&mut head));
            read.is_ok() && refuse_pointer(&path, &head).is_ok()
        })
    }

    /// The digests of files that were read and had none to match.
    pub(crate) fn seen(&self) -> BTreeMap<String, String> {
        let seen =
            self.seen.as_ref().map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.map(|seen| seen.clone()).unwrap_or_default()
    }

    /// Reads a small file whole, verified.
    pub(crate) fn read(&self, file: &str) -> Result<Vec<u8>, Error> {
        let path = self.open(file)?;
        let size = fs::metadata(&path).map_err(|source| read_error(&path, source))?.len();
        if size > MAX_JSON_BYTES {
            let problem = format!("file has {size} bytes, limit {MAX_JSON_BYTES}");
            return Err(Error::Malformed { path, problem });
        }
        let bytes = fs::read(&path).map_err(|source| read_error(&path, source))?;
        refuse_pointer(&path, &bytes)?;
        self.verify(file, &bytes)?;
        Ok(bytes)
    }

    /// Reads and parses a JSON file, verified.
    pub(crate) fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.read(file)?)
            .map_err(|error| Error::Malformed { path: self.path(file), problem: error.to_string() })
    }

    /// The same, `None` where there is no such file.
    pub(crate) fn optional_json<T: DeserializeOwned>(
        &self,
        file: &str,
    ) -> Result<Option<T>, Error> {
        if self.exists(file) { self.json(file).map(Some) } else { Ok(None) }
    }

    /// Maps a large file into memory; [`verify_map`](Self::verify_map) is still to be called.
    #[expect(unsafe_code, reason = "memory-mapping the weights")]
    pub(crate) fn map(&self, file: &str) -> Result<Map, Error> {
        let path = self.open(file)?;
        let handle = File::open(&path).map_err(|source| read_error(&path, source))?;
        // SAFETY: the map is read only here, while the weights are packed, and dropped at the end
        // of loading. A file that another process cuts short meanwhile would end this one; model
        // files are replaced by rename, never rewritten in place.
        let map = unsafe { memmap2::Mmap::map(&handle) };
        let map = map.map(Map).map_err(|source| read_error(&path, source))?;
        refuse_pointer(&path, &map)?;
        Ok(map)
    }

    /// Checks that `bytes` are the contents that `file` must have, by the digest that was
    /// published, recorded, or given by the hub as the name of the blob behind a link.
    pub(crate) fn verify(&self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        self.verify_digest(file, || Sha256::digest(bytes).to_vec())
    }

    /// The same of a mapped file, a piece at a time, so that it does not fill the memory.
    pub(crate) fn verify_map(&self, file: &str, map: &Map) -> Result<(), Error> {
        self.verify_digest(file, || {
            let mut digest = Sha256::new();
            for (index, piece) in map.chunks(PIECE_BYTES).enumerate() {
                digest.update(piece);
                map.release(index * PIECE_BYTES..index * PIECE_BYTES + piece.len());
            }
            digest.finalize().to_vec()
        })
    }

    fn verify_digest(&self, file: &str, digest: impl FnOnce() -> Vec<u8>) -> Result<(), Error> {
        let path = self.path(file);
        let expected = self.sha256.get(file).cloned().or_else(|| blob_digest(&path));
        if expected.is_none() && self.seen.is_none() {
            return Ok(());
        }
        let actual = hexadecimal(&digest());
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
        if let Some(first) = self.boundaries.first() {
            let real = path.canonicalize().map_err(|source| read_error(&path, source))?;
            if !self.boundaries.iter().any(|boundary| real.starts_with(boundary)) {
                let problem = format!("leads to {}, out of {}", real.display(), first.display());
                return Err(Error::Malformed { path, problem });
            }
        }
        check_regular(&path)?;
        Ok(path)
    }
}

/// Refuses what git leaves in place of a large file that was not fetched
/// (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if !bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Ok(());
    }
    let problem = "is a git-lfs pointer, not the file itself, which `git lfs pull` brings";
    Err(Error::Malformed { path: path.to_owned(), problem: problem.to_owned() })
}

/// Whether there is something to read, be it what will be refused.
fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_dir())
}

/// Refuses pipes, devices and the like: to open one may wait, and to read one need not end. A folder
/// cannot be read, which whoever opens it says.
pub(super) fn check_regular(path: &Path) -> Result<(), Error> {
    let kind = fs::metadata(path).map_err(|source| read_error(path, source))?;
    if kind.is_file() || kind.is_dir() {
        return Ok(());
    }
    Err(Error::Malformed { path: path.to_owned(), problem: "is no regular file".to_owned() })
}

impl Files for &Folder {
    fn has(&self, file: &str) -> bool {
        self.exists(file)
    }

    fn optional_json<T: DeserializeOwned>(&mut self, file: &str) -> Result<Option<T>, Error> {
        Folder::optional_json(self, file)
    }
}

/// A folder's files as they are, unverified, for a look at which there are; one that cannot be
/// read counts as absent, and whoever needs it says why.
#[derive(Clone, Copy)]
pub(super) struct Glance<'a>(pub(super) &'a Path);

impl Glance<'_> {
    /// The files that the model in this folder needs, see [`files_needed`].
    pub(super) fn needed(self) -> Vec<String> {
        let layout = Layout::read(self).unwrap_or_default();
        files_needed(&layout, |file| self.has(file))
    }
}

impl Files for Glance<'_> {
    fn has(&self, file: &str) -> bool {
        is_there(&self.0.join(file))
    }

    fn optional_json<T: DeserializeOwned>(&mut self, file: &str) -> Result<Option<T>, Error> {
        let path = self.0.join(file);
        let bytes = path.is_file().then(|| fs::read(path).ok()).flatten();
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// Bytes of a mapped file that are hashed before their memory is given back.
const PIECE_BYTES: usize = 4 << 20;

/// A file in memory, read-only.
pub(crate) struct Map(memmap2::Mmap);

impl Map {
    /// Gives back the memory of bytes that have been read; they can be read again.
    #[cfg_attr(unix, expect(unsafe_code, reason = "advice on the mapped weights"))]
    #[cfg_attr(not(unix), expect(unused_variables, reason = "no such advice"))]
    pub(crate) fn release(&self, bytes: Range<usize>) {
        #[cfg(unix)]
        {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: nothing is ever written to the map, so that its pages come back from the
            // file with the same contents. Refused advice costs memory only.
            let _ = unsafe { self.0.unchecked_advise_range(advice, bytes.start, bytes.len()) };
        }
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_error(path: &Path, source: io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}
