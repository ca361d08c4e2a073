//! The command line: arguments as typed, one file a subcommand. Data goes to standard output, all
//! else to standard error.

mod ahead;
mod arguments;
mod bench;
mod chunk;
mod completions;
mod config;
mod demo;
mod doctor;
mod embed;
mod evaluate;
mod exit;
mod input;
mod models;
mod progress;
mod refuse;
mod rerank;
#[cfg(feature = "server")]
mod serve;
mod similar;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::arguments::GlobalArgs;
pub use self::exit::report;

/// Exact local text embeddings and semantic chunking.
#[derive(Debug, Parser)]
#[command(name = "chunkflow", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  echo 'a text per line' | chunkflow embed
  chunkflow embed corpus.jsonl --field body -o vectors.parquet
  chunkflow chunk book.txt --max-tokens 200 > chunks.jsonl
  chunkflow similar vectors.parquet --query 'what is rust?'
  chunkflow rerank --query 'what is rust?' docs.txt --model bge-reranker-base
  chunkflow evaluate segmentation --gold wiki50
  chunkflow models pull bge-small-en-v1.5
  chunkflow serve --port 8080
  chunkflow demo
  chunkflow doctor --verify";

#[derive(Debug, Subcommand)]
enum Command {
    Embed(embed::EmbedArgs),
    Chunk(Box<chunk::ChunkArgs>),
    Similar(similar::SimilarArgs),
    Rerank(rerank::RerankArgs),
    #[cfg(feature = "server")]
    Serve(serve::ServeArgs),
    Evaluate(Box<evaluate::EvaluateArgs>),
    Bench(bench::BenchArgs),
    Config(config::ConfigArgs),
    Demo(demo::DemoArgs),
    Doctor(doctor::DoctorArgs),
    Models(models::ModelsArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the command.
///
/// # Errors
/// Whatever the command meets; [`report`] prints it and chooses the exit code.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        Command::Embed(args) => embed::run(&global, &args),
        Command::Chunk(args) => chunk::run(&global, &args),
        Command::Similar(args) => similar::run(&global, &args),
        Command::Rerank(args) => rerank::run(&global, &args),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(&global, &args),
        Command::Evaluate(args) => evaluate::run(&global, &args),
        Command::Bench(args) => bench::run(&global, &args),
        Command::Config(args) => config::run(&global, &args),
        Command::Demo(args) => demo::run(&global, &args),
        Command::Doctor(args) => doctor::run(&global, &args),
        Command::Models(args) => models::run(&global, &args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
    }
}
