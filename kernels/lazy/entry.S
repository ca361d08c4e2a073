// A trampoline for every entry point of the CUDA libraries: it jumps through its slot. At first
// the slot leads to code that asks lazy_resolve (open.c) for the function, which also fills the
// slot, and calls that with the caller's arguments untouched (System V ABI, x86-64).

.macro LAZY_ENTRY symbol, index
    .globl \symbol
    .type \symbol, @function
\symbol:
    endbr64
    jmp *(lazy_slots + 8 * \index)(%rip)
    .size \symbol, . - \symbol
lazy_first_\symbol:
    endbr64
    pushq $\index
    jmp lazy_first
.endm

.text
#include "lazy_entries.inc"

// The stack: index, return address, the caller's further arguments.
    .type lazy_first, @function
lazy_first:
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %r8
    push %r9
    push %rbp
    mov %rsp, %rbp
    mov 56(%rbp), %rdi
    // Floating-point arguments, and al, which counts them in variadic calls.
    sub $144, %rsp
    and $-16, %rsp
    mov %rax, 128(%rsp)
    movups %xmm0, (%rsp)
    movups %xmm1, 16(%rsp)
    movups %xmm2, 32(%rsp)
    movups %xmm3, 48(%rsp)
    movups %xmm4, 64(%rsp)
    movups %xmm5, 80(%rsp)
    movups %xmm6, 96(%rsp)
    movups %xmm7, 112(%rsp)
    call lazy_resolve
    mov %rax, %r11
    mov 128(%rsp), %rax
    movups (%rsp), %xmm0
    movups 16(%rsp), %xmm1
    movups 32(%rsp), %xmm2
    movups 48(%rsp), %xmm3
    movups 64(%rsp), %xmm4
    movups 80(%rsp), %xmm5
    movups 96(%rsp), %xmm6
    movups 112(%rsp), %xmm7
    mov %rbp, %rsp
    pop %rbp
    pop %r9
    pop %r8
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    add $8, %rsp
    jmp *%r11
    .size lazy_first, . - lazy_first

.section .data.rel.lazy, "aw", @progbits
    .p2align 3
    .globl lazy_slots
    .hidden lazy_slots
lazy_slots:
#include "lazy_slots.inc"

.section .note.GNU-stack, "", @progbits
