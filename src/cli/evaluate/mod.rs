//! `chunkflow evaluate`: how good segments and chunks are, against gold data and against others.

mod compare;
mod intrinsic;
mod output;
mod retrieval;
mod segmentation;
mod sweep;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::arguments::GlobalArgs;

/// Measure how good segments and chunks are.
#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    #[command(subcommand)]
    command: EvaluateCommand,
}

#[derive(Debug, Subcommand)]
enum EvaluateCommand {
    Segmentation(segmentation::SegmentationArgs),
    Retrieval(retrieval::RetrievalArgs),
    Intrinsic(intrinsic::IntrinsicArgs),
    Sweep(sweep::SweepArgs),
    Compare(compare::CompareArgs),
}

pub(super) fn run(global: &GlobalArgs, args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        EvaluateCommand::Segmentation(args) => segmentation::run(global, args),
        EvaluateCommand::Retrieval(args) => retrieval::run(global, args),
        EvaluateCommand::Intrinsic(args) => intrinsic::run(global, args),
        EvaluateCommand::Sweep(args) => sweep::run(global, args),
        EvaluateCommand::Compare(args) => compare::run(global, args),
    }
}
