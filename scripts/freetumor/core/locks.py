"""Locks on files, which the operating system takes back from a process that ends, however it ends."""

import fcntl


def locked(descriptor: int) -> bool:
    """Try to lock an open file for this process and thread alone, without waiting.

    A file system that knows no locks is taken for free: what relies on the lock is then as safe as it would be without.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
