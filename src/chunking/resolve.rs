//! From the choices that a user gives to a specification that is whole and valid.

use super::spec::{ChunkOptions, ChunkSpec, Method, Smoothing, Threshold};
use super::validate::{MIN_PARABOLA, validate};
use super::{Error, Segments, UnitKind};

/// Tokens of a unit of the method `fixed` where chunks overlap.
const FINE_TOKENS: usize = 8;

impl ChunkOptions {
    /// The choices, checked.
    ///
    /// # Errors
    /// When one is outside its range or does not go with another; it is named.
    pub fn resolve(&self) -> Result<ChunkSpec, Error> {
        let mut spec = self.preset.unwrap_or_default().spec().with(self);
        match self.method.filter(|_| self.units.is_none()) {
            Some(Method::Recursive) => spec.units = UnitKind::Recursive,
            Some(Method::Fixed) => spec.units = UnitKind::Tokens,
            Some(_) => spec.units = UnitKind::Sentence,
            None => {}
        }
        set_what_depends(&mut spec, self);
        validate(&spec, self.segments.is_some())?;
        Ok(spec)
    }
}

/// Chooses what was not `given` and follows from what was.
fn set_what_depends(spec: &mut ChunkSpec, given: &ChunkOptions) {
    if given.segments.is_none() && spec.method == Method::Window {
        spec.segments = Segments::Threshold;
    }
    // A lower limit alone is no contradiction, and packing fills up to it.
    if given.target_tokens.is_none() {
        let packed = matches!(spec.method, Method::Fixed | Method::Recursive);
        let most = if packed { usize::MAX } else { spec.target_tokens };
        spec.target_tokens = most.min(spec.max_tokens);
    }
    if given.piece_tokens.is_none() {
        spec.piece_tokens = match (spec.method, spec.overlap_tokens) {
            // A unit is a chunk, or small enough that what is repeated is nearly exact.
            (Method::Fixed, 1..) => FINE_TOKENS,
            (Method::Fixed | Method::Recursive, _) => spec.target_tokens,
            _ => spec.piece_tokens.min(spec.max_tokens),
        };
    }
    if given.threshold_value.is_none() && given.threshold.is_some() {
        spec.threshold_value = match spec.threshold {
            Threshold::Percentile | Threshold::Gradient => 95.0,
            Threshold::Deviation => 1.0,
            Threshold::Iqr | Threshold::Quartile => 1.5,
        };
    }
    if given.smoothing_width.is_none() && spec.smoothing == Smoothing::SavitzkyGolay {
        spec.smoothing_width = MIN_PARABOLA;
    }
}
