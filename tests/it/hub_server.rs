//! A hub on this machine: it speaks the protocol of huggingface.co for one repository, and can be
//! told to fail.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use sha1::Digest;

pub(crate) const ID: &str = "tester/tiny";
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This status and header, and no body.
    Status(u16, &'static str, String),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// So many bytes of the body, a signal on [`Hub::stalled`], then nothing more.
    Stall(usize),
    /// The whole file, whatever range was asked for.
    NoRange,
    /// The body has one flipped bit.
    Garble,
    /// The body goes on after its end, without a length.
    Longer,
    /// The body comes in a chunk, after which the one that ends it is missing.
    Unended,
    /// These headers replace the answer's own.
    Headers(Vec<(&'static str, String)>),
    /// Another body.
    Body(String),
}

/// What a listing says of a large file, by its SHA-256 and size.
pub(crate) type ListLfs = fn(&str, usize) -> Value;

struct State {
    files: BTreeMap<String, Vec<u8>>,
    commit: String,
    /// Part of a path, how many more requests it befalls, and what.
    faults: Vec<(String, usize, Fault)>,
    requests: Vec<Request>,
    /// Whether a listing has ids and sizes of files where they are asked for.
    has_blobs: bool,
    lfs: ListLfs,
}

pub(crate) struct Hub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    pub(crate) stalled: Receiver<()>,
    accepting: Option<JoinHandle<()>>,
}

impl Hub {
    /// Serves the files of `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let commit = COMMIT.to_owned();
        let (faults, requests) = (Vec::new(), Vec::new());
        let lfs: ListLfs =
            |sha256, size| json!({"sha256": sha256, "size": size, "pointerSize": 134});
        let state = State { files, commit, faults, requests, has_blobs: true, lfs };
        let state = Arc::new(Mutex::new(state));
        let (sender, stalled) = channel();
        let shared = Arc::clone(&state);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let (state, sender) = (Arc::clone(&shared), sender.clone());
                // A first byte of zero is the end of the test.
                let mut first = [1];
                if stream.peek(&mut first).is_ok() && first[0] == 0 {
                    break;
                }
                thread::spawn(move || serve(stream, &state, &sender));
            }
        });
        Self { address, state, stalled, accepting: Some(accepting) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets `fault` befall the next `times` requests whose method and path contain `part`.
    pub(crate) fn fail(&self, part: &str, times: usize, fault: Fault) {
        self.state.lock().unwrap().faults.push((part.to_owned(), times, fault));
    }

    /// Adds or replaces a file.
    pub(crate) fn put(&self, file: &str, contents: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().files.insert(file.to_owned(), contents.into());
    }

    pub(crate) fn remove(&self, file: &str) -> Vec<u8> {
        self.state.lock().unwrap().files.remove(file).unwrap()
    }

    /// Moves `main` to another commit.
    pub(crate) fn move_main(&self, commit: &str) {
        commit.clone_into(&mut self.state.lock().unwrap().commit);
    }

    /// Lists names of files alone, as mirrors do.
    pub(crate) fn hide_blobs(&self) {
        self.state.lock().unwrap().has_blobs = false;
    }

    /// Lists large files as `lfs` says, by their SHA-256 and size.
    pub(crate) fn list_lfs(&self, lfs: ListLfs) {
        self.state.lock().unwrap().lfs = lfs;
    }

    /// What was asked since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    pub(crate) fn file(&self, file: &str) -> Vec<u8> {
        self.state.lock().unwrap().files[file].clone()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.write_all(&[0]);
        }
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn collect(root: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let file = if below.is_empty() { name } else { format!("{below}/{name}") };
        let path = root.join(&file);
        if path.is_dir() {
            collect(root, &file, files);
        } else {
            files.insert(file, fs::read(path).unwrap());
        }
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&sha2::Sha256::digest(bytes))
}

/// Git's id of a file.
pub(crate) fn git_id(bytes: &[u8]) -> String {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hexadecimal(&hasher.finalize())
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn serve(stream: TcpStream, state: &Mutex<State>, stalled: &Sender<()>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(mut request) = read_request(&mut reader) else { return };
    let (answer, fault) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let line = format!("{} {}", request.method, request.path);
        let fault = state
            .faults
            .iter_mut()
            .find(|(part, times, _)| *times > 0 && line.contains(part.as_str()));
        let fault = fault.map(|(_, times, fault)| {
            *times -= 1;
            fault.clone()
        });
        if matches!(fault, Some(Fault::NoRange)) {
            request.headers.remove("range");
        }
        (answer(&request, &state), fault)
    };
    send(stream, &request, answer, fault.as_ref(), stalled);
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    Some(Request { method, path, headers })
}

/// A file in a listing.
fn sibling(file: &str, contents: &[u8], has_blobs: bool, state: &State) -> Value {
    let size = contents.len();
    match (has_blobs, file.ends_with(".safetensors")) {
        (false, _) => json!({"rfilename": file}),
        (true, false) => json!({"rfilename": file, "blobId": git_id(contents), "size": size}),
        (true, true) => {
            let sha256 = sha256(contents);
            let (pointer, lfs) = (format!("oid sha256:{sha256}"), (state.lfs)(&sha256, size));
            json!({"rfilename": file, "blobId": git_id(pointer.as_bytes()), "size": size, "lfs": lfs})
        }
    }
}

/// What huggingface.co would say.
fn answer(request: &Request, state: &State) -> Answer {
    let not_found = || Answer { status: 404, headers: Vec::new(), body: b"not found".to_vec() };
    let ok = |body: Vec<u8>| Answer { status: 200, headers: Vec::new(), body };
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if let Some(revision) = path.strip_prefix(&format!("/api/models/{ID}/revision/")) {
        if revision != "main"
            && revision != "feature%2Fx"
            && revision != state.commit
            && revision != COMMIT
        {
            return not_found();
        }
        let sha = if revision.len() == 40 { revision } else { &state.commit };
        let has_blobs = state.has_blobs && query == "blobs=true";
        let files = state.files.iter();
        let siblings: Vec<_> =
            files.map(|(file, contents)| sibling(file, contents, has_blobs, state)).collect();
        return ok(json!({"id": ID, "sha": sha, "siblings": siblings}).to_string().into());
    }
    if let Some(name) = request.path.strip_prefix("/lfs/") {
        let file = state.files.values().find(|contents| sha256(contents) == name);
        let mut answer = file.map_or_else(not_found, |contents| range(request, contents));
        answer.headers.push(("X-Repo-Commit", state.commit.clone()));
        answer.headers.push(("ETag", format!("\"{name}\"")));
        return answer;
    }
    let cached = request.path.strip_prefix("/api/resolve-cache/");
    let prefix = format!("/{ID}/resolve/");
    let resolved = request.path.strip_prefix(&prefix).and_then(|rest| rest.split_once('/'));
    let Some((commit, file)) = resolved.or(cached.and_then(|rest| rest.split_once('/'))) else {
        return not_found();
    };
    let Some(contents) = state.files.get(file) else { return not_found() };
    let commit = if commit == "main" { state.commit.as_str() } else { commit };
    let mut headers = vec![("X-Repo-Commit", commit.to_owned())];
    if file.ends_with(".safetensors") {
        let digest = sha256(contents);
        headers.push(("X-Linked-Etag", format!("\"{digest}\"")));
        headers.push(("X-Linked-Size", contents.len().to_string()));
        headers.push(("ETag", "\"of the redirect\"".to_owned()));
        headers.push(("Location", format!("/lfs/{digest}")));
        return Answer { status: 302, headers, body: b"Found. Redirecting".to_vec() };
    }
    if cached.is_none() && file == "config.json" {
        headers.push(("Location", format!("/api/resolve-cache/{commit}/{file}")));
        return Answer { status: 307, headers, body: Vec::new() };
    }
    headers.push(("ETag", format!("\"{}\"", git_id(contents))));
    let mut answer = range(request, contents);
    answer.headers.extend(headers);
    answer
}

fn range(request: &Request, contents: &[u8]) -> Answer {
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
    let ends = range.and_then(|range| range.split_once('-'));
    let start = ends.and_then(|(start, _)| start.parse::<usize>().ok());
    let Some(start) = start.filter(|&start| start < contents.len()) else {
        return Answer { status: 200, headers: Vec::new(), body: contents.to_vec() };
    };
    let last = ends.and_then(|(_, last)| last.parse().ok()).unwrap_or(contents.len() - 1);
    let headers = vec![("Content-Range", format!("bytes {start}-{last}/{}", contents.len()))];
    Answer { status: 206, headers, body: contents[start..=last].to_vec() }
}

fn send(
    mut stream: TcpStream,
    request: &Request,
    mut answer: Answer,
    fault: Option<&Fault>,
    stalled: &Sender<()>,
) {
    let mut until = None;
    let mut says_length = true;
    match fault {
        Some(Fault::Status(status, name, value)) => {
            let headers = vec![(*name, value.clone())];
            answer = Answer { status: *status, headers, body: Vec::new() };
        }
        Some(Fault::Cut(count) | Fault::Stall(count)) => until = Some(*count),
        Some(Fault::Garble) => {
            let middle = answer.body.len() / 2;
            answer.body[middle] ^= 1;
        }
        Some(Fault::Longer) => {
            answer.body.extend([0; 64]);
            says_length = false;
        }
        Some(Fault::Unended) => {
            let chunk = format!("{:x}\r\n", answer.body.len());
            answer.body = [chunk.as_bytes(), &answer.body, b"\r\n"].concat();
            answer.headers.push(("Transfer-Encoding", "chunked".to_owned()));
            says_length = false;
        }
        Some(Fault::Headers(headers)) => {
            let replaced = |name: &str| headers.iter().any(|(new, _)| *new == name);
            answer.headers.retain(|(name, _)| !replaced(name));
            answer.headers.extend(headers.iter().cloned());
        }
        Some(Fault::Body(body)) => answer.body = body.clone().into_bytes(),
        Some(Fault::NoRange) | None => {}
    }
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", answer.status);
    if says_length {
        head.push_str("Content-Length: ");
        head.push_str(&answer.body.len().to_string());
        head.push_str("\r\n");
    }
    for (name, value) in &answer.headers {
        head.extend([*name, ": ", value.as_str(), "\r\n"]);
    }
    head.push_str("\r\n");
    let body = if request.method == "HEAD" { &[] } else { answer.body.as_slice() };
    let until = until.unwrap_or(body.len()).min(body.len());
    // A client that has gone has what it wanted.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body[..until]));
    if matches!(fault, Some(Fault::Stall(_))) {
        let _ = stalled.send(());
        // Until the client is gone.
        let _ = stream.peek(&mut [0]);
    }
    let _ = stream.shutdown(Shutdown::Both);
}
