/* The benchmark's collector: takes OTLP/HTTP protobuf by POST, answers 200 with an empty message,
 * and counts requests, bytes and spans; GET /stats and the end of the process show the counts as
 * JSON. Knows the wire format only, nothing of our encoder. One thread, its own process. Usage:
 * collector [port] */
#include "serve.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view {
    const uint8_t *at;
    const uint8_t *end;
};

struct field {
    uint64_t number;
    struct view bytes; /* of a length-delimited field; empty otherwise */
};

static struct {
    uint64_t requests;
    uint64_t bytes;
    uint64_t spans;
    uint64_t malformed;
} stats;

static bool take_varint(struct view *view, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && view->at < view->end; shift += 7) {
        uint8_t byte = *view->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_field(struct view *view, struct field *ret_field)
{
    uint64_t key, size;
    if (!take_varint(view, &key))
        return false;
    *ret_field = (struct field){.number = key >> 3};
    switch (key & 7) {
    case 0:
        return take_varint(view, &size);
    case 1:
        size = 8;
        break;
    case 2:
        if (!take_varint(view, &size))
            return false;
        break;
    case 5:
        size = 4;
        break;
    default:
        return false;
    }
    if (size > (uint64_t)(view->end - view->at))
        return false;
    if ((key & 7) == 2)
        ret_field->bytes = (struct view){view->at, view->at + size};
    view->at += size;
    return true;
}

/* Counts the messages at the end of a path of field numbers, 0-terminated. */
static bool count_messages(struct view message, const uint64_t *path, uint64_t *count)
{
    while (message.at < message.end) {
        struct field field;
        if (!take_field(&message, &field))
            return false;
        if (field.number != path[0] || !field.bytes.at)
            continue;
        if (path[1] && !count_messages(field.bytes, path + 1, count))
            return false;
        if (!path[1])
            (*count)++;
    }
    return true;
}

static int stats_text(char *out, size_t size)
{
    return snprintf(out, size,
                    "{\"requests\": %llu, \"bytes\": %llu, \"spans\": %llu, \"malformed\": %llu}\n",
                    (unsigned long long)stats.requests, (unsigned long long)stats.bytes,
                    (unsigned long long)stats.spans, (unsigned long long)stats.malformed);
}

static size_t answer(const struct serve_request *request, char *out)
{
    static const char empty[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
    /* ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans */
    static const uint64_t to_spans[] = {1, 2, 2, 0};
    if (request->method_size == 3) {
        char text[256];
        int size = stats_text(text, sizeof(text));
        return (size_t)snprintf(out, SERVE_ANSWER_MAX,
                                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                "Content-Length: %d\r\n\r\n%s",
                                size, text);
    }
    const uint8_t *body = (const uint8_t *)request->body;
    stats.requests++;
    stats.bytes += request->body_size;
    if (!count_messages((struct view){body, body + request->body_size}, to_spans, &stats.spans))
        stats.malformed++;
    memcpy(out, empty, sizeof(empty) - 1);
    return sizeof(empty) - 1;
}

int main(int argc, char **argv)
{
    int error = serve_run(argc > 1 ? (uint16_t)atoi(argv[1]) : 0, answer);
    if (error) {
        fprintf(stderr, "collector: %s\n", strerror(-error));
        return 1;
    }
    char text[256];
    stats_text(text, sizeof(text));
    fputs(text, stdout);
    return 0;
}
