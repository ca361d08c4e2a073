// The driver's calls about streams and events.
#include <chrono>

#include "api.h"
#include "counters.h"
#include "streams.h"

using namespace host;

namespace {

constexpr unsigned DISABLE_TIMING = 2;

// Runs what is in a stream, or in all of them for a default stream.
int finish_handle(Device& device, void* handle) {
    if (is_default_stream(handle)) return finish_device(device);
    const auto stream = stream_of(handle);
    return stream ? finish_stream(*stream) : int(INVALID_HANDLE);
}

int finish_event_handle(void* handle) {
    const Event* event = event_of(handle);
    return event ? finish_event(*event) : int(INVALID_HANDLE);
}

}  // namespace

HOST_API cuStreamCreate(void** handle, unsigned flags) {
    const Turn turn;
    if (turn.error) return turn.error;
    *handle = create_stream(*turn.device, flags);
    return SUCCESS;
}

HOST_API cuStreamCreateWithPriority(void** handle, unsigned flags, int) { return cuStreamCreate(handle, flags); }

HOST_API cuStreamDestroy_v2(void* handle) {
    const AnyTurn turn;
    const auto stream = stream_of(handle);
    if (!stream) return INVALID_HANDLE;
    Device* device = stream->device;
    destroy_stream(stream);
    return device->error;
}

HOST_API cuStreamSynchronize(void* handle) {
    const Turn turn;
    if (turn.error) return turn.error;
    counters.synchronisations++;
    return finish_handle(*turn.device, handle);
}

// A program that asks until the work is done would never end if asking did nothing.
HOST_API cuStreamQuery(void* handle) {
    const Turn turn;
    return turn.error ? turn.error : finish_handle(*turn.device, handle);
}

HOST_API cuStreamWaitEvent(void* stream, void* handle, unsigned) {
    const Turn turn;
    if (turn.error) return turn.error;
    const Event* event = event_of(handle);
    return event ? wait_event(stream, *event) : int(INVALID_HANDLE);
}

HOST_API cuStreamIsCapturing(void*, int* status) {
    *status = 0;
    return SUCCESS;
}

HOST_API cuStreamGetFlags(void* handle, unsigned* flags) {
    const AnyTurn turn;
    const auto stream = stream_of(handle);
    *flags = stream ? stream->flags : 0;
    return SUCCESS;
}

HOST_API cuStreamGetCtx(void* handle, Device** context) {
    const Turn turn;
    const auto stream = stream_of(handle);
    *context = stream ? stream->device : turn.device;
    return turn.error;
}

HOST_API cuStreamAttachMemAsync(void*, uint64_t, size_t, unsigned) { return SUCCESS; }

HOST_API cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
    const Turn turn;
    if (turn.error) return turn.error;
    return submit(*turn.device, stream, [=] {
        function(data);
        return int(SUCCESS);
    });
}

HOST_API cuEventCreate(void** handle, unsigned flags) {
    const Turn turn;
    if (turn.error) return turn.error;
    *handle = create_event(*turn.device, flags);
    return SUCCESS;
}

HOST_API cuEventDestroy_v2(void* handle) {
    const AnyTurn turn;
    Event* event = event_of(handle);
    if (!event) return INVALID_HANDLE;
    const int error = event->device->error;
    destroy_event(event);
    return error;
}

HOST_API cuEventRecord(void* handle, void* stream) {
    const Turn turn;
    if (turn.error) return turn.error;
    Event* event = event_of(handle);
    return event ? record_event(*event, stream) : int(INVALID_HANDLE);
}

HOST_API cuEventSynchronize(void* handle) {
    const Turn turn;
    if (turn.error) return turn.error;
    counters.synchronisations++;
    return finish_event_handle(handle);
}

HOST_API cuEventQuery(void* handle) {
    const Turn turn;
    return turn.error ? turn.error : finish_event_handle(handle);
}

HOST_API cuEventElapsedTime_v2(float* milliseconds, void* from, void* to) {
    const Turn turn;
    if (turn.error) return turn.error;
    const Event* first = event_of(from);
    const Event* second = event_of(to);
    if (!first || !second || !first->mark || !second->mark) return INVALID_HANDLE;
    if ((first->flags | second->flags) & DISABLE_TIMING) return INVALID_HANDLE;
    if (const int error = finish_event(*first)) return error;
    if (const int error = finish_event(*second)) return error;
    *milliseconds = std::chrono::duration<float, std::milli>(second->mark->time - first->mark->time).count();
    return SUCCESS;
}
