//! `chunkflow models`: what is known, what is here, and how it comes and goes.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::arguments::{GlobalArgs, HubArgs, pull, set_up};
use crate::Error;
use crate::config::Config;
use crate::models::{Entry, Store, Task, Verdict};

/// Exit code where a file is not what was published (`EX_DATAERR`).
const DIFFERS: u8 = 65;

/// Models that are known, and those on this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chunkflow models list
  chunkflow models pull bge-small-en-v1.5
  chunkflow models pull owner/name --revision v2
  chunkflow models verify
  chunkflow embed corpus.jsonl --model bge-small-en-v1.5 --offline")]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Print the known models and those that are here.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        /// Only models on this machine.
        #[arg(long)]
        here: bool,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Bring a model's files from the hub into the cache, verified.
    Pull {
        /// Known name, or owner/name.
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
        /// Take what the branch is now, not the commit of the first pull.
        #[arg(long)]
        update: bool,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Compare the files of models with their digests; of all that are here unless named.
    Verify {
        /// Known name, owner/name, or folder.
        #[arg(value_name = "MODEL")]
        models: Vec<String>,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Print the folder of a model on this machine.
    Path {
        /// Known name, owner/name, or folder.
        model: String,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Remove a model from the cache, with all its revisions.
    Rm {
        /// Known name, or owner/name.
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
        #[command(flatten)]
        hub: HubArgs,
    },
}

pub(super) fn run(global: &GlobalArgs, args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let (ModelsCommand::List { hub, .. }
    | ModelsCommand::Pull { hub, .. }
    | ModelsCommand::Verify { hub, .. }
    | ModelsCommand::Path { hub, .. }
    | ModelsCommand::Rm { hub, .. }) = &args.command;
    let config = set_up(global, hub.flags()?, "warn")?;
    let store = Store::open(&config.places()).map_err(Error::from)?;
    let revision = config.model.revision.as_deref();
    let mut out = std::io::stdout().lock();
    match &args.command {
        ModelsCommand::List { json, here, .. } => list(&mut out, &store, *json, *here)?,
        ModelsCommand::Pull { models, update, .. } => {
            for model in models {
                pull_one(&mut out, global, &config, &store, model, *update)?;
            }
        }
        ModelsCommand::Verify { models, .. } => {
            return verify(&mut out, &store, models, revision);
        }
        ModelsCommand::Path { model, .. } => {
            let found = store.find(model, revision).map_err(Error::from)?;
            writeln!(out, "{}", found.path().display())?;
        }
        ModelsCommand::Rm { models, .. } => {
            for model in models {
                let removed = store.remove(model).map_err(Error::from)?;
                writeln!(out, "removed {}", removed.display())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(out: &mut impl Write, store: &Store, json: bool, here: bool) -> anyhow::Result<()> {
    let mut entries = store.list();
    entries.retain(|entry| !here || entry.place.is_some());
    if json {
        for entry in &entries {
            serde_json::to_writer(&mut *out, entry)?;
            writeln!(out)?;
        }
        return Ok(());
    }
    let rows = entries.iter().map(row);
    let head = ["NAME", "KIND", "DIM", "TOKENS", "LICENCE", "HERE", "REPOSITORY"];
    let rows: Vec<[String; 7]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..7).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn row(entry: &Entry) -> [String; 7] {
    let spec = &entry.spec;
    let number = |value: Option<usize>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let kind = match spec.kind {
        Task::Embedding => "embedding",
        Task::Reranker => "reranker",
        Task::Sparse => "sparse",
    };
    let here = entry.bytes.map(|bytes| format!("{:.0} MB", bytes as f64 / 1e6));
    [
        spec.name.clone(),
        kind.to_owned(),
        number(spec.dimensions),
        number(spec.max_tokens),
        spec.licence.clone().unwrap_or_else(|| "-".to_owned()),
        here.unwrap_or_else(|| "-".to_owned()),
        spec.repository.clone(),
    ]
}

fn pull_one(
    out: &mut impl Write,
    global: &GlobalArgs,
    config: &Config,
    store: &Store,
    model: &str,
    update: bool,
) -> anyhow::Result<()> {
    let revision = config.model.revision.as_deref();
    if config.hub.offline && !update {
        // What is here already needs no network.
        if let Ok(found) = store.find(model, revision) {
            writeln!(out, "{}", found.path().display())?;
            return Ok(());
        }
    }
    let pulled = pull(global, config, store, model, update)?;
    writeln!(out, "{}", pulled.path.display())?;
    Ok(())
}

fn verify(
    out: &mut impl Write,
    store: &Store,
    models: &[String],
    revision: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let here = || {
        let here = store.list().into_iter().filter(|entry| entry.place.is_some());
        here.map(|entry| entry.spec.repository).collect::<Vec<String>>()
    };
    let models = if models.is_empty() { here() } else { models.to_vec() };
    let mut passed = true;
    for model in &models {
        let found = store.find(model, revision).map_err(Error::from)?;
        for (file, verdict) in found.verify().map_err(Error::from)? {
            let verdict = match verdict {
                Verdict::Matches => "ok".to_owned(),
                Verdict::Recorded => "recorded".to_owned(),
                Verdict::Unknown => "no digest to compare with".to_owned(),
                Verdict::Missing => {
                    passed = false;
                    "MISSING".to_owned()
                }
                Verdict::Differs { expected, actual } => {
                    passed = false;
                    format!("DIFFERS: sha256 is {actual}, expected {expected}")
                }
            };
            writeln!(out, "{}: {verdict}", found.path().join(file).display())?;
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}
