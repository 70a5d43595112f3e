/* Compression of requests and bounded decompression of answers. Knows nothing of either's contents.
 * Exporter thread only. */
#include "export/gzip.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

/* zlib's window, plus 16: with a gzip header; plus 32: either header is recognised. */
#define WINDOW_GZIP (15 + 16)
#define WINDOW_ANY  (15 + 32)

struct shim_gzip {
    z_stream stream;
    Bytef *packed;
    size_t packed_cap;
};

struct shim_gzip *shim_gzip_new(void)
{
    struct shim_gzip *gzip = calloc(1, sizeof(*gzip));
    if (!gzip)
        return NULL;
    /* The fastest level: spans shrink to a tenth with any, and the host pays for the rest. */
    if (deflateInit2(&gzip->stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_GZIP, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        free(gzip);
        return NULL;
    }
    return gzip;
}

void shim_gzip_free(struct shim_gzip *gzip)
{
    if (!gzip)
        return;
    deflateEnd(&gzip->stream);
    free(gzip->packed);
    free(gzip);
}

int shim_gzip_deflate(struct shim_gzip *gzip, const struct iovec *piece, unsigned count, size_t len,
                      struct iovec *ret_packed)
{
    z_stream *stream = &gzip->stream;
    deflateReset(stream);
    size_t bound = deflateBound(stream, len);
    if (bound > gzip->packed_cap) {
        free(gzip->packed);
        gzip->packed_cap = 0;
        gzip->packed = malloc(bound);
        if (!gzip->packed)
            return -ENOMEM;
        gzip->packed_cap = bound;
    }
    stream->next_out = gzip->packed;
    stream->avail_out = (uInt)gzip->packed_cap;
    for (unsigned i = 0; i < count; i++) {
        stream->next_in = piece[i].iov_base;
        stream->avail_in = (uInt)piece[i].iov_len;
        if (stream->avail_in > 0 && deflate(stream, Z_NO_FLUSH) != Z_OK)
            return -ENOMEM;
    }
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return -ENOMEM;
    *ret_packed = (struct iovec){gzip->packed, gzip->packed_cap - stream->avail_out};
    return 0;
}

int shim_gzip_inflate(const char *data, size_t len, char *dst, size_t cap, size_t *ret_len)
{
    z_stream stream = {.next_in = (const Bytef *)data, .avail_in = (uInt)len};
    if (inflateInit2(&stream, WINDOW_ANY) != Z_OK)
        return -ENOMEM;
    stream.next_out = (Bytef *)dst;
    stream.avail_out = (uInt)cap;
    int code = inflate(&stream, Z_FINISH);
    *ret_len = cap - stream.avail_out;
    bool ok = code == Z_STREAM_END || stream.avail_out == 0;
    inflateEnd(&stream);
    return ok ? 0 : -EPROTO;
}
