/* What files under /proc and /etc say about this process and machine, for the resource. Each takes
 * the text of the file and knows no path, so it can be tried on any system's. Any thread. */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* /proc/self/cgroup: the container's id out of a path such as …/docker-<64 hex>.scope. False: none.
 */
bool shim_facts_container_of_cgroup(struct shim_str cgroup, struct shim_str *ret_id);

/* /proc/self/mountinfo: the same out of …/containers/<64 hex>/hostname, for cgroup namespaces. */
bool shim_facts_container_of_mounts(struct shim_str mountinfo, struct shim_str *ret_id);

/* /etc/passwd: the name of a user. Without NSS, which would load modules into the host. */
bool shim_facts_user_name(struct shim_str passwd, uint32_t uid, struct shim_str *ret_name);

/* /etc/machine-id: 32 hexadecimal digits. False for anything else ("uninitialized"). */
bool shim_facts_machine_id(struct shim_str text, struct shim_str *ret_id);

/* /proc/self/stat: field 22, clock ticks from the boot to the start of the process. 0 or -EINVAL.
 */
int shim_facts_start_ticks(struct shim_str stat, uint64_t *ret_ticks);

/* uname's machine as host.arch names it; what the conventions do not know stays as it is. */
const char *shim_facts_arch(const char *machine);

#define SHIM_FACTS_TIME_SIZE 32
/* ISO 8601 in UTC with milliseconds: "2024-02-29T13:05:09.123Z". */
void shim_facts_format_time(char text[SHIM_FACTS_TIME_SIZE], uint64_t unix_ms);
