//! What cuBLASLt answers for every layer: which algorithm exact numerics get, where it is refused,
//! whether a row keeps its bits among any number of rows, and what a product takes.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Value, json};

use super::Result;
use super::cublaslt::{Algorithm, Device, Dtype, Memory, Numerics, Product, describe, version};

/// Rows that the algorithm of exact numerics is chosen for, and those that it must run on besides.
const CHOSEN_AT: usize = 8_192;
const ALSO_AT: [usize; 2] = [4_096, 16_384];
/// The most rows of a batch.
const MOST_ROWS: usize = 16_384;
/// Row counts that are timed.
const TIMED: [usize; 5] = [1, 16, 128, 1_024, MOST_ROWS];
/// Distinct rows of the input, which repeat: no tile is a multiple of it, so that equal rows stand at
/// every place of a tile.
const PERIOD: usize = 97;
/// Rows that are compared at either end of an output.
const COMPARED: usize = 128;

/// Inputs and outputs of dense layers, and whether they have a bias.
type Layer = (&'static str, &'static [(usize, usize, bool)]);
const LAYERS: [Layer; 6] = [
    ("minilm", &[(384, 1_152, true), (384, 384, true), (384, 1_536, true), (1_536, 384, true)]),
    ("bert-base", &[(768, 2_304, true), (768, 768, true), (768, 3_072, true), (3_072, 768, true)]),
    (
        "bert-large",
        &[(1_024, 3_072, true), (1_024, 1_024, true), (1_024, 4_096, true), (4_096, 1_024, true)],
    ),
    (
        "qwen3-0.6b",
        &[
            (1_024, 4_096, false),
            (2_048, 1_024, false),
            (1_024, 6_144, false),
            (3_072, 1_024, false),
        ],
    ),
    ("odd", &[(33, 10, true), (1, 2, true), (128, 2, true), (32, 96, true), (48, 32, false)]),
    ("heads", &[(384, 1, true), (768, 1, true), (768, 768, true), (768, 30_522, true)]),
];

/// One layer in one dtype with its values on the device.
struct Case<'a> {
    device: &'a Device,
    sizes: (usize, usize),
    dtype: Dtype,
    input: Memory,
    weight: Memory,
    bias: Option<Memory>,
    output: Memory,
}

/// Asks for the layers of the models named in `layers`, with `most` rows at most where something is
/// computed, and writes what was answered to `json`. Whether all is as exact numerics need it.
pub(super) fn ask(is_timed: bool, most: usize, layers: &str, json: &Path) -> Result<bool> {
    let device = Device::open()?;
    let (name, version) = (&device.name, version());
    println!("{name}, cuBLASLt {version}");
    let (mut answers, mut bad) = (Vec::new(), 0);
    let asked = |name: &str| layers == "all" || layers.split(',').any(|layer| layer == name);
    for (model, layers) in LAYERS.iter().filter(|(model, _)| asked(model)) {
        for &(inputs, outputs, has_bias) in *layers {
            for dtype in Dtype::ALL {
                let case = Case::new(&device, (inputs, outputs), dtype, has_bias, most)?;
                let (is_right, answer) =
                    if is_timed { case.times(most)? } else { case.bits(most)? };
                bad += usize::from(!is_right);
                let (verdict, dtype) = (if is_right { "ok " } else { "BAD" }, dtype.name());
                println!("{verdict} {model} {inputs}x{outputs} {dtype}: {answer}");
                let layer = format!("{inputs}x{outputs}");
                answers.push(json!({
                    "model": model, "layer": layer, "dtype": dtype, "right": is_right, "answer": answer,
                }));
            }
        }
    }
    println!("{bad} of {} layers are bad", answers.len());
    let report = json!({"device": name, "cublaslt": version, "layers": answers});
    fs::write(json, report.to_string())?;
    Ok(bad == 0)
}

/// 200 row counts: each up to 128, and from there to the most of a batch in equal ratios, every other
/// one odd.
fn row_counts() -> Vec<usize> {
    let larger = (1..=72_i32).map(|step| {
        let rows = (128.0 * 128_f64.powf(f64::from(step) / 72.0)).round() as usize;
        rows | usize::from(step % 2 == 1)
    });
    (1..=128).chain(larger).collect()
}

impl<'a> Case<'a> {
    fn new(
        device: &'a Device,
        sizes: (usize, usize),
        dtype: Dtype,
        has_bias: bool,
        most: usize,
    ) -> Result<Self> {
        let (inputs, outputs) = sizes;
        let period = values(PERIOD * inputs, 1, dtype);
        let input: Vec<u8> =
            period.iter().copied().cycle().take(most * inputs * dtype.bytes()).collect();
        let bias = has_bias.then(|| Memory::of(&values(outputs, 3, dtype))).transpose()?;
        Ok(Self {
            device,
            sizes,
            dtype,
            input: Memory::of(&input)?,
            weight: Memory::of(&values(outputs * inputs, 2, dtype))?,
            bias,
            output: Memory::new(most * outputs * dtype.bytes())?,
        })
    }

    fn product(&self, rows: usize) -> Result<Product<'_>> {
        Product::new(self.device, rows, self.sizes, self.dtype, self.bias.as_ref())
    }

    fn run(&self, product: &Product<'_>, algorithm: &Algorithm, numerics: Numerics) -> bool {
        product.run(algorithm, numerics, (&self.input, &self.weight, &self.output))
    }

    /// The algorithm of exact numerics, with its place among how many proposals.
    fn chosen(&self) -> Result<(Option<(usize, Algorithm)>, usize)> {
        let proposals = self.product(CHOSEN_AT)?.proposals(Numerics::Exact)?;
        let count = proposals.len();
        let others = [self.product(ALSO_AT[0])?, self.product(ALSO_AT[1])?];
        let runs = |(_, algorithm): &(usize, Algorithm)| {
            others.iter().all(|other| other.accepts(algorithm, Numerics::Exact))
        };
        Ok((proposals.into_iter().enumerate().find(runs), count))
    }

    /// Where the chosen algorithm is refused, and where a row has other bits than among `most`.
    fn bits(&self, most: usize) -> Result<(bool, Value)> {
        let (chosen, proposals) = self.chosen()?;
        let Some((index, algorithm)) = chosen else {
            return Ok((false, json!({"proposals": proposals, "chosen": null})));
        };
        let (mut refused, mut failed, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        let (mut moved_elsewhere, mut reference) = (Vec::new(), None);
        for rows in row_counts().into_iter().rev() {
            let product = self.product(rows)?;
            let (is_accepted, algorithm) = exact(&product, &algorithm)?;
            if !is_accepted {
                refused.push(rows);
            }
            if rows > most {
                continue;
            }
            self.output.poison(self.row_bytes() * rows)?;
            let runs = algorithm.is_some_and(|found| self.run(&product, &found, Numerics::Exact));
            self.device.wait()?;
            if !runs {
                failed.push(rows);
                continue;
            }
            let expected = match &reference {
                Some(expected) => expected,
                None => {
                    reference.insert(self.output.bring(0, self.row_bytes() * PERIOD.min(rows))?)
                }
            };
            if !self.is_same(rows, expected)? {
                if is_accepted { &mut moved } else { &mut moved_elsewhere }.push(rows);
            }
        }
        let fast_refused = self.fast_refused(most)?;
        let is_right = failed.is_empty() && moved.is_empty() && fast_refused.is_empty();
        let answer = json!({
            "proposals": proposals,
            "chosen": index,
            "algorithm": describe(&algorithm),
            "refused": refused,
            "failed": failed,
            "bits_differ": moved,
            "bits_differ_where_refused": moved_elsewhere,
            "fast_refused": fast_refused,
        });
        Ok((is_right, answer))
    }

    fn row_bytes(&self) -> usize {
        self.sizes.1 * self.dtype.bytes()
    }

    /// Whether the first and last rows of an output are those of `expected`, which has a period.
    fn is_same(&self, rows: usize, expected: &[u8]) -> Result<bool> {
        let row_bytes = self.row_bytes();
        let compared = COMPARED.min(rows);
        for start in [0, rows - compared] {
            let found = self.output.bring(start * row_bytes, compared * row_bytes)?;
            let is_same = found.chunks_exact(row_bytes).enumerate().all(|(index, row)| {
                let place = (start + index) % PERIOD * row_bytes;
                expected.get(place..place + row_bytes) == Some(row)
            });
            if !is_same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Row counts at which the algorithm of fast numerics does not run: it is chosen for the next
    /// power of two.
    fn fast_refused(&self, most: usize) -> Result<Vec<usize>> {
        let mut refused = Vec::new();
        for rows in row_counts().into_iter().filter(|rows| rows.next_power_of_two() <= most) {
            let proposals = self.product(rows.next_power_of_two())?.proposals(Numerics::Fast)?;
            let product = self.product(rows)?;
            if !proposals.first().is_some_and(|found| self.run(&product, found, Numerics::Fast)) {
                refused.push(rows);
            }
            self.device.wait()?;
        }
        Ok(refused)
    }

    /// Microseconds of a product by the rows, exact and fast.
    fn times(&self, most: usize) -> Result<(bool, Value)> {
        let (chosen, _) = self.chosen()?;
        let mut lines = Vec::new();
        for rows in TIMED.into_iter().filter(|&rows| rows <= most) {
            let product = self.product(rows)?;
            let exact = match &chosen {
                Some((_, algorithm)) => exact(&product, algorithm)?.1,
                None => None,
            };
            let fast = product.proposals(Numerics::Fast)?.first().copied();
            let exact = self.time(&product, exact, Numerics::Exact)?;
            let fast = self.time(&product, fast, Numerics::Fast)?;
            lines.push(json!({"rows": rows, "exact_us": exact, "fast_us": fast}));
        }
        let is_right = lines.iter().all(|line| !line["exact_us"].is_null());
        Ok((is_right, json!(lines)))
    }

    fn time(
        &self,
        product: &Product<'_>,
        algorithm: Option<Algorithm>,
        numerics: Numerics,
    ) -> Result<Option<f64>> {
        let Some(algorithm) = algorithm else { return Ok(None) };
        if !self.run(product, &algorithm, numerics) {
            return Ok(None);
        }
        self.device.wait()?;
        let call = || {
            self.run(product, &algorithm, numerics);
        };
        let once = self.device.time(2, call)?;
        // About ten milliseconds.
        let times = (1e4 / once.max(1.0)).clamp(3.0, 200.0) as u32;
        let time = self.device.time(times, call)?;
        Ok(Some((time * 100.0).round() / 100.0))
    }
}

/// What runs on `rows`: the chosen algorithm, or where it is refused the first one proposed.
fn exact(product: &Product<'_>, chosen: &Algorithm) -> Result<(bool, Option<Algorithm>)> {
    if product.accepts(chosen, Numerics::Exact) {
        return Ok((true, Some(*chosen)));
    }
    Ok((false, product.proposals(Numerics::Exact)?.first().copied()))
}

/// `count` values between -1 and 1, the same for a seed on every machine, as bytes of a dtype.
fn values(count: usize, seed: u32, dtype: Dtype) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let values = (0..count).map(|_| next());
    match dtype {
        Dtype::F32 => values.flat_map(f32::to_le_bytes).collect(),
        Dtype::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
        Dtype::Bf16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
    }
}
