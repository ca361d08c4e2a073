//! What everything is drawn on.

use std::io;

use plotters::prelude::*;

/// Pixels of the drawing's width.
pub(super) const WIDTH: i32 = 1_200;

pub(super) type Failure = DrawingAreaErrorKind<io::Error>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
