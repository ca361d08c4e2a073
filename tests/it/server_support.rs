//! A running `chunkflow serve`, and a client that speaks just enough HTTP/1.1 to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::process::{DEADLINE, Place, binary, wait_for};

/// A server on a free port of its own. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    log: Log,
    address: SocketAddr,
    _place: Place,
}

/// What the server has written to standard error so far.
struct Log {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Log {
    fn follow(stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let mut text = into.lock().unwrap();
                text.push_str(&line.unwrap());
                text.push('\n');
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// The first line with a message that starts with `message`.
    fn line(&self, message: &str) -> Option<Value> {
        let text = self.text();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"].as_str().is_some_and(|text| text.starts_with(message)))
    }
}

impl Server {
    /// Serves the model in `folder`.
    pub(crate) fn start(model: &Path) -> Self {
        Self::with(model, &[], &[])
    }

    /// The same, with variables and more flags.
    pub(crate) fn with(model: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Self {
        let place = Place::new();
        let args = ["serve", "--port", "0", "--model", model.to_str().unwrap()];
        let mut command = place.program(binary(), &[&args, flags].concat());
        command.env("CHUNKFLOW__LOG__FORMAT", "json").envs(variables.iter().copied());
        let (mut child, log) = spawn(&mut command);
        let line = wait_for("the server to listen", || {
            assert_eq!(child.try_wait().unwrap(), None, "{}", log.text());
            log.line("listening")
        });
        let address = line["address"].as_str().unwrap().parse().unwrap();
        Self { child, log, address, _place: place }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `request` and reads the answer.
    pub(crate) fn send(&self, request: &Request<'_>) -> Answer {
        let mut connection = Connection::open(self.address);
        connection.write(&request.bytes());
        connection.read_answer()
    }

    /// Posts JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&Request::json(path, body.to_string().as_bytes()))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&Request::new("GET", path))
    }

    /// What `/proc` says of its memory under `key`, in KiB.
    pub(crate) fn memory_kib(&self, key: &str) -> u64 {
        crate::memory::status_kib(&self.child, key).unwrap()
    }

    /// Waits for a line of the log with a message that starts with `message`.
    pub(crate) fn wait_for_log(&self, message: &str) -> Value {
        wait_for(message, || self.log.line(message))
    }

    /// Asks the server to stop.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends the server a signal.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: a small container has no program of that name.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the server's own end; returns how it ended and all that it logged.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for("the server to end", || self.child.try_wait().unwrap());
        self.log.reader.take().unwrap().join().unwrap();
        (status, self.log.text())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> (Child, Log) {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let log = Log::follow(child.stderr.take().unwrap());
    (child, log)
}

/// A request; the connection closes after it.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, headers: Vec::new(), body: b"" }
    }

    /// A post of JSON, or of what claims to be.
    pub(crate) fn json(path: &'a str, body: &'a [u8]) -> Self {
        Self { body, ..Self::new("POST", path) }.header("content-type", "application/json")
    }

    pub(crate) fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn body(self, body: &'a [u8]) -> Self {
        Self { body, ..self }
    }

    /// All up to the body.
    pub(crate) fn head(&self) -> Vec<u8> {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n",
            self.method,
            self.path,
            self.body.len(),
            headers.collect::<String>()
        )
        .into_bytes()
    }

    fn bytes(&self) -> Vec<u8> {
        [&self.head(), self.body].concat()
    }
}

/// A connection for one request, which may be sent in parts.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends the head of `request` and waits until the server asks for the body: then the request
    /// is in flight for certain.
    #[track_caller]
    pub(crate) fn begin(&mut self, request: &Request<'_>) {
        if let Err(answer) = self.try_begin(request) {
            panic!("{} {}", answer.status, answer.text());
        }
    }

    /// The same, or the answer of a server that refuses the body.
    pub(crate) fn try_begin(&mut self, request: &Request<'_>) -> Result<(), Answer> {
        self.write(&request.clone().header("expect", "100-continue").head());
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut bytes = vec![0; expected.len()];
        self.stream.read_exact(&mut bytes).unwrap();
        if bytes == expected {
            return Ok(());
        }
        bytes.extend(self.read_to_end());
        Err(Answer::parse(&bytes))
    }

    /// All that comes until the server closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn read_answer(&mut self) -> Answer {
        Answer::parse(&self.read_to_end())
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let answer = Self { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() };
        if let Some(length) = answer.header("content-length") {
            assert_eq!(answer.body.len().to_string(), length);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body of any answer.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }
}
