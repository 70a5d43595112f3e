/* Call stacks: loads libunwind for the hook side, and turns the addresses that a record carries
 * into the attribute code.stacktrace. Knows no sink. Exporter thread only. */
#include "export/stacks.h"

#include "base/buf.h"
#include "export/symbols.h"
#include "trace/record.h"
#include "trace/wire.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STACK_TEXT_MAX 16384u
#define STACK_KEY      "code.stacktrace"
#define RECORD_MAX     ((1u << 21) - 1) /* what a length of three bytes can say */

/* Text and all that stands before it: tags, lengths, key. */
#define ATTRIBUTE_ROOM (STACK_TEXT_MAX + sizeof(STACK_KEY) + 16)

/* libunwind exports _Unwind_*: in the global scope it would take over the host's C++ exceptions. It
 * stays loaded, since any thread of the host may be inside it. */
int shim_stacks_load(_Atomic(int (*)(void **, int)) *ret_backtrace)
{
    void *library = dlopen("libunwind.so.8", RTLD_LOCAL | RTLD_NOW);
    int (*backtrace)(void **, int);
    void *frame[4];

    if (!library)
        return -ENOENT;
    *(void **)&backtrace = dlsym(library, "unw_backtrace");
    if (!backtrace) {
        dlclose(library);
        return -ENOENT;
    }
    backtrace(frame, 4); /* its own set-up happens here, not in a host's thread */
    atomic_store_explicit(ret_backtrace, backtrace, memory_order_release);
    return 0;
}

/* As shim_wire_next_field; a stack that is no bytes is no message of ours either. */
static bool next_field(const uint8_t **data, const uint8_t *end, struct shim_wire_field *ret_field)
{
    return shim_wire_next_field(data, end, ret_field) &&
           (ret_field->type == SHIM_WIRE_LEN || ret_field->number != SHIM_RECORD_FIELD_STACK);
}

/* The stack of a record; false: it has none, or is no whole message. */
static bool find_stack(const uint8_t *message, size_t len, struct shim_wire_field *ret_stack)
{
    const uint8_t *end = message + len;
    struct shim_wire_field field;
    bool found = false;

    while (next_field(&message, end, &field)) {
        if (field.number == SHIM_RECORD_FIELD_STACK) {
            *ret_stack = field;
            found = true;
        }
    }
    return found && message == end;
}

bool shim_stacks_present(const struct shim_batch *batch)
{
    for (unsigned i = 0; i < batch->piece_count; i++) {
        const uint8_t *data = batch->piece[i].data;
        const uint8_t *end = data + batch->piece[i].len;
        const uint8_t *message;
        struct shim_wire_field stack;
        size_t len;

        while ((message = shim_record_next(&data, end, &len))) {
            if (find_stack(message, len, &stack))
                return true;
        }
    }
    return false;
}

/* Lines, innermost first; a function that calls itself stands there once, with how often. */
static void write_lines(struct shim_buf *buf, const struct shim_symbol *symbol, unsigned count)
{
    for (unsigned i = 0; i < count;) {
        unsigned same = 1;
        size_t mark = buf->len;

        while (i + same < count && strcmp(symbol[i].text, symbol[i + same].text) == 0)
            same++;
        if (!symbol[i].own) {
            shim_buf_add_text(buf, symbol[i].text);
            if (same > 1) {
                shim_buf_add_text(buf, " [");
                shim_buf_add_u64(buf, same);
                shim_buf_add_text(buf, " times]");
            }
            shim_buf_add_char(buf, '\n');
        }
        if (buf->truncated) { /* whole lines only */
            buf->len = mark;
            return;
        }
        i += same;
    }
}

/* `text` has STACK_TEXT_MAX bytes. Returns the length, without the last newline. */
static size_t stack_text(char *text, const struct shim_wire_field *stack)
{
    size_t count = (size_t)(stack->end - stack->value) / sizeof(uint64_t);
    struct shim_symbol *symbol;
    struct shim_buf buf;

    if (count > SHIM_SYMBOLS_MAX)
        count = SHIM_SYMBOLS_MAX;
    symbol = calloc(count > 0 ? count : 1, sizeof(*symbol));
    if (!symbol)
        return 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t address;
        memcpy(&address, stack->value + i * sizeof(address), sizeof(address));
        symbol[i].address = (uintptr_t)address;
    }
    shim_symbols_resolve(symbol, (unsigned)count);
    shim_buf_init(&buf, text, STACK_TEXT_MAX);
    write_lines(&buf, symbol, (unsigned)count);
    free(symbol);
    return buf.len > 0 ? buf.len - 1 : 0;
}

static uint8_t *put_varint(uint8_t *dst, size_t value)
{
    while (value >= 0x80) {
        *dst++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *dst++ = (uint8_t)value;
    return dst;
}

static size_t varint_size(size_t value)
{
    size_t size = 1;

    while (value >>= 7)
        size++;
    return size;
}

static uint8_t *put_bytes(uint8_t *dst, uint8_t tag, const void *bytes, size_t len)
{
    *dst++ = tag;
    dst = put_varint(dst, len);
    memcpy(dst, bytes, len);
    return dst + len;
}

/* Span.attributes: KeyValue{key = code.stacktrace, value = AnyValue{string_value = text}}. */
static uint8_t *put_attribute(uint8_t *dst, const char *text, size_t len)
{
    size_t key_len = sizeof(STACK_KEY) - 1;
    size_t value_len = 1 + varint_size(len) + len;
    size_t pair_len = 1 + varint_size(key_len) + key_len + 1 + varint_size(value_len) + value_len;

    *dst++ = 9 << 3 | 2;
    dst = put_varint(dst, pair_len);
    dst = put_bytes(dst, 1 << 3 | 2, STACK_KEY, key_len);
    *dst++ = 2 << 3 | 2;
    dst = put_varint(dst, value_len);
    return put_bytes(dst, 1 << 3 | 2, text, len);
}

static uint8_t *put_head(uint8_t *dst, size_t len)
{
    *dst++ = SHIM_RECORD_TAG;
    *dst++ = (uint8_t)(len | 0x80);
    *dst++ = (uint8_t)(len >> 7 | 0x80);
    *dst++ = (uint8_t)(len >> 14 & 0x7f);
    return dst;
}

/* Writes the record without its stack and with the attribute; at most len + SHIM_RECORD_HEAD +
 * ATTRIBUTE_ROOM bytes. */
static uint8_t *put_resolved(uint8_t *dst, const uint8_t *message, size_t len,
                             const struct shim_wire_field *stack)
{
    char text[STACK_TEXT_MAX];
    size_t text_len = stack_text(text, stack);
    uint8_t *begin = dst;
    const uint8_t *end = message + len;
    struct shim_wire_field field;

    dst += SHIM_RECORD_HEAD;
    while (next_field(&message, end, &field)) {
        if (field.number == SHIM_RECORD_FIELD_STACK)
            continue;
        memcpy(dst, field.begin, (size_t)(field.end - field.begin));
        dst += field.end - field.begin;
    }
    if (text_len > 0 &&
        (size_t)(dst - begin) - SHIM_RECORD_HEAD + text_len + ATTRIBUTE_ROOM - STACK_TEXT_MAX <=
            RECORD_MAX)
        dst = put_attribute(dst, text, text_len);
    put_head(begin, (size_t)(dst - begin) - SHIM_RECORD_HEAD);
    return dst;
}

/* The new records; grows as stacks come. */
struct output {
    uint8_t *memory;
    size_t len;
    size_t cap;
};

static bool reserve(struct output *output, size_t more)
{
    size_t cap = output->cap > 0 ? output->cap : 4096;
    uint8_t *memory;

    while (cap - output->len < more)
        cap *= 2;
    if (cap == output->cap)
        return true;
    memory = realloc(output->memory, cap);
    if (!memory)
        return false;
    output->memory = memory;
    output->cap = cap;
    return true;
}

static bool add_record(struct output *output, const uint8_t *message, size_t len)
{
    struct shim_wire_field stack;
    uint8_t *dst;

    if (!reserve(output, len + SHIM_RECORD_HEAD + ATTRIBUTE_ROOM))
        return false;
    dst = output->memory + output->len;
    if (find_stack(message, len, &stack)) {
        dst = put_resolved(dst, message, len, &stack);
    } else {
        dst = put_head(dst, len);
        memcpy(dst, message, len);
        dst += len;
    }
    output->len = (size_t)(dst - output->memory);
    return true;
}

uint8_t *shim_stacks_resolve(const struct shim_batch *batch, size_t *ret_len)
{
    struct output output = {0};

    if (!reserve(&output, batch->bytes + 1))
        return NULL;
    for (unsigned i = 0; i < batch->piece_count; i++) {
        const uint8_t *data = batch->piece[i].data;
        const uint8_t *end = data + batch->piece[i].len;
        const uint8_t *message;
        size_t len;

        while ((message = shim_record_next(&data, end, &len))) {
            if (!add_record(&output, message, len)) {
                free(output.memory);
                return NULL;
            }
        }
    }
    *ret_len = output.len;
    return output.memory;
}
