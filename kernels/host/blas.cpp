// The part of cuBLASLt that computes products of f32, f16 and bf16 with sums in f32, and what
// candle asks cuBLAS and cuRAND for when it opens a device.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "algorithms.h"
#include "api.h"
#include "counters.h"
#include "memory.h"
#include "product.h"
#include "scheduler.h"
#include "streams.h"

using namespace host;

namespace {

constexpr int COMPUTE_32F = 68;
constexpr int EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4;
constexpr int TRANSPOSED = 1;
constexpr int UNSET = -1;
constexpr size_t ALIGNMENT = 16;

// Attributes by their number: see `descriptor_field` and its likes.
struct Descriptor {
    int compute, scale_type;
    int pointer_mode = 0;
    int transpose_a = 0, transpose_b = 0, transpose_c = 0;
    int epilogue = EPILOGUE_DEFAULT;
    int bias_type = UNSET;
    const void* bias = nullptr;
};

struct Layout {
    Matrix matrix;
    int order = 0;
};

struct Field {
    void* at;
    size_t bytes;
};

Field descriptor_field(Descriptor& d, int attribute) {
    switch (attribute) {
        case 0: return {&d.compute, sizeof d.compute};
        case 1: return {&d.scale_type, sizeof d.scale_type};
        case 2: return {&d.pointer_mode, sizeof d.pointer_mode};
        case 3: return {&d.transpose_a, sizeof d.transpose_a};
        case 4: return {&d.transpose_b, sizeof d.transpose_b};
        case 5: return {&d.transpose_c, sizeof d.transpose_c};
        case 7: return {&d.epilogue, sizeof d.epilogue};
        case 8: return {&d.bias, sizeof d.bias};
        case 26: return {&d.bias_type, sizeof d.bias_type};
        default: return {nullptr, 0};
    }
}

Field layout_field(Layout& l, int attribute) {
    switch (attribute) {
        case 0: return {&l.matrix.type, sizeof l.matrix.type};
        case 1: return {&l.order, sizeof l.order};
        case 2: return {&l.matrix.rows, sizeof l.matrix.rows};
        case 3: return {&l.matrix.columns, sizeof l.matrix.columns};
        case 4: return {&l.matrix.leading, sizeof l.matrix.leading};
        case 5: return {&l.matrix.batch, sizeof l.matrix.batch};
        case 6: return {&l.matrix.stride, sizeof l.matrix.stride};
        default: return {nullptr, 0};
    }
}

int set_field(Field field, const void* value, size_t bytes) {
    if (!field.at) return STATUS_NOT_SUPPORTED;
    if (!value || bytes != field.bytes) return STATUS_INVALID_VALUE;
    memcpy(field.at, value, bytes);
    return OK;
}

bool is_supported(const Descriptor& d) {
    if (d.compute != COMPUTE_32F || d.scale_type != int(Type::F32) || d.pointer_mode != 0 || d.transpose_c != 0) return false;
    if (d.transpose_a > TRANSPOSED || d.transpose_b > TRANSPOSED) return false;
    return d.epilogue == EPILOGUE_DEFAULT || d.epilogue == EPILOGUE_BIAS;
}

bool is_valid(const Layout& layout) {
    const Matrix& m = layout.matrix;
    return layout.order == 0 && is_known(m.type) && m.batch >= 1 && m.leading >= int64_t(m.rows) && m.rows > 0 && m.columns > 0;
}

// Shapes and types of a product, without values.
int describe(const Descriptor& d, const Layout& a, const Layout& b, const Layout& c, const Layout& to, MatrixProduct* product) {
    if (!is_supported(d)) return STATUS_NOT_SUPPORTED;
    for (const Layout* layout : {&a, &b, &c, &to}) {
        if (!is_valid(*layout)) return STATUS_INVALID_VALUE;
    }
    *product = {};
    product->a = a.matrix;
    product->b = b.matrix;
    product->c = c.matrix;
    product->d = to.matrix;
    product->transpose_a = d.transpose_a == TRANSPOSED;
    product->transpose_b = d.transpose_b == TRANSPOSED;
    product->bias_type = d.bias_type == UNSET ? to.matrix.type : Type(d.bias_type);
    const Matrix &x = product->a, &y = product->b, &z = product->d;
    const uint64_t rows = product->transpose_a ? x.columns : x.rows;
    const uint64_t columns = product->transpose_b ? y.rows : y.columns;
    const uint64_t other_depth = product->transpose_b ? y.columns : y.rows;
    const bool fits = rows == z.rows && columns == z.columns && product->depth() == other_depth;
    const bool same_c = product->c.rows == z.rows && product->c.columns == z.columns && product->c.type == z.type;
    const bool same_batch = x.batch == z.batch && y.batch == z.batch && product->c.batch == z.batch;
    if (!fits || !same_c || !same_batch) return STATUS_INVALID_VALUE;
    const bool bias_fits = product->bias_type == z.type || product->bias_type == Type::F32;
    return x.type == y.type && (x.type == z.type || z.type == Type::F32) && bias_fits ? OK : STATUS_NOT_SUPPORTED;
}

int report(int status, const char* what, const void* pointer) {
    fprintf(stderr, "chunkflow host device: matrix product: %s %p\n", what, pointer);
    return status;
}

int check_pointers(const MatrixProduct& p) {
    for (const void* pointer : {p.a_values, p.b_values, p.c_values, static_cast<const void*>(p.d_values), p.bias}) {
        if (reinterpret_cast<uintptr_t>(pointer) % ALIGNMENT) return report(STATUS_INVALID_VALUE, "not aligned to 16 bytes:", pointer);
    }
    return OK;
}

// What a device would find out while it computes.
int run(const MatrixProduct& p, bool splits_sums) {
    const struct {
        const void* pointer;
        size_t bytes;
    } operands[] = {
        {p.a_values, p.a.bytes()},
        {p.b_values, p.b.bytes()},
        {p.d_values, p.d.bytes()},
        {p.beta != 0.f ? p.c_values : p.d_values, p.beta != 0.f ? p.c.bytes() : 0},
        {p.bias ? p.bias : p.d_values, p.bias ? p.d.rows * bytes_of(p.bias_type) : 0},
    };
    for (const auto& operand : operands) {
        if (!is_device_memory(operand.pointer, operand.bytes)) return report(ILLEGAL_ADDRESS, "an operand outside of any allocation:", operand.pointer);
    }
    multiply(p, splits_sums);
    check_guards();
    return SUCCESS;
}

}  // namespace

HOST_API cublasLtCreate(void** handle) {
    const Turn turn;
    if (turn.error) return STATUS_NOT_INITIALIZED;
    *handle = new int(turn.device->ordinal);
    return OK;
}

HOST_API cublasLtDestroy(void* handle) {
    delete static_cast<int*>(handle);
    return OK;
}

HOST_API cublasLtMatmulDescCreate(Descriptor** descriptor, int compute, int scale_type) {
    *descriptor = new Descriptor{compute, scale_type};
    return OK;
}

HOST_API cublasLtMatmulDescDestroy(Descriptor* descriptor) {
    delete descriptor;
    return OK;
}

HOST_API cublasLtMatmulDescSetAttribute(Descriptor* descriptor, int attribute, const void* value, size_t bytes) {
    return set_field(descriptor_field(*descriptor, attribute), value, bytes);
}

HOST_API cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    *layout = new Layout{{Type(type), rows, columns, leading, 1, 0}};
    return OK;
}

HOST_API cublasLtMatrixLayoutDestroy(Layout* layout) {
    delete layout;
    return OK;
}

HOST_API cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* value, size_t bytes) {
    return set_field(layout_field(*layout, attribute), value, bytes);
}

HOST_API cublasLtMatmulPreferenceCreate(Preference** preference) {
    *preference = new Preference;
    return OK;
}

HOST_API cublasLtMatmulPreferenceDestroy(Preference* preference) {
    delete preference;
    return OK;
}

HOST_API cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
    constexpr int MAX_WORKSPACE_BYTES = 1, REDUCTION_SCHEME_MASK = 3;
    switch (attribute) {
        case MAX_WORKSPACE_BYTES: return set_field({&preference->workspace_bytes, sizeof preference->workspace_bytes}, value, bytes);
        case REDUCTION_SCHEME_MASK: return set_field({&preference->reductions, sizeof preference->reductions}, value, bytes);
        default: return STATUS_NOT_SUPPORTED;
    }
}

HOST_API cublasLtMatmulAlgoGetHeuristic(void*, const Descriptor* descriptor, const Layout* a, const Layout* b, const Layout* c,
                                        const Layout* d, const Preference* preference, int asked, Heuristic* results, int* returned) {
    const Turn turn;
    if (turn.error) return STATUS_EXECUTION_FAILED;
    *returned = 0;
    MatrixProduct product;
    if (const int status = describe(*descriptor, *a, *b, *c, *d, &product)) return status;
    if (asked < 1) return STATUS_INVALID_VALUE;
    *returned = propose_algorithms(product, *preference, results, asked);
    return *returned ? OK : STATUS_NOT_SUPPORTED;
}

HOST_API cublasLtMatmulAlgoCheck(void*, const Descriptor* descriptor, const Layout* a, const Layout* b, const Layout* c,
                                 const Layout* d, const Algorithm* algorithm, Heuristic* result) {
    const AnyTurn turn;
    MatrixProduct product;
    if (const int status = describe(*descriptor, *a, *b, *c, *d, &product)) return status;
    return check_algorithm(product, *algorithm, result);
}

HOST_API cublasLtMatmul(void*, const Descriptor* descriptor, const float* alpha, const void* a_values, const Layout* a,
                        const void* b_values, const Layout* b, const float* beta, const void* c_values, const Layout* c,
                        void* d_values, const Layout* d, const Algorithm* algorithm, void* workspace, size_t workspace_bytes,
                        void* stream) {
    const Turn turn;
    if (turn.error) return STATUS_EXECUTION_FAILED;
    MatrixProduct product;
    if (const int status = describe(*descriptor, *a, *b, *c, *d, &product)) return status;
    product.a_values = a_values;
    product.b_values = b_values;
    product.c_values = c_values;
    product.d_values = d_values;
    product.bias = descriptor->epilogue == EPILOGUE_BIAS ? descriptor->bias : nullptr;
    product.alpha = *alpha;
    product.beta = *beta;
    if (descriptor->epilogue == EPILOGUE_BIAS && !product.bias) return STATUS_INVALID_VALUE;
    if (const int status = check_pointers(product)) return status;
    if (workspace_bytes && !is_device_memory(workspace, workspace_bytes)) {
        return report(STATUS_INVALID_VALUE, "a workspace outside of any allocation:", workspace);
    }
    // None is left to the library, which then proposes one itself.
    Heuristic proposed;
    if (!algorithm) {
        if (propose_algorithms(product, {}, &proposed, 1) == 0) return STATUS_NOT_SUPPORTED;
        algorithm = &proposed.algorithm;
    }
    if (const int status = start_algorithm(*turn.device, product, *algorithm, workspace_bytes)) return status;
    counters.products++;
    counters.algorithm_columns = algorithm->columns;
    counters.algorithm = algorithm->id;
    const bool is_split = splits_sums(*algorithm);
    return submit(*turn.device, stream, [product, is_split] { return run(product, is_split); }) ? STATUS_EXECUTION_FAILED : OK;
}

// Handles that nothing can be done with.

HOST_API cublasCreate_v2(void** handle) { return cublasLtCreate(handle); }
HOST_API cublasDestroy_v2(void* handle) { return cublasLtDestroy(handle); }
HOST_API cublasSetStream_v2(void*, void*) { return OK; }
HOST_API cublasSetMathMode(void*, int) { return OK; }
HOST_API cublasSetWorkspace_v2(void*, void*, size_t) { return OK; }
HOST_API curandCreateGenerator(void** handle, int) { return cublasLtCreate(handle); }
HOST_API curandDestroyGenerator(void* handle) { return cublasLtDestroy(handle); }
HOST_API curandSetStream(void*, void*) { return OK; }
HOST_API curandSetPseudoRandomGeneratorSeed(void*, unsigned long long) { return OK; }
HOST_API curandSetGeneratorOffset(void*, unsigned long long) { return OK; }
