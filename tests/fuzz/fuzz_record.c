/* Arbitrary bytes as records through all that reads them for people: the JSON writer, the console's
 * tree, and the resolver of call stacks. What comes out must be well-formed whatever went in. */
#include "base/utf8.h"
#include "export/console_tree.h"
#include "export/otlp_json.h"
#include "export/stacks.h"
#include "trace/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPANS_MAX 64
#define TEXT_SIZE 65536

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* One object on one line: brackets match outside of strings, strings hold no control character. */
static void check_json(const char *text, size_t len)
{
    char open[4096];
    size_t depth = 0;
    bool in_string = false;

    require(len > 0 && text[len - 1] == '\n' && text[0] == '{');
    require(shim_utf8_is_valid(shim_str_n(text, len)));
    for (size_t i = 0; i < len - 1; i++) {
        char c = text[i];
        require((unsigned char)c >= 0x20);
        if (in_string && c == '\\') {
            require(strchr("\"\\u", text[++i]) != NULL);
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '{' || c == '[')) {
            require(depth < sizeof(open));
            open[depth++] = c == '{' ? '}' : ']';
        } else if (!in_string && (c == '}' || c == ']')) {
            require(depth > 0 && open[--depth] == c);
            require(depth > 0 || i == len - 2);
        }
    }
    require(!in_string && depth == 0);
}

static void write_json(const uint8_t *data, size_t size)
{
    static char text[TEXT_SIZE];
    static const struct shim_resource resource = {.count = 1,
                                                  .attribute = {{"service.name", "x", 0, 0}}};
    const uint8_t *end = data + size;
    const uint8_t *message;
    struct shim_buf buf;
    bool first = true;
    size_t len;

    shim_buf_init(&buf, text, sizeof(text));
    require(shim_otlp_json_begin(&buf, &resource));
    while ((message = shim_record_next(&data, end, &len))) {
        Otlp__Span *span = shim_record_unpack(message, len);
        if (span && shim_otlp_json_add(&buf, span, first))
            first = false;
        if (span)
            otlp__span__free_unpacked(span, NULL);
    }
    shim_otlp_json_end(&buf);
    require(!buf.truncated);
    check_json(buf.data, buf.len);
}

/* Whole lines of valid text; nothing that steers a terminal but the colours. */
static void check_tree(const char *text, size_t len, bool colour)
{
    require(len > 1 && text[len - 1] == '\n' && text[len - 2] == '\n');
    require(shim_utf8_is_valid(shim_str_n(text, len)));
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\x1b')
            require(colour && text[i + 1] == '[' && strchr("01234", text[i + 2]));
        else
            require((unsigned char)text[i] >= 0x20 || text[i] == '\n');
    }
}

static void draw_tree(const uint8_t *data, size_t size)
{
    static char text[TEXT_SIZE];
    Otlp__Span *span[SPANS_MAX];
    struct shim_console_trace trace = {.service = "x", .span = span};
    const uint8_t *end = data + size;
    const uint8_t *message;
    size_t len;

    while (trace.count < SPANS_MAX && (message = shim_record_next(&data, end, &len))) {
        Otlp__Span *each = shim_record_unpack(message, len);
        if (each && each->trace_id.len == 16 && each->span_id.len == 8)
            span[trace.count++] = each;
        else if (each)
            otlp__span__free_unpacked(each, NULL);
    }
    for (unsigned i = 0; i < 4 && trace.count > 0; i++) {
        const struct shim_console_style style = {.colour = i & 1, .width = i & 2 ? 90 : 0};
        struct shim_buf buf;
        shim_buf_init(&buf, text, i == 3 ? 700 : sizeof(text));
        require(shim_console_format(&buf, &trace, &style) == 0);
        check_tree(buf.data, buf.len, style.colour);
    }
    for (unsigned i = 0; i < trace.count; i++)
        otlp__span__free_unpacked(span[i], NULL);
}

/* As many records come out as went in, none with a stack. */
static void resolve_stacks(const uint8_t *data, size_t size)
{
    struct shim_batch_piece piece = {data, size};
    struct shim_batch batch = {.piece = &piece, .piece_count = 1, .bytes = size};
    struct shim_batch_piece resolved = {0};
    const uint8_t *message;
    size_t len;
    unsigned in = 0;
    unsigned out = 0;

    for (const uint8_t *p = data; shim_record_next(&p, data + size, &len);)
        in++;
    resolved.data = shim_stacks_resolve(&batch, &resolved.len);
    require(resolved.data != NULL);
    for (const uint8_t *p = resolved.data;;) {
        const uint8_t *before = p;
        message = shim_record_next(&p, resolved.data + resolved.len, &len);
        if (!message) {
            require(before == resolved.data + resolved.len);
            break;
        }
        out++;
    }
    require(in == out);
    batch.piece = &resolved;
    require(!shim_stacks_present(&batch));
    free((void *)(uintptr_t)resolved.data);
}

/* The head with its padded length is hard to guess: a first byte with the top bit set asks for one
 * record around all the rest; the fuzzer's own heads are taken otherwise. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *records;
    size_t len = size;

    if (size == 0)
        return 0;
    records = malloc(size + SHIM_RECORD_HEAD);
    require(records != NULL);
    if (data[0] & 0x80) {
        len = size - 1;
        records[0] = SHIM_RECORD_TAG;
        records[1] = (uint8_t)(len | 0x80);
        records[2] = (uint8_t)(len >> 7 | 0x80);
        records[3] = (uint8_t)(len >> 14 & 0x7f);
        memcpy(records + SHIM_RECORD_HEAD, data + 1, len);
        len += SHIM_RECORD_HEAD;
    } else {
        memcpy(records, data, size);
    }
    write_json(records, len);
    draw_tree(records, len);
    resolve_stacks(records, len);
    free(records);
    return 0;
}
