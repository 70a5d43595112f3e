/* Bounded text builder in the caller's memory. See buf.h.
 * The part of a text that fits is kept; from then on nothing fits any more, so the text is a true
 * prefix. Allocates nothing. Async-signal-safe; one thread at a time. */
#include "base/buf.h"

#include "base/hex.h"

void shim_buf_init(struct shim_buf *buf, char *memory, size_t cap)
{
    *buf = (struct shim_buf){.data = memory, .cap = cap};
    memory[0] = '\0';
}

void shim_buf_add(struct shim_buf *buf, struct shim_str text)
{
    size_t room = buf->cap - 1 - buf->len;
    size_t len = text.len;
    if (len > room) {
        len = room;
        buf->truncated = true;
    }
    if (len == 0)
        return;
    memcpy(buf->data + buf->len, text.ptr, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void shim_buf_add_text(struct shim_buf *buf, const char *text)
{
    shim_buf_add(buf, shim_str(text));
}

void shim_buf_add_char(struct shim_buf *buf, char c)
{
    shim_buf_add(buf, shim_str_n(&c, 1));
}

void shim_buf_add_u64(struct shim_buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    shim_buf_add(buf, shim_str_n(digits + at, sizeof(digits) - at));
}

void shim_buf_add_i64(struct shim_buf *buf, int64_t value)
{
    if (value < 0)
        shim_buf_add_char(buf, '-');
    shim_buf_add_u64(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void shim_buf_add_hex(struct shim_buf *buf, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < len && !buf->truncated; i++) {
        char digits[2];
        shim_hex_encode(digits, byte + i, 1);
        shim_buf_add(buf, shim_str_n(digits, sizeof(digits)));
    }
}
