// Streams and events. Work waits in its stream until somebody asks for what it leads to: the host
// sees as little done as a device allows, so that a missing synchronisation shows.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "device.h"

namespace host {

// A piece of work gives an error of the driver, which its context keeps.
using Work = std::function<int()>;

struct Stream {
    Device* device;
    unsigned flags = 0;
    std::deque<Work> queue;
    // Pieces of work that were ever queued, and those that are over.
    uint64_t submitted = 0;
    uint64_t completed = 0;
    bool is_busy() const { return submitted != completed; }
};

// What an event stands for since it was last recorded.
struct Mark {
    std::shared_ptr<Stream> stream;
    uint64_t position = 0;
    std::chrono::steady_clock::time_point time;
};

struct Event {
    Device* device;
    unsigned flags = 0;
    std::shared_ptr<Mark> mark;
};

// Null for what is no handle. The default streams' handles, 0 to 2, are not handles of streams.
std::shared_ptr<Stream> stream_of(void* handle);
Event* event_of(void* handle);
bool is_default_stream(void* handle);

Stream* create_stream(Device& device, unsigned flags);
void destroy_stream(std::shared_ptr<Stream> stream);
Event* create_event(Device& device, unsigned flags);
void destroy_event(Event* event);

// Puts work at the end of a stream. On a default stream all other work runs first, and then this.
int submit(Device& device, void* stream_handle, Work work);

// These run what they wait for and give the error of the context.
int finish_device(Device& device);
int finish_stream(Stream& stream);
int finish_event(const Event& event);

int record_event(Event& event, void* stream_handle);
int wait_event(void* stream_handle, const Event& event);

// Forgets all work of a device.
void discard_work(Device& device);

}  // namespace host
