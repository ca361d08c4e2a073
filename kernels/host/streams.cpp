#include "streams.h"

#include <algorithm>
#include <unordered_map>

#include "counters.h"
#include "scheduler.h"

namespace host {

namespace {

struct Handles {
    std::unordered_map<void*, std::shared_ptr<Stream>> streams;
    std::unordered_map<void*, std::unique_ptr<Event>> events;
};
Handles& handles = *new Handles;

int run_one(Stream& stream) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    const int error = work();
    // It may have set off a failure that ended everything.
    stream.completed = std::min(stream.completed + 1, stream.submitted);
    if (error != SUCCESS && stream.device->error == SUCCESS) stream.device->error = error;
    return stream.device->error;
}

// After an error nothing of the context runs any more.
int run_until(Stream& stream, uint64_t position) {
    while (stream.device->error == SUCCESS && stream.completed < position && !stream.queue.empty()) run_one(stream);
    if (stream.device->error != SUCCESS) discard_work(*stream.device);
    return stream.device->error;
}

void count_busy_streams() {
    uint64_t busy = 0;
    for (const auto& device : devices()) {
        for (const auto& stream : device->streams) busy += stream->is_busy();
    }
    counters.concurrent_streams = std::max(counters.concurrent_streams, busy);
}

}  // namespace

std::shared_ptr<Stream> stream_of(void* handle) {
    const auto found = handles.streams.find(handle);
    return found == handles.streams.end() ? nullptr : found->second;
}

Event* event_of(void* handle) {
    const auto found = handles.events.find(handle);
    return found == handles.events.end() ? nullptr : found->second.get();
}

bool is_default_stream(void* handle) { return reinterpret_cast<uintptr_t>(handle) <= 2; }

Stream* create_stream(Device& device, unsigned flags) {
    auto stream = std::make_shared<Stream>();
    stream->device = &device;
    stream->flags = flags;
    device.streams.push_back(stream);
    handles.streams[stream.get()] = stream;
    return stream.get();
}

// A driver lets queued work run on; here nobody could ask for it any more.
void destroy_stream(std::shared_ptr<Stream> stream) {
    finish_stream(*stream);
    auto& all = stream->device->streams;
    all.erase(std::find(all.begin(), all.end(), stream));
    handles.streams.erase(stream.get());
}

Event* create_event(Device& device, unsigned flags) {
    auto event = std::make_unique<Event>();
    event->device = &device;
    event->flags = flags;
    Event* handle = event.get();
    handles.events[handle] = std::move(event);
    return handle;
}

// Work that waits for it has the mark.
void destroy_event(Event* event) { handles.events.erase(event); }

int submit(Device& device, void* stream_handle, Work work) {
    if (device.error != SUCCESS) return device.error;
    if (is_default_stream(stream_handle)) {
        if (const int error = finish_device(device)) return error;
        device.error = work();
        return device.error;
    }
    const std::shared_ptr<Stream> stream = stream_of(stream_handle);
    if (!stream) return INVALID_HANDLE;
    if (stream->device != &device) return INVALID_CONTEXT;
    stream->queue.push_back(std::move(work));
    // Streams become busy here alone.
    if (stream->completed == stream->submitted++) count_busy_streams();
    return SUCCESS;
}

// Streams in any order: nothing but events puts work of two streams in one.
int finish_device(Device& device) {
    const auto streams = device.streams;
    for (size_t i : any_order(streams.size())) run_until(*streams[i], streams[i]->submitted);
    return device.error;
}

int finish_stream(Stream& stream) { return run_until(stream, stream.submitted); }

int finish_event(const Event& event) {
    const std::shared_ptr<Mark> mark = event.mark;
    if (event.device->error != SUCCESS) return event.device->error;
    return mark && mark->stream ? run_until(*mark->stream, mark->position) : SUCCESS;
}

int record_event(Event& event, void* stream_handle) {
    const auto mark = std::make_shared<Mark>();
    const auto take_time = [mark] {
        mark->time = std::chrono::steady_clock::now();
        return int(SUCCESS);
    };
    if (const int error = submit(*event.device, stream_handle, take_time)) return error;
    mark->stream = stream_of(stream_handle);
    if (mark->stream) mark->position = mark->stream->submitted;
    event.mark = mark;
    return SUCCESS;
}

int wait_event(void* stream_handle, const Event& event) {
    // Later records of the event do not move what is waited for. What the mark's stream waits for
    // in turn was queued before, so that no circle can come about.
    const std::shared_ptr<Mark> mark = event.mark;
    const auto run_other = [mark] {
        if (mark && mark->stream) run_until(*mark->stream, mark->position);
        return int(SUCCESS);
    };
    Device* device = event.device;
    if (const auto stream = stream_of(stream_handle)) device = stream->device;
    return submit(*device, stream_handle, run_other);
}

void discard_work(Device& device) {
    for (const auto& stream : device.streams) {
        stream->completed = stream->submitted;
        stream->queue.clear();
    }
}

}  // namespace host
