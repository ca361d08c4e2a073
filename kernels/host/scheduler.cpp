#include "scheduler.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <numeric>
#include <random>

#include "counters.h"
#include "fiber.h"
#include "memory.h"

namespace host {

Thread* thread;
Block block;

namespace {

constexpr unsigned LANES = 32;
constexpr unsigned MAX_THREADS = 1024;

struct Fiber : Thread {
    void* stack_pointer = nullptr;
    char* stack = nullptr;
    bool started = false;
    AsyncCopies copies;
};

// Lanes of a mask on their way to one operation.
struct Meeting {
    unsigned mask = 0;
    unsigned arrived = 0;
    WarpOperation operation = nullptr;
    void* operands[LANES];
};

struct Warp {
    unsigned living = 0;
    // Several where lanes have parted ways under different masks.
    std::vector<Meeting> meetings;
    unsigned char order[LANES];
};

enum class Order { Forward, Reverse, Random };

struct Scheduler {
    Order order = Order::Random;
    std::mt19937_64 random{1};
    Stacks stacks;
    std::unique_ptr<Fiber[]> fibers{new Fiber[MAX_THREADS]};
    std::vector<Warp> warps;
    std::vector<unsigned> warp_order;
    // Those who can run, the next one last. Who is let go last runs first, so that a warp runs as
    // far ahead of the others as barriers let it.
    Fiber* ready[MAX_THREADS];
    unsigned ready_count = 0;
    Fiber* running = nullptr;
    void* launcher = nullptr;
    const Launch* launch = nullptr;
    const char* last = "none";
    unsigned living = 0;
    unsigned at_barrier = 0;
    unsigned yes = 0;
    // A thread has ended the launch.
    bool trapped = false;
    Votes votes = {};
    // The block's shared memory, and guard bytes after it.
    std::vector<unsigned char> shared;
};

// Never destroyed: other threads may still run when the process ends.
Scheduler& s = *new Scheduler;

void fiber_main();

void make_ready(const Warp& warp, unsigned lanes) {
    Fiber* first = &s.fibers[(&warp - s.warps.data()) * LANES];
    for (unsigned i = LANES; i-- > 0;) {
        const unsigned lane = warp.order[i];
        if (lanes >> lane & 1) s.ready[s.ready_count++] = first + lane;
    }
}

// Takes the next fiber out and makes it the running one; null where all wait or have ended.
Fiber* next_fiber() {
    if (s.ready_count == 0) return nullptr;
    s.running = s.ready[--s.ready_count];
    thread = s.running;
    return s.running;
}

void* resume_point(Fiber* fiber) {
    if (!fiber->started) {
        fiber->started = true;
        fiber->stack = s.stacks.take();
        fiber->stack_pointer = first_frame(fiber->stack, fiber_main);
    }
    return fiber->stack_pointer;
}

// Leaves the running fiber until somebody makes it ready.
void wait() {
    Fiber* own = s.running;
    Fiber* next = next_fiber();
    if (next == own) return;
    host_switch_stack(&own->stack_pointer, next ? resume_point(next) : s.launcher);
}

// Whether all living threads have come to the barrier; lets them go if so.
bool open_barrier() {
    if (s.at_barrier == 0 || s.at_barrier != s.living) return false;
    s.votes = {s.living, s.yes};
    s.at_barrier = s.yes = 0;
    for (size_t i = s.warp_order.size(); i-- > 0;) {
        const Warp& warp = s.warps[s.warp_order[i]];
        make_ready(warp, warp.living);
    }
    return true;
}

bool hold_meeting(Warp& warp, Meeting& meeting) {
    const unsigned lanes = meeting.mask & warp.living;
    if (meeting.arrived == 0 || meeting.arrived != lanes) return false;
    meeting.arrived = 0;
    counters.warp_operations++;
    meeting.operation(meeting.operands, lanes);
    make_ready(warp, lanes);
    return true;
}

Meeting& meeting_of(Warp& warp, unsigned mask) {
    if (!warp.meetings.empty() && (warp.meetings[0].mask == mask)) return warp.meetings[0];
    Meeting* unused = nullptr;
    for (Meeting& meeting : warp.meetings) {
        if (meeting.arrived == 0) unused = unused ? unused : &meeting;
        else if (meeting.mask == mask) return meeting;
    }
    if (!unused) {
        warp.meetings.emplace_back();
        unused = &warp.meetings.back();
    }
    unused->mask = mask;
    return *unused;
}

// The running thread has returned from the kernel: those who waited for it wait no more.
void end_thread() {
    Warp& warp = s.warps[s.running->warp];
    warp.living &= ~(1u << s.running->lane);
    s.living--;
    open_barrier();
    for (Meeting& meeting : warp.meetings) hold_meeting(warp, meeting);
}

void fiber_main() {
    for (;;) {
        s.launch->kernel->call(s.launch->kernel->function, s.launch->parameters.data());
        Fiber* own = s.running;
        end_thread();
        Fiber* next = next_fiber();
        // The next one inherits the stack where it has none yet; else nobody comes back to this
        // one, and it is free as soon as it is left.
        if (next && !next->started) {
            next->started = true;
            next->stack = own->stack;
            continue;
        }
        s.stacks.give(own->stack);
        host_switch_stack(&own->stack_pointer, next ? next->stack_pointer : s.launcher);
    }
}

template <class T>
void arrange(T* first, size_t count) {
    std::iota(first, first + count, T(0));
    if (s.order == Order::Reverse) std::reverse(first, first + count);
    if (s.order == Order::Random) std::shuffle(first, first + count, s.random);
}

void start_block(unsigned threads) {
    s.living = threads;
    s.at_barrier = s.yes = 0;
    s.trapped = false;
    s.ready_count = 0;
    s.warp_order.resize(s.warps.size());
    arrange(s.warp_order.data(), s.warp_order.size());
    for (size_t w = 0; w < s.warps.size(); w++) {
        Warp& warp = s.warps[w];
        const unsigned lanes = std::min(LANES, threads - unsigned(w) * LANES);
        warp.living = lanes == LANES ? ~0u : (1u << lanes) - 1;
        for (Meeting& meeting : warp.meetings) meeting.arrived = 0;
        arrange(warp.order, LANES);
    }
    for (unsigned i = 0; i < threads; i++) {
        s.fibers[i].started = false;
        s.fibers[i].copies.clear();
    }
    for (size_t i = s.warp_order.size(); i-- > 0;) {
        const Warp& warp = s.warps[s.warp_order[i]];
        make_ready(warp, warp.living);
    }
    memset(block.shared, 0xff, block.shared_bytes);
}

void report_deadlock() {
    unsigned in_warps = 0;
    for (const Warp& warp : s.warps) {
        for (const Meeting& meeting : warp.meetings) in_warps += __builtin_popcount(meeting.arrived);
    }
    fprintf(stderr, "chunkflow host device: kernel %s, block (%u, %u, %u): deadlock: of %u living threads %u wait at a barrier of the block and %u in an operation of their warp\n",
            s.last, block.index.x, block.index.y, block.index.z, s.living, s.at_barrier, in_warps);
}

bool run_block(unsigned threads) {
    start_block(threads);
    counters.blocks++;
    Fiber* first = next_fiber();
    host_switch_stack(&s.launcher, resume_point(first));
    thread = nullptr;
    if (s.living != 0) {
        if (!s.trapped) report_deadlock();
        s.stacks.reclaim();
        return false;
    }
    const unsigned char* guard = block.shared + block.shared_bytes;
    if (size_t past = bytes_touched(guard, GUARD_BYTES)) {
        fprintf(stderr, "chunkflow host device: kernel %s, block (%u, %u, %u) wrote %zu bytes past its %u bytes of shared memory\n",
                s.last, block.index.x, block.index.y, block.index.z, past, block.shared_bytes);
        abort();
    }
    return true;
}

void prepare(const Launch& launch, unsigned threads) {
    s.launch = &launch;
    s.last = launch.kernel->name;
    s.warps.resize((threads + LANES - 1) / LANES);
    for (unsigned i = 0; i < threads; i++) {
        Fiber& fiber = s.fibers[i];
        fiber.index = {i % launch.block.x, i / launch.block.x % launch.block.y, i / launch.block.x / launch.block.y};
        fiber.lane = i % LANES;
        fiber.warp = i / LANES;
    }
    constexpr size_t ALIGNMENT = 1024;
    s.shared.resize(ALIGNMENT + launch.shared_bytes + GUARD_BYTES);
    const uintptr_t start = reinterpret_cast<uintptr_t>(s.shared.data());
    block.shared = s.shared.data() + (ALIGNMENT - start % ALIGNMENT) % ALIGNMENT;
    block.shared_bytes = launch.shared_bytes;
    block.size = launch.block;
    block.grid = launch.grid;
    memset(block.shared + block.shared_bytes, GUARD, GUARD_BYTES);
}

}  // namespace

bool run_grid(const Launch& launch) {
    const unsigned threads = launch.block.x * launch.block.y * launch.block.z;
    prepare(launch, threads);
    const dim3 grid = launch.grid;
    const size_t blocks = size_t(grid.x) * grid.y * grid.z;
    const bool backwards = s.order == Order::Reverse || (s.order == Order::Random && (s.random() & 1));
    for (size_t i = 0; i < blocks; i++) {
        const size_t at = backwards ? blocks - 1 - i : i;
        block.index = {unsigned(at % grid.x), unsigned(at / grid.x % grid.y), unsigned(at / grid.x / grid.y)};
        if (!run_block(threads)) return false;
    }
    return true;
}

bool set_order(const std::string& order) {
    const std::string random = "random:";
    if (order == "forward") {
        s.order = Order::Forward;
    } else if (order == "reverse") {
        s.order = Order::Reverse;
    } else if (order.compare(0, random.size(), random) == 0) {
        char* end = nullptr;
        const uint64_t seed = strtoull(order.c_str() + random.size(), &end, 10);
        if (order.size() == random.size() || *end) return false;
        s.order = Order::Random;
        s.random.seed(seed);
    } else {
        return false;
    }
    return true;
}

std::vector<size_t> any_order(size_t count) {
    std::vector<size_t> order(count);
    arrange(order.data(), count);
    return order;
}

const char* last_kernel() { return s.last; }

Votes synchronise_block(bool vote) {
    counters.barriers++;
    s.yes += vote;
    s.at_barrier++;
    open_barrier();
    wait();
    // The next barrier opens only after this thread has come to it.
    return s.votes;
}

void meet(unsigned mask, void* operand, WarpOperation operation) {
    Warp& warp = s.warps[s.running->warp];
    const unsigned own = 1u << s.running->lane;
    if (!(mask & own)) fault("a warp operation under mask %08x, which lacks the lane itself", mask);
    Meeting& meeting = meeting_of(warp, mask);
    if (meeting.arrived == 0) meeting.operation = operation;
    if (meeting.operation != operation) fault("lanes of a warp meet for different operations under mask %08x", mask);
    meeting.arrived |= own;
    meeting.operands[s.running->lane] = operand;
    hold_meeting(warp, meeting);
    wait();
}

unsigned living_lanes() { return s.warps[s.running->warp].living; }

AsyncCopies& copies_of_thread() { return s.running->copies; }

bool is_copied_early() { return s.order == Order::Random && s.random() % 4 == 0; }

namespace {

void print_thread() {
    fprintf(stderr, "chunkflow host device: kernel %s, block (%u, %u, %u), thread (%u, %u, %u): ", s.last, block.index.x,
            block.index.y, block.index.z, thread->index.x, thread->index.y, thread->index.z);
}

}  // namespace

void trap() {
    print_thread();
    fprintf(stderr, "a trap\n");
    s.trapped = true;
    host_switch_stack(&s.running->stack_pointer, s.launcher);
    abort();
}

void fault(const char* format, ...) {
    print_thread();
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

}  // namespace host
