/* gzip, out and in, by zlib. Exporter thread only. */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

/* Keeps zlib's state and the memory for results from call to call. NULL: no memory. */
struct shim_gzip *shim_gzip_new(void);
void shim_gzip_free(struct shim_gzip *gzip); /* may be NULL */

/* Compresses the pieces, `len` bytes in all, into one, which is borrowed until the next call. 0 or
 * -ENOMEM. */
int shim_gzip_deflate(struct shim_gzip *gzip, const struct iovec *piece, unsigned count, size_t len,
                      struct iovec *ret_packed);

/* Unpacks gzip or zlib data into dst; what is more than `cap` is left out, so that a small answer
 * cannot become a large one. 0, or -EPROTO for what is neither or ends early, -ENOMEM. */
int shim_gzip_inflate(const char *data, size_t len, char *dst, size_t cap, size_t *ret_len);
