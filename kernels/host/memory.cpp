#include "memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "counters.h"
#include "device.h"
#include "scheduler.h"

namespace host {

namespace {

struct Allocation {
    size_t bytes;
    // With the guard after it, which fills what is left of the last 256 bytes too.
    size_t guarded_bytes;
    uint64_t number;
    Device* device;
};

// Addresses are multiples of this, as a driver's are.
constexpr size_t ALIGNMENT = 256;

struct Memory {
    std::map<uintptr_t, Allocation> allocations;
    std::set<void*> pinned;
    uint64_t made = 0;
    uint64_t live_bytes = 0;
    uint64_t peak_bytes = 0;
    // The allocation that was last asked for: mostly it is asked for again.
    uintptr_t recent_start = 0;
    uintptr_t recent_end = 0;
};
Memory& m = *new Memory;

[[noreturn]] void report_violation(const Allocation& allocation, const char* where, size_t bytes) {
    fprintf(stderr, "chunkflow host device: a write %zu bytes %s allocation %llu of %zu bytes on device %d; the last kernel was %s\n",
            bytes, where, static_cast<unsigned long long>(allocation.number), allocation.bytes, allocation.device->ordinal, last_kernel());
    abort();
}

// The largest distance from the start of the allocation.
size_t bytes_touched_before(const unsigned char* start) {
    for (size_t distance = GUARD_BYTES; distance > 0; distance--) {
        if (start[-ptrdiff_t(distance)] != GUARD) return distance;
    }
    return 0;
}

void check_guard(uintptr_t address, const Allocation& allocation) {
    const auto* start = reinterpret_cast<const unsigned char*>(address);
    if (size_t before = bytes_touched_before(start)) report_violation(allocation, "before", before);
    const size_t after = bytes_touched(start + allocation.bytes, allocation.guarded_bytes - allocation.bytes);
    if (after) report_violation(allocation, "past", after);
}

}  // namespace

size_t bytes_touched(const unsigned char* guard, size_t bytes) {
    // All equal where each equals its neighbour and the first is right.
    if (guard[0] == GUARD && memcmp(guard, guard + 1, bytes - 1) == 0) return 0;
    size_t last = bytes;
    while (guard[last - 1] == GUARD) last--;
    return last;
}

void* allocate(Device& device, size_t bytes) {
    if (bytes > device.memory_bytes || device.used_bytes > device.memory_bytes - bytes) return nullptr;
    const size_t guarded = (bytes + GUARD_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    auto* block = static_cast<unsigned char*>(aligned_alloc(ALIGNMENT, GUARD_BYTES + guarded));
    if (!block) return nullptr;
    unsigned char* start = block + GUARD_BYTES;
    memset(block, GUARD, GUARD_BYTES);
    memset(start, 0xff, bytes);
    memset(start + bytes, GUARD, guarded - bytes);
    m.allocations[reinterpret_cast<uintptr_t>(start)] = {bytes, guarded, ++m.made, &device};
    device.used_bytes += bytes;
    m.live_bytes += bytes;
    m.peak_bytes = std::max(m.peak_bytes, m.live_bytes);
    counters.allocations++;
    return start;
}

bool release(void* pointer) {
    const auto found = m.allocations.find(reinterpret_cast<uintptr_t>(pointer));
    if (found == m.allocations.end()) return false;
    const Allocation& allocation = found->second;
    check_guard(found->first, allocation);
    allocation.device->used_bytes -= allocation.bytes;
    m.live_bytes -= allocation.bytes;
    m.recent_start = m.recent_end = 0;
    // Who still reads it finds NaN, as long as nobody else has the memory.
    memset(pointer, 0xff, allocation.bytes);
    m.allocations.erase(found);
    free(static_cast<unsigned char*>(pointer) - GUARD_BYTES);
    counters.frees++;
    return true;
}

void check_guards() {
    for (const auto& [address, allocation] : m.allocations) check_guard(address, allocation);
}

bool is_device_memory(const void* pointer, size_t bytes) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
    if (address >= m.recent_start && address < m.recent_end && bytes <= m.recent_end - address) return true;
    auto next = m.allocations.upper_bound(address);
    if (next == m.allocations.begin()) return false;
    --next;
    const uintptr_t end = next->first + next->second.bytes;
    if (address > end || bytes > end - address) return false;
    m.recent_start = next->first;
    m.recent_end = end;
    return true;
}

void* allocate_pinned(size_t bytes) {
    constexpr size_t PAGE = 4096;
    void* pointer = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    if (!pointer) return nullptr;
    memset(pointer, 0xff, bytes);
    m.pinned.insert(pointer);
    counters.pinned++;
    return pointer;
}

bool release_pinned(void* pointer) {
    if (m.pinned.erase(pointer) == 0) return false;
    free(pointer);
    return true;
}

MemoryUse memory_use() { return {m.allocations.size(), m.live_bytes, m.peak_bytes, m.pinned.size()}; }

}  // namespace host
