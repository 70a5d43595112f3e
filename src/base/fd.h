/* Descriptors of ours in a host that closes, reuses and dups everything. Leaf. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor and what it was when we opened it. */
struct shim_fd {
    int fd; /* -1: none */
    dev_t dev;
    ino_t ino;
};

#define SHIM_FD_NONE ((struct shim_fd){.fd = -1})

/* Takes `fd` (closes it on failure too), moves it to a high number with CLOEXEC set, and remembers
 * what it is. 0, or -Exxx with ret->fd = -1. */
int shim_fd_take(int fd, struct shim_fd *ret_fd);

/* Whether the number still stands for what we opened. */
bool shim_fd_is_ours(const struct shim_fd *fd);

/* Closes it if it is still ours; then fd->fd = -1. */
void shim_fd_close(struct shim_fd *fd);
