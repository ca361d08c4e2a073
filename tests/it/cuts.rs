//! Cuts between given units keep the limits and what is joined, whatever decides where they are.

use std::convert::Infallible;
use std::ops::Range;

use chunkflow::chunking::{
    ChunkOptions, ChunkSpec, Cuts, Gap, Method, Preset, Segments, Threshold, Unit, cut,
};
use chunkflow::similarity::Band;
use proptest::prelude::*;

use crate::support::naive;
use crate::support::random_model::SplitMix64;

const DIM: usize = 6;

/// Units with vectors of length one that gather around topics.
struct Document {
    units: Vec<Unit>,
    rows: Vec<f32>,
}

impl Document {
    /// Of units with these tokens and the gaps before them.
    fn new(seed: u64, tokens: &[usize], gaps: &[Gap]) -> Self {
        let mut random = SplitMix64::new(seed);
        let (mut units, mut rows, mut start) = (Vec::new(), Vec::new(), 0);
        let mut topic = random.values(DIM, 1.0);
        for (&tokens, &gap) in tokens.iter().zip(gaps) {
            if random.below(5) == 0 {
                topic = random.values(DIM, 1.0);
            }
            let noise = random.values(DIM, 0.6);
            let row: Vec<f64> = topic.iter().zip(noise).map(|(x, y)| f64::from(x + y)).collect();
            rows.extend(naive::normalize(&row).into_iter().map(|x| x as f32));
            let range = start..start + tokens;
            units.push(Unit { bytes: range.clone(), tokens: range, gap });
            start += tokens;
        }
        Self { units, rows }
    }

    /// Sentences, some of them joined in runs that are within `limit` tokens, as units are.
    fn random(seed: u64, n: usize, limit: usize) -> Self {
        let mut random = SplitMix64::new(seed);
        let share = random.choose(&[0, 2, 8]);
        let (mut tokens, mut gaps, mut run) = (Vec::new(), Vec::new(), 0);
        for _ in 0..n {
            let own = random.below(limit.min(30)) + 1;
            let joined = random.below(10) < share && run + own <= limit;
            let others = [Gap::Piece, Gap::Sentence, Gap::Line, Gap::Paragraph, Gap::Heading];
            gaps.push(if joined { Gap::Joined } else { random.choose(&others) });
            run = if joined { run + own } else { own };
            tokens.push(own);
        }
        if let Some(first) = gaps.first_mut() {
            *first = Gap::Paragraph;
        }
        Self::new(seed, &tokens, &gaps)
    }

    fn band(&self, order: &[usize], spec: &ChunkSpec) -> Band {
        let width = spec.max_units.max(2 * spec.window).min(self.units.len().max(1));
        let rows = order.iter().flat_map(|&unit| &self.rows[unit * DIM..(unit + 1) * DIM]);
        let rows: Vec<f32> = rows.copied().collect();
        let gram = naive::gram(&rows, DIM, width);
        Band::new(gram.into_iter().map(|x| x as f32).collect(), width)
    }

    fn cut(&self, spec: &ChunkSpec) -> Cuts {
        let order: Vec<usize> = (0..self.units.len()).collect();
        let shuffled = |order: &[usize]| Ok::<Band, Infallible>(self.band(order, spec));
        let Ok(cuts) = cut(spec, &self.units, 2, self.band(&order, spec), shuffled);
        cuts
    }

    fn segments(&self, spec: &ChunkSpec) -> Vec<Range<usize>> {
        let ends = self.cut(spec).ends;
        std::iter::once(&0).chain(&ends).zip(&ends).map(|(&a, &b)| a..b).collect()
    }

    /// Tokens of a chunk of these units, with special tokens.
    fn size(&self, segment: &Range<usize>) -> usize {
        self.units[segment.clone()].iter().map(|unit| unit.tokens.len()).sum::<usize>() + 2
    }

    /// Whether a cut is within a run of joined units.
    fn is_joined(&self, segment: &Range<usize>) -> bool {
        segment.start > 0 && self.units[segment.start].gap == Gap::Joined
    }
}

const METHODS: [Method; 7] = [
    Method::Kcpd,
    Method::Cvs,
    Method::Cluster,
    Method::Window,
    Method::Fixed,
    Method::Recursive,
    Method::Sentence,
];

fn options(method: Method) -> ChunkOptions {
    ChunkOptions { method: Some(method), ..ChunkOptions::default() }
}

fn is_optimum(method: Method) -> bool {
    matches!(method, Method::Kcpd | Method::Cvs | Method::Cluster)
}

/// Every way to choose a number of segments that goes with a method.
fn rules(method: Method) -> Vec<Option<Segments>> {
    let all = |rules: &[Segments]| rules.iter().copied().map(Some).collect();
    match method {
        Method::Window => all(&[Segments::Count(5), Segments::Target, Segments::Threshold]),
        Method::Fixed | Method::Recursive | Method::Sentence => vec![None],
        Method::Kcpd | Method::Cvs | Method::Cluster => all(&[
            Segments::Count(5),
            Segments::Target,
            Segments::Penalty,
            Segments::Calibrated,
            Segments::Elbow,
        ]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn segments_keep_every_limit(
        seed in any::<u64>(),
        n in 0_usize..80,
        max_tokens in 16_usize..120,
        overlap in 0_usize..3,
        min_tokens in 0_usize..30,
        max_units in 1_usize..20,
    ) {
        // Not more than the joined runs of units leave room for.
        let document = Document::random(seed, n, max_tokens - 2);
        for method in METHODS {
            for segments in rules(method) {
                let choices = ChunkOptions {
                    max_tokens: Some(max_tokens),
                    min_tokens: Some(min_tokens.min(max_tokens / 2)),
                    overlap_tokens: Some(overlap * max_tokens / 4),
                    segments,
                    max_units: Some(max_units),
                    ..options(method)
                };
                let spec = choices.resolve().unwrap();
                let room = max_tokens - spec.overlap_tokens;
                let parts = document.segments(&spec);
                let what = format!("{method:?} {segments:?}: {parts:?}");
                prop_assert_eq!(parts.last().map_or(0, |last| last.end), n, "{}", what);
                for part in &parts {
                    prop_assert!(!part.is_empty(), "{}", what);
                    let fits = document.size(part) <= room || part.len() == 1;
                    prop_assert!(fits, "{}: {part:?}", what);
                    let few = part.len() <= max_units || !is_optimum(method);
                    prop_assert!(few, "{}: {part:?}", what);
                }
            }
        }
    }

    #[test]
    fn what_is_joined_is_cut_only_where_no_segment_has_room(
        seed in any::<u64>(),
        n in 0_usize..80,
        max_tokens in 40_usize..120,
        overlap in 0_usize..2,
    ) {
        let document = Document::random(seed, n, 30);
        for method in METHODS.into_iter().filter(|&method| method != Method::Fixed) {
            for segments in rules(method) {
                let choices = ChunkOptions {
                    max_tokens: Some(max_tokens),
                    target_tokens: Some(max_tokens),
                    overlap_tokens: Some(overlap * 8),
                    segments,
                    ..options(method)
                };
                // Every run of joined units has room, and other cuts are enough.
                let parts = document.segments(&choices.resolve().unwrap());
                let cut = parts.iter().find(|part| document.is_joined(part));
                prop_assert_eq!(cut, None, "{:?} {:?}", method, segments);
            }
        }
    }
}

#[test]
fn a_joined_run_that_no_segment_holds_is_opened_and_the_rest_is_cut_as_well_as_ever() {
    // Eight sentences, a block of ten lines of which a chunk holds five, and eight more.
    let mut gaps = vec![Gap::Sentence; 26];
    gaps[8] = Gap::Paragraph;
    gaps[9..18].fill(Gap::Joined);
    let document = Document::new(3, &[10; 26], &gaps);
    let sentences = Document::new(3, &[10; 26], &[Gap::Sentence; 26]);
    for method in [Method::Kcpd, Method::Cvs, Method::Cluster] {
        let limits = [
            ChunkOptions { max_tokens: Some(52), ..options(method) },
            ChunkOptions { max_tokens: Some(102), overlap_tokens: Some(50), ..options(method) },
            ChunkOptions { max_units: Some(5), ..options(method) },
        ];
        for choices in limits {
            let target_tokens = Some(40 + choices.overlap_tokens.unwrap_or(0));
            let choices = ChunkOptions { target_tokens, ..choices };
            let spec = choices.resolve().unwrap();
            let ends = document.cut(&spec).ends;
            // Cut once, where the sixth line would not fit.
            let inside: Vec<usize> =
                ends.iter().copied().filter(|end| (9..18).contains(end)).collect();
            assert_eq!(inside, [13], "{choices:?}");
            // What follows does not depend on what was opened before it.
            let rest = Document {
                units: sentences.units[18..].to_vec(),
                rows: sentences.rows[18 * DIM..].to_vec(),
            };
            let rest: Vec<usize> = rest.cut(&spec).ends.iter().map(|end| end + 18).collect();
            if ends.contains(&18) && !matches!(method, Method::Cluster) {
                let found = ends.iter().position(|&end| end == 18).map(|at| &ends[at + 1..]);
                assert_eq!(found, Some(&rest[..]), "{choices:?}");
            }
        }
    }
}

#[test]
fn the_window_of_the_curve_does_not_lengthen_segments() {
    let document = Document::new(5, &[4; 40], &[Gap::Sentence; 40]);
    for method in [Method::Kcpd, Method::Cvs, Method::Cluster] {
        let spec = |window| {
            let choices =
                ChunkOptions { max_units: Some(3), window: Some(window), ..options(method) };
            choices.resolve().unwrap()
        };
        let narrow = document.cut(&spec(1));
        let wide = document.cut(&spec(8));
        assert_eq!(wide.ends, narrow.ends);
        assert!(wide.ends.windows(2).all(|ends| ends[1] - ends[0] <= 3));
        assert_eq!((narrow.curve.len(), wide.curve.len()), (39, 39));
        assert_ne!(narrow.curve, wide.curve);
    }
}

#[test]
fn as_many_segments_as_places_to_cut_allow() {
    for seed in 0..40 {
        let document = Document::random(seed, 30, 60);
        let joined = document.units.iter().filter(|unit| unit.gap == Gap::Joined).count();
        for method in [Method::Window, Method::Kcpd, Method::Cvs, Method::Cluster] {
            for count in 1..=31 {
                let choices = ChunkOptions {
                    max_tokens: Some(100_000),
                    segments: Some(Segments::Count(count)),
                    ..options(method)
                };
                let found = document.segments(&choices.resolve().unwrap());
                assert_eq!(found.len(), count.min(30 - joined), "seed {seed} {method:?}");
            }
        }
    }
}

#[test]
fn no_number_of_segments_is_nearer_to_the_target() {
    for seed in 0..40 {
        let document = Document::random(seed, 30, 40);
        let tokens: usize = document.units.iter().map(|unit| unit.tokens.len()).sum();
        for method in [Method::Window, Method::Kcpd, Method::Cvs, Method::Cluster] {
            for target in [50, 80, 130] {
                let found = |segments| {
                    let choices = ChunkOptions {
                        max_tokens: Some(150),
                        target_tokens: Some(target),
                        segments: Some(segments),
                        ..options(method)
                    };
                    let count = document.segments(&choices.resolve().unwrap()).len();
                    (tokens as f64 / count as f64 + 2.0 - target as f64).abs()
                };
                let least = (1..=30).map(|count| found(Segments::Count(count)));
                let least = least.fold(f64::INFINITY, f64::min);
                let found = found(Segments::Target);
                assert!(found <= least, "seed {seed} {method:?} {target}: {found} {least}");
            }
        }
    }
}

#[test]
fn packing_fills_up_to_the_target() {
    let document = Document::new(1, &[5; 40], &[Gap::Sentence; 40]);
    for method in [Method::Fixed, Method::Recursive, Method::Sentence] {
        let choices = ChunkOptions { target_tokens: Some(32), ..options(method) };
        let ends = document.cut(&choices.resolve().unwrap()).ends;
        assert_eq!(ends, [6, 12, 18, 24, 30, 36, 40], "{method:?}");
    }
}

#[test]
fn what_is_packed_is_joined_up_to_the_limit_too() {
    let choices = ChunkOptions { target_tokens: Some(20), ..options(Method::Sentence) };
    let spec = choices.resolve().unwrap();
    // A block longer than the target stays whole.
    let mut gaps = vec![Gap::Sentence; 30];
    gaps[11..16].fill(Gap::Joined);
    assert_eq!(
        Document::new(1, &[5; 30], &gaps).cut(&spec).ends,
        [3, 6, 9, 10, 16, 19, 22, 25, 28, 30]
    );
    // A last chunk that is too short goes to the one before.
    let spec = ChunkOptions { min_tokens: Some(15), ..choices }.resolve().unwrap();
    let document = Document::new(1, &[5; 10], &[Gap::Sentence; 10]);
    assert_eq!(document.cut(&spec).ends, [3, 6, 10]);
}

#[test]
fn a_segment_that_is_too_long_is_halved_where_no_gap_is_higher() {
    let mut document = Document::new(1, &[10; 64], &[Gap::Sentence; 64]);
    document.rows = document.rows[..DIM].repeat(64);
    let choices = ChunkOptions {
        max_tokens: Some(162),
        segments: Some(Segments::Count(1)),
        ..options(Method::Window)
    };
    assert_eq!(document.cut(&choices.resolve().unwrap()).ends, [16, 32, 48, 64]);
}

#[test]
fn cuts_that_limits_force_are_no_false_ones() {
    // Four topics of ten units, of which a segment may have up to 30 and all have more tokens.
    let mut document = Document::new(1, &[10; 40], &[Gap::Sentence; 40]);
    let mut random = SplitMix64::new(7);
    document.rows.clear();
    for unit in 0..40 {
        let row = (0..DIM).map(|at| if at == unit / 10 { 1.0 } else { 0.0 });
        let noise = random.values(DIM, 0.3);
        let row: Vec<f64> = row.zip(noise).map(|(x, y)| x + f64::from(y)).collect();
        document.rows.extend(naive::normalize(&row).into_iter().map(|x| x as f32));
    }
    let topics = ChunkOptions { preset: Some(Preset::Topics), ..ChunkOptions::default() };
    let limited = [
        topics,
        ChunkOptions { max_units: Some(30), ..topics },
        ChunkOptions { max_tokens: Some(220), ..topics },
    ];
    for choices in limited {
        let ends = document.cut(&choices.resolve().unwrap()).ends;
        assert_eq!(ends, [10, 20, 30, 40], "{choices:?}");
    }
}

#[test]
fn what_is_repeated_counts_towards_the_target() {
    let document = Document::new(4, &[10; 200], &[Gap::Sentence; 200]);
    for method in METHODS {
        let ends = |choices: ChunkOptions| document.cut(&choices.resolve().unwrap()).ends;
        let sized = |target, most| ChunkOptions {
            target_tokens: Some(target),
            max_tokens: Some(most),
            ..options(method)
        };
        let repeating = ChunkOptions { overlap_tokens: Some(60), ..sized(200, 256) };
        assert_eq!(ends(repeating), ends(sized(140, 196)), "{method:?}");
    }
}

#[test]
fn a_short_segment_is_joined_to_the_nearer_neighbour() {
    for seed in 0..200 {
        let document = Document::random(seed, 40, 30);
        for method in [Method::Window, Method::Kcpd, Method::Cvs] {
            let choices = ChunkOptions {
                max_tokens: Some(150),
                min_tokens: Some(50),
                threshold: Some(Threshold::Percentile),
                threshold_value: Some(40.0),
                size_weight: Some(0.0),
                target_tokens: Some(50),
                ..options(method)
            };
            let parts = document.segments(&choices.resolve().unwrap());
            for (at, part) in parts.iter().enumerate() {
                let fits = |other: Option<&Range<usize>>| {
                    other.is_some_and(|other| document.size(part) + document.size(other) - 2 <= 150)
                };
                let alone = !(fits(parts.get(at + 1)) || at > 0 && fits(parts.get(at - 1)));
                assert!(document.size(part) >= 50 || alone, "seed {seed} {method:?}: {part:?}");
            }
        }
    }
}

#[test]
fn shuffles_depend_on_the_seed_alone() {
    let document = Document::random(9, 60, 30);
    let spec = |seed| {
        let choices = ChunkOptions {
            segments: Some(Segments::Calibrated),
            seed: Some(seed),
            size_weight: Some(0.0),
            break_bonus: Some(0.0),
            ..options(Method::Kcpd)
        };
        choices.resolve().unwrap()
    };
    let order = |seed| {
        let mut orders = Vec::new();
        let shuffled = |order: &[usize]| {
            orders.push(order.to_vec());
            Ok::<Band, Infallible>(document.band(order, &spec(seed)))
        };
        let every: Vec<usize> = (0..60).collect();
        let band = document.band(&every, &spec(seed));
        let Ok(cuts) = cut(&spec(seed), &document.units, 2, band, shuffled);
        (orders, cuts)
    };
    let (orders, cuts) = order(1);
    assert_eq!((orders.len(), &order(1)), (8, &(orders.clone(), cuts)));
    for (at, shuffle) in orders.iter().enumerate() {
        let mut sorted = shuffle.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..60), "no permutation: {shuffle:?}");
        assert!(!orders[..at].contains(shuffle) && !shuffle.is_sorted());
    }
    assert_ne!(orders, order(2).0);
}
