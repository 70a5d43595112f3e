/* Call stacks: the hook side takes addresses in the host's thread, this turns them into text with
 * libunwind and the ELF symbol tables. Exporter thread only. */
#pragma once

#include "sink.h"

#include <stdatomic.h>

/* Loads libunwind (RTLD_LOCAL) and publishes its unw_backtrace. 0 or -ENOENT. */
int shim_stacks_load(_Atomic(int (*)(void **, int)) *ret_backtrace);

/* Whether any record of the batch has a call stack. */
bool shim_stacks_present(const struct shim_batch *batch);

/* The batch with each SHIM_RECORD_FIELD_STACK replaced by an attribute code.stacktrace; one
 * malloced block of records, the caller frees it. NULL: no memory. */
uint8_t *shim_stacks_resolve(const struct shim_batch *batch, size_t *ret_len);
