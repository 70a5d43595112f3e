/* Text builder in memory of the caller's, bounded: what does not fit is left out and remembered in
 * `truncated`. Always NUL-terminated. Leaf. Async-signal-safe; one thread at a time. */
#pragma once

#include "str.h"

#include <stdint.h>

struct shim_buf {
    char *data;
    size_t len; /* without the NUL */
    size_t cap; /* with the NUL, at least 1 */
    bool truncated;
};

void shim_buf_init(struct shim_buf *buf, char *memory, size_t cap);
void shim_buf_add(struct shim_buf *buf, struct shim_str text);
void shim_buf_add_text(struct shim_buf *buf, const char *text);
void shim_buf_add_char(struct shim_buf *buf, char c);
void shim_buf_add_u64(struct shim_buf *buf, uint64_t value);
void shim_buf_add_i64(struct shim_buf *buf, int64_t value);
/* Lower-case hex, two digits a byte. */
void shim_buf_add_hex(struct shim_buf *buf, const void *bytes, size_t len);
