/* From a name and a port to a connected socket of ours, within a deadline. Exporter thread only:
 * names other than literals and localhost are resolved on the spot, and getaddrinfo knows no
 * deadline. */
#pragma once

#include "base/fd.h"

#include <stddef.h>
#include <stdint.h>

/* Tries each address of `host` (a name, or a literal without brackets) in turn. 0 and a
 * non-blocking, connected TCP socket, or -Exxx and a line in ret_message that says why; the message
 * then is about the last address. */
int shim_dial(const char *host, uint16_t port, uint64_t deadline_ns, struct shim_fd *ret_fd,
              char *ret_message, size_t message_cap);

/* Waits for any of the poll `events`: 0, or -ETIMEDOUT once CLOCK_MONOTONIC has passed the deadline
 * (UINT64_MAX: never), or -Exxx. */
int shim_dial_wait(int fd, short events, uint64_t deadline_ns);
