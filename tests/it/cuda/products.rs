//! Matrix products where the emulated cuBLASLt refuses the algorithm that was chosen: no product
//! fails that some algorithm computes.

use chunkflow::compute::{
    self, CudaDevice, CudaExec, Dense, DenseWeights, Dtype, Epilogue, Numerics, Precision,
};

use super::emulation::Emulation;
use super::{exec, ordinal, rounded};
use crate::exec::{check, host, random};
use crate::support::{bits, naive};

/// `cublasStatus_t`.
const ALLOC_FAILED: i32 = 3;
const REFUSALS: [i32; 3] = [7, 13, 15];
const SHORTAGES: [i32; 3] = [ALLOC_FAILED, 14, 1];

const COLS: usize = 64;
const OUTPUTS: usize = 8;

struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
    linear: <CudaExec as Dense>::Linear,
}

fn layer(exec: &CudaExec, outputs: usize) -> Layer {
    let weight = rounded(exec.dtype(), &random(2, outputs * COLS, 0.2));
    let bias = rounded(exec.dtype(), &random(3, outputs, 1.0));
    let weights = DenseWeights { weight: &weight, bias: Some(&bias), in_features: COLS };
    let linear = exec.load_linear(&[weights], Precision::Working).unwrap();
    Layer { weight, bias, linear }
}

/// The product of so many rows, after it was held against a loop in f64.
fn product(exec: &CudaExec, layer: &Layer, rows: usize) -> Vec<f32> {
    let input = rounded(exec.dtype(), &random(rows as u64, rows * COLS, 1.0));
    let buffer = exec.upload_working(&input, COLS).unwrap();
    let output = exec.linear(&buffer, &layer.linear, Epilogue::None).unwrap();
    let output = host(exec, output, layer.bias.len());
    let expected = naive::linear(&input, &layer.weight, Some(&layer.bias), COLS);
    let unit = if exec.dtype() == Dtype::F32 { 1e-6 } else { 1.0 / 2_048.0 };
    check(&format!("{rows} rows"), &output, &expected, unit);
    output
}

fn fast(dtype: Dtype) -> CudaExec {
    let device = CudaDevice::open(ordinal()).unwrap();
    device.execs(dtype, Numerics::Fast).unwrap().remove(0)
}

#[test]
fn a_refused_algorithm_is_replaced_at_every_number_of_rows() {
    let Some(emulation) = Emulation::take() else { return };
    for call in [c"check", c"run"] {
        for status in REFUSALS {
            for exec in [exec(Dtype::F32), exec(Dtype::F16), fast(Dtype::F16)] {
                let layer = layer(&exec, OUTPUTS);
                emulation.reset_products(ALLOC_FAILED);
                for algorithm in [0, 3] {
                    emulation.refuse_products((call, status), 1..=200, algorithm);
                }
                for rows in 1..=200 {
                    product(&exec, &layer, rows);
                    assert_eq!(emulation.count("algorithm"), 1, "{call:?} {status} {rows}");
                }
                // Other rows run what the layer runs.
                product(&exec, &layer, 700);
                assert_eq!(emulation.count("algorithm"), 0);
            }
        }
    }
}

#[test]
fn a_run_that_every_algorithm_refuses_is_an_error_and_the_next_is_right() {
    let Some(emulation) = Emulation::take() else { return };
    let exec = exec(Dtype::F16);
    let layer = layer(&exec, OUTPUTS);
    for algorithm in 0..4 {
        emulation.refuse_products((c"run", 13), 5..=5, algorithm);
    }
    let input = exec.upload_working(&random(1, 5 * COLS, 1.0), COLS).unwrap();
    let refused = exec.linear(&input, &layer.linear, Epilogue::None).map(|_| ());
    match refused {
        Err(compute::Error::Device { call, problem }) => {
            assert_eq!(call, "run a matrix product");
            assert!(problem.contains("EXECUTION_FAILED"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    product(&exec, &layer, 6);
    emulation.reset_products(ALLOC_FAILED);
    product(&exec, &layer, 5);
}

#[test]
fn exact_numerics_choose_what_runs_on_all_usual_rows_and_never_splits_between_blocks() {
    let Some(emulation) = Emulation::take() else { return };
    let algorithm = |exec: &CudaExec| {
        let layer = layer(exec, OUTPUTS);
        product(exec, &layer, 3);
        (emulation.count("algorithm"), emulation.count("algorithm_columns"))
    };
    assert_eq!(algorithm(&exec(Dtype::F16)), (0, 8192));
    assert_eq!(algorithm(&fast(Dtype::F16)), (3, 4));
    emulation.refuse_products((c"check", 15), 16_384..=16_384, 0);
    assert_eq!(algorithm(&exec(Dtype::F16)), (1, 8192));
}

#[test]
fn a_layer_without_an_algorithm_for_the_usual_rows_runs_on_those_that_there_are() {
    let Some(emulation) = Emulation::take() else { return };
    let exec = exec(Dtype::F16);
    let layer = layer(&exec, OUTPUTS);
    for algorithm in 0..4 {
        emulation.refuse_products((c"check", 15), 8192..=8192, algorithm);
    }
    product(&exec, &layer, 3);
    assert_eq!(emulation.count("algorithm_columns"), 3);
}

#[test]
fn memory_that_is_held_is_given_back_for_a_kernel_to_load() {
    let Some(emulation) = Emulation::take() else { return };
    let held = 64 << 20;
    for status in SHORTAGES {
        let exec = exec(Dtype::F32);
        let layer = layer(&exec, OUTPUTS);
        let expected = product(&exec, &layer, 9);
        // Held by the lane, of no use to a smaller product.
        drop(exec.upload_working(&vec![1.0; held / 4], COLS).unwrap());
        emulation.reset_products(status);
        emulation.set_memory(ordinal(), emulation.count("live_bytes") - held as u64 / 2);
        let again = product(&exec, &layer, 9);
        assert_eq!(bits(&again), bits(&expected), "{status}");
        // With nothing to give back it is memory that is missing.
        let input = exec.upload_working(&random(9, 9 * COLS, 1.0), COLS).unwrap();
        let run = || exec.linear(&input, &layer.linear, Epilogue::None).map(|_| ());
        run().unwrap();
        emulation.reset_products(status);
        emulation.set_memory(ordinal(), 1);
        match run() {
            Err(compute::Error::DeviceMemory { call }) => {
                assert!(call.contains("run a matrix product (cuBLASLt"), "{status}: {call}");
            }
            other => panic!("{status}: {other:?}"),
        }
        emulation.set_memory(ordinal(), u64::MAX);
        assert_eq!(bits(&product(&exec, &layer, 9)), bits(&expected), "{status}");
    }
}
