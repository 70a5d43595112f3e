/* Makes text that came from anywhere valid UTF-8 (RFC 3629): receivers of OTLP reject a whole
 * request for one bad byte. Leaf. Async-signal-safe. */
#pragma once

#include "str.h"

/* Copies text.len bytes to dst, each byte that is not part of a valid sequence as '?'. So the
 * length stays the same. ASCII runs are copied eight bytes at a time. */
void shim_utf8_copy(char *dst, struct shim_str text);

/* The longest prefix of at most `max_bytes` bytes and `max_chars` characters that does not cut
 * through a sequence. */
struct shim_str shim_utf8_prefix(struct shim_str text, size_t max_bytes, size_t max_chars);

bool shim_utf8_is_valid(struct shim_str text);
