//! The windows of a document as a job, and which of its rows make up each unit.

use super::windows::{Window, parts, plan_windows};
use crate::chunking::Unit;
use crate::compute::Span;
use crate::embeddings::{
    Encoded, EncodedUnits, Engine, Error, Job, Output, Packed, Prompt, Tokenizer, UnitPlan,
};

/// A document in units, and the tokens that went through the encoder.
pub(super) struct Read {
    pub(super) units: EncodedUnits,
    pub(super) encoder_tokens: usize,
}

/// Encodes the document in windows of the model's length, each behind `prompt`, and reads its units
/// with their band of `width`; 0 for none.
pub(super) fn read_units(
    engine: &dyn Engine,
    encoded: &Encoded,
    units: &[Unit],
    prompt: &Prompt,
    width: usize,
) -> Result<Read, Error> {
    let tokenizer = engine.model().tokenizer();
    let skip = prompt.skip as u32;
    let prompt = tokenizer.encode(&prompt.text)?.ids;
    let capacity = tokenizer.max_tokens() - tokenizer.special_tokens() - prompt.len();
    let windows = plan_windows(encoded.ids.len(), capacity);
    let (mut job, rows) = plan(tokenizer, encoded, units, &windows, &prompt);
    let encoder_tokens = job.packed.tokens();
    let has_whole = windows.len() == 1;
    if has_whole {
        // As `embed` has it: the mean over all that it pools, special tokens too, and the prompt
        // where there is nothing else.
        let end = encoder_tokens as u32;
        job.spans.push(Span { seq: 0, start: if skip < end { skip } else { 0 }, end });
    }
    let ends = (0..units.len()).map(|unit| rows.partition_point(|&(other, _)| other <= unit));
    let starts = (0..units.len()).map(|unit| rows.partition_point(|&(other, _)| other < unit));
    let plan = UnitPlan {
        tokens: rows.iter().map(|&(_, tokens)| tokens).collect(),
        units: starts.zip(ends).map(|(start, end)| start..end).collect(),
        has_whole,
        width,
    };
    Ok(Read { units: engine.document(job, plan)?, encoder_tokens })
}

/// The windows as sequences, and of each span that is read its unit and number of tokens, by unit.
fn plan(
    tokenizer: &Tokenizer,
    encoded: &Encoded,
    units: &[Unit],
    windows: &[Window],
    prompt: &[u32],
) -> (Job, Vec<(usize, usize)>) {
    let mut job = Job { packed: Packed::default(), spans: Vec::new(), output: Output::MeanStates };
    let mut rows = Vec::new();
    let lead = tokenizer.leading_tokens() + prompt.len();
    for (seq, window) in windows.iter().enumerate() {
        let ids = [prompt, &encoded.ids[window.tokens.clone()]].concat();
        tokenizer.push(&mut job.packed, &ids);
        for (unit, tokens) in parts(units, window) {
            let first = lead + tokens.start - window.tokens.start;
            let (start, end) = (first as u32, (first + tokens.len()) as u32);
            job.spans.push(Span { seq: seq as u32, start, end });
            rows.push((unit, tokens.len()));
        }
    }
    if rows.is_empty() {
        // A text without tokens has the states of what stands around them.
        let end = job.packed.tokens() as u32;
        job.spans.resize(units.len(), Span { seq: 0, start: 0, end });
        rows.extend((0..units.len()).map(|unit| (unit, end as usize)));
    }
    (job, rows)
}
