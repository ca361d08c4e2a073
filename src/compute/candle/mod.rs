//! [`Exec`](super::Exec) on candle tensors and candle-nn, as simply as can be: runs wherever candle runs.
//!
//! It is the oracle that the fast forms are tested against and the engine of `--engine candle`.
//! Nothing here is tuned.

mod attention;
mod band;
mod buffer;
mod embed;
mod exec;
mod linear;
mod norm;
mod pool;
mod rotary;

pub use self::exec::CandleExec;
