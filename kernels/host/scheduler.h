// Executes the grid of a kernel: blocks one after another, the threads of a block as fibers.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "include/host_device.h"
#include "include/host_kernel.h"

namespace host {

struct Launch {
    const Kernel* kernel;
    dim3 grid;
    dim3 block;
    unsigned shared_bytes;
    std::vector<void*> parameters;
};

// How often a kernel was launched since this was last cleared.
std::map<std::string, uint64_t>& launches_of_kernels();

// Registers of a thread that kernels are said to take, in place of what they were compiled to.
std::map<std::string, int>& registers_of_kernels();

// False where threads wait for one another for ever or one traps; the reason is on stderr then.
bool run_grid(const Launch& launch);

// "forward", "reverse" or "random:SEED": the order of the threads of a block between two
// barriers. False for anything else.
bool set_order(const std::string& order);

// How many of `count` things that may run in any order come before which, in the same order.
std::vector<size_t> any_order(size_t count);

// What the kernel that ran last is called, for messages.
const char* last_kernel();

// A 16-byte copy that has not happened yet.
struct AsyncCopy {
    void* to;
    const void* from;
    bool valid;
    void happen() const;
};

// Copies of a thread in the order of their issue, and where each committed group ends.
struct AsyncCopies {
    std::vector<AsyncCopy> copies;
    std::vector<size_t> group_ends;
    size_t first_group = 0;
    size_t done = 0;
    void clear();
};

AsyncCopies& copies_of_thread();

// Whether a copy is to happen at its issue: in a random order one in four does. A device may do it
// at any time from there to the wait, and who still reads what was there finds out.
bool is_copied_early();

}  // namespace host
