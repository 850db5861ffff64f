"""A script that becomes another program, and makes that program end when the parent process dies.

    python launcher.py PARENT_PID SIGNAL PROGRAM [ARGUMENT]...

On Linux the kernel sends SIGNAL to the program when the parent dies for any reason. Other systems have no such feature:
there the program may outlive its parent. This is a script because Python's `preexec_fn` is unsafe in a process with
threads. It imports none of our modules, so that it adds only a few milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, death_signal, *program = sys.argv[1:]
    if sys.platform == "linux":
        die_with_parent(int(parent_pid), int(death_signal))
    # Python ignores these two signals, and the program would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execvp(program[0], program)  # noqa: S606 -- to become the program is the purpose


def die_with_parent(parent_pid: int, death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit(f"cannot set the death signal: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:
        # The parent died before this call, so the kernel will send no signal.
        sys.exit(0)


if __name__ == "__main__":
    main()
