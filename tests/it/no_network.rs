//! A filter of system calls (seccomp) that ends a process at its first `connect`.
#![expect(unsafe_code, reason = "system calls between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The filter, in the language of Berkeley packet filters: the number of the call, compared.
const PROGRAM: [libc::sock_filter; 4] = [
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
    statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_connect as u32),
    statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_KILL_PROCESS),
];

const fn statement(code: u32, jump: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: jump, jf: 0, k: value }
}

/// Puts the filter around what `command` starts.
pub(crate) fn apply(command: &mut Command) {
    // SAFETY: two system calls, and memory that exists for the life of the program.
    unsafe {
        command.pre_exec(|| {
            static FILTER: [libc::sock_filter; 4] = PROGRAM;
            let filter =
                libc::sock_fprog { len: FILTER.len() as u16, filter: FILTER.as_ptr().cast_mut() };
            let alone = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
            let mode = libc::SECCOMP_MODE_FILTER;
            if alone && libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
}
