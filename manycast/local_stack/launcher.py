"""Run as a script: makes the program that replaces it end when its parent process dies.

    python launcher.py PARENT_PID SIGNAL PROGRAM [ARGUMENT]...

On Linux the kernel sends SIGNAL when the parent dies, however it dies. Elsewhere no such promise is to be had, and the
program runs untied. A script of its own, because Python's `preexec_fn` is unsafe once there are threads; it imports
nothing of ours, so that it costs a few milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, death_signal, *program = sys.argv[1:]
    if sys.platform == "linux":
        tie(int(parent_pid), int(death_signal))
    # Python ignores these two signals, and the next program would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execvp(program[0], program)  # noqa: S606 -- to become the program is the purpose


def tie(parent_pid: int, death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit(f"cannot be tied to the parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:
        # The parent died before this call: no signal would follow.
        sys.exit(0)


if __name__ == "__main__":
    main()
