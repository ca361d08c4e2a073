#!/bin/sh
# Checks, measures or profiles Chunkflow on the CUDA device of this machine, from the folder that
# `make device-pack` made. Needs a driver and libcublasLt.so.13; no Rust, network or compiler.
#
#     run.sh check|bench|profile [STEP...]      one mode, or some of its steps
#     run.sh limits                             the most seconds that each mode may take
#
# Results: MODE.json, MODE.md and MODE-logs.tar.gz in $OUT, or else in results/ beside this file.
# DEVICE_DRIVER=FOLDER takes the driver's libraries from there: the emulated one, to try this without
# a GPU, with forty times as long for each step.
# Status 1 if a step failed; what this machine has no tool for is skipped.
set -u

# Mode, step and the most seconds that it may take.
LIMITS='
check unpack 25
check machine 8
check products 60
check tests-exec 30
check tests-narrow 15
check tests-similarity 25
check tests-models 40
check tests-rest 30
check doctor-f32 15
check doctor-f16 15
check doctor-bf16 15
check memcheck 18
check racecheck 18
check initcheck 18
check synccheck 18
check report 5
bench unpack 25
bench machine 8
bench shapes 25
bench operations 50
bench times 40
bench run_minilm_f32_exact_mixed 7
bench run_minilm_bf16_exact_mixed 6
bench run_minilm_bf16_fast_mixed 6
bench run_minilm_f16_exact_mixed 6
bench run_minilm_f16_fast_mixed 6
bench run_minilm_f16_exact_short 6
bench run_minilm_f16_exact_long 6
bench run_bert-base_f32_exact_mixed 11
bench run_bert-base_bf16_exact_mixed 8
bench run_bert-base_bf16_fast_mixed 8
bench run_bert-base_f16_exact_mixed 8
bench run_bert-base_f16_fast_mixed 8
bench run_bert-base_f16_exact_long 8
bench run_qwen3-0.6b_bf16_exact_mixed 14
bench run_qwen3-0.6b_bf16_fast_mixed 14
bench run_qwen3-0.6b_f16_exact_mixed 14
bench torch_minilm_mixed 15
bench torch_bert-base_mixed 15
bench torch_qwen3-0.6b_mixed 20
bench torch_minilm_short 15
bench report 5
profile unpack 25
profile machine 8
profile shapes 25
profile ncu_minilm 70
profile ncu_bert-base 90
profile ncu_qwen3-0.6b 110
profile report 5
'
# Skipped launches of the warm-up, and launches that are profiled: a batch or two.
PROFILED='
minilm 400 120
bert-base 600 220
qwen3-0.6b 900 320
'
COUNTERS=gpu__time_duration.sum,sm__throughput.avg.pct_of_peak_sustained_elapsed,gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed,dram__bytes.sum,sm__inst_executed_pipe_tensor.avg.pct_of_peak_sustained_active,sm__warps_active.avg.pct_of_peak_sustained_active,launch__registers_per_thread
# Tests of every kind of kernel that a checker is done with in seconds.
SANITIZED='exec::cuda::attention_is_softmax exec::cuda::residual_norm exec::cuda::embed_norm exec::cuda::pool_reads cuda::narrow::attention cuda::narrow::linear'
# Status by which a step says that this machine lacks what it needs.
SKIPPED=77

here=$(cd "$(dirname "$0")" && pwd)
work=${DEVICE_WORK:-$here/work}
results=${OUT:-$here/results}
program=$work/chunkflow
minilm=$work/models/sentence-transformers/all-MiniLM-L6-v2
# The emulated driver computes a thousand times slower.
[ -n "${DEVICE_DRIVER:-}" ] && slowness=40 most_rows=160 layers=minilm,odd || slowness=1 most_rows=16384 layers=all

limits() {
    for of in check bench profile; do
        sum=0
        for seconds in $(printf '%s' "$LIMITS" | sed -n "s/^$of [^ ]* //p"); do sum=$((sum + seconds)); done
        echo "$of $sum"
    done
}

usage() {
    echo "usage: run.sh check|bench|profile [STEP...], or run.sh limits" >&2
    exit 2
}

# Puts cuBLASLt's folder and the driver's where programs look for libraries.
find_libraries() {
    if [ -n "${DEVICE_DRIVER:-}" ]; then
        export LD_LIBRARY_PATH="$DEVICE_DRIVER" CHUNKFLOW_HOST_DEVICES=2
        cublaslt=$DEVICE_DRIVER/libcublasLt.so.13
        return
    fi
    cublaslt=
    listed=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null)
    case $listed in *libcuda.so.1*) ;; *)
        for folder in /usr/local/nvidia/lib64 /usr/lib/x86_64-linux-gnu /usr/local/cuda/compat; do
            [ -e "$folder/libcuda.so.1" ] || continue
            export LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
            break
        done ;;
    esac
    cublaslt=$(printf '%s\n' "$listed" | sed -n 's/.*libcublasLt\.so\.13 .*=> //p' | head -n 1)
    [ -n "$cublaslt" ] && return
    packages=$(python3 -c 'import sys; print("\n".join(sys.path))' 2>/dev/null)
    for folder in $(printf '%s' "${LD_LIBRARY_PATH:-}" | tr : ' ') /usr/local/cuda*/lib64 \
        /usr/local/cuda*/targets/x86_64-linux/lib $(for path in $packages; do
            echo "$path/nvidia/cu13/lib" "$path/nvidia/cublas/lib"; done); do
        [ -e "$folder/libcublasLt.so.13" ] && cublaslt=$folder/libcublasLt.so.13 && break
    done
    [ -n "$cublaslt" ] || cublaslt=$(timeout 10 find /usr /opt -name libcublasLt.so.13 2>/dev/null | head -n 1)
    [ -z "$cublaslt" ] || export LD_LIBRARY_PATH="$(dirname "$cublaslt")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}

# A program of CUDA's toolkit; nothing where there is none.
tool() {
    command -v "$1" 2>/dev/null && return
    for path in /usr/local/cuda*/bin/"$1" /opt/nvidia/nsight-compute/*/"$1"; do
        [ -x "$path" ] && echo "$path" && return
    done
}

unpack() {
    mkdir -p "$work"
    cmp -s "$here/pack.sum" "$work/pack.sum" && echo "unpacked before" && return
    for part in programs model; do
        if command -v xz > /dev/null; then
            tar -C "$work" -xJf "$here/$part.tar.xz" || return 1
        else
            python3 -m tarfile -e "$here/$part.tar.xz" "$work" || return 1
        fi
    done
    "$work/device" unpack "$work/minilm" "$minilm" && cp "$here/pack.sum" "$work/pack.sum"
}

machine() {
    command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,power.limit --format=csv,noheader
    uname -srm
    ldd --version 2>&1 | head -n 1
    echo "$(getconf _NPROCESSORS_ONLN) processors"
    "$program" --version
    [ -n "${DEVICE_DRIVER:-}" ] && echo "the emulated driver in $DEVICE_DRIVER"
    [ -e "$DEVICE_CUBLASLT" ] && echo "cuBLASLt: $DEVICE_CUBLASLT" && return
    echo "error: libcublasLt.so.13 is nowhere; 'pip install nvidia-cublas' brings it"
    return 1
}

shapes() {
    [ -e "$work/shapes/made" ] && return
    "$work/device" shapes "$minilm" "$work/shapes" && ln -sfn "$minilm" "$work/shapes/minilm" && touch "$work/shapes/made"
}

products() { "$work/device" products "$1" $most_rows $layers "$found/$2.json"; }

tests() { "$work/device-tests" "$@"; }

doctor() { "$program" doctor --verify --model "$minilm" --device cuda:0 --dtype "$1"; }

sanitized() {
    sanitizer=$(tool compute-sanitizer)
    [ -n "$sanitizer" ] || { echo "no compute-sanitizer"; return $SKIPPED; }
    "$sanitizer" --tool "$1" --error-exitcode 9 --print-limit 20 "$work/device-tests" $SANITIZED --test-threads 1 > "$found/$1.out" 2>&1
    status=$?
    cat "$found/$1.out"
    grep -q "Device not supported" "$found/$1.out" && echo "compute-sanitizer: device not supported" && return $SKIPPED
    return $status
}

# run_MODEL_DTYPE_NUMERICS_TEXTS
run_model() {
    of=${1#run_}
    model=${of%%_*} of=${of#*_}
    dtype=${of%%_*} of=${of#*_}
    repeat=3
    [ "$dtype" = f32 ] && repeat=1
    CHUNKFLOW__COMPUTE__NUMERICS=${of%%_*} "$program" bench --json --repeat $repeat --device cuda:0 --dtype "$dtype" \
        --model "$work/shapes/$model" --input "$work/shapes/${of#*_}.txt" > "$found/$1.json" && cat "$found/$1.json"
}

# torch_MODEL_TEXTS
run_torch() {
    of=${1#torch_}
    command -v python3 > /dev/null || { echo "no python3"; return $SKIPPED; }
    python3 "$here/torch_models.py" "$work/shapes/${of%%_*}" "$work/shapes/${of#*_}.txt" > "$found/$1.json"
    status=$?
    cat "$found/$1.json"
    return $status
}

operations() {
    cd "$work" && ./bench --bench --warm-up-time 0.2 --measurement-time 0.5 --sample-size 10 --noplot | tee "$found/ops.log"
    ! grep -q "nothing is measured" "$found/ops.log"
}

# ncu_MODEL
profiled() {
    ncu=$(tool ncu)
    [ -n "$ncu" ] || { echo "no ncu"; return $SKIPPED; }
    model=${1#ncu_}
    launches=$(printf '%s' "$PROFILED" | sed -n "s/^$model //p")
    "$ncu" --clock-control none --csv --page raw --print-units base --metrics $COUNTERS \
        --launch-skip "${launches% *}" --launch-count "${launches#* }" \
        "$program" bench --json --repeat 1 --device cuda:0 --dtype bf16 --model "$work/shapes/$model" \
        --input "$work/shapes/mixed.txt" > "$found/$1.csv"
    status=$?
    grep -v '^"' "$found/$1.csv"
    grep -q "Failed to initialize the profiler\|ERR_NVGPUCTRPERM" "$found/$1.csv" &&
        echo "ncu cannot read this machine's counters" && return $SKIPPED
    return $status
}

# What a step does, by its name.
do_step() {
    case $1 in
    unpack | machine | shapes | operations) "$1" ;;
    products) products bits products ;;
    times) products times times ;;
    tests-exec) tests exec::cuda exec_families::cuda inner_products::cuda ;;
    tests-narrow) tests cuda::narrow ;;
    tests-similarity) tests cuda::similarity_rows ;;
    tests-models) tests cuda::models cuda_is_the_processor ;;
    # So that a test that is new is in a group.
    tests-rest) tests cuda --skip exec::cuda --skip exec_families::cuda --skip inner_products::cuda \
        --skip cuda::narrow --skip cuda::similarity_rows --skip cuda::models --skip cuda_is_the_processor ;;
    doctor-*) doctor "${1#doctor-}" ;;
    *check) sanitized "$1" ;;
    run_*) run_model "$1" ;;
    torch_*) run_torch "$1" ;;
    ncu_*) profiled "$1" ;;
    esac
}

# One line of a log that says best what happened.
remark() {
    case $2 in
    ok | skipped*) grep "^test result\|^verify\|layers are bad\|ERROR SUMMARY" "$1" | tail -n 1 | cut -c 1-160 ;;
    *) grep "panicked at\|^error\|^Error\|BAD\|WRONG\|ERROR SUMMARY\|FAILED" "$1" | head -n 1 | cut -c 1-160 ;;
    esac | tr '\t' ' '
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# Runs a step within its limit, and notes what came of it.
step() {
    limit=$(($(printf '%s' "$LIMITS" | sed -n "s/^$mode $1 //p") * slowness))
    begin=$(milliseconds)
    # A process of its own, so that the limit holds for all that it starts.
    DEVICE_STEP=$1 timeout -k 5 $limit "$here/run.sh" "$mode" > "$found/$1.log" 2>&1
    status=$?
    spent=$(($(milliseconds) - begin))
    case $status in
    0) result=ok ;;
    $SKIPPED) result="skipped: $(tail -n 1 "$found/$1.log")" ;;
    124 | 137) result='over its limit' ;;
    *) result="failed ($status)" ;;
    esac
    seconds=$((spent / 1000)).$((spent % 1000 / 100))
    said=$(remark "$found/$1.log" "$result")
    printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$result" "$seconds" "$limit" "$said" >> "$found/steps.tsv"
    printf '%-34s %6s s  %s  %s\n' "$1" "$seconds" "$result" "$said"
    case $result in ok | skipped*) return 0 ;; esac
    tail -n 12 "$found/$1.log" | sed 's/^/    /'
    return 1
}

mode=${1:-}
case $mode in
limits) limits; exit ;;
check | bench | profile) shift ;;
*) usage ;;
esac
found=$work/found/$mode
if [ -n "${DEVICE_STEP:-}" ]; then
    do_step "$DEVICE_STEP"
    exit
fi
find_libraries
# Cargo sets the first two for tests.
export CARGO_MANIFEST_DIR="$work" CARGO_BIN_EXE_chunkflow="$program" CHUNKFLOW_TEST_DEVICE=cuda:0 DEVICE_CUBLASLT="$cublaslt"
[ $# -gt 0 ] || set -- $(printf '%s' "$LIMITS" | sed -n "s/^$mode \([^ ]*\) .*/\1/p")
rm -rf "$found"
mkdir -p "$found" "$results"
failed=0
for name in "$@"; do
    [ "$name" = report ] || step "$name" || failed=$((failed + 1))
done
"$work/device" report "$mode" "$work/found" || failed=$((failed + 1))
cp "$work/found/$mode.json" "$work/found/$mode.md" "$results" || failed=$((failed + 1))
tar -C "$work/found" -czf "$results/$mode-logs.tar.gz" "$mode"
echo "$mode: $failed of $# steps failed; $results/$mode.md"
[ $failed = 0 ]
