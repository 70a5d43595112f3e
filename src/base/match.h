/* Lists of patterns that a user wrote: globs over text, and hosts by glob or CIDR. Compiled once,
 * matched without allocation. Leaf. Matching: any thread, async-signal-safe. */
#pragma once

#include "str.h"

/* `*` any run (also empty), `?` one byte; letters compare without case when `nocase`. No
 * backtracking blow-up: time is at most pattern * text. */
bool shim_glob_match(struct shim_str pattern, struct shim_str text, bool nocase);

/* A comma-separated list of globs; empty list matches nothing. Members are trimmed. */
bool shim_glob_list_match(struct shim_str list, struct shim_str text, bool nocase);

/* A comma-separated list of host globs (`*.example.org`, without case) and CIDRs (`10.0.0.0/8`,
 * `fd00::/8`, a bare address is its own /32 or /128). `host` is a name or a literal, an IPv6 one
 * with or without brackets. CIDRs match literals only: nothing is ever resolved. IPv4-mapped IPv6
 * matches as IPv4. */
bool shim_host_list_match(struct shim_str list, struct shim_str host);

/* Whether the list can be read: 0, or -EINVAL with *ret_bad = the first member that cannot. */
int shim_host_list_check(struct shim_str list, struct shim_str *ret_bad);

/* Local by its look: loopback, private and link-local literals, localhost, single labels, names
 * below .local .internal .svc .cluster.local (a trailing dot is ignored). */
bool shim_host_is_local(struct shim_str host);
