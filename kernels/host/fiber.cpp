#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#ifndef __x86_64__
#error "fibers are written for x86-64"
#endif

namespace host {

// Registers that a function must keep go on its own stack; all others are lost at a call anyway.
asm(R"(
    .text
    .p2align 4
    .globl host_switch_stack
    .hidden host_switch_stack
    .type host_switch_stack, @function
host_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size host_switch_stack, . - host_switch_stack
)");
constexpr int SAVED_REGISTERS = 6;

constexpr size_t STACK_BYTES = 256 << 10;
constexpr size_t PAGE_BYTES = 4096;

char* Stacks::take() {
    if (free_.empty()) {
        void* pages = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        // A stack that overflows must fault and not write into its neighbour.
        if (pages == MAP_FAILED || mprotect(pages, PAGE_BYTES, PROT_NONE) != 0) {
            perror("chunkflow host device: a stack");
            abort();
        }
        // Tops at equal offsets would share the few cache sets of that offset.
        const size_t colour = all_.size() % 48 * 1216;
        all_.push_back(static_cast<char*>(pages) + STACK_BYTES - colour);
        return all_.back();
    }
    char* top = free_.back();
    free_.pop_back();
    return top;
}

void* first_frame(char* top, void (*entry)()) {
    // A function is entered with its return address eight bytes off a multiple of 16.
    void** frame = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
    *--frame = nullptr;
    *--frame = reinterpret_cast<void*>(entry);
    for (int i = 0; i < SAVED_REGISTERS; i++) *--frame = nullptr;
    return frame;
}

}  // namespace host
