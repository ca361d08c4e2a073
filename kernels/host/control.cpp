// What tests ask of the emulation, and how they set it: found by dlsym in libcuda.so.1.
#include <cstdint>
#include <cstring>
#include <string>

#include "api.h"
#include "counters.h"
#include "memory.h"
#include "scheduler.h"
#include "streams.h"

using namespace host;

// CUctx_flags: how threads wait for a context.
constexpr unsigned SCHED_MASK = 7, SCHED_BLOCKING_SYNC = 4;

// 0 for a kernel that was never launched, and for names that nothing has.
HOST_CONTROL uint64_t chunkflow_host_counter(const char* name) {
    const AnyTurn turn;
    const Counters& all = counters;
    uint64_t blocking_contexts = 0;
    for (const auto& device : devices()) blocking_contexts += (device->flags & SCHED_MASK) == SCHED_BLOCKING_SYNC;
    const MemoryUse memory = memory_use();
    const std::string prefix = "kernel:";
    if (strncmp(name, prefix.c_str(), prefix.size()) == 0) {
        const auto found = launches_of_kernels().find(name + prefix.size());
        return found == launches_of_kernels().end() ? 0 : found->second;
    }
    const struct {
        const char* name;
        uint64_t value;
    } named[] = {
        {"launches", all.launches},
        {"products", all.products},
        {"allocations", all.allocations},
        {"frees", all.frees},
        {"pinned", all.pinned},
        {"synchronisations", all.synchronisations},
        {"uploads", all.uploads},
        {"downloads", all.downloads},
        {"memsets", all.memsets},
        {"blocks", all.blocks},
        {"barriers", all.barriers},
        {"warp_operations", all.warp_operations},
        {"algorithm", all.algorithm},
        {"algorithm_columns", all.algorithm_columns},
        {"blocking_contexts", blocking_contexts},
        {"live_allocations", memory.live_allocations},
        {"live_bytes", memory.live_bytes},
        {"peak_bytes", memory.peak_bytes},
        {"live_pinned", memory.live_pinned},
    };
    for (const auto& counter : named) {
        if (strcmp(counter.name, name) == 0) return counter.value;
    }
    return 0;
}

// What lives, and its peak, is no matter of counting: it stays.
HOST_CONTROL void chunkflow_host_reset_counters(void) {
    const AnyTurn turn;
    counters = Counters();
    launches_of_kernels().clear();
}

HOST_CONTROL uint64_t chunkflow_host_max_concurrent_streams(void) {
    const AnyTurn turn;
    return counters.concurrent_streams;
}

// 0 where the order is one of those that there are.
HOST_CONTROL int chunkflow_host_set_order(const char* order) {
    const AnyTurn turn;
    devices();
    return set_order(order) ? SUCCESS : INVALID_VALUE;
}

HOST_CONTROL void chunkflow_host_set_memory(int ordinal, uint64_t bytes) {
    const AnyTurn turn;
    if (Device* device = device_of(ordinal)) device->memory_bytes = bytes;
}

// 719 is what a kernel that failed leaves behind: a program meets it far more often than a fault of
// the memory, and like all such errors it stays.
HOST_CONTROL void chunkflow_host_lose(int ordinal, int error) {
    const AnyTurn turn;
    Device* device = device_of(ordinal);
    if (!device) return;
    device->error = error;
    discard_work(*device);
}

HOST_CONTROL void chunkflow_host_restore(int ordinal) {
    const AnyTurn turn;
    if (Device* device = device_of(ordinal)) device->error = SUCCESS;
}

// Of a thread; 0 for what its launch bounds leave room for.
HOST_CONTROL void chunkflow_host_set_registers(const char* kernel, int registers) {
    const AnyTurn turn;
    if (registers > 0) registers_of_kernels()[kernel] = registers;
    else registers_of_kernels().erase(kernel);
}
