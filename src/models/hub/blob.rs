//! One file of a repository, downloaded into the cache's `blobs` and verified before it gets its
//! name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap};
use ureq::http::{Response, StatusCode};

use super::client::{BodyError, Client, unavailable};
use crate::models::cache::CachedRepository;
use crate::models::error::{Error, HubError};
use crate::models::folder::hexadecimal;
use crate::models::repository::{is_commit, is_hexadecimal};

const BUFFER_BYTES: usize = 256 << 10;
/// Longest name that is taken for a blob's.
const MAX_ETAG_BYTES: usize = 128;

/// What the hub says of a file.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    /// Relative to the repository.
    pub(super) file: String,
    url: String,
    /// SHA-256 of a large file, git's id of a small one, or what a mirror makes up.
    etag: String,
    size: u64,
}

/// A file in the listing of a repository.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Listed {
    /// Relative to the repository.
    #[serde(rename = "rfilename")]
    pub(super) name: String,
    /// Git's id of it, or of the pointer to a large file.
    #[serde(rename = "blobId", default)]
    blob_id: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    /// Of a large file.
    #[serde(default)]
    lfs: Option<Lfs>,
}

/// What a listing says of a large file; a mirror may say less of it, or call it otherwise.
#[derive(Debug, Clone, Deserialize)]
struct Lfs {
    #[serde(default)]
    sha256: Option<String>,
    /// The same where a tree is listed.
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    size: Option<u64>,
}

impl Lfs {
    fn sha256(&self) -> Option<&str> {
        let named = [&self.sha256, &self.oid].into_iter().find_map(Option::as_deref);
        named.filter(|digest| is_hexadecimal(digest, 64))
    }
}

/// Called with the file, the bytes that are here, and its size.
pub(super) type Progress<'a> = dyn FnMut(&str, u64, u64) + 'a;

impl Blob {
    /// `file`, which stands at `url`, as a listing of its repository describes it; asks the hub
    /// about it where the listing does not.
    pub(super) fn describe(client: &Client, url: String, file: &Listed) -> Result<Self, HubError> {
        let listed = match &file.lfs {
            // The id beside it is that of the pointer.
            Some(lfs) => lfs.sha256().zip(lfs.size),
            None => file.blob_id.as_deref().filter(|id| is_digest(id)).zip(file.size),
        };
        let Some((etag, size)) = listed else {
            return Self::ask(client, url, &file.name);
        };
        Ok(Self { file: file.name.clone(), etag: etag.to_owned(), size, url })
    }

    fn ask(client: &Client, url: String, file: &str) -> Result<Self, HubError> {
        let headers = client.headers(&url)?;
        let first = |names: [&str; 2]| {
            let value = names.iter().find_map(|name| headers.get(*name)?.to_str().ok());
            value.map(str::trim)
        };
        let etag = first(["x-linked-etag", ETAG.as_str()]).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if etag.is_empty() || etag.len() > MAX_ETAG_BYTES || !etag.bytes().all(plain) {
            return Err(unavailable(&url, &format!("has the ETag `{}`", etag.escape_debug())));
        }
        let size =
            first(["x-linked-size", CONTENT_LENGTH.as_str()]).and_then(|text| text.parse().ok());
        let Some(size) = size else {
            return Err(unavailable(&url, "does not say how large the file is"));
        };
        Ok(Self { file: file.to_owned(), etag: etag.to_owned(), size, url })
    }

    /// The blob's place in the cache, downloaded if it is not there, and its SHA-256. `expected`
    /// is the digest that the file must have, where one is known.
    pub(super) fn obtain(
        &self,
        client: &Client,
        cached: &CachedRepository,
        expected: Option<&str>,
        progress: &mut Progress<'_>,
    ) -> Result<(PathBuf, String), Error> {
        let path = cached.root.join("blobs").join(&self.etag);
        let partial = path.with_file_name(format!("{}.incomplete", self.etag));
        let lock = self.lock(cached)?;
        if !path.is_file() {
            create_folder_of(&path)?;
            self.download(client, &partial, progress)?;
        }
        let candidate = if path.is_file() { &path } else { &partial };
        let sha256 = self.verify(candidate).inspect_err(|error| {
            // What is not the published file is of no use, neither to us nor to others; what cannot
            // be read may be it.
            if matches!(error, Error::Digest { .. }) {
                let _ = fs::remove_file(candidate);
            }
        })?;
        if let Some(expected) = expected.filter(|expected| *expected != sha256) {
            // The hub vouches for it, so it stays for others.
            return Err(self.differs(expected, &sha256));
        }
        if candidate == &partial {
            fs::rename(&partial, &path).map_err(|source| write_error(&path, source))?;
        }
        progress(&self.file, self.size, self.size);
        drop(lock);
        Ok((path, sha256))
    }

    /// Holds off other processes that want the same blob, `huggingface_hub`'s among them.
    fn lock(&self, cached: &CachedRepository) -> Result<File, HubError> {
        let path = cached.locks.join(format!("{}.lock", self.etag));
        create_folder_of(&path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        lock.map_err(|source| write_error(&path, source))
    }

    fn download(
        &self,
        client: &Client,
        partial: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        let write_error = |source| write_error(partial, source);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(partial);
        let mut file = open.map_err(write_error)?;
        let present = file.metadata().map_err(write_error)?.len();
        if present > self.size {
            file.set_len(0).map_err(write_error)?;
        }
        if file.metadata().map_err(write_error)?.len() < self.size || self.size == 0 {
            let length = || fs::metadata(partial).map(|data| data.len()).map_err(write_error);
            client.body(&self.url, length, |response| {
                let start = length().map_err(BodyError::Hub)?;
                self.receive(response, start, &mut file, partial, progress)
            })?;
        }
        file.sync_all().map_err(write_error)
    }

    /// Writes what a response holds, from `start` on if the server agrees.
    fn receive(
        &self,
        response: Response<Body>,
        start: u64,
        file: &mut File,
        partial: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<(), BodyError> {
        let write_error = |source| BodyError::Hub(write_error(partial, source));
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT
            && starts_at(response.headers(), start);
        let mut at = if resumed { start } else { 0 };
        file.set_len(at).map_err(write_error)?;
        file.seek(SeekFrom::Start(at)).map_err(write_error)?;
        // One byte more than there should be is enough to see that there are too many.
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut body = body.take(self.size - at + 1);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nothing is missing but the sign that this was the end; the digest decides.
                Err(_) if at == self.size => break,
                Err(error) => return Err(BodyError::Cut(error)),
            };
            at += count as u64;
            if at > self.size {
                return Err(BodyError::Hub(self.wrong_length("more")));
            }
            file.write_all(&buffer[..count]).map_err(write_error)?;
            progress(&self.file, at, self.size);
        }
        if at < self.size {
            let problem = format!("ended after {at} of {} bytes", self.size);
            return Err(BodyError::Cut(io::Error::new(io::ErrorKind::UnexpectedEof, problem)));
        }
        Ok(())
    }

    fn wrong_length(&self, what: &str) -> HubError {
        unavailable(&self.url, &format!("sent {what} than the {} bytes it announced", self.size))
    }

    /// The file's SHA-256, after it is seen to be what the hub's id stands for.
    fn verify(&self, path: &Path) -> Result<String, Error> {
        let (sha256, git) =
            self.hash(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let published = if is_hexadecimal(&self.etag, 64) {
            Some((self.etag.as_str(), &sha256))
        } else if is_commit(&self.etag) {
            // The id of a git blob has the form of a commit's.
            Some((self.etag.as_str(), &git))
        } else {
            None
        };
        match published.filter(|(expected, actual)| expected != actual) {
            Some((expected, actual)) => Err(self.differs(expected, actual)),
            None => Ok(sha256),
        }
    }

    fn differs(&self, expected: &str, actual: &str) -> Error {
        let (expected, actual) = (expected.to_owned(), actual.to_owned());
        Error::Digest { path: PathBuf::from(&self.url), expected, actual }
    }

    /// SHA-256, and git's id of the same bytes as a blob.
    fn hash(&self, path: &Path) -> io::Result<(String, String)> {
        let mut file = File::open(path)?;
        let (mut sha256, mut git) = (Sha256::new(), Sha1::new());
        git.update(format!("blob {}\0", file.metadata()?.len()));
        let small = !is_hexadecimal(&self.etag, 64);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok((hexadecimal(&sha256.finalize()), hexadecimal(&git.finalize())));
            }
            sha256.update(&buffer[..count]);
            if small {
                git.update(&buffer[..count]);
            }
        }
    }
}

/// Whether `id` is git's of a file or the SHA-256 of one.
fn is_digest(id: &str) -> bool {
    is_commit(id) || is_hexadecimal(id, 64)
}

/// Whether a partial answer begins where it was asked to.
fn starts_at(headers: &HeaderMap, start: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
    first.and_then(|first| first.parse().ok()) == Some(start)
}

pub(super) fn create_folder_of(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|source| write_error(folder, source))
}

pub(super) fn write_error(path: &Path, source: io::Error) -> HubError {
    HubError::Write { path: path.to_owned(), source }
}
