// The driver's calls about memory: what is synchronous waits for all work of the context.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "api.h"
#include "counters.h"
#include "memory.h"
#include "streams.h"

using namespace host;

namespace {

void* at(uint64_t address) { return reinterpret_cast<void*>(address); }

int copy_checked(void* to, const void* from, size_t bytes, const void* on_device) {
    if (!is_device_memory(on_device, bytes)) return ILLEGAL_ADDRESS;
    memmove(to, from, bytes);
    return SUCCESS;
}

// Host memory is read or written when the copy runs and not before: so it is with page-locked
// memory, and who relies on more has no overlap.
int copy(void* to, const void* from, size_t bytes, const void* on_device, void* stream) {
    const Turn turn;
    if (turn.error) return turn.error;
    if (!is_device_memory(on_device, bytes)) return INVALID_VALUE;
    return submit(*turn.device, stream, [=] { return copy_checked(to, from, bytes, on_device); });
}

int upload(uint64_t to, const void* from, size_t bytes, void* stream) {
    const AnyTurn turn;
    counters.uploads++;
    return copy(at(to), from, bytes, at(to), stream);
}

int download(void* to, uint64_t from, size_t bytes, void* stream) {
    const AnyTurn turn;
    counters.downloads++;
    return copy(to, at(from), bytes, at(from), stream);
}

int copy_within(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    const AnyTurn turn;
    if (!is_device_memory(at(from), bytes)) return INVALID_VALUE;
    return copy(at(to), at(from), bytes, at(to), stream);
}

template <class T>
int fill(uint64_t to, T value, size_t count, void* stream) {
    const Turn turn;
    if (turn.error) return turn.error;
    if (to % sizeof(T) || !is_device_memory(at(to), count * sizeof(T))) return INVALID_VALUE;
    counters.memsets++;
    return submit(*turn.device, stream, [=] {
        if (!is_device_memory(at(to), count * sizeof(T))) return int(ILLEGAL_ADDRESS);
        T* first = static_cast<T*>(at(to));
        for (size_t i = 0; i < count; i++) first[i] = value;
        return int(SUCCESS);
    });
}

int allocate_checked(uint64_t* address, size_t bytes) {
    const Turn turn;
    if (turn.error) return turn.error;
    if (bytes == 0) return INVALID_VALUE;
    void* pointer = allocate(*turn.device, bytes);
    *address = reinterpret_cast<uint64_t>(pointer);
    return pointer ? SUCCESS : OUT_OF_MEMORY;
}

void* const DEFAULT_STREAM = nullptr;

}  // namespace

HOST_API cuMemAlloc_v2(uint64_t* address, size_t bytes) { return allocate_checked(address, bytes); }

HOST_API cuMemAllocAsync(uint64_t* address, size_t bytes, void*) { return allocate_checked(address, bytes); }

// A lost context has lost its memory too: that it is given back counts, and the call fails.
HOST_API cuMemFree_v2(uint64_t address) {
    const Turn turn;
    if (address == 0) return turn.error;
    if (turn.device) finish_device(*turn.device);
    if (!release(at(address))) return INVALID_VALUE;
    return turn.device ? turn.device->error : turn.error;
}

HOST_API cuMemFreeAsync(uint64_t address, void* stream) {
    const Turn turn;
    if (turn.error) {
        release(at(address));
        return turn.error;
    }
    if (address == 0) return SUCCESS;
    return submit(*turn.device, stream, [=] { return release(at(address)) ? int(SUCCESS) : int(INVALID_VALUE); });
}

HOST_API cuMemGetInfo_v2(size_t* unused, size_t* total) {
    const Turn turn;
    if (turn.error) return turn.error;
    *total = turn.device->memory_bytes;
    *unused = *total - std::min(*total, turn.device->used_bytes);
    return SUCCESS;
}

HOST_API cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
    const Turn turn;
    if (turn.error) return turn.error;
    if (bytes == 0) return INVALID_VALUE;
    *pointer = allocate_pinned(bytes);
    return *pointer ? SUCCESS : OUT_OF_MEMORY;
}

HOST_API cuMemAllocHost_v2(void** pointer, size_t bytes) { return cuMemHostAlloc(pointer, bytes, 0); }

// Waits, as a driver does: work that is queued may use the memory.
HOST_API cuMemFreeHost(void* pointer) {
    const Turn turn;
    if (turn.device) finish_device(*turn.device);
    if (!release_pinned(pointer)) return INVALID_VALUE;
    return turn.device ? turn.device->error : turn.error;
}

HOST_API cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) { return upload(to, from, bytes, DEFAULT_STREAM); }

HOST_API cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    return upload(to, from, bytes, stream);
}

HOST_API cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) { return download(to, from, bytes, DEFAULT_STREAM); }

HOST_API cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
    return download(to, from, bytes, stream);
}

HOST_API cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) { return copy_within(to, from, bytes, DEFAULT_STREAM); }

HOST_API cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    return copy_within(to, from, bytes, stream);
}

HOST_API cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) { return fill(to, value, bytes, DEFAULT_STREAM); }

HOST_API cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
    return fill(to, value, bytes, stream);
}

HOST_API cuMemsetD32_v2(uint64_t to, unsigned value, size_t count) { return fill(to, value, count, DEFAULT_STREAM); }

HOST_API cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void* stream) {
    return fill(to, value, count, stream);
}
