//! The `chunkflow` binary as a user runs it: in a folder of its own, with nothing of the test's
//! surroundings but `PATH` and `HOME`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{no_network, support};

/// No command of these tests takes nearly as long; one that does hangs.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// The path of the binary.
pub(crate) fn binary() -> PathBuf {
    assert_cmd::cargo::cargo_bin("chunkflow")
}

/// The folder of the tiny model: vectors of 24 dimensions, texts of up to 48 tokens.
pub(crate) fn tiny() -> String {
    support::golden("tiny").to_str().unwrap().to_owned()
}

/// What a command left.
pub(crate) struct Ran {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// Standard output of a run that must have succeeded.
    pub(crate) fn output(&self) -> &[u8] {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        &self.stdout
    }

    /// The same as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.output()).unwrap()
    }
}

/// A folder in which commands run, so that they can name files as users do.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A place with one file.
    pub(crate) fn with(name: &str, contents: impl AsRef<[u8]>) -> Self {
        let place = Self::new();
        place.write(name, contents);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Names of all that is here, hidden files too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// `program` with `args` here, for what [`run`](Self::run) cannot do.
    #[expect(clippy::disallowed_methods, reason = "handed on, not read as a setting")]
    pub(crate) fn program(
        &self,
        program: impl AsRef<OsStr>,
        args: &[&str],
    ) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command.args(args).current_dir(self.folder.path()).env_clear();
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // No test may reach a hub that is not its own, nor depend on what this user has pulled.
        command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.folder.path().join(".hf"));
        command
    }

    /// `chunkflow` with `args` here.
    pub(crate) fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::from_std(self.program(binary(), args));
        command.timeout(DEADLINE);
        command
    }

    /// Runs `chunkflow` with `args`, nothing on standard input.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.feed(args, b"")
    }

    /// Runs `chunkflow` with `args` and `stdin`.
    pub(crate) fn feed(&self, args: &[&str], stdin: &[u8]) -> Ran {
        Ran::of(self.command(args).write_stdin(stdin).output().unwrap())
    }

    /// Runs `chunkflow` with `args` and more of the environment.
    pub(crate) fn run_with(&self, args: &[&str], variables: &[(&str, String)]) -> Ran {
        self.feed_with(args, b"", variables)
    }

    /// Runs `chunkflow` with `args`, `stdin` and more of the environment.
    pub(crate) fn feed_with(
        &self,
        args: &[&str],
        stdin: &[u8],
        variables: &[(&str, String)],
    ) -> Ran {
        let mut command = self.command(args);
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        Ran::of(command.write_stdin(stdin).output().unwrap())
    }

    /// The same, ended by the system at the first `connect`, to whatever address.
    pub(crate) fn run_without_network(
        &self,
        args: &[&str],
        stdin: &[u8],
        variables: &[(&str, String)],
    ) -> Ran {
        let mut command = self.program(binary(), args);
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        no_network::apply(&mut command);
        let mut command = assert_cmd::Command::from_std(command);
        Ran::of(command.timeout(DEADLINE).write_stdin(stdin).output().unwrap())
    }

    /// Runs a subcommand with the tiny model.
    pub(crate) fn tiny(&self, args: &[&str]) -> Ran {
        self.feed_tiny(args, b"")
    }

    /// Runs a subcommand with the tiny model and `stdin`.
    pub(crate) fn feed_tiny(&self, args: &[&str], stdin: &[u8]) -> Ran {
        self.feed(&[args, &["--model", &tiny()]].concat(), stdin)
    }
}

/// Polls until `condition` gives something; `what` says what was waited for.
pub(crate) fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(DEADLINE, what, condition)
}

/// The same with a deadline of its own.
pub(crate) fn wait_at_most<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What keeps `ran` from having ended with `code` and one error that holds all of `parts`.
pub(crate) fn problem(ran: &Ran, code: i32, parts: &[&str]) -> Option<String> {
    let stderr = &ran.stderr;
    let missing = parts.iter().find(|part| !stderr.contains(**part));
    let problem = if ran.code != Some(code) {
        format!("exit code is {:?}, expected {code}", ran.code)
    } else if !stderr.starts_with("error: ") || stderr.contains("panicked") {
        "no proper message".to_owned()
    } else {
        format!("{:?} is not in the message", missing?)
    };
    Some(format!("{problem}: {stderr:?}"))
}

/// Fails unless the run ended with `code` and one error that holds all of `parts`.
#[track_caller]
pub(crate) fn check_fails(ran: &Ran, code: i32, parts: &[&str]) {
    if let Some(problem) = problem(ran, code, parts) {
        panic!("{problem}");
    }
}

/// Fails with all that went wrong in a table of cases.
#[track_caller]
pub(crate) fn check_none(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
