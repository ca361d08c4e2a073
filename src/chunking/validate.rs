//! What a specification may be: the limit of each choice, and what goes together.

use super::{ChunkSpec, Error, Method, Segments, Smoothing, Threshold};

/// Of a local parabola: through fewer points it is what it smooths.
pub(super) const MIN_PARABOLA: usize = 5;
/// The least `max_tokens`: room for a few words beside the special tokens.
const MIN_MAX_TOKENS: usize = 16;
/// The most units of a segment: a band is this wide at most.
const MAX_UNITS: usize = 1_024;
/// The most units on either side of a gap.
const MAX_WINDOW: usize = 64;
/// Shuffles of a calibration: fewer leave the penalty to chance, more tell nothing new.
const MIN_SHUFFLES: usize = 6;
const MAX_SHUFFLES: usize = 100;

/// Checks every choice; `segments_given` tells whether a rule was asked for, and not the preset's.
///
/// # Errors
/// When a choice is outside its range or does not go with another; it is named.
pub(super) fn validate(spec: &ChunkSpec, segments_given: bool) -> Result<(), Error> {
    check_sizes(spec)?;
    check_counts(spec)?;
    check_weights(spec)?;
    check_segments(spec, segments_given)
}

fn check_sizes(spec: &ChunkSpec) -> Result<(), Error> {
    let max = spec.max_tokens;
    if max < MIN_MAX_TOKENS {
        return Err(Error::new("max_tokens", &max, format!("{MIN_MAX_TOKENS} and more")));
    }
    let limited = [
        ("target_tokens", spec.target_tokens, 1, max),
        ("min_tokens", spec.min_tokens, 0, max / 2),
        ("overlap_tokens", spec.overlap_tokens, 0, max / 2),
        ("piece_tokens", spec.piece_tokens, 1, max),
    ];
    for (field, value, least, most) in limited {
        if !(least..=most).contains(&value) {
            let allowed = format!("{least} to {most} with max_tokens {max}");
            return Err(Error::new(field, &value, allowed));
        }
    }
    let (overlap, target) = (spec.overlap_tokens, spec.target_tokens);
    if overlap >= target {
        let allowed = format!("less than target_tokens {target}");
        return Err(Error::new("overlap_tokens", &overlap, allowed));
    }
    Ok(())
}

fn check_counts(spec: &ChunkSpec) -> Result<(), Error> {
    let parabola = spec.smoothing == Smoothing::SavitzkyGolay;
    let min_width = if parabola { MIN_PARABOLA } else { 3 };
    let counts = [
        ("max_units", spec.max_units, 1, MAX_UNITS),
        ("shuffles", spec.shuffles, MIN_SHUFFLES, MAX_SHUFFLES),
        ("window", spec.window, 1, MAX_WINDOW),
        ("smoothing_width", spec.smoothing_width, min_width, 101),
        ("peak_distance", spec.peak_distance, 1, 1_000),
    ];
    for (field, value, least, most) in counts {
        if !(least..=most).contains(&value) {
            return Err(Error::new(field, &value, format!("{least} to {most}")));
        }
    }
    if spec.smoothing_width.is_multiple_of(2) {
        return Err(Error::new("smoothing_width", &spec.smoothing_width, "odd numbers"));
    }
    Ok(())
}

fn check_weights(spec: &ChunkSpec) -> Result<(), Error> {
    let weights = [
        ("size_weight", spec.size_weight, 1e6),
        ("break_bonus", spec.break_bonus, 1e6),
        ("penalty", spec.penalty, 1e6),
        ("false_cuts", spec.false_cuts, 1.0),
    ];
    for (field, value, most) in weights {
        // A NaN is in no range.
        if !(0.0..=most).contains(&value) {
            return Err(Error::new(field, &value, format!("0 to {most}")));
        }
    }
    let percentile = matches!(spec.threshold, Threshold::Percentile | Threshold::Gradient);
    let (least, most) = if percentile { (0.0, 100.0) } else { (-1e6, 1e6) };
    if !(least..=most).contains(&spec.threshold_value) {
        let allowed = format!("{least} to {most}");
        return Err(Error::new("threshold_value", &spec.threshold_value, allowed));
    }
    Ok(())
}

/// Whether the method knows the rule, where one was `given`.
fn check_segments(spec: &ChunkSpec, given: bool) -> Result<(), Error> {
    let allowed = match (spec.method, spec.segments) {
        (Method::Fixed | Method::Recursive | Method::Sentence, _) if given => {
            "none with the methods fixed, recursive and sentence"
        }
        (_, Segments::Count(0)) => "1 and more",
        (Method::Window, Segments::Count(_) | Segments::Target | Segments::Threshold) => {
            return Ok(());
        }
        (Method::Window, _) => "a number, target and threshold with the method window",
        (_, Segments::Threshold) => {
            "a number, target, penalty, calibrated and elbow without the method window"
        }
        _ => return Ok(()),
    };
    Err(Error::new("segments", &spec.segments, allowed))
}
