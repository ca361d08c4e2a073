#include "algorithms.h"

#include <cstdio>
#include <cstring>
#include <set>
#include <tuple>
#include <vector>

#include "api.h"

namespace host {

namespace {

constexpr uint64_t MAGIC = 0x63686b666c6f7721;
constexpr uint64_t MAX_ELEMENTS = (uint64_t(1) << 31) - 1;
// Free memory that the first use of an algorithm on a device needs, for its kernel to be loaded.
constexpr size_t LOADED_BYTES = 64 << 10;

struct Kind {
    // Of the leading dimension of every operand.
    size_t alignment_bytes;
    size_t workspace_bytes;
    // Of cublasLtReductionScheme_t; 0 where a sum is one block's.
    uint32_t reduction;
    // It is worth while for fewer columns alone.
    uint64_t max_columns;
    bool splits_sums;
};

// By their ids, the best first where they run.
constexpr Kind KINDS[] = {
    {16, 0, 0, UINT64_MAX, false},
    {16, 0, 0, UINT64_MAX, true},
    {1, 0, 0, UINT64_MAX, false},
    {16, 4 << 20, 1, 512, true},
};
constexpr uint64_t ORDER[] = {3, 0, 1, 2};

// Planted by a test: `call` of algorithm `id` over `first..=last` columns gives `status`.
struct Refusal {
    bool of_run;
    int status;
    uint64_t first, last, id;
    bool is_of(bool run, const MatrixProduct& product, uint64_t algorithm) const {
        return run == of_run && algorithm == id && product.d.columns >= first && product.d.columns <= last;
    }
};

using Checked = std::tuple<uint64_t, uint64_t, uint64_t, uint64_t, uint64_t>;

struct State {
    std::vector<Refusal> refusals;
    std::set<Checked> checked;
    std::set<std::pair<int, uint64_t>> loaded;
    // What a load that finds no memory answers.
    int load_status = STATUS_ALLOC_FAILED;
};
State& state = *new State;

uint64_t types_of(const MatrixProduct& p) { return uint64_t(p.a.type) << 16 | uint64_t(p.b.type) << 8 | uint64_t(p.d.type); }

Checked key(const MatrixProduct& p, uint64_t id) { return {id, p.d.rows, p.d.columns, p.depth(), types_of(p)}; }

int refused(bool run, const MatrixProduct& product, uint64_t id) {
    for (const Refusal& refusal : state.refusals) {
        if (refusal.is_of(run, product, id)) return refusal.status;
    }
    return OK;
}

// What the layouts alone decide.
bool runs_on(const Kind& kind, const MatrixProduct& product) {
    for (const Matrix* matrix : {&product.a, &product.b, &product.d}) {
        if (matrix->rows * matrix->columns > MAX_ELEMENTS) return false;
        if (size_t(matrix->leading) * bytes_of(matrix->type) % kind.alignment_bytes) return false;
    }
    return true;
}

Heuristic describe(const MatrixProduct& product, uint64_t id) {
    const Algorithm algorithm = {MAGIC, id, product.d.rows, product.d.columns, product.depth(), types_of(product), {}};
    return {algorithm, KINDS[id].workspace_bytes, OK, 1.f, {}};
}

bool is_known(const Algorithm& algorithm) { return algorithm.magic == MAGIC && algorithm.id < std::size(KINDS); }

}  // namespace

int propose_algorithms(const MatrixProduct& product, const Preference& preference, Heuristic* results, int asked) {
    int count = 0;
    for (const uint64_t id : ORDER) {
        const Kind& kind = KINDS[id];
        const bool is_allowed = kind.workspace_bytes <= preference.workspace_bytes && (kind.reduction & ~preference.reductions) == 0;
        const bool is_worth_while = product.d.columns < kind.max_columns;
        if (count == asked || !is_allowed || !is_worth_while || !runs_on(kind, product) || refused(false, product, id)) continue;
        results[count++] = describe(product, id);
        state.checked.insert(key(product, id));
    }
    return count;
}

int check_algorithm(const MatrixProduct& product, const Algorithm& algorithm, Heuristic* result) {
    if (!is_known(algorithm)) return STATUS_INVALID_VALUE;
    if (const int status = refused(false, product, algorithm.id)) return status;
    if (!runs_on(KINDS[algorithm.id], product)) return STATUS_NOT_SUPPORTED;
    *result = describe(product, algorithm.id);
    result->algorithm = algorithm;
    state.checked.insert(key(product, algorithm.id));
    return OK;
}

int start_algorithm(Device& device, const MatrixProduct& product, const Algorithm& algorithm, size_t workspace_bytes) {
    if (!is_known(algorithm)) return STATUS_INVALID_VALUE;
    if (const int status = refused(true, product, algorithm.id)) return status;
    if (!state.checked.count(key(product, algorithm.id))) {
        fprintf(stderr, "chunkflow host device: matrix product: algorithm %llu runs on %llu by %llu without having been checked\n",
                static_cast<unsigned long long>(algorithm.id), static_cast<unsigned long long>(product.d.rows),
                static_cast<unsigned long long>(product.d.columns));
        return STATUS_NOT_SUPPORTED;
    }
    if (KINDS[algorithm.id].workspace_bytes > workspace_bytes) return STATUS_INVALID_VALUE;
    if (!state.loaded.count({device.ordinal, algorithm.id})) {
        const size_t used = device.used_bytes;
        if (device.memory_bytes < used || device.memory_bytes - used < LOADED_BYTES) return state.load_status;
        state.loaded.insert({device.ordinal, algorithm.id});
    }
    return OK;
}

bool splits_sums(const Algorithm& algorithm) { return KINDS[algorithm.id].splits_sums; }

}  // namespace host

using namespace host;

// Lets a call ("check", which is also the heuristic's, or "run") of one algorithm over `first..=last` columns, which are a batch's rows,
// give a status; 1 for an unknown call.
HOST_CONTROL int chunkflow_host_refuse_products(const char* call, int status, uint64_t first, uint64_t last, uint64_t algorithm) {
    const AnyTurn turn;
    const bool of_run = strcmp(call, "run") == 0;
    if (!of_run && strcmp(call, "check") != 0) return INVALID_VALUE;
    state.refusals.push_back({of_run, status, first, last, algorithm});
    return SUCCESS;
}

// Forgets planted refusals and what is loaded; a load without memory gives `load_status` from now on.
HOST_CONTROL void chunkflow_host_reset_products(int load_status) {
    const AnyTurn turn;
    state.refusals.clear();
    state.loaded.clear();
    state.load_status = load_status;
}
