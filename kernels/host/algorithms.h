// The algorithms that the emulated cuBLASLt has, and what they refuse: a program that runs one on a
// product that it was not checked for, or without what it needs, fails here as it may on a device.
#pragma once
#include <cstddef>
#include <cstdint>

#include "device.h"
#include "product.h"

namespace host {

// cublasStatus_t.
enum Status : int {
    OK = 0,
    STATUS_NOT_INITIALIZED = 1,
    STATUS_ALLOC_FAILED = 3,
    STATUS_INVALID_VALUE = 7,
    STATUS_EXECUTION_FAILED = 13,
    STATUS_INTERNAL_ERROR = 14,
    STATUS_NOT_SUPPORTED = 15,
};

// cublasLtMatmulAlgo_t: opaque to the program; which it is, and what it was proposed for.
struct Algorithm {
    uint64_t magic;
    uint64_t id;
    uint64_t rows, columns, depth, types;
    uint64_t unused[2];
};
static_assert(sizeof(Algorithm) == 64, "as large as cublasLtMatmulAlgo_t");

struct Preference {
    uint64_t workspace_bytes = 0;
    // cublasLtReductionScheme_t, by bits; all of them unless something else is asked for.
    uint32_t reductions = 0x7;
};

// cublasLtMatmulHeuristicResult_t.
struct Heuristic {
    Algorithm algorithm;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
};

// Those that run on `product` within the preference, the best first; how many were written.
int propose_algorithms(const MatrixProduct& product, const Preference& preference, Heuristic* results, int asked);
// Whether an algorithm runs on `product`, and from then on it may.
int check_algorithm(const MatrixProduct& product, const Algorithm& algorithm, Heuristic* result);
// What the call that sets a product off answers.
int start_algorithm(Device& device, const MatrixProduct& product, const Algorithm& algorithm, size_t workspace_bytes);
// Whether its sums are made of two halves.
bool splits_sums(const Algorithm& algorithm);

}  // namespace host
